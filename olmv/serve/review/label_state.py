"""What is known of one label in a review: its order, the verdicts that count, and what follows from them."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olmv.serve.review.estimates import Judged
from olmv.serve.review.order import ReviewOrder
from olmv.serve.review.store import Entry

__all__ = ["FALSE", "OPEN", "SKIPPED", "TRUE", "LabelState", "verdict_of"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

OPEN, TRUE, FALSE, SKIPPED = 0, 1, 2, 3

_GAPS = 50  # videos that others hold or gave back may be open before the last one that counts as sampled


def verdict_of(entries: Iterable[Entry]) -> bool | None:
    """Return the verdict that counts on a pair: the last of all reviewers' own last words; None for none, or skips."""
    last = {entry.reviewer: entry for entry in entries}
    told = [entry for entry in last.values() if entry.verdict is not None]
    return max(told, key=lambda entry: entry.id).verdict if told else None


@dataclass(eq=False)
class LabelState:
    """One label's part of the review, in memory.

    Args:
        logit: [N].

    Attributes:
        order: the present one; None before the review of the label began.
        threshold: a probability.
        version: rises with every change of what figures are made of.
        state: [N], OPEN, TRUE, FALSE or SKIPPED: the verdict that counts.
    """

    logit: Floats
    threshold: float
    order: ReviewOrder | None = None
    version: int = 0

    def __post_init__(self) -> None:
        self.state = np.zeros(len(self.logit), dtype=np.int8)
        self._ordered = np.zeros(len(self.logit), dtype=bool)
        self._entries: dict[int, list[Entry]] = {}

    def begin(self, order: ReviewOrder) -> None:
        """Take another order; what was judged in earlier ones counts as judged out of order from now on."""
        self.order = order
        self.version += 1
        for place in self._entries:
            self._decide(place)

    def add(self, place: int, entry: Entry) -> None:
        """Take a verdict on the video at `place`."""
        self._entries.setdefault(place, []).append(entry)
        self._decide(place)

    def remove(self, place: int, number: int) -> None:
        """Take back the verdict with this id; an earlier one of the same reviewer counts again."""
        self._entries[place] = [entry for entry in self._entries.get(place, []) if entry.id != number]
        self._decide(place)

    def _decide(self, place: int) -> None:
        self.version += 1
        entries = self._entries[place]
        verdict = verdict_of(entries)
        if verdict is not None:
            self.state[place] = TRUE if verdict else FALSE
        else:
            self.state[place] = SKIPPED if entries else OPEN
        number = None if self.order is None else self.order.number
        self._ordered[place] = number is not None and any(entry.place == number for entry in entries)

    def open_places(self, reviewer: str, without: Collection[int] = ()) -> Iterator[int]:
        """Yield the videos that the reviewer may judge, in order; last those that only others skipped."""
        if self.order is None:
            return
        places = self.order.places
        for place in places[self.state[places] == OPEN].tolist():
            if place not in without:
                yield place
        for place in places[self.state[places] == SKIPPED].tolist():
            if place not in without and all(entry.reviewer != reviewer for entry in self._entries[place]):
                yield place

    def judged(self) -> Judged:
        """Return what the figures are made of.

        The sample ends with the last video that was judged in the order, a few open ones before it forgiven: another
        reviewer holds them. They and the skipped ones are no part of it.
        """
        told = (self.state == TRUE) | (self.state == FALSE)
        census = told & ~self._ordered
        sampled = np.zeros(len(told), dtype=bool)
        inclusion = np.ones(len(told))
        if self.order is not None:
            places = self.order.places[~census[self.order.places]]
            closed = self.state[places] != OPEN
            counted = np.flatnonzero(closed & (np.cumsum(~closed) <= _GAPS))
            count = int(counted[-1]) + 1 if len(counted) else 0
            sampled[places[:count]] = True
            sampled &= told
            if count:
                inclusion = self.order.inclusion(int(places[count]) if count < len(places) else None)
        return Judged(self.logit, self.state == TRUE, sampled, census, inclusion)

    def words(self, place: int) -> list[Entry]:
        """Return each reviewer's last verdict on a video, skips left out."""
        last = {entry.reviewer: entry for entry in self._entries.get(place, [])}
        return [entry for entry in last.values() if entry.verdict is not None]

    def conflicts(self) -> list[int]:
        """Return the videos on which reviewers disagree."""
        return [place for place in self._entries if len({entry.verdict for entry in self.words(place)}) > 1]

    def counts(self) -> tuple[int, int, int]:
        """Count the videos that are judged true, judged false, and skipped."""
        true, false, skipped = (int((self.state == kind).sum()) for kind in (TRUE, FALSE, SKIPPED))
        return true, false, skipped
