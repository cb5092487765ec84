"""What an attribute must be by itself."""

import pytest

from olmv.describe.gate.reasons import Reason
from olmv.describe.gate.wording import Wording, breaks_off, rambling
from olmv.labels.label import Label
from olmv.labels.quality import TextLimit
from olmv.labels.templates import resolve
from olmv.labels.vocabulary import Vocabulary

VOCABULARY = Vocabulary(
    [
        Label("dog", aliases=("hound of the hills",)),
        Label("person"),
        Label("playing guitar"),
        Label("playing guitar solo"),
        Label("a device that measures heat"),
        Label("汽车"),
    ]
)


def wording(limit: int | None = None) -> Wording:
    """For a text tower whose tokens are words, with two special ones."""
    words = lambda texts: [len(text.split()) + 2 for text in texts]  # noqa: E731
    tower = None if limit is None else TextLimit("tower", limit, "video", words)
    return Wording(VOCABULARY, templates=resolve("video"), limit=tower)


def why(label: Label, text: str, checks: Wording) -> str:
    rejection = checks.rejection(label, text)
    return "" if rejection is None else f"{rejection.reason}: {rejection.detail}"


@pytest.mark.parametrize(
    "text",
    [
        "a brown dog on a lawn",
        "a person throwing a ball",
        "four legs, a tail and a wet nose",
        "a man's hand on a well-kept lawn",
        "ein brauner Hund auf grünem Gras",
        "棕色的狗在草地上奔跑",
        "a dog wearing a number 7 shirt",
        " ".join(["very"] * 18) + " old dog",
    ],
)
def test_good_attributes(text: str) -> None:
    assert wording().rejection(VOCABULARY[0], text) is None


@pytest.mark.parametrize(
    ("text", "reason", "detail"),
    [
        ("", "form", "is empty, too long or has control characters"),
        ("a brown\x07 dog on a lawn", "form", "is empty, too long or has control characters"),
        ("a" * 1001, "form", "is empty, too long or has control characters"),
        ("brown dog", "length", "has 2 words; 3 to 20 are allowed"),
        (" ".join(["very"] * 19) + " old dog", "length", "has 21 words; 3 to 20 are allowed"),
        ("狗在跑", "length", "has 2 words"),
        ("a dog that is not brown", "absence", 'says what is absent ("not")'),
        ("a lawn without any fence", "absence", 'says what is absent ("without")'),
        ("a dog that doesn't move", "absence", 'says what is absent ("doesn\'t")'),
        ("tails unlike those of cats", "absence", 'says what is absent ("unlike")'),
        ("the loud barking of an animal", "not visual", 'is about sound ("loud")'),
        ("the smell of wet fur", "not visual", "is about smell or taste"),
        ("fur that feels soft and warm", "not visual", "is about what is felt"),
        ("an animal known for its loyalty", "not visual", 'about meaning or use, not about what is seen ("known for")'),
        ("a tool used to cut wood", "not visual", 'is about meaning or use, not about what is seen ("used to")'),
        ("I'm sorry, but I cannot help", "no description", "is not a description"),
        ("as an AI language model I see", "no description", "is not a description"),
        ("three attributes of an animal", "no description", "is not a description"),
        ("see https://example.org for more dogs", "form", "is not a plain phrase"),
        ("a <b>brown</b> dog here", "form", "is not a plain phrase"),
        ("a brown &amp; white dog", "form", "is not a plain phrase"),
        ("a # brown dog here", "form", "is not a plain phrase"),
        ("it runs. it jumps high", "form", "is not a plain phrase"),
        ("is this a brown dog?", "form", "is not a plain phrase"),
        ("1234 5678 91011 x y", "form", "is not a plain phrase"),
        ("a person playing guitar in a park", "other label", 'names another label, "playing guitar"'),
        ("Playing  Guitar", "length", "has 2 words"),
        ("the device that measures heat", "other label", 'names another label, "a device that measures heat"'),
    ],
)
def test_bad_attributes(text: str, reason: Reason, detail: str) -> None:
    said = why(VOCABULARY[0], text, wording())
    assert said.startswith(f"{reason}: ")
    assert detail in said


@pytest.mark.parametrize(
    ("text", "reason", "detail"),
    [
        ("an animal that can be brown", "not visual", 'is about meaning or use, not about what is seen ("can be")'),
        ("your own brown animal here", "no description", "is not a description"),
        ("a json of a brown dog", "no description", 'is not a description ("json")'),
    ],
)
def test_what_models_fill_a_phrase_with(text: str, reason: Reason, detail: str) -> None:
    rejection = rambling(VOCABULARY[0], text)
    assert rejection is not None
    assert rejection.reason == reason
    assert detail in rejection.detail
    # a dictionary means it
    assert wording().rejection(VOCABULARY[0], text) is None


def test_a_label_may_say_its_own_words() -> None:
    guitar, solo = VOCABULARY[2], VOCABULARY[3]
    assert wording().rejection(solo, "a person playing guitar under a spotlight") is None
    assert wording().rejection(guitar, "a person playing guitar under a spotlight") is None
    assert "names another" in why(guitar, "a playing guitar solo on a stage", wording())
    odour = Label("perfume with a scent")
    assert Wording(Vocabulary([odour]), templates=("{}",)).rejection(odour, "a flask of scent on a table") is None


def test_chinese_names_another_label_whole() -> None:
    only = Vocabulary([Label("狗"), Label("一辆红色的汽车")])
    assert "names another label" in why(only[0], "一辆红色的汽车", Wording(only, templates=("{}",)))


def test_an_attribute_must_fit_the_longest_template() -> None:
    # "a video clip with {} in it." is six words and two special tokens around the attribute
    assert wording(limit=20).rejection(VOCABULARY[0], "one two three four five six seven") is None
    long = "extraordinarily complicated descriptions one two three four"
    assert why(VOCABULARY[0], long, wording(limit=14)) == "length: is too long for tower: 15 of 14 tokens"


@pytest.mark.parametrize("text", ["a dog on the", "a dog and", "a dog, ", "a dog with a-", "a dog ON A"])
def test_what_breaks_off(text: str) -> None:
    rejection = breaks_off(text)
    assert rejection is not None
    assert (rejection.reason, rejection.detail) == ("form", "breaks off")


@pytest.mark.parametrize("text", ["a dog on a lawn.", "", "a man with a hat on", "a well-kept lawn"])
def test_what_does_not_break_off(text: str) -> None:
    assert breaks_off(text) is None
