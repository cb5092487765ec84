"""Echoes of the label, of the prompt, of its examples and of the advice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.describe.gate.echoes import Echoes, label_echo
from olmv.describe.gate.reasons import ADVICE
from olmv.labels.label import Label
from olmv.llm.prompts import load_prompt

BAND = Label("BandMarching", aliases=("marching band",))


def echoes() -> Echoes:
    document = load_prompt("general").document
    examples = {str(example.input["label"]): list(example.answer["attributes"]) for example in document.examples}
    return Echoes((document.system, document.user, document.retry, *ADVICE.values()), examples)


@pytest.mark.parametrize(
    ("label", "text", "detail"),
    [
        (BAND, "bandmarching", "only repeats the label"),
        (BAND, "The Marching Band", "only repeats the label"),
        (BAND, "a video of a marching band", "says no more than the label"),
        (BAND, "people in a marching band", "says no more than the label"),
        (Label("accordion"), "an accordion is a type of object", "says no more than the label"),
        (Label("狗"), "狗", "only repeats the label"),
    ],
)
def test_the_label_again(label: Label, text: str, detail: str) -> None:
    rejection = label_echo(label, text)
    assert rejection is not None
    assert (rejection.reason, rejection.detail) == ("label echo", detail)


@pytest.mark.parametrize("text", ["a marching band in red coats", "a row of drums", "musicians walking"])
def test_more_than_the_label(text: str) -> None:
    assert label_echo(BAND, text) is None


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("only what a camera records", "is taken from the prompt"),
        ("you are given one label", "is taken from the prompt"),
        ("say what a viewer sees in a video", "is taken from the prompt"),
        ("Use 4 to 12 words in every attribute", "is taken from the prompt"),
        ("say what is there", "is taken from the prompt"),
        ("a tall white tower with red stripes on a coast", "is taken from an example in the prompt"),
        ("hands pushing a chisel along a drum of pale wood", "is taken from an example in the prompt"),
    ],
)
def test_the_prompt_again(text: str, detail: str) -> None:
    rejection = echoes().rejection(BAND, text)
    assert rejection is not None
    assert (rejection.reason, rejection.detail) == ("prompt echo", detail)


@pytest.mark.parametrize("text", ["musicians in red coats on a street", "a tall hat with a white feather"])
def test_words_of_its_own(text: str) -> None:
    assert echoes().rejection(BAND, text) is None


def test_what_an_example_says_of_this_very_label_is_no_echo() -> None:
    text = "a tall white tower with red stripes on a rocky coast"
    assert echoes().rejection(Label("lighthouse"), text) is None
    assert echoes().rejection(Label("beacon", aliases=("Lighthouse",)), text) is None
    assert echoes().rejection(Label("tower"), text) is not None


@given(st.text(max_size=120))
def test_any_text_is_looked_at(text: str) -> None:
    for rejection in (label_echo(BAND, text), echoes().rejection(BAND, text)):
        assert rejection is None or rejection.reason in ("label echo", "prompt echo")
    assert label_echo(BAND, BAND.name) is not None
    assert Echoes((text,), {}).rejection(BAND, text) is not None
