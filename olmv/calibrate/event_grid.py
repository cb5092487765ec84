"""Every pair of thresholds that may begin and end a label, and the events that each makes of its curves.

For one lower threshold the curve falls into stretches at or above it. With a higher one to begin at, a segment runs
from the first cell of such a stretch that reaches it to the end of the stretch; so one pass over the curves for each
lower threshold serves all higher ones. The result is that of `olmv.scoring.segments.find_segments` for each pair.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olmv.metrics.temporal import Timeline, event_windows
from olmv.scoring.logits import logit_of, sigmoid
from olmv.scoring.segments import SegmentOptions

__all__ = ["EventGrid", "levels_of"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_BY_SHARE = 24  # levels that leave a share of all cells at or above them, from one cell to nine in ten
_BY_LOGIT = 16  # levels that are evenly spaced in logits


def levels_of(probability: NDArray[np.floating]) -> Floats:
    """Choose the thresholds to try for these cells, of any shape: [L], rising, 0..1, of six digits as rows have them.

    Half of them follow the distribution, since a label that is rarely true has its events in the highest cells; half
    the range, since few cells lie between what is true and what is not.
    """
    scores = probability.astype(np.float64).ravel()
    above = np.geomspace(1 / len(scores), 0.9, _BY_SHARE)
    low, high = logit_of(np.quantile(scores, [0.05, 1.0])).tolist()
    levels = np.concatenate([np.quantile(scores, 1 - above), sigmoid(np.linspace(low, high, _BY_LOGIT))])
    rounded = np.array([float(f"{level:.6g}") for level in levels])
    return np.unique(rounded[(rounded > 0) & (rounded <= 1)])


@dataclass(frozen=True, eq=False)
class EventGrid:
    """The events of one label in V videos, for L x L pairs of thresholds; only pairs with leave <= enter count.

    Attributes:
        levels: [L], rising.
        hits: [L, L, V], matched events by the place of the level to begin at, then of the one to end below.
        predicted: [L, L, V].
        support: [V], true events.
    """

    levels: Floats
    hits: Ints
    predicted: Ints
    support: Ints

    @classmethod
    def of(
        cls,
        timelines: Sequence[Timeline],
        label: int,
        levels: Floats,
        *,
        tolerance_s: float,
        options: SegmentOptions = SegmentOptions(),
    ) -> "EventGrid":
        """Count the events of a label at every pair of these levels.

        Args:
            timelines: V videos.
            label: its column.
            levels: [L], rising.
            tolerance_s: by which begin and end of a matching event may be off.
            options: about gaps and blips.
        """
        film = _Film.of(timelines, label, gap_s=10 * (1 + tolerance_s + options.join_s))
        shape = (len(levels), len(levels), len(timelines))
        hits, predicted = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        following = film.following(levels)
        for place, leave in enumerate(levels.tolist()):
            parts = film.counts(following, place, leave, tolerance_s, options)
            hits[place:, place], predicted[place:, place] = parts
        return cls(levels, hits, predicted, np.array([len(line.truth[label]) for line in timelines]))

    def f1(self, videos: Bools | None = None) -> Floats:
        """Return F1 of the events of these videos [V] (all by default) at every pair [L, L]; -1 where leave > enter.

        0 where there is neither a true nor a predicted event.
        """
        chosen = slice(None) if videos is None else videos
        hits, predicted = self.hits[..., chosen].sum(-1), self.predicted[..., chosen].sum(-1)
        f1 = 2 * hits / np.maximum(predicted + self.support[chosen].sum(), 1)
        return np.asarray(np.where(np.tri(len(self.levels), dtype=bool), f1, -1.0))

    def pair(self, f1: Floats) -> tuple[float, float]:
        """Return the levels to begin at and to end below that reach the highest of these F1 [L, L].

        Of several that do, the middle one: at the rim of what is equally good here, other videos are soon worse.
        """
        enters, leaves = np.nonzero(f1 >= f1.max() - 1e-12)
        enter = int(enters[len(enters) // 2])  # rising
        leave = leaves[enters == enter]
        return float(self.levels[enter]), float(self.levels[int(leave[len(leave) // 2])])


@dataclass(frozen=True, eq=False)
class _Film:
    """All videos one after the other, with gaps in which nothing is: one label's curve and its true events.

    Attributes:
        probability: [N], with a cell of -1 behind each video.
        begins: [N + 1], where each cell begins.
        video: [N], of each cell.
        truth: [G, 2], moved as the cells are.
        videos: V.
    """

    probability: Floats
    begins: Floats
    video: Ints
    truth: Floats
    videos: int

    @classmethod
    def of(cls, timelines: Sequence[Timeline], label: int, *, gap_s: float) -> "_Film":
        probability, begins, truth, offset = [], [], [], 0.0
        for line in timelines:
            probability.append(np.append(line.probability[:, label].astype(np.float64), -1.0))
            begins.append(line.edges_s + offset)
            truth.append(line.truth[label] + offset)
            offset += max(float(line.edges_s[-1]), line.truth[label].max(initial=0.0)) + gap_s
        sizes = [len(part) for part in probability]
        return cls(
            np.concatenate(probability),
            np.append(np.concatenate(begins), offset),
            np.repeat(np.arange(len(timelines)), sizes),
            np.concatenate(truth),
            len(timelines),
        )

    def following(self, levels: Floats) -> Ints:
        """Return, for each level and cell, the first cell from there on that reaches it [L, N]; N for none."""
        count = len(self.probability)
        reached = np.where(self.probability >= levels[:, None], np.arange(count, dtype=np.int32), np.int32(count))
        return np.asarray(np.minimum.accumulate(reached[:, ::-1], axis=1)[:, ::-1])

    def counts(
        self, following: Ints, place: int, leave: float, tolerance_s: float, options: SegmentOptions
    ) -> tuple[Ints, Ints]:
        """Return matched and predicted events [L - place, V] of the levels from `place` on, ended below `leave`."""
        steps = np.diff((self.probability >= leave).astype(np.int8), prepend=0, append=0)
        starts, stops = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
        first = following[place:, starts]  # [levels, stretches]
        level, stretch = np.nonzero(first < stops)
        begin, video = self.begins[first[level, stretch]], self.video[starts[stretch]]
        end = self.begins[stops[stretch]]
        # a stretch begins a segment unless the gap before it is closed
        apart = np.ones(len(level), dtype=bool)
        apart[1:] = (level[1:] != level[:-1]) | (video[1:] != video[:-1]) | (begin[1:] - end[:-1] >= options.join_s)
        heads = np.flatnonzero(apart)
        tails = np.append(heads[1:], len(level)) - 1 if len(heads) else heads
        spans = np.stack([begin[heads], end[tails]], axis=1)
        long = np.diff(spans)[:, 0] >= max(options.least_s, 1e-9)
        group = (level[heads] * self.videos + video[heads])[long]
        matches = _matches(spans[long], self.truth, group, tolerance_s)
        shape, size = (len(following) - place, self.videos), (len(following) - place) * self.videos
        return (
            np.bincount(group[matches], minlength=size).reshape(shape),
            np.bincount(group, minlength=size).reshape(shape),
        )


def _matches(spans: Floats, truth: Floats, group: Ints, tolerance_s: float) -> Ints:
    """Return the places of the spans [D, 2] that match a true event, within groups that stand together, each in order.

    As `olmv.metrics.temporal.event_hits` within each group.
    """
    lows, highs = event_windows(spans, truth, tolerance_s)
    possible = np.flatnonzero(lows < highs)
    matches, last, free = [], -1, 0
    for place, low, high, own in zip(
        possible.tolist(), lows[possible].tolist(), highs[possible].tolist(), group[possible].tolist(), strict=True
    ):
        low = low if own != last else max(low, free)
        last = own
        if low < high:
            matches.append(place)
            free = low + 1
    return np.array(matches, dtype=np.int64)
