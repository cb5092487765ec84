"""The figures of segments and curves over time, of all videos, per label and with intervals; see `temporal`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olmv.errors import UsageError
from olmv.metrics.bootstrap import Interval, weighted_intervals
from olmv.metrics.decisions import precision_recall_f1
from olmv.metrics.multilabel_sums import mean_where
from olmv.metrics.ranked import RankedColumns
from olmv.metrics.temporal import (
    Timeline,
    check_tolerance,
    detection_hits,
    event_hits,
    interpolated_average_precision,
    time_pieces,
)

__all__ = ["IOUS", "EventCounts", "TemporalFigures", "event_counts", "temporal_figures", "temporal_intervals"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

IOUS = (0.3, 0.5, 0.7)
"""The least temporal IoUs of a right detection."""


@dataclass(frozen=True, eq=False)
class EventCounts:
    """How many events there are of C labels in V videos.

    Attributes:
        hits: [V, C], predicted ones that match a true one.
        predicted: [V, C].
        support: [V, C], true ones.
    """

    hits: Ints
    predicted: Ints
    support: Ints


@dataclass(frozen=True, eq=False)
class TemporalFigures:
    """What was measured of V videos and C labels; every figure is 0..1, or NaN where there is nothing to measure.

    Attributes:
        metrics: `map_iou30`, `map_iou50`, `map_iou70`: means over the labels that are true of some time of the average
            precision at these temporal IoUs; `mean_map`, their mean; `frame_map`, of the frame-level one, without the
            labels that are true all the time; `event_f1`, `event_precision`, `event_recall` of the events of all
            labels together; `macro_event_f1` and so on, their means over the labels that are true of some time.
        support: [C], true events.
        seconds: [C], for how long each label is true.
        predicted: [C], predicted events.
        ap: [3, C], average precision at the temporal IoUs.
        frame_ap: [C], frame-level average precision.
        precision, recall, f1: [C], of events.
    """

    metrics: dict[str, float]
    support: Ints
    seconds: Floats
    predicted: Ints
    ap: Floats
    frame_ap: Floats
    precision: Floats
    recall: Floats
    f1: Floats


def temporal_figures(timelines: Sequence[Timeline], *, tolerance_s: float = 1.0) -> TemporalFigures:
    """Measure segments and curves beside the truth.

    Args:
        timelines: V videos with the same C labels.
        tolerance_s: by which begin and end of a matching event may be off.

    Raises:
        UsageError: no video or label, or a tolerance below 0.
    """
    sums = _Sums(timelines, tolerance_s)
    once = np.ones((1, len(timelines)), dtype=np.int64)
    counts = [part.sum(axis=0) for part in (sums.events.hits, sums.events.predicted, sums.events.support)]
    precision, recall, f1 = precision_recall_f1(*counts)
    return TemporalFigures(
        metrics={name: float(values[0]) for name, values in sums.figures(once).items()},
        support=counts[2],
        seconds=sums.true_ms.sum(axis=0) / 1000,
        predicted=counts[1],
        ap=sums.detection_ap(once)[:, 0],
        frame_ap=sums.frame_ap(once)[0],
        precision=precision,
        recall=recall,
        f1=f1,
    )


def temporal_intervals(
    timelines: Sequence[Timeline],
    *,
    tolerance_s: float = 1.0,
    groups: Ints | None = None,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Take the interval of each of the `metrics` of `temporal_figures`, by a bootstrap over videos.

    Args:
        timelines: V videos with the same C labels.
        tolerance_s: as there.
        groups, resamples, seed, level: as in `olmv.metrics.bootstrap.multi_label_intervals`.

    Raises:
        UsageError: as there; no draws.
    """
    sums = _Sums(timelines, tolerance_s)
    columns = max(1, sums.pieces.truth.size // len(timelines))
    return weighted_intervals(
        sums.figures, len(timelines), columns, groups=groups, resamples=resamples, seed=seed, level=level
    )


def event_counts(timelines: Sequence[Timeline], tolerance_s: float = 1.0) -> EventCounts:
    """Count the events of every video and label, and those that match; see `event_hits`.

    Raises:
        UsageError: a tolerance below 0.
    """
    check_tolerance(tolerance_s)
    pairs = [list(zip(timeline.predicted, timeline.truth, strict=True)) for timeline in timelines]
    return EventCounts(
        hits=np.array([[event_hits(spans, truth, tolerance_s) for spans, truth in row] for row in pairs], np.int64),
        predicted=np.array([[len(spans) for spans, _ in row] for row in pairs], np.int64),
        support=np.array([[len(truth) for _, truth in row] for row in pairs], np.int64),
    )


class _Sums:
    """The figures for many weightings of the videos; what is matched is matched once."""

    def __init__(self, timelines: Sequence[Timeline], tolerance_s: float) -> None:
        if not timelines or not timelines[0].truth:
            raise UsageError("nothing to measure; give at least one video and label")
        self.events = event_counts(timelines, tolerance_s)
        self.pieces = time_pieces(timelines)
        self.true_ms = np.zeros((len(timelines), len(timelines[0].truth)), dtype=np.int64)
        np.add.at(self.true_ms, self.pieces.video, self.pieces.length_ms[:, None] * self.pieces.truth)
        self._total_ms = np.bincount(self.pieces.video, self.pieces.length_ms, minlength=len(timelines))
        self._ranked = RankedColumns(self.pieces.probability, self.pieces.truth)
        self._detections = [_ranked_detections(timelines, label) for label in range(len(timelines[0].truth))]

    def detection_ap(self, weights: Ints) -> Floats:
        """Return average precision [3, R, C] at the temporal IoUs, for weights [R, V]."""
        support = weights @ self.events.support
        by_label = []
        for label, (video, hits) in enumerate(self._detections):
            own = weights[:, video]
            by_label.append([interpolated_average_precision(row, own, support[:, label]) for row in hits])
        return np.moveaxis(np.array(by_label), 0, -1)

    def frame_ap(self, weights: Ints) -> Floats:
        """Return frame-level average precision [R, C]."""
        pieces = self.pieces
        return np.stack([self._ranked.average_precision(row[pieces.video] * pieces.length_ms) for row in weights])

    def figures(self, weights: Ints) -> dict[str, Floats]:
        """Return figure -> [R] for weights [R, V], how often each video counts."""
        hits, predicted, support = (
            weights @ part for part in (self.events.hits, self.events.predicted, self.events.support)
        )
        true = support > 0  # [R, C]
        maps = [mean_where(ap, true) for ap in self.detection_ap(weights)]
        named = {f"map_iou{round(100 * iou)}": values for iou, values in zip(IOUS, maps, strict=True)}
        time = weights @ self.true_ms
        sometimes = (time > 0) & (time < (weights @ self._total_ms)[:, None])
        names = ("precision", "recall", "f1")
        micro = precision_recall_f1(*(counts.sum(axis=1) for counts in (hits, predicted, support)))
        macro = precision_recall_f1(hits, predicted, support)
        return (
            named
            | {"mean_map": np.mean(maps, axis=0)}
            | {"frame_map": mean_where(self.frame_ap(weights), sometimes)}
            | {f"event_{name}": values for name, values in zip(names, micro, strict=True)}
            | {f"macro_event_{name}": mean_where(values, true) for name, values in zip(names, macro, strict=True)}
        )


def _ranked_detections(timelines: Sequence[Timeline], label: int) -> tuple[Ints, NDArray[np.bool_]]:
    """Return the video [D] of each detection of a label, the best first, and whether it is right at each IoU [3, D]."""
    hits = np.concatenate(
        [detection_hits(line.predicted[label], line.score[label], line.truth[label], IOUS) for line in timelines],
        axis=1,
    )
    score = np.concatenate([line.score[label] for line in timelines])
    video = np.repeat(np.arange(len(timelines)), [len(line.score[label]) for line in timelines])
    order = np.argsort(-score, kind="stable")
    return video[order], hits[:, order]
