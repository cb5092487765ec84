"""From a label to the words that carry it."""

import pytest

from olmv.labels.label import Label
from olmv.labels.wordnet.readings import Reading, read, read_label
from olmv.labels.wordnet.store import wordnet
from olmv.labels.wordnet.words import spelled_out, stem


def taken_apart(label: str) -> tuple[str, list[str], bool] | None:
    reading = read(label, wordnet())
    if reading is None:
        return None
    return " ".join(reading.head.words), [" ".join(term.words) for term in reading.others], reading.action


def lemmas(reading: Reading | None) -> set[str]:
    assert reading is not None
    return {sense.lemma for sense in reading.head.senses}


@pytest.mark.parametrize(
    ("label", "head", "others", "action"),
    [
        ("dog", "dog", [], False),
        ("hot dog", "hot dog", [], False),
        ("high jump", "high jump", [], False),
        ("small red car", "car", ["small", "red"], False),
        ("hat with a wide brim", "hat", ["wide", "brim"], False),
        ("glass of water", "glass", ["water"], False),
        ("playing guitar", "playing", ["guitar"], True),
        ("PlayingGuitar", "playing", ["guitar"], True),
        ("playing_guitar", "playing", ["guitar"], True),
        ("playing-guitar", "playing", ["guitar"], True),
        ("Playing Guitar!", "playing", ["guitar"], True),
        ("shaving beard", "shaving", ["beard"], True),
        ("brushing teeth", "brushing", ["teeth"], True),
        ("walking the dog", "walking", ["dog"], True),
        ("pizza tossing", "tossing", ["pizza"], True),
        ("person riding a bicycle", "riding", ["person", "bicycle"], True),
        ("running on the beach", "running", ["beach"], True),
        ("apply eye makeup", "apply", ["eye", "makeup"], True),
        ("cricket bowling", "bowling", ["cricket"], True),
        ("building on fire", "building", ["fire"], False),
        ("sit up", "sit up", [], False),
    ],
)
def test_the_head_and_what_stands_with_it(label: str, head: str, others: list[str], action: bool) -> None:
    assert taken_apart(label) == (head, others, action)


@pytest.mark.parametrize(
    ("label", "lemma"),
    [
        ("dogs", "dog"),
        ("geese", "goose"),
        ("children", "child"),
        ("boxes", "box"),
        ("ponies", "pony"),
        ("firemen", "fireman"),
        ("running shoes", "running shoe"),
        ("push ups", "pushup"),
        ("yo yo", "yo-yo"),
        ("yoyo", "yo-yo"),
        ("t shirt", "T-shirt"),
        ("hotdog", "hotdog"),
        ("jogging", "jog"),
        ("biking", "bike"),
        ("ran", "run"),
        ("swims", "swim"),
        ("juggled", "juggle"),
    ],
)
def test_forms_and_spellings_lead_to_the_lemma(label: str, lemma: str) -> None:
    assert lemma in lemmas(read(label, wordnet()))


@pytest.mark.parametrize(
    "label",
    [
        "狗", "在雪中奔跑的狗", "cardioversion", "cardioversion of a patient", "flurbing the gronk", "zorp",
        "one very big old green flurbon", "?!", "12345678", "the of and", "😀", "собака",
    ],
)  # fmt: skip
def test_what_is_not_known_is_not_guessed(label: str) -> None:
    assert read(label, wordnet()) is None


def test_aliases_say_what_is_meant() -> None:
    dictionary = wordnet()
    device = read_label(Label("mouse", aliases=("computer mouse",)), dictionary)
    assert device is not None
    assert [dictionary[sense.number].name for sense in device.head.senses] == ["mouse.n.04"]
    assert lemmas(read_label(Label("狗", aliases=("犬", "dog")), dictionary)) == {"dog"}
    other = read_label(Label("mouse", aliases=("nagging thing", "狗")), dictionary)
    assert other == read("mouse", dictionary)
    assert read_label(Label("狗", aliases=("犬",)), dictionary) is None


@pytest.mark.parametrize(
    ("label", "text"),
    [("PlayingGuitar", "playing guitar"), ("yo_yo", "yo yo"), ("T-shirt", "T-shirt"), ("hot dog", "hot dog")],
)
def test_labels_as_words_in_a_text(label: str, text: str) -> None:
    assert spelled_out(label) == text


def test_forms_of_a_word_share_a_stem() -> None:
    for forms in (("ball", "balls"), ("roll", "rolled", "rolling"), ("move", "moving", "moves"), ("hit", "hitting")):
        assert len({stem(form) for form in forms}) == 1, forms
