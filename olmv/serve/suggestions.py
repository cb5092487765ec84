"""Labels to choose from while somebody types: the server's own, then words of WordNet, the usual ones first."""

import threading
from bisect import bisect_left
from collections.abc import Iterable
from heapq import nsmallest

from olmv.labels.wordnet.store import wordnet

__all__ = ["Suggestions"]

_MOST = 12
_LAST = "\U0010ffff"


class Suggestions:
    """Completes labels. Safe to share between threads.

    Args:
        own: the server's labels, which come first.
    """

    def __init__(self, own: Iterable[str]) -> None:
        self._own = [*dict.fromkeys(own)]
        self._words: list[tuple[str, str, int]] | None = None
        self._lock = threading.Lock()

    def of(self, typed: str) -> list[str]:
        """Return at most a dozen labels that begin with what was typed; of the server's own, at any of their words."""
        start = " ".join(typed.casefold().split())
        own = [label for label in self._own if f" {start}" in f" {label.casefold()}"][:_MOST]
        if not start:
            return own
        words = self._all()
        first, stop = bisect_left(words, (start,)), bisect_left(words, (start + _LAST,))
        usual = nsmallest(_MOST, words[first:stop], key=lambda word: (-word[2], len(word[0]), word[0]))
        return [*dict.fromkeys([*own, *(lemma for _, lemma, _ in usual)])][:_MOST]

    def _all(self) -> list[tuple[str, str, int]]:
        with self._lock:
            if self._words is None:
                self._words = sorted((lemma.casefold(), lemma, count) for lemma, count in wordnet().counts().items())
            return self._words
