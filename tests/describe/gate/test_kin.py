"""Other things of the label's kind."""

import pytest

from olmv.describe.gate.kin import Kin
from olmv.describe.senses import read_senses
from olmv.labels.label import Label
from olmv.labels.vocabulary import Vocabulary

VOCABULARY = Vocabulary(
    [
        *("elephant", "refrigerator", "guitar", "bear", "apple", "playing guitar", "high jump", "flurbon"),
        Label("swine", aliases=("hog",)),
    ]
)


@pytest.fixture(scope="module")
def kin() -> Kin:
    return Kin(read_senses(VOCABULARY))


@pytest.mark.parametrize(
    ("label", "text", "other"),
    [
        ("elephant", "a lion with a long mane", "lion"),
        ("elephant", "a large dolphin in blue water", "dolphin"),
        ("refrigerator", "an oven in a white kitchen", "oven"),
        ("guitar", "a violin under a chin", "violin"),
        ("swine", "a horse on a green field", "horse"),
    ],
)
def test_another_thing_of_the_kind(kin: Kin, label: str, text: str, other: str) -> None:
    rejection = kin.rejection(VOCABULARY[VOCABULARY.names.index(label)], text)
    assert rejection is not None
    assert (rejection.reason, rejection.detail) == ("other thing", f'is about another thing, "{other}"')


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("elephant", "an elephant beside a lion"),
        ("elephant", "a grey animal with a long trunk"),  # a kind of it, or it of this
        ("elephant", "large ears and a long trunk"),
        ("elephant", "a mammoth with curved tusks"),
        ("refrigerator", "a white door with a handle"),
        ("guitar", "six strings over a wooden body"),
        ("guitar", "a man playing a violin"),  # what it begins with is looked up
        ("bear", "a grizzly beside a river"),
        ("swine", "a hog in brown mud"),
        ("playing guitar", "a violin under a chin"),  # only its parts are in the dictionary
        ("high jump", "a long jump into sand"),  # an action
        ("flurbon", "a violin under a chin"),  # not known
        ("guitar", ""),
        ("guitar", "the of and"),
    ],
)
def test_the_thing_itself_or_nothing_that_can_be_told(kin: Kin, label: str, text: str) -> None:
    assert kin.rejection(VOCABULARY[VOCABULARY.names.index(label)], text) is None
