"""A review's log, read into what is known of each label."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from olmv.serve.review.label_state import LabelState, verdict_of
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
        states: of the source's labels that anything was done with.
        verdicts: those that were not undone, by id, on any label and video.
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
            undone = None
            if entry.kind == "verdict":
                self.verdicts[entry.id] = entry
            elif entry.kind == "undo":
                undone = self.verdicts.pop(entry.place or 0, None)
            if entry.label in self.source.columns:
                self._take(entry, undone)

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

    def _take(self, entry: Entry, undone: Entry | None) -> None:
        state = self.state(entry.label)
        places = self.source.places
        if entry.kind == "order" and entry.value is not None:
            # of other scores: what was judged in it counts for itself alone
            if entry.basis == self.source.basis(entry.label):
                state.begin(ReviewOrder.of(entry.id, entry.label, entry.value, state.logit, self._keys))
        elif entry.kind == "threshold" and entry.value is not None:
            if entry.basis == self.source.loaded.scored.model:
                state.threshold = entry.value
        elif entry.kind == "verdict" and entry.video in places:
            state.add(places[entry.video], entry)
        elif undone is not None and undone.video in places:
            state.remove(places[undone.video], undone.id)

    def served(self) -> Iterator[Entry]:
        """Yield the verdicts on labels and videos of the source that were not undone."""
        for entry in self.verdicts.values():
            if entry.label in self.source.columns and entry.video in self.source.places:
                yield entry

    def truth(self) -> list[tuple[str, list[str], list[str]]]:
        """Return of each video with a verdict its path, the labels that are true of it, and those that are not.

        Those of the source come first, in its order; the log may have verdicts on other labels and videos.
        """
        entries: dict[str, dict[str, list[Entry]]] = {}
        for entry in self.verdicts.values():
            entries.setdefault(entry.video or "", {}).setdefault(entry.label, []).append(entry)
        places, columns = self.source.places, self.source.columns
        rows = []
        for video in sorted(entries, key=lambda video: (places.get(video, len(places)), video)):
            labels = sorted(entries[video], key=lambda label: (columns.get(label, len(columns)), label))
            told = {label: verdict_of(entries[video][label]) for label in labels}
            true, false = ([label for label in labels if told[label] is wanted] for wanted in (True, False))
            if true or false:
                rows.append((self.source.videos[places[video]] if video in places else video, true, false))
        return rows
