"""The attribute book that `scripts/benchmarks/bench_labels.py` measures with is what it claims to be."""

import re
from pathlib import Path
from typing import Any

import pytest

from olmv.labels.attributes import AttributeBook
from olmv.moji.world import object_names, paraphrases
from scripts.benchmarks.bench_labels_map import map_figures, unnamed_part

BOOK = Path(__file__).parents[2] / "scripts" / "benchmarks" / "books" / "obscure_labels.json"
GAIN = 0.05  # measured: about 0.5


@pytest.fixture(scope="module")
def book() -> AttributeBook:
    return AttributeBook.load(BOOK)


def extra(book: AttributeBook, label: str) -> dict[str, Any]:
    return book.entry(label).model_extra or {}


def test_a_hundred_labels_for_as_many_seen_objects(book: AttributeBook) -> None:
    objects = [extra(book, label)["object"] for label in book]
    assert len(book) == len(set(objects)) == 100
    assert set(objects) <= set(object_names("seen"))
    assert {book.entry(label).llm for label in book} == {"handwritten"}


def test_labels_do_not_tell_the_object(book: AttributeBook) -> None:
    for label in book:
        name = extra(book, label)["object"]
        for told in (name, paraphrases().get(name, name), *extra(book, label)["words"]):
            assert not re.search(rf"\b{re.escape(told.lower())}s?\b", label.lower()), (label, told)
        assert name.lower() not in label.lower()


def test_attributes_are_eight_short_descriptions(book: AttributeBook) -> None:
    everything = [attribute for attributes in book.values() for attribute in attributes]
    assert len(set(everything)) == len(everything) == 800
    assert {len(attributes) for attributes in book.values()} == {8}
    wrong = [a for a in everything if not 3 <= len(a.split()) <= 20 or a != a.lower() or "." in a]
    assert wrong == []
    labels = [label.lower() for label in book]
    assert [a for a in everything if any(re.search(rf"\b{re.escape(label)}\b", a) for label in labels)] == []
    negations = re.compile(r"\b(no|not|without|never|none|nor)\b")
    assert [a for a in everything if negations.search(a)] == []


def test_about_half_of_the_attributes_use_an_ordinary_word(
    book: AttributeBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    unnamed = unnamed_part(book)
    assert 300 <= sum(len(attributes) for attributes in unnamed.values()) <= 450
    assert all(unnamed.values())


@pytest.mark.slow
def test_attributes_beat_the_bare_obscure_names() -> None:
    figures = map_figures("olmv-mini", 120, 3000, "softmax")
    described = {name: value for name, value in figures.items() if re.fullmatch("map_attributes_[a-z]+", name)}
    assert max(described.values()) >= figures["map_bare"] + GAIN, figures
    assert figures["map_bare"] < figures["map_ordinary_names"], figures
