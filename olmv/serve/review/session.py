"""One review while a server runs: verdicts in, the queue, figures and files out."""

import threading
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from olmv.calibrate.objectives import Objective
from olmv.errors import UsageError
from olmv.scoring.logits import logit_of, sigmoid
from olmv.scoring.thresholds import Thresholds
from olmv.serve.review.estimates import Quality, measure, suggest
from olmv.serve.review.export import thresholds_of, truth_csv
from olmv.serve.review.files import ReviewFiles
from olmv.serve.review.frames import ReviewFrames
from olmv.serve.review.label_state import FALSE, TRUE
from olmv.serve.review.leases import LEASE_S, Leases
from olmv.serve.review.record import Record
from olmv.serve.review.source import ReviewSource
from olmv.serve.review.store import Entry, ReviewStore
from olmv.serve.review.summary import QueueItem, Summary

__all__ = ["LEASE_S", "ReviewSession"]

_EXPORT_S = 1.0


class ReviewSession:
    """A review of a source, kept in a folder; safe to use from several threads.

    Args:
        source: what is reviewed.
        folder: where its log and its files are; made where it is missing.
        clock: seconds that only rise, for how long a video is held for a reviewer.
        export_s: how long after a change the files are written.

    Attributes:
        files, frames: what is exported; pictures of videos that a page cannot play.

    Raises:
        InputError, OutputError: as `ReviewStore`.
    """

    def __init__(
        self,
        source: ReviewSource,
        folder: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        export_s: float = _EXPORT_S,
    ) -> None:
        self.source, self.folder = source, folder
        self._store = ReviewStore(folder)
        self._record = Record(source, self._store)
        self._clock = clock
        self._leases = Leases(clock)
        self._lock = threading.RLock()
        self._qualities: dict[tuple[str, float, int], Quality] = {}
        self._closed = False
        self.frames = ReviewFrames()
        self.files = ReviewFiles(folder, lambda: (self.truth(), self.thresholds()), delay_s=export_s)
        try:
            self._record.read()
            if self._record.last:  # a server that was killed may have left the files behind the log
                self.files.write()
        except BaseException:
            self._store.close()
            raise

    def queue(self, label: str, *, reviewer: str = "", count: int = 20, without: Sequence[str] = ()) -> list[QueueItem]:
        """Hold the next videos of a label for a reviewer, in the order of `olmv.serve.review.order`.

        The first call begins the label's review: its order stays around the threshold that it has then.

        Args:
            label: one of the source.
            reviewer: a name; others are asked about other videos for `LEASE_S` seconds.
            count: how many at most.
            without: keys of videos that are not wanted, such as those that a page has already.

        Raises:
            InputError: no such label.
            OutputError: the log cannot be written.
        """
        with self._lock:
            self._record.read()
            state = self._record.state(label)
            if state.order is None:
                anchor = float(logit_of(np.array(state.threshold)))
                self._store.begin(Entry("order", label, reviewer, value=anchor, basis=self.source.basis(label)))
                self._record.read()
            held = self._leases.held(label, reviewer)
            held |= {place for key in without if (place := self.source.places.get(key)) is not None}
            items: list[QueueItem] = []
            for place in islice(state.open_places(reviewer, held), count):
                self._leases.give(label, place, reviewer)
                items.append(self._item(label, place))
            return items

    def left(self, label: str) -> int:
        """Count the videos of a label that nobody has judged or passed over."""
        with self._lock:
            self._record.read()
            right, wrong, skipped = self._record.state(label).counts()
            return len(self.source.videos) - right - wrong - skipped

    def judge(
        self, video: str, label: str, verdict: bool | None, *, reviewer: str = "", order: int | None = None
    ) -> Entry:
        """Keep a verdict; when this returns, it is on the disk.

        Args:
            video: its key.
            label: one of the source.
            verdict: whether the label is true of the video; None for "cannot tell".
            reviewer: who says so.
            order: the number of the queue item it answers; None for a video that was come upon elsewhere.

        Raises:
            InputError: no such video or label.
            OutputError: the log cannot be written; the verdict is not kept.
        """
        with self._lock:
            self._record.state(label)
            place = self.source.place(video)
            (entry,) = self._store.add(Entry("verdict", label, reviewer, video, verdict, order))
            self._leases.take(label, place)
            self._changed()
            return entry

    def undo(self, reviewer: str = "") -> QueueItem | None:
        """Take back a reviewer's last verdict and return what it was on; None where there is nothing to undo.

        Raises:
            OutputError: the log cannot be written.
        """
        with self._lock:
            self._record.read()
            mine = [entry for entry in self._record.served() if entry.reviewer == reviewer]
            if not mine:
                return None
            last = max(mine, key=lambda entry: entry.id)
            self._store.add(Entry("undo", last.label, reviewer, last.video, last.verdict, last.id))
            self._changed()
            place = self.source.place(last.video or "")
            self._leases.give(last.label, place, reviewer)
            return self._item(last.label, place)

    def set_threshold(self, label: str, threshold: float, *, reviewer: str = "") -> None:
        """Keep another threshold of a label, a probability; its order of review stays as it is.

        Raises:
            InputError: no such label.
            UsageError: not a number from 0 to 1.
            OutputError: the log cannot be written.
        """
        if not 0 <= threshold <= 1:
            raise UsageError(f"the threshold of {label!r} is {threshold}; give a number from 0 to 1")
        with self._lock:
            self._record.state(label)
            model = self.source.loaded.scored.model
            self._store.add(Entry("threshold", label, reviewer, value=float(threshold), basis=model))
            self._changed()

    def order_anew(self, label: str, *, reviewer: str = "") -> None:
        """Order a label's videos around its present threshold; what was judged so far counts for itself alone.

        Raises:
            InputError: no such label.
            OutputError: the log cannot be written.
        """
        with self._lock:
            self._record.read()
            anchor = float(logit_of(np.array(self._record.state(label).threshold)))
            self._store.add(Entry("order", label, reviewer, value=anchor, basis=self.source.basis(label)))
            self._leases.forget(label)
            self._changed()

    def summary(self, label: str) -> Summary:
        """Return what a page shows of a label.

        Raises:
            InputError: no such label.
        """
        with self._lock:
            self._record.read()
            state = self._record.state(label)
            right, wrong, skipped = state.counts()
            return Summary(
                label=label,
                threshold=state.threshold,
                anchor=None if state.order is None else float(sigmoid(np.array(state.order.anchor))),
                total=len(self.source.videos),
                right=right,
                wrong=wrong,
                skipped=skipped,
                conflicts=len(state.conflicts()),
                quality=self.quality(label, state.threshold),
            )

    def quality(self, label: str, threshold: float) -> Quality:
        """Measure the decisions of a label at a threshold, a probability; see `olmv.serve.review.estimates`.

        Raises:
            InputError: no such label.
            UsageError: not a number from 0 to 1.
        """
        if not 0 <= threshold <= 1:
            raise UsageError(f"the threshold of {label!r} is {threshold}; give a number from 0 to 1")
        with self._lock:
            state = self._record.state(label)
            key = label, threshold, state.version
            if key not in self._qualities:
                if len(self._qualities) > 2000:  # a threshold that is dragged has many values
                    self._qualities.clear()
                self._qualities[key] = measure(state.judged(), float(logit_of(np.array(threshold))))
            return self._qualities[key]

    def suggestion(self, label: str, objective: str = "f1") -> float | None:
        """Return the threshold, a probability, that serves the objective best; None where too little was reviewed.

        Raises:
            InputError: no such label.
            UsageError: no such objective, or one of events over time.
        """
        parsed = Objective.parse(objective)
        if parsed.kind == "events":
            raise UsageError(f"{parsed.name} is about events over time, a review about whole videos; give f1")
        with self._lock:
            logit = suggest(self._record.state(label).judged(), parsed)
        return None if logit is None else float(sigmoid(np.array(logit)))

    def conflicts(self, label: str) -> list[tuple[QueueItem, list[Entry]]]:
        """Return the videos on which reviewers disagree, each with everybody's last verdict; the last of all counts.

        Raises:
            InputError: no such label.
        """
        with self._lock:
            self._record.read()
            state = self._record.state(label)
            return [(self._item(label, place), state.words(place)) for place in sorted(state.conflicts())]

    def reviewers(self) -> set[str]:
        """Return who has given verdicts that were not undone."""
        with self._lock:
            self._record.read()
            return {entry.reviewer for entry in self._record.verdicts.values()}

    def truth(self, *, beside: bool = True) -> str:
        """Return `truth.csv`: of every video with a verdict the labels that are true of it, and those that are not.

        Verdicts on labels and videos that are not served now are in it, too.

        Args:
            beside: it will lie in the review's folder, and its paths are relative to that; else they are absolute.
        """
        with self._lock:
            self._record.read()
            return truth_csv(self._record.truth(), self.folder if beside else None)

    def thresholds(self) -> Thresholds:
        """Return what `thresholds.json` holds."""
        with self._lock:
            self._record.read()
            present = dict(zip(self.source.labels, self.source.threshold.tolist(), strict=True))
            judged = {}
            for label, state in self._record.states.items():
                present[label] = state.threshold
                right, wrong, _ = state.counts()
                if right + wrong:
                    judged[label] = right, self.quality(label, state.threshold)
            return thresholds_of(self.source, present, judged)

    def follow(self, source: ReviewSource) -> None:
        """Go on with other scores, such as those of a library that has grown.

        Verdicts stay, those on videos that are gone too. A label whose scores are others has no order, and gets a new
        one when it is asked for next: what was judged so far counts for itself alone.

        Args:
            source: has the same labels.

        Raises:
            OutputError: the log cannot be read; the review stays as it was.
        """
        record = Record(source, self._store)
        record.read()  # most of the log, while others are served
        with self._lock:
            record.read()
            self.source, self._record = source, record
            self._leases = Leases(self._clock)  # they are of places, which are others now
            self._qualities.clear()
            self.files.changed()

    def close(self) -> None:
        """Write what waits to be written, and close the log."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self.frames.close()
        self.files.close()  # not under the lock, which its thread may wait for
        self._store.close()

    def __enter__(self) -> "ReviewSession":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _changed(self) -> None:
        self._record.read()
        self.files.changed()

    def _item(self, label: str, place: int) -> QueueItem:
        state = self._record.state(label)
        probability = float(self.source.probability[place, self.source.columns[label]])
        kind = int(state.state[place])
        return QueueItem(
            place=place,
            video=self.source.keys[place],
            path=self.source.videos[place],
            label=label,
            probability=probability,
            threshold=state.threshold,
            order=None if state.order is None else state.order.number,
            verdict=None if kind not in (TRUE, FALSE) else kind == TRUE,
        )
