"""Bounded YAML reads what yaml reads, and ends where yaml's result would be endless to walk over."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from olmv.errors import VocabularyError
from olmv.io.plain_yaml import load_yaml
from olmv.labels.vocabulary import Vocabulary

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("abc:-*& é", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=3), inner, max_size=3),
    max_leaves=10,
)
BOMB = "\n".join(
    ["labels: &a [x, x, x, x, x, x, x, x, x]"]
    + [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefg", "bcdefgh", strict=True)]
)


@given(PLAIN)
def test_plain_data_comes_back(value: Any) -> None:
    assert load_yaml(yaml.safe_dump(value, allow_unicode=True)) == value


def test_aliases_and_merges_of_a_sound_file() -> None:
    assert load_yaml("a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: *a") == {"a": {"x": 1}, "b": {"x": 1, "y": 2}, "c": {"x": 1}}


@pytest.mark.parametrize(
    ("text", "message"),
    [(BOMB, "unfold to more than 2,000,000 values"), ("a: &a [*a]", "contains itself"), ("[" * 100_000, "nesting")],
)
def test_files_without_an_end(text: str, message: str) -> None:
    with pytest.raises(yaml.YAMLError, match=message):
        load_yaml(text)


def test_a_label_file_of_aliases(tmp_path: Any) -> None:
    (tmp_path / "labels.yaml").write_text(BOMB)
    with pytest.raises(VocabularyError, match=r"not valid yaml \(its aliases unfold to more than 2,000,000 values"):
        Vocabulary.load(tmp_path / "labels.yaml")


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3\n", "- {x: {a: 1, a: 2}}\n"])
def test_a_key_written_twice_is_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match="'a' is there twice; merge the two"):
        load_yaml(text)


def test_merged_mappings_are_no_keys_written_twice() -> None:
    text = "base: &base {a: 1}\nother: &other {b: 2}\nboth: {<<: *base, <<: *other, a: 3}\n"
    assert load_yaml(text)["both"]["a"] == 3
