"""From a label's curve over time to segments: when it begins and ends, with hysteresis.

A curve has a probability for each cell of time; cells follow each other without a gap. A segment begins where the
probability reaches the label's threshold and ends where it falls below a lower one (a Schmitt trigger), so that a
curve which wavers about the threshold makes one segment, not many.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olmv.arguments import check_number
from olmv.errors import UsageError
from olmv.scoring.logits import logit_of, sigmoid

__all__ = ["Segment", "SegmentOptions", "default_leave", "find_segments", "is_on"]

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]

LEAVE_LOGIT = 1.0
"""How far below its threshold a label ends, in logits, where no thresholds file says: 0.27 of 0.5."""


@dataclass(frozen=True)
class Segment:
    """A stretch of a video in which a label is true.

    Attributes:
        label: as the user wrote it.
        start_s, end_s: in seconds from the first frame; `end_s` is larger.
        peak, peak_s: the highest probability, and the middle of the cell that has it.
        mean: of the probability over the segment's time.
    """

    label: str
    start_s: float
    end_s: float
    peak: float
    peak_s: float
    mean: float


@dataclass(frozen=True, kw_only=True)
class SegmentOptions:
    """What becomes of gaps and blips.

    Attributes:
        join_s: gaps shorter than this are closed, first.
        least_s: segments shorter than this are dropped, then.
    """

    join_s: float = 1.0
    least_s: float = 0.5

    def check(self) -> None:
        """Raise UsageError for a negative length."""
        for name, value in (("join", self.join_s), ("least", self.least_s)):
            check_number(name, value, what="a number of seconds", option=f"{name}_s")
            if not 0 <= value < float("inf"):
                raise UsageError(f"{name} is {value:g} s; give 0 or more seconds", option=f"{name}_s")


def default_leave(threshold: float) -> float:
    """Return where a label that begins at this threshold ends: a logit lower."""
    return float(sigmoid(logit_of(np.array(threshold)) - LEAVE_LOGIT))


def is_on(probability: Floats, enter: float, leave: float) -> Bools:
    """Tell for every cell of a curve [N] whether the label is on: [N]; `leave` is at most `enter`."""
    reached, below = probability >= enter, probability < min(leave, enter)
    decided = np.where(reached | below, np.arange(len(probability)), -1)
    last = np.maximum.accumulate(decided) if len(decided) else decided
    return np.asarray((last >= 0) & reached[np.maximum(last, 0)], bool)


def find_segments(
    label: str,
    starts_s: Sequence[float] | Floats,
    end_s: float,
    probability: Floats,
    *,
    enter: float,
    leave: float | None = None,
    options: SegmentOptions = SegmentOptions(),
) -> list[Segment]:
    """Find the segments of one label, in order.

    Args:
        label: its name.
        starts_s: [N] where each cell begins, rising; a cell ends where the next begins.
        end_s: where the last one ends.
        probability: [N] of the cells.
        enter: the threshold at which a segment begins.
        leave: the one below which it ends; None for `default_leave`.
        options: about gaps and blips.
    """
    edges = np.append(np.asarray(starts_s, np.float64), end_s)
    on = is_on(probability, enter, default_leave(enter) if leave is None else leave)
    steps = np.diff(on.astype(np.int8), prepend=0, append=0)
    runs: list[tuple[int, int]] = []
    for first, stop in zip(np.flatnonzero(steps == 1).tolist(), np.flatnonzero(steps == -1).tolist(), strict=True):
        if runs and edges[first] - edges[runs[-1][1]] < options.join_s:
            runs[-1] = (runs[-1][0], stop)
        else:
            runs.append((first, stop))
    return [
        _segment(label, edges[first : stop + 1], probability[first:stop])
        for first, stop in runs
        if edges[stop] - edges[first] >= max(options.least_s, 1e-9)
    ]


def _segment(label: str, edges: Floats, probability: Floats) -> Segment:
    best = int(probability.argmax())
    length = np.diff(edges)
    return Segment(
        label=label,
        start_s=float(edges[0]),
        end_s=float(edges[-1]),
        peak=float(probability[best]),
        peak_s=float(edges[best] + edges[best + 1]) / 2,
        mean=float((probability * length).sum() / length.sum()),
    )
