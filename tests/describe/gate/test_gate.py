"""The gate as a whole: every check in its place, every candidate told."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olmv.describe.checks import ListChecks
from olmv.describe.gate.gate import Gate, Verdict
from olmv.describe.gate.reasons import ADVICE, Reason
from olmv.describe.gate.repetition import Copies
from olmv.describe.gate.wording import Wording
from olmv.describe.towers import SentenceEncoder
from olmv.labels.label import Label
from olmv.labels.quality import MAX_WORDS, TextLimit, count_words, normalized, tidy
from olmv.labels.vocabulary import Vocabulary
from olmv.llm.prompts import load_prompt
from olmv.progress import JobListener
from tests.support.towers import WordTower

VOCABULARY = Vocabulary(
    [Label("dog", aliases=("hound",)), Label("cardioversion"), Label("playing guitar"), Label("guitar"), Label("band")]
)
DOG, CARDIOVERSION, PLAYING_GUITAR, GUITAR, BAND = VOCABULARY
LIMIT = TextLimit("tower", 32, "none", lambda texts: [len(text.split()) + 2 for text in texts])


def gate_of(tower: type[WordTower] | type[SentenceEncoder], book: dict[str, tuple[str, ...]]) -> Gate:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("olmv.describe.towers.SentenceEncoder", tower)
        checks = ListChecks(VOCABULARY, model=None, templates=None, device="cpu", listener=JobListener())
        return checks.gate_for_answers(load_prompt("general"), limit=LIMIT, book=book)


REAL = gate_of(SentenceEncoder, {})
WITH_WORDS = gate_of(WordTower, {})
BOOK = {"dog": ("a brown dog in a dusty old shop",)}


def gate(stages: Gate = REAL, book: Mapping[str, tuple[str, ...]] | None = None) -> Gate:
    """A gate that has accepted nothing yet but a book."""
    return replace(stages, copies=Copies((book or {}).items()))


@pytest.mark.parametrize(
    ("label", "text", "reason"),
    [
        # as SmolLM2-135M-Instruct wrote them, the first with the complaint about it that it was told
        (CARDIOVERSION, 'a male and female elephant that has taken up the shape ... has ta..." has 24', "form"),
        (CARDIOVERSION, "a male and female elephant that has taken up the shape", "off topic"),
        (CARDIOVERSION, "a dolphin jumping out of blue water", "off topic"),
        (GUITAR, "the guitar is made of metal that is made of a guitar body and a guitar string", "loop"),
        (BAND, "A band marching in a band marching in a band", "loop"),
        (GUITAR, "a guitar on a", "form"),
        (GUITAR, "a wooden guitar. it has strings", "form"),
        (GUITAR, "guitar strings", "length"),
        (GUITAR, "la guitarra marrón sobre una mesa", "language"),
        (GUITAR, "a guitar that has no strings", "absence"),
        (GUITAR, "the loud music of a guitar", "not visual"),
        (GUITAR, "a list of attributes of a guitar", "no description"),
        (GUITAR, "a man playing guitar on a stage", "other label"),
        (GUITAR, "a violin under the chin of a woman", "other thing"),
        (GUITAR, "a close-up view of a guitar", "label echo"),
        (GUITAR, "what a viewer sees in a video guitar", "prompt echo"),
        (GUITAR, "a brown guitar in a dusty old shop", "near copy"),
        (GUITAR, "a brown dog in a dusty old shop", "shared"),
    ],
)
def test_every_fault_of_a_real_model_has_its_reason(label: Label, text: str, reason: Reason) -> None:
    verdict = gate(book=BOOK).accept(label, [text], ["an old brown guitar in a dusty shop"])
    assert verdict.accepted == []
    assert verdict.reasons == Counter([reason]), verdict.refused


@pytest.mark.parametrize(
    ("label", "texts"),
    [
        (DOG, ["a brown dog on a lawn", "a hound running through snow", "the wet nose of a dog"]),
        (GUITAR, ["six strings over the round hole of a guitar", "a guitar leaning on a chair"]),
        (BAND, ["a band in red coats walking down a street", "rows of drums in a band"]),
    ],
)
def test_good_answers_pass_whole(label: Label, texts: list[str]) -> None:
    assert gate().accept(label, texts) == Verdict(accepted=texts)


def test_duplicates_are_found_whatever_their_dress() -> None:
    verdict = Gate(Wording(VOCABULARY, templates=("{}",))).accept(
        DOG,
        [
            "A brown dog, on a lawn.",
            "1. the brown dog on the lawn",
            "a photo of a brown dog on lawn",
            "a wet nose up close",
        ],
        ["a wet nose, up close"],
    )
    assert verdict.accepted == ["A brown dog, on a lawn"]
    assert [rejection.detail for _, rejection in verdict.refused] == ["is there twice"] * 3


def test_ten_labels_cannot_have_the_same_sentence() -> None:
    vocabulary = Vocabulary.from_names([f"thing {letter}" for letter in "bcdfghjklm"])
    one = Gate(Wording(vocabulary, templates=("{}",)), echoes=gate().echoes)
    verdicts = []
    for label in vocabulary:
        verdicts.append(one.accept(label, ["a person holding it in a room"]))
        one.copies.keep(label.name, verdicts[-1].accepted)
    assert [verdict.accepted for verdict in verdicts] == [["a person holding it in a room"], *[[]] * 9]
    assert sum((verdict.reasons for verdict in verdicts), Counter()) == {"shared": 9}
    # and none gets it at the second try either
    assert one.accept(vocabulary[1], ["in a room, a person holding it"]).accepted == []


def test_a_dictionary_repeats_no_prompt_and_goes_not_round_in_circles() -> None:
    of_dictionary = Gate(Wording(VOCABULARY, templates=("{}",)))
    text = "guitar, a stringed instrument played with strings that are strings"
    assert of_dictionary.accept(GUITAR, [text]).accepted == [text]
    assert gate().accept(GUITAR, [text]).accepted == []


def test_in_another_language_what_is_not_english_passes() -> None:
    text = "la guitarra marrón sobre una mesa"
    spanish = Gate(Wording(VOCABULARY, templates=("{}",)), echoes=gate().echoes, english=False)
    assert spanish.accept(GUITAR, [text]).accepted == [text]


def test_every_reason_has_its_advice_which_quotes_nothing() -> None:
    assert set(ADVICE) == set(get_args(Reason))
    assert all(advice.endswith(".") and "{" not in advice and '"' not in advice for advice in ADVICE.values())


WORDS = """
dog a the brown guitar playing lawn on with not in loud a-b 狗 ñandú ... 7 - * _ " sounds like band bands marching red
cardioversion hound strings
"""
sentences = st.lists(st.sampled_from(WORDS.split()), max_size=12).map(" ".join)


@settings(deadline=None)
@given(
    st.sampled_from(list(VOCABULARY)),
    st.lists(sentences | st.text(max_size=120), max_size=6),
    st.lists(sentences, max_size=3),
)
def test_every_candidate_is_accepted_or_refused_once(label: Label, candidates: list[str], earlier: list[str]) -> None:
    book = {"band": ("a red band on a lawn",)}
    verdict = gate(WITH_WORDS, book).accept(label, candidates, earlier)
    told = Counter([*verdict.accepted, *(text for text, _ in verdict.refused)])
    assert told == Counter(map(tidy, candidates))
    assert verdict.reasons.total() == len(verdict.refused)
    assert verdict.accepted == [text for text in dict.fromkeys(map(tidy, candidates)) if text in verdict.accepted]
    for text in verdict.accepted:
        assert 3 <= count_words(text) <= MAX_WORDS
        assert normalized(text)
        Label(label.name, attributes=(text,))
    # what passed passes again, in its order
    assert gate(WITH_WORDS, book).accept(label, verdict.accepted, earlier).accepted == verdict.accepted


@given(st.text(max_size=200))
def test_whatever_is_said_the_words_are_judged(text: str) -> None:
    by_words = Gate(Wording(VOCABULARY, templates=("{}",), limit=LIMIT), Copies(), gate().echoes)
    verdict = by_words.accept(DOG, [text])
    assert len(verdict.accepted) + len(verdict.refused) == 1
