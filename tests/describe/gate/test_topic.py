"""What a text tower tells of attributes, with towers whose vectors are set by hand."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from olmv.describe.gate.topic import Topic
from olmv.labels.background import BACKGROUND_WORDS
from olmv.labels.label import Label
from olmv.labels.vocabulary import Vocabulary
from tests.support.towers import WordTower

VOCABULARY = Vocabulary([Label("dog", aliases=("hound",)), Label("guitar"), Label("violin"), Label("rain")])
DOG, GUITAR, VIOLIN, RAIN = VOCABULARY


class FixedTower:
    """Gives the texts that it knows the vectors that it was told, and all others directions of their own."""

    name = "fixed"

    def __init__(self, vectors: Mapping[str, Sequence[float]]) -> None:
        self._vectors = vectors
        self._numbers: dict[str, int] = {}

    def embed(self, phrases: Sequence[str]) -> NDArray[np.float32]:
        rows = np.zeros((len(phrases), 600), np.float32)
        for row, phrase in enumerate(phrases):
            if phrase in self._vectors:
                rows[row, : len(self._vectors[phrase])] = self._vectors[phrase]
            else:
                rows[row, 599 - self._numbers.setdefault(phrase, len(self._numbers))] = 1
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows


def reasons(topic: Topic, label: Label, texts: Sequence[str], earlier: Sequence[str] = ()) -> list[str | None]:
    rejections = topic.rejections(label, texts, earlier)
    return [None if rejection is None else rejection.reason for rejection in rejections]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a brown dog on a lawn", None),
        ("a brown hound on a lawn", None),
        ("a domestic animal on a leash", None),
        ("a brown guitar on a lawn", "off topic"),
        ("a bridge over a river", "off topic"),
        ("quite something else", "off topic"),
    ],
)
def test_an_attribute_is_nearer_to_its_label_than_to_other_words(text: str, reason: str | None) -> None:
    """Its label's side is its name, its aliases and what the dictionary says."""
    topic = Topic(WordTower(), VOCABULARY, {"dog": "a domestic animal"})
    assert reasons(topic, DOG, [text]) == [reason]


def test_a_label_that_is_an_everyday_word_is_not_measured_against_itself() -> None:
    assert "guitar" in BACKGROUND_WORDS
    assert reasons(Topic(WordTower(), VOCABULARY, {"guitar": "six strings"}), GUITAR, ["a guitar"]) == [None]


def test_what_is_said_of_a_label_that_no_dictionary_knows_may_be_farther() -> None:
    """The encoder may not know it either: 3 % of words nearer are no sign."""
    words = dict.fromkeys(BACKGROUND_WORDS[:8], (1.0, 0.1))
    tower = FixedTower({"flurbon": (1.0, 1.0), "a red flurbon": (1.0, 0.1), **words, "a bird": (1.0, 0.2)})
    vocabulary = Vocabulary.from_names(["flurbon", "dog"])
    assert reasons(Topic(tower, vocabulary, {}), vocabulary[0], ["a red flurbon"]) == [None]
    assert reasons(Topic(tower, vocabulary, {"flurbon": "a thing"}), vocabulary[0], ["a red flurbon"]) == ["off topic"]


def test_the_message_has_the_share() -> None:
    [rejection] = Topic(WordTower(), VOCABULARY, {}).rejections(DOG, ["xqzt"], [])
    assert rejection is not None
    assert rejection.detail == "is farther from its label than from 100% of other words"


def test_what_says_the_same_in_other_words() -> None:
    tower = FixedTower(
        {"dog": (1.0, 0, 0), "a wet dog": (1.0, 0.3, 0), "a dog of water": (1.0, 0.4, 0), "a dry dog": (1.0, 0, 0.9)}
    )
    topic = Topic(tower, VOCABULARY, {})
    assert reasons(topic, DOG, ["a wet dog", "a dog of water", "a dry dog"]) == [None, "near copy", None]
    assert reasons(topic, DOG, ["a dog of water"], ["a wet dog"]) == ["near copy"]
    assert reasons(topic, DOG, ["a wet dog"], ["a dry dog"]) == [None]


def test_what_moves_a_label_towards_another_is_told_by_the_tower_that_reads_it() -> None:
    texts = {"violin": (1.0, 0.8), "guitar": (1.0, 0), "a small violin": (1.0, -0.8), "a violin bow": (0.2, 1.0)}
    encoder = WordTower()
    topic = Topic(encoder, VOCABULARY, {}, FixedTower(texts))
    [small, bow] = topic.rejections(VIOLIN, ["a small violin", "a violin bow"], [])
    assert small is not None
    assert (small.reason, small.detail) == ("moves label", 'moves the label towards "guitar"')
    assert bow is None
    # with what it has already, the label stays where it is
    assert reasons(topic, VIOLIN, ["a small violin"], ["a violin bow"]) == [None]
    assert reasons(Topic(encoder, VOCABULARY, {}), VIOLIN, ["a small violin"]) == [None]


def test_neighbours_are_the_nearest_first_and_never_the_label() -> None:
    tower = FixedTower({"violin": (1.0, 0.5), "guitar": (1.0, 0.3), "dog": (0.2, 1.0), "rain": (0, 1.0)})
    topic = Topic(WordTower(), VOCABULARY, {}, tower)
    assert topic.all_neighbours(2) == {
        "dog": ["rain", "violin"],
        "guitar": ["violin", "dog"],
        "violin": ["guitar", "dog"],
        "rain": ["dog", "violin"],
    }
    assert {len(others) for others in topic.all_neighbours(9).values()} == {3}


def test_a_list_of_one_label_and_no_text_at_all() -> None:
    alone = Vocabulary.from_names(["dog"])
    topic = Topic(WordTower(), alone, {})
    assert topic.rejections(alone[0], [], []) == []
    assert reasons(topic, alone[0], ["a brown dog"]) == [None]
    assert topic.all_neighbours(4) == {"dog": []}
