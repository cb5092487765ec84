"""Attributes from WordNet: what they say, and that every one passes the gate."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olmv.describe.ask import Answer
from olmv.describe.book import describe_from_wordnet
from olmv.describe.from_wordnet import write_attributes
from olmv.describe.gate.gate import Gate, Verdict
from olmv.describe.gate.wording import Wording
from olmv.errors import UsageError, VocabularyError
from olmv.labels.label import Label
from olmv.labels.quality import TextLimit
from olmv.labels.vocabulary import Vocabulary
from olmv.labels.wordnet.glosses import phrase
from olmv.labels.wordnet.store import wordnet


def answers(vocabulary: Vocabulary, count: int = 8, limit: TextLimit | None = None) -> dict[str, Answer]:
    gate = Gate(Wording(vocabulary, templates=("a video of {}.",), limit=limit))
    found = list(write_attributes(list(vocabulary), vocabulary, count=count, gate=gate))
    assert [answer.label for answer in found] == list(vocabulary)
    return {answer.label.name: answer for answer in found}


def attributes(*labels: str | Label, count: int = 8) -> dict[str, tuple[str, ...]]:
    return {name: answer.attributes for name, answer in answers(Vocabulary(labels), count).items()}


@pytest.mark.parametrize(
    ("definition", "most", "told"),
    [
        ("a small open container usually used for drinking; usually has a handle", 17,
         "a small open container for drinking, usually has a handle"),
        ("a small open container usually used for drinking; usually has a handle", 6,
         "a small open container for drinking"),
        ("any of various pale blotched snakes with a blunt snout of southwestern North America", 17,
         "pale blotched snakes with a blunt snout"),
        ("(cricket) the act of delivering a cricket ball to the batsman", 17,
         "delivering a cricket ball to the batsman"),
        ("Italian open pie made of thin bread dough", 17, "open pie made of thin bread dough"),
        ("trees or shrubs of the genus Acer bearing winged seeds; north temperate zone", 17,
         "trees or shrubs bearing winged seeds"),
        ("a toy spaniel; named after Charles II who popularized it", 17, "a toy spaniel"),
        ("a gymnastic apparatus used by women gymnasts", 17, "a gymnastic apparatus of women gymnasts"),
        ("a brass instrument whose length can be varied by a U-shaped slide", 17,
         "a brass instrument whose length can be varied by a U-shaped slide"),
        ("founded in Ireland in 1795 to uphold something", 17, "founded to uphold something"),
        ("a native of Sunderland", 1, ""),
        ("", 17, ""),
    ],
)  # fmt: skip
def test_a_definition_becomes_a_phrase(definition: str, most: int, told: str) -> None:
    assert phrase(definition, most) == told


def test_no_phrase_is_too_long_or_ends_in_the_middle() -> None:
    dictionary = wordnet()
    for number in range(0, len(dictionary), 41):
        for most in (17, 8):
            told = phrase(dictionary[number].definition, most)
            assert len(told.split()) <= most, told
            assert not re.search(r"(?:\b(?:of|the|a|an|and|or|with|in|that)|[,;:])$", told), told


def test_a_thing_is_told_by_definition_parts_synonyms_and_kinds() -> None:
    found = attributes("elephant", "car", "boat", "dog", count=16)
    assert "car, a motor vehicle with four wheels, usually propelled by an internal combustion engine" in found["car"]
    assert "car, also called auto" in found["car"]
    assert {"taxi, a kind of car", "jeep, a kind of car"} <= set(found["car"])
    assert "elephant, five-toed pachyderm" in found["elephant"]
    assert any("tusk" in text for text in found["elephant"])
    assert sum(text.endswith(", a kind of boat") for text in found["boat"]) == 3
    assert any("terrier" in text or "poodle" in text for text in found["dog"])


def test_an_action_is_told_by_what_it_is_done_with() -> None:
    found = attributes("bowling", "playing guitar", "shaving beard", "high jump", "billiards")
    assert any(text.startswith("bowling pin, ") for text in found["bowling"])
    assert any(text.startswith("guitar, a stringed instrument") for text in found["playing guitar"])
    assert any(text.startswith("razor, ") for text in found["shaving beard"])
    assert any(text.startswith("beard, the hair") for text in found["shaving beard"])
    assert any(text.startswith("crossbar, ") for text in found["high jump"])
    assert any(text.startswith("cue stick, ") for text in found["billiards"])
    verb = attributes("jogging", "sprint")["jogging"]
    assert verb[0].startswith("jogging, ")


def test_adjectives_have_their_examples() -> None:
    assert attributes("snowy", "indoor")["snowy"]


def test_another_label_is_no_kind_and_no_synonym() -> None:
    alone = attributes("car", "dog", count=64)
    among = attributes("car", "dog", "taxi", "terrier", Label("vehicle", aliases=("auto",)), count=64)
    for kind, of in (("taxi", "car"), ("terrier", "dog")):
        assert any(text.startswith(f"{kind}, ") for text in alone[of])
        assert not any(text.startswith(f"{kind}, ") for text in among[of])
    assert "car, also called auto" in alone["car"]
    assert "car, also called auto" not in among["car"]


def test_what_is_not_known_says_so() -> None:
    found = answers(Vocabulary.from_names(["dog", "狗", "cardioversion", "one very big old green flurbon"]))
    assert found["dog"].error is None
    for name in list(found)[1:]:
        assert (found[name].attributes, found[name].error) == ((), "is not in WordNet")
    assert all(answer.asked == answer.prompt_tokens == 0 for answer in found.values())


def test_the_source_names_the_meanings() -> None:
    found = answers(Vocabulary.from_names(["mouse", "keyboard", "playing guitar"]))
    assert str(found["mouse"].source["sense"]).startswith("mouse.n.04: a hand-operated electronic device that")
    assert found["mouse"].source["senses_considered"] == 6
    assert re.match(r"playing\.n\.01: .* \+ guitar\.n\.01: ", str(found["playing guitar"].source["sense"]))


def test_the_same_every_time() -> None:
    labels = ("mouse", "keyboard", "bowling", "car", "playing guitar", "dog")
    assert attributes(*labels) == attributes(*labels)


def test_a_count_that_makes_no_sense(tmp_path: Path) -> None:
    vocabulary = Vocabulary.from_names(["dog"])
    gate = Gate(Wording(vocabulary, templates=("{}",)))
    with pytest.raises(UsageError, match="at least 1 attribute per label is needed"):
        describe_from_wordnet(vocabulary, tmp_path / "b.json", gate=gate, count=0)
    assert list(tmp_path.iterdir()) == []


def test_a_short_text_tower_gets_short_attributes() -> None:
    words = lambda texts: [len(text.split()) + 2 for text in texts]  # noqa: E731
    found = answers(Vocabulary.from_names(["car", "guitar"]), limit=TextLimit("tower", 17, "video", words))
    for answer in found.values():
        assert answer.attributes[0].startswith(f"{answer.label.name}, ")
        assert all(len(text.split()) <= 12 for text in answer.attributes)


WORDS = """
dog dogs playing guitar the of a red running run break not without loud _ - ' with PlayingGuitar 狗 yo-yo 7 brushing
teeth bowl used ( ) person's hot stop up
"""


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.one_of(st.text(max_size=30), st.lists(st.sampled_from(WORDS.split()), max_size=7).map(" ".join)),
        min_size=1,
        max_size=5,
    )
)
def test_any_label_is_described_or_refused(names: list[str]) -> None:
    try:
        vocabulary = Vocabulary.from_names(names)
    except VocabularyError:
        return
    gate = Gate(Wording(vocabulary, templates=("{}",)))
    for answer in write_attributes(list(vocabulary), vocabulary, count=5, gate=gate):
        assert (answer.error is None) == bool(answer.attributes)
        assert len(answer.attributes) <= 5
        assert gate.accept(answer.label, answer.attributes) == Verdict(accepted=list(answer.attributes))
        Label(answer.label.name, attributes=answer.attributes)
