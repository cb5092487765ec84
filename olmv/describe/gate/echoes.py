"""What a model only repeats: the label's name, the prompt, the examples in it, the advice of an earlier try."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from olmv.describe.gate.reasons import Rejection
from olmv.describe.gate.repetition import MAX_ALIKE, key_words
from olmv.labels.label import Label
from olmv.labels.quality import normalized
from olmv.labels.wordnet.words import FUNCTION_WORDS, stem

__all__ = ["Echoes", "label_echo"]

GRAM = 4
"""Words in a row that two texts do not share by chance."""
MAX_FROM_PROMPT = 0.5
"""Of an attribute's runs of `GRAM` words, the share that may stand in the prompt."""

_EMPTY_WORDS = """
a act action activity animal area background camera clip close-up closeup depiction device event example footage form
front frame genre group image item kind like look middle name number object of one other part people person photo
picture piece place scene set shape show shot side someone something thing top type up use variety various video view
way word world do be have make see show nice good beautiful different same special
"""
_EMPTY = frozenset(stem(word) for word in _EMPTY_WORDS.split()) | FUNCTION_WORDS


def label_echo(label: Label, text: str) -> Rejection | None:
    """Say whether an attribute is the label's name and words that say nothing."""
    own = {word for name in (label.name, *label.aliases) for word in key_words(name)}
    if normalized(text) in {normalized(name) for name in (label.name, *label.aliases)}:
        return Rejection("label echo", "only repeats the label")
    if set(key_words(text)) <= own | _EMPTY:
        return Rejection("label echo", "says no more than the label")
    return None


class Echoes:
    """Compares attributes with what the model was told.

    Args:
        texts: the prompt's texts and the advice.
        examples: the labels of its examples, each with the attributes shown for it.
    """

    def __init__(self, texts: Iterable[str], examples: Mapping[str, Sequence[str]]) -> None:
        self._grams = {gram for text in texts for gram in _grams(text)}
        self._examples = [
            (normalized(label), set(key_words(text))) for label, shown in examples.items() for text in shown
        ]

    def rejection(self, label: Label, text: str) -> Rejection | None:
        """Say what an attribute repeats. What an example says of this very label is no echo."""
        grams = list(_grams(text))
        if sum(gram in self._grams for gram in grams) > MAX_FROM_PROMPT * len(grams):
            return Rejection("prompt echo", "is taken from the prompt")
        words = set(key_words(text))
        names = {normalized(name) for name in (label.name, *label.aliases)}
        for name, shown in self._examples:
            if name not in names and len(words & shown) > MAX_ALIKE * min(len(words), len(shown)):
                return Rejection("prompt echo", "is taken from an example in the prompt")
        return None


def _grams(text: str) -> Iterator[tuple[str, ...]]:
    words = normalized(text).split()
    yield from (tuple(words[start : start + GRAM]) for start in range(max(1, len(words) - GRAM + 1)))
