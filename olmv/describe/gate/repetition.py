"""What repeats itself: a model that is stuck in a loop, and attributes that say the same twice."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from olmv.describe.gate.reasons import Rejection
from olmv.labels.label import Label
from olmv.labels.quality import normalized
from olmv.labels.wordnet.words import FUNCTION_WORDS, stem

__all__ = ["MAX_ALIKE", "Copies", "key_words", "loop"]

MIN_DISTINCT = 0.7
"""Of the words with meaning in a long attribute, the share that must be different."""
LONG = 6
_MAY_REPEAT_WORDS = "small large big long little piece side part wear"
_MAY_REPEAT = frozenset(stem(word) for word in _MAY_REPEAT_WORDS.split())
"""What people say twice in one phrase."""
MAX_ALIKE = 0.7
"""Words with meaning that two attributes of a label may share, of those that either has."""


def key_words(text: str) -> list[str]:
    """Return the stems of the words that carry meaning, in order; in scripts without spaces, the runs of letters."""
    return [stem(word) for word in normalized(text).split() if word not in FUNCTION_WORDS]


def loop(text: str) -> Rejection | None:
    """Say whether an attribute goes round in circles."""
    words = key_words(text)
    if not words:
        return Rejection("loop", "has no word with a meaning")
    spelled = {stem(word): word for word in normalized(text).split()}
    for word, times in Counter(words).items():
        if times > 2 or (times == 2 and word not in _MAY_REPEAT):
            return Rejection("loop", f'repeats itself ("{spelled[word]}" {times} times)')
    pair, times = Counter(pairwise(words)).most_common(1)[0] if len(words) > 1 else (("", ""), 1)
    if times > 1:
        shown = " ".join(spelled[word] for word in pair)
        return Rejection("loop", f'repeats itself ("{shown}" {times} times)')
    if (len(words) >= LONG and len(set(words)) < MIN_DISTINCT * len(words)) or _doubled(text):
        return Rejection("loop", "repeats itself")
    return None


def _doubled(text: str) -> bool:
    """Tell whether a word stands twice in a row, or a long one is a word over and over ("a-drum-a-drum-a-drum")."""
    words = normalized(text).split()
    if any(a == b and len(a) > 1 for a, b in pairwise(words)):
        return True
    return any(part > 2 for word in words for part in Counter(re.split(r"[-'’]", word)).values())


class Copies:
    """Compares an attribute with those before it, of its own label and of all others.

    Args:
        attributes: what labels have already, label by label.
    """

    def __init__(self, attributes: Iterable[tuple[str, Sequence[str]]] = ()) -> None:
        self._owners: dict[int, str] = {}
        for label, texts in attributes:
            self.keep(label, texts)

    def keep(self, label: str, texts: Sequence[str]) -> None:
        """Remember the attributes of a label: no other label may have the same."""
        for text in texts:
            self._owners.setdefault(_key(text), label)

    def rejection(self, label: Label, text: str, earlier: Sequence[str]) -> Rejection | None:
        """Say of what an attribute is a copy.

        Args:
            label: the label.
            text: the attribute.
            earlier: the attributes that the label has.
        """
        owner = self._owners.get(_key(text), label.name)
        if owner != label.name:
            return Rejection("shared", f'describes "{owner}" already')
        words = set(key_words(text))
        for other in earlier:
            others = set(key_words(other))
            if len(words & others) > MAX_ALIKE * len(words | others):
                return Rejection("near copy", f'is nearly "{other}"')
        return self.same(text, earlier)

    @staticmethod
    def same(text: str, earlier: Sequence[str]) -> Rejection | None:
        """Say whether an attribute is there already, but for case, marks and articles."""
        key = normalized(text)
        return Rejection("near copy", "is there twice") if any(normalized(other) == key for other in earlier) else None


def _key(text: str) -> int:
    """Return what is equal for the same words in any order; a number, for memory's sake."""
    return hash(frozenset(key_words(text)))
