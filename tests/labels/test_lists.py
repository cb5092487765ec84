"""Several labels in one text: what is read, and what is refused because it may mean two things."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.labels.lists import AmbiguousLabelsError, LabelLists, label_key, parse_list

names = st.text("abcdefgh ,|'\"\\[]é猫", min_size=1, max_size=12).map(str.strip).filter(bool)


@given(st.lists(names, max_size=4))
def test_a_list_as_json_or_python_writes_it(labels: list[str]) -> None:
    assert parse_list(json.dumps(labels)) == labels
    assert parse_list(repr(labels)) == labels


@pytest.mark.parametrize("text", ["[dog]", "dog", "[", '["dog"', "[1, 2]", '["dog"] x', "[['dog']]"])
def test_what_is_no_list_of_texts(text: str) -> None:
    assert parse_list(text) is None


@given(st.lists(names.filter(lambda name: not name.startswith("[")), min_size=2, max_size=4))
def test_semicolons_separate_whatever_else_a_label_holds(labels: list[str]) -> None:
    text = ";".join(labels)
    assert LabelLists([text]).split(text) == tuple(labels)
    assert LabelLists([text], known=["x"]).split(text) == tuple(labels)


def split(texts: list[str], known: list[str] | None = None) -> list[tuple[str, ...]]:
    lists = LabelLists(texts, known)
    return [lists.split(text) for text in texts]


def test_the_vocabulary_tells_what_a_comma_is() -> None:
    known = ["rain", "snow", "salt, pepper"]
    assert split(["rain, snow", "salt, pepper", "Rain ,fog", "", " "], known) == [
        ("rain", "snow"), ("salt, pepper",), ("Rain", "fog"), (), ()
    ]  # fmt: skip
    assert split(["fog, hail"], known) == [("fog, hail",)]  # unknown either way
    assert split(["rain|snow", "snow ｜ fog"], known) == [("rain", "snow"), ("snow", "fog")]
    with pytest.raises(
        AmbiguousLabelsError, match=r"'a, b' may be one label or several; write 'a;b' for .*, 'a, b;' for"
    ):
        split(["a, b"], ["a", "b", "a, b"])
    with pytest.raises(AmbiguousLabelsError, match=r"'rain, heavy' may be one label or several"):
        split(["rain, heavy"], known)


def test_without_a_vocabulary_labels_that_stand_alone_are_known() -> None:
    assert split(["rain", "snow", "rain, snow"]) == [("rain",), ("snow",), ("rain", "snow")]
    assert split(["rain|snow"]) == [("rain", "snow")]
    with pytest.raises(AmbiguousLabelsError, match=r"'great white shark, white shark' may be one label or several"):
        split(["great white shark, white shark"])
    assert split(["salt, pepper;", "salt, pepper"]) == [("salt, pepper",)] * 2  # the one ';' says what separates


def test_two_separators_in_a_file_are_refused() -> None:
    with pytest.raises(
        AmbiguousLabelsError, match=r"'snow\|fog' looks like several labels, but ';' separates .*'snow;fog'"
    ):
        split(["rain;snow;fog", "snow|fog"])


def test_what_was_guessed_is_told() -> None:
    lists = LabelLists(["rain|snow", "rain|fog"])
    lists.split("rain|snow")
    assert lists.guessed == {"|": "rain|snow"}


def test_keys_forgive_case_white_space_and_composition() -> None:
    assert label_key(" Caf\u0065\u0301  BAR ") == label_key("caf\u00e9 bar")
