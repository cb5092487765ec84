"""A review's log, read into what is known of each label."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from olmv.serve.review.label_state import LabelState
from olmv.serve.review.order import ReviewOrder, video_keys
from olmv.serve.review.source import ReviewSource
from olmv.serve.review.store import Entry, ReviewStore

__all__ = ["Record"]


class Record:
    """What the log says, as far as it was read; not safe for several threads by itself.

    Args:
        source: what is reviewed.
        store: its log.

    Attributes:
        states: of the labels that anything was done with.
        verdicts: those that were not undone, by id.
        last: the id of the last entry that was read; 0 for an empty log.
    """

    def __init__(self, source: ReviewSource, store: ReviewStore) -> None:
        self.source = source
        self.states: dict[str, LabelState] = {}
        self.verdicts: dict[int, Entry] = {}
        self.last = 0
        self._store = store

    def read(self) -> None:
        """Take in what was added to the log since, by this session or by other servers.

        Raises:
            OutputError: the log cannot be read.
        """
        for entry in self._store.since(self.last):
            self.last = entry.id
            if entry.label in self.source.columns:
                self._take(entry)

    def state(self, label: str) -> LabelState:
        """Return what is known of a label.

        Raises:
            InputError: no such label.
        """
        if label not in self.states:
            column = self.source.column(label)
            self.states[label] = LabelState(self.source.logit(column), float(self.source.threshold[column]))
        return self.states[label]

    @cached_property
    def _keys(self) -> NDArray[np.uint64]:
        return video_keys(self.source.videos)

    def _take(self, entry: Entry) -> None:
        state = self.state(entry.label)
        if entry.kind == "order" and entry.value is not None:
            state.begin(ReviewOrder.of(entry.id, entry.label, entry.value, state.logit, self._keys))
        elif entry.kind == "threshold" and entry.value is not None:
            state.threshold = entry.value
        elif entry.kind == "verdict" and entry.video in self.source.places:
            self.verdicts[entry.id] = entry
            state.add(self.source.places[entry.video], entry)
        elif entry.kind == "undo" and self.verdicts.pop(entry.place or 0, None) is not None:
            state.remove(self.source.places[entry.video or ""], entry.place or 0)
