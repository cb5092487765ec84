"""Loops and copies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.describe.gate.repetition import Copies, key_words, loop
from olmv.labels.label import Label

DOG, CAT = Label("dog"), Label("cat")


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        # as SmolLM2-135M-Instruct wrote them
        ("the guitar is made of metal that is made of a guitar body and a guitar string", '"guitar" 3 times'),
        ("A band marching in a band marching in a band", '"band" 3 times'),
        ("a male and female elephant, a male and female calf", '"male" 2 times'),
        ("a-drum-a-drum-a-drum of wood", "repeats itself"),
        ("a big big dog", "repeats itself"),
        ("a small dog, a small dog", "2 times"),
        ("a small wheel, a large wheel, a small piece, a large piece", "repeats itself"),
        ("of the and in", "has no word with a meaning"),
    ],
)
def test_what_goes_round_in_circles(text: str, detail: str) -> None:
    rejection = loop(text)
    assert rejection is not None
    assert rejection.reason == "loop"
    assert detail in rejection.detail


@pytest.mark.parametrize(
    "text",
    [
        "a man in a dress on a stage in a hall",
        "large ears and a large trunk",
        "a head turned from side to side",
        "狗在草地上奔跑",
    ],
)
def test_what_people_say_twice(text: str) -> None:
    assert loop(text) is None


def test_the_same_words_in_another_order_are_a_copy() -> None:
    copies = Copies()
    earlier = ["a brown dog running on a green lawn"]
    near = copies.rejection(DOG, "brown dogs run on a green lawn", earlier)
    assert near is not None
    assert (near.reason, near.detail) == ("near copy", 'is nearly "a brown dog running on a green lawn"')
    assert copies.rejection(DOG, "a brown dog asleep on a red sofa", earlier) is None
    twice = Copies.same("Brown dog, on the lawn.", ["a brown dog on a lawn"])
    assert twice is not None
    assert (twice.reason, twice.detail) == ("near copy", "is there twice")


def test_what_another_label_has_is_shared() -> None:
    copies = Copies([("cat", ["four legs and a long tail"])])
    copies.keep("cat", ["a wet nose up close"])
    for text in ("a long tail and four legs", "the wet nose, close up"):
        rejection = copies.rejection(DOG, text, [])
        assert rejection is not None
        assert (rejection.reason, rejection.detail) == ("shared", 'describes "cat" already')
        assert copies.rejection(CAT, text, []) is None
    assert copies.rejection(DOG, "four long legs of brown fur", []) is None


def test_the_first_label_keeps_what_two_say() -> None:
    copies = Copies([("cat", ["four legs"]), ("dog", ["four legs"])])
    assert copies.rejection(CAT, "four legs", []) is None
    assert copies.rejection(DOG, "four legs", []) is not None


@given(st.text(max_size=200))
def test_any_text_is_compared(text: str) -> None:
    words = key_words(text)
    assert all(words)
    rejection = loop(text)
    assert (rejection is None) <= bool(words)
    again = Copies([("cat", [text])]).rejection(DOG, text, [])
    assert again is not None
    assert again.reason == "shared"


@given(
    st.lists(st.sampled_from(["dog", "dogs", "the", "of", "a-a", "red", "狗", "7", "runs"]), max_size=12).map(" ".join)
)
def test_a_text_said_twice_is_a_loop(text: str) -> None:
    assert loop(f"{text}, {text}") is not None
