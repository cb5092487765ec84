"""The gate: what a language model may say about a label."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.labels.label import Label
from olmv.labels.quality import MAX_WORDS, Gate, TextLimit, count_words, normalized, parse_answer, tidy
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


def gate(limit: int | None = None) -> Gate:
    """A text tower whose tokens are words, with two special ones."""
    words = lambda texts: [len(text.split()) + 2 for text in texts]  # noqa: E731
    tower = None if limit is None else TextLimit("tower", limit, "video", words)
    return Gate(VOCABULARY, templates=resolve("video"), limit=tower)


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
    assert gate().problem(VOCABULARY[0], text) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty, too long or has control characters"),
        ("a brown\x07 dog on a lawn", "is empty, too long or has control characters"),
        ("a" * 1001, "is empty, too long or has control characters"),
        ("brown dog", "has 2 words; write 3 to 20"),
        (" ".join(["very"] * 19) + " old dog", "has 21 words; write at most 20"),
        ("狗在跑", "has 2 words"),
        ("a dog that is not brown", 'says what is absent ("not")'),
        ("a lawn without any fence", 'says what is absent ("without")'),
        ("a dog that doesn't move", 'says what is absent ("doesn\'t")'),
        ("the loud barking of an animal", 'is about sound ("loud")'),
        ("the smell of wet fur", "is about smell or taste"),
        ("fur that feels soft and warm", "is about what is felt"),
        ("an animal known for its loyalty", 'is about meaning or use, not about what is seen ("known for")'),
        ("a tool used to cut wood", 'is about meaning or use, not about what is seen ("used to")'),
        ("I'm sorry, but I cannot help", "is not a description"),
        ("as an AI language model I see", "is not a description"),
        ("see https://example.org for more dogs", "is not a plain phrase"),
        ("a <b>brown</b> dog here", "is not a plain phrase"),
        ("is this a brown dog?", "is not a plain phrase"),
        ("1234 5678 91011 x y", "is not a plain phrase"),
        ("a person playing guitar in a park", 'names another label, "playing guitar"'),
        ("Playing  Guitar", "has 2 words"),
        ("the device that measures heat", 'names another label, "a device that measures heat"'),
        ("hound of the hills", "only repeats the label"),
    ],
)
def test_bad_attributes(text: str, reason: str) -> None:
    assert reason in (gate().problem(VOCABULARY[0], text) or "")


def test_a_label_may_say_its_own_words() -> None:
    solo = VOCABULARY[3]
    assert gate().problem(solo, "a person playing guitar under a spotlight") is None
    assert gate().problem(VOCABULARY[2], "a person playing guitar under a spotlight") is None
    assert "names another" in (gate().problem(VOCABULARY[2], "a playing guitar solo on a stage") or "")


def test_chinese_names_another_label_whole() -> None:
    only = Vocabulary([Label("狗"), Label("一辆红色的汽车")])
    assert "names another label" in (Gate(only, templates=("{}",)).problem(only[0], "一辆红色的汽车") or "")


def test_an_attribute_must_fit_the_longest_template() -> None:
    # "a video clip with {} in it." is six words and two special tokens around the attribute
    fits = gate(limit=20)
    assert fits.problem(VOCABULARY[0], "one two three four five six seven") is None
    tight = gate(limit=14)
    long = "extraordinarily complicated descriptions one two three four"
    assert "is too long for tower; write at most" in (tight.problem(VOCABULARY[0], long) or "")


def test_duplicates_are_found_whatever_their_dress() -> None:
    good, problems = gate().accept(
        VOCABULARY[0],
        [
            "A brown dog, on a lawn.",
            "1. the brown dog on the lawn",
            "a photo of a brown dog on lawn",
            "a wet nose up close",
        ],
        ["a wet nose, up close"],
    )
    assert good == ["A brown dog, on a lawn"]
    assert [problem.rpartition('" ')[2] for problem in problems] == ["is there twice"] * 3


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("  - a brown  dog\non a lawn. ", "a brown dog on a lawn"),
        ("2) “a brown dog”;", "a brown dog"),
        ("A photo of a brown dog", "a brown dog"),
        ("the video showing people at sea", "people at sea"),
        ("10. ten dogs", "ten dogs"),
    ],
)
def test_tidy(raw: str, clean: str) -> None:
    assert tidy(raw) == clean


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"attributes": ["a", "b"]}', ["a", "b"]),
        ('Sure:\n```json\n{"attributes": ["a"]}\n```\nBye', ["a"]),
        ('["a", 3, "b"]', ["a", "b"]),
        ('<think>{"attributes": ["no"]}</think>{"attributes": ["a"]}', ["a"]),
        ('{"attributes": ["a"], "more": 1} {"attributes": ["b"]}', ["a"]),
        ("", "the answer was empty"),
        ("<think>for ever", "the answer was empty"),
        ("no", "the answer was not JSON"),
        ('{"attributes": ["a"', "the answer was not valid JSON"),
        ('{"attributes": "a"}', 'the answer had no list "attributes"'),
        ('{"attributes": []}', "the list of attributes was empty"),
        ('{"attributes": [{}]}', "the attributes were not texts"),
        ("[" * 100_000, "the answer was not valid JSON"),
    ],
)
def test_parse_answer(text: str, found: list[str] | str) -> None:
    assert parse_answer(text) == found


def test_an_endless_answer_is_not_read_to_its_end() -> None:
    assert len(parse_answer(json.dumps({"attributes": ["dog"] * 10_000}))) == 200
    assert parse_answer('{"attributes": ["' + "x" * 200_000 + '"]}') == "the answer was not valid JSON"


@given(st.text(max_size=200))
def test_whatever_is_said_the_gate_answers(text: str) -> None:
    good, problems = gate(limit=32).accept(VOCABULARY[0], [text], [])
    assert len(good) + len(problems) == 1
    for kept in good:
        assert gate(limit=32).accept(VOCABULARY[0], [kept], []) == ([kept], [])  # what passed passes again
        assert 3 <= count_words(kept) <= MAX_WORDS
        assert normalized(kept)
        Label("dog", attributes=(kept,))


@given(st.text(max_size=300))
def test_any_answer_is_read_or_explained(text: str) -> None:
    found = parse_answer(text)
    assert found
    assert isinstance(found, str) or all(isinstance(item, str) for item in found)
