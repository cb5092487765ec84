"""Which meaning a label has beside others."""

import random

import pytest

from olmv.labels.wordnet.readings import read
from olmv.labels.wordnet.senses import choose_senses
from olmv.labels.wordnet.store import wordnet


def chosen(*labels: str) -> dict[str, str]:
    """The head's synset of every label."""
    dictionary = wordnet()
    readings = {label: reading for label in labels if (reading := read(label, dictionary)) is not None}
    found = zip(readings.values(), choose_senses(list(readings.values()), dictionary), strict=True)
    return dict(zip(readings, (dictionary[senses[reading.head]].name for reading, senses in found), strict=True))


@pytest.mark.parametrize(
    ("label", "others", "names"),
    [
        ("mouse", "keyboard, monitor, laptop", "mouse.n.04"),
        ("mouse", "keyboard", "mouse.n.04"),
        ("mouse", "cat, dog, elephant", "mouse.n.01"),
        ("crane", "excavator, bulldozer", "crane.n.02 crane.n.04"),
        ("crane", "heron, stork", "crane.n.03 crane.n.05"),
        ("bass", "trout, salmon", "sea_bass.n.01 freshwater_bass.n.01 bass.n.04 bass.n.08"),
        ("bass", "guitar, drums, violin", "bass.n.07"),
        ("jaguar", "lion, tiger, leopard", "jaguar.n.01"),
        ("bat", "ball, glove, helmet", "bat.n.05 cricket_bat.n.01"),
        ("bat", "owl, fox, mouse", "bat.n.01"),
        ("tie", "shirt, jacket, trousers", "necktie.n.01"),
        ("nail", "hammer, saw, screwdriver", "nail.n.02"),
        ("nail", "finger, thumb, hand", "nail.n.01"),
        ("trunk", "elephant, tusk", "proboscis.n.02"),
        ("trunk", "branch, leaf, tree", "trunk.n.01"),
        ("washer", "bolt, nut, screw", "washer.n.02"),
        ("washer", "dryer, dishwasher", "washer.n.03"),
        ("run", "jump, swim, throw", "run.v.01 run.n.07"),
        ("fencing", "bowling, archery, skiing, swimming, boxing", "fencing.n.03"),
        ("organ", "heart, liver", "organ.n.01"),
        ("reading", "walking, sitting, falling", "reading.n.01 read.v.01"),
    ],
)
def test_the_other_labels_decide(label: str, others: str, names: str) -> None:
    assert chosen(label, *others.split(", "))[label] in names.split()


@pytest.mark.parametrize(
    ("label", "others", "names"),
    [
        ("playing guitar", "bowling, high jump, push ups", "playing.n.01 play.v.03 play.v.07"),
        ("playing football", "playing tennis", "playing.n.02 play.v.01"),
        ("cricket bowling", "playing guitar, punch", "bowling.n.02"),
        ("bowling", "punch, push ups", "bowling.n.01 bowling.n.03"),
        ("potted plant", "vase, chair", "plant.n.02"),
        ("shaving beard", "haircut", "shave.n.01 shave.v.01"),
        ("golf swing", "punch, high jump", "golf_stroke.n.01"),
    ],
)
def test_the_words_of_a_label_decide_most(label: str, others: str, names: str) -> None:
    assert chosen(label, *others.split(", "))[label] in names.split()


@pytest.mark.parametrize("label", ["dog", "guitar", "car", "person", "mouse", "table"])
def test_alone_a_label_is_what_it_is_most_often(label: str) -> None:
    assert chosen(label) == {label: f"{label}.n.0{2 if label == 'table' else 1}"}


@pytest.mark.parametrize("label", ["break", "run", "cut", "play"])
def test_a_label_of_thirty_senses_has_one(label: str) -> None:
    reading = read(label, wordnet())
    assert reading is not None
    assert len(reading.head.senses) >= 30
    assert chosen(label, "glass", "window")[label].split(".")[1] in "nv"


def test_the_order_of_the_list_does_not_matter() -> None:
    labels = ["mouse", "keyboard", "crane", "stork", "bass", "guitar", "playing guitar", "bat", "ball", "dog", "cat"]
    first = chosen(*labels)
    for seed in range(3):
        random.Random(seed).shuffle(labels)
        assert chosen(*labels) == first
