"""Segments and curves of videos beside the true stretches of time: overlap, matching, average precision.

Three questions, each with the protocol that the literature asks it by:

- Is a stretch found, and how well does it lie? Detections of a label over all videos are ranked by score; the best
  ranked takes the truth of its video that it overlaps most, if the temporal IoU is high enough; every truth counts
  once. Average precision is that of the interpolated curve (ActivityNet's evaluation, Caba Heilbron et al. 2015).
- Do its begin and end fall where they should? A predicted event is right where both lie within a tolerance of those
  of a true one, one to one (event-based F1, Mesaros, Heittola & Virtanen 2016, as sed_eval counts with `t_collar`).
- Is a label known to be there at a time? Every piece of time is a sample that weighs as much as it is long
  (frame-level average precision); no grid of samples is needed for that.

Times are in seconds from a video's first frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olmv.errors import UsageError

__all__ = [
    "TimePieces",
    "Timeline",
    "check_tolerance",
    "detection_hits",
    "event_hits",
    "event_windows",
    "interpolated_average_precision",
    "temporal_iou",
    "time_pieces",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

ROUNDING_S = 1e-6
"""Times are written in milliseconds: a difference of exactly the tolerance may come out a rounding error above it."""


@dataclass(frozen=True, eq=False)
class Timeline:
    """What is true of one video when, and what was predicted, for C labels.

    Attributes:
        truth: per label [G, 2], begin and end of each true stretch, by begin; those of one label do not overlap.
        predicted: per label [D, 2], begin and end of each segment, as in `truth`.
        score: per label [D], of the segments; the higher, the surer.
        edges_s: [N + 1], where the cells of the curve begin, rising, and where the last one ends.
        probability: [N, C], the curve.
    """

    truth: tuple[Floats, ...]
    predicted: tuple[Floats, ...]
    score: tuple[Floats, ...]
    edges_s: Floats
    probability: NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class TimePieces:
    """Videos cut into P pieces of time in which neither the curve nor the truth changes.

    Attributes:
        video: [P], the number of the video.
        length_ms: [P], whole milliseconds.
        probability: [P, C].
        truth: [P, C].
    """

    video: Ints
    length_ms: Ints
    probability: Floats
    truth: Bools


def check_tolerance(tolerance_s: float) -> None:
    """Raise UsageError unless a tolerance is a number of seconds, 0 or more."""
    if not 0 <= tolerance_s < float("inf"):
        raise UsageError(f"the tolerance is {tolerance_s:g} s; give 0 or more seconds", option="tolerance")


def temporal_iou(spans: Floats, others: Floats) -> Floats:
    """Return intersection over union [N, M] of spans [N, 2] and others [M, 2]; 0 where they do not overlap."""
    begin = np.maximum(spans[:, None, 0], others[None, :, 0])
    end = np.minimum(spans[:, None, 1], others[None, :, 1])
    shared = np.maximum(end - begin, 0)
    union = np.diff(spans)[:, None, 0] + np.diff(others)[None, :, 0] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def detection_hits(spans: Floats, score: Floats, truth: Floats, ious: Sequence[float]) -> Bools:
    """Tell which detections of one label in one video are right, at each of the least IoUs: [len(ious), D].

    By score, the best first (of equals, the first), each takes the still free truth that it overlaps most.

    Args:
        spans: [D, 2].
        score: [D].
        truth: [G, 2].
        ious: the least temporal IoU of a right one, each above 0.
    """
    hits = np.zeros((len(ious), len(spans)), dtype=bool)
    if not len(truth):
        return hits
    overlap = temporal_iou(spans, truth)
    for row, least in zip(hits, ious, strict=True):
        free = np.ones(len(truth), dtype=bool)
        for place in np.argsort(-score, kind="stable").tolist():
            best = int(np.where(free, overlap[place], -1.0).argmax())
            if free[best] and overlap[place, best] >= least:
                row[place], free[best] = True, False
    return hits


def interpolated_average_precision(hits: Bools, weights: Ints, support: Ints) -> Floats:
    """Return the area under the interpolated precision-recall curve [R]: precision is the best at that recall or more.

    Args:
        hits: [D], whether each detection is right, the best ranked first.
        weights: [R, D], how often each counts.
        support: [R], how many true ones there are to find.

    Returns:
        NaN where there is nothing to find.
    """
    if not len(hits):
        return np.where(support > 0, 0.0, np.nan)
    gain = weights * hits
    precision = np.cumsum(gain, axis=1) / np.maximum(np.cumsum(weights, axis=1), 1)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    return np.where(support > 0, (envelope * gain).sum(axis=1) / np.maximum(support, 1), np.nan)


def event_hits(spans: Floats, truth: Floats, tolerance_s: float) -> int:
    """Count the predicted events of one label in one video that match a true one, one to one.

    Two match where both their begins and their ends differ by the tolerance or less. Taken by begin, each takes the
    earliest that is free: as many as can be matched, since events of one label do not overlap, so that what the later
    one could take is never earlier than what the earlier one could.

    Args:
        spans: [D, 2], in order.
        truth: [G, 2], in order.
        tolerance_s: in seconds.
    """
    lows, highs = event_windows(spans, truth, tolerance_s)
    hits, free = 0, 0
    for low, high in zip(lows.tolist(), highs.tolist(), strict=True):
        place = max(low, free)
        if place < high:
            hits, free = hits + 1, place + 1
    return hits


def event_windows(spans: Floats, truth: Floats, tolerance_s: float) -> tuple[Ints, Ints]:
    """Return which true events each predicted one may match: the first of them [D], and the one after the last [D].

    Args:
        spans: [D, 2], in any order.
        truth: [G, 2], in order, none overlapping another.
        tolerance_s: in seconds.
    """
    most = tolerance_s + ROUNDING_S
    begins, ends = truth[:, 0], truth[:, 1]
    low = np.maximum(np.searchsorted(begins, spans[:, 0] - most), np.searchsorted(ends, spans[:, 1] - most))
    high = np.minimum(
        np.searchsorted(begins, spans[:, 0] + most, side="right"),
        np.searchsorted(ends, spans[:, 1] + most, side="right"),
    )
    return low, high


def time_pieces(timelines: Sequence[Timeline]) -> TimePieces:
    """Cut every video where a cell of its curve, or a stretch of any label, begins or ends."""
    parts = [_pieces(timeline) for timeline in timelines]
    lengths, probability, truth = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    video = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    return TimePieces(video, lengths, probability, truth)


def _pieces(timeline: Timeline) -> tuple[Ints, Floats, Bools]:
    edges = timeline.edges_s
    cuts = np.unique(np.concatenate([edges, *(spans.ravel() for spans in timeline.truth)]))
    cuts = cuts[(cuts >= edges[0]) & (cuts <= edges[-1])]
    middle = (cuts[:-1] + cuts[1:]) / 2
    cell = np.clip(np.searchsorted(edges, middle, side="right") - 1, 0, len(edges) - 2)
    truth = np.stack(
        [
            np.searchsorted(spans[:, 0], middle, side="right") > np.searchsorted(spans[:, 1], middle, side="right")
            for spans in timeline.truth
        ],
        axis=1,
    )
    # the cuts are rounded, not the lengths: these add up to the video's
    length = np.diff(np.rint(cuts * 1000)).astype(np.int64)
    return length, timeline.probability[cell].astype(np.float64), truth
