"""Fit where each label begins and ends over time: the pair of thresholds with the best F1 of events.

A label with too few true events shares a pair with all others that have any, that of the best mean F1. One that is true
at no time begins above all its curves, as in `olmv.calibrate.fitting`, and ends a logit lower.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from olmv.calibrate.crossfit import stratified_folds
from olmv.calibrate.document import entries_of, provenance
from olmv.calibrate.event_grid import EventGrid, levels_of
from olmv.calibrate.fitting import Fit, Source, false_alarm_bound
from olmv.calibrate.loading import Loaded, load_timed, some
from olmv.calibrate.objectives import Objective
from olmv.calibrate.options import CalibrateJob, CalibrateSummary
from olmv.errors import UsageError
from olmv.metrics.decisions import DecisionFigures, counted_figures
from olmv.metrics.temporal import Timeline
from olmv.metrics.temporal_figures import EventCounts, event_counts
from olmv.scoring.segments import SegmentOptions, find_segments
from olmv.scoring.thresholds import Thresholds

__all__ = ["EventFitter", "fit_job", "segmented"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_ABOVE = 1e-6  # probabilities are written with six digits


@dataclass(frozen=True, eq=False)
class EventFitter:
    """Fits the thresholds of C labels to some of V videos.

    Attributes:
        timelines: V videos.
        tolerance_s: by which begin and end of a matching event may be off.
        options: about gaps and blips.
    """

    timelines: Sequence[Timeline]
    tolerance_s: float = 1.0
    options: SegmentOptions = SegmentOptions()

    def fit(self, min_support: int = 10, videos: Bools | None = None) -> Fit:
        """Fit to these videos [V], to all by default.

        Which thresholds are tried follows from the curves of all videos, which one is taken from the truth of these.

        Args:
            min_support: labels with fewer true events share a pair.
            videos: which may be looked at.

        Raises:
            UsageError: no label is true at any time.
        """
        videos = np.ones(len(self.timelines), dtype=bool) if videos is None else videos
        support = self._support[videos].sum(axis=0)
        if not support.any():
            raise UsageError("no label is true at any time of these videos; give a truth with segments")
        small = support < max(min_support, 1)
        pooled = self._pooled(videos, support) if small.any() else (math.nan, math.nan)
        threshold, leave, alarms = (np.full(len(support), np.nan) for _ in range(3))
        sources: list[Source] = []
        for label, count in enumerate(support.tolist()):
            if not count:
                highest = self._highest[videos, label]
                threshold[label] = max(pooled[0], min(1.0, float(f"{highest.max() + _ABOVE:.6g}")))
                alarms[label] = false_alarm_bound(int((highest >= threshold[label]).sum()), len(highest))
                sources.append("negatives")
            elif small[label]:
                threshold[label], leave[label] = pooled
                sources.append("pooled")
            else:
                grid = self._grids[label]
                threshold[label], leave[label] = grid.pair(grid.f1(videos))
                sources.append("label")
        fit = Fit(threshold, leave, tuple(sources), (True,) * len(support), {}, pooled[0], alarms, leave)
        chosen = [line for line, use in zip(self.timelines, videos, strict=True) if use]
        return replace(fit, value=self.measured(chosen, fit).f1)

    def counts(self, timelines: Sequence[Timeline], fit: Fit) -> EventCounts:
        """Count the events that the curves of these videos have at fitted thresholds, and those that match."""
        assert fit.leave is not None
        lines = [segmented(line, fit.threshold, fit.leave, self.options) for line in timelines]
        return event_counts(lines, self.tolerance_s)

    def measured(self, timelines: Sequence[Timeline], fit: Fit) -> DecisionFigures:
        """Measure these events; F1 is NaN for a label that is true at no time."""
        return _figures([self.counts(timelines, fit)])

    def _pooled(self, videos: Bools, support: NDArray[np.int64]) -> tuple[float, float]:
        """Return the pair with the best mean F1 over the labels that have an event in these videos."""
        grids = [grid for grid, count in zip(self._shared_grids, support, strict=True) if count]
        return grids[0].pair(np.mean([grid.f1(videos) for grid in grids], axis=0))

    @cached_property
    def _support(self) -> NDArray[np.int64]:
        return np.array([[len(spans) for spans in line.truth] for line in self.timelines])

    @cached_property
    def _highest(self) -> Floats:
        return np.array([line.probability.max(axis=0) for line in self.timelines], np.float64)

    @cached_property
    def _grids(self) -> list[EventGrid]:
        """Return a grid for each label, of levels of its own."""
        labels = range(len(self.timelines[0].truth))
        return [self._grid(label, levels_of(self._cells[:, label])) for label in labels]

    @cached_property
    def _shared_grids(self) -> list[EventGrid]:
        levels = levels_of(self._cells)
        return [self._grid(label, levels) for label in range(len(self.timelines[0].truth))]

    @cached_property
    def _cells(self) -> NDArray[np.floating]:
        return np.concatenate([line.probability for line in self.timelines])

    def _grid(self, label: int, levels: Floats) -> EventGrid:
        return EventGrid.of(self.timelines, label, levels, tolerance_s=self.tolerance_s, options=self.options)


def segmented(timeline: Timeline, enter: Floats, leave: Floats, options: SegmentOptions = SegmentOptions()) -> Timeline:
    """Return a timeline with the segments that its curves have at these thresholds.

    Args:
        timeline: of C labels.
        enter: [C], where each begins.
        leave: [C], below which it ends; NaN for the default.
        options: about gaps and blips.
    """
    starts, end = timeline.edges_s[:-1], float(timeline.edges_s[-1])
    segments = [
        find_segments("", starts, end, curve, enter=high, leave=None if math.isnan(low) else low, options=options)
        for curve, high, low in zip(timeline.probability.T, enter.tolist(), leave.tolist(), strict=True)
    ]
    return replace(
        timeline,
        predicted=tuple(np.array([(s.start_s, s.end_s) for s in part]).reshape(-1, 2) for part in segments),
        score=tuple(np.array([s.peak for s in part]) for part in segments),
    )


def fit_job(job: CalibrateJob) -> CalibrateSummary:
    """Fit the thresholds of events, and measure them on videos that they were not fitted to.

    Raises:
        UsageError, InputError: as `load_timed` and `EventFitter.fit`.
    """
    objective = Objective.parse(job.objective or "event-f1")
    loaded, timelines = load_timed(job.predictions, job.truth, allow_unknown=job.allow_unknown)
    fitter = EventFitter(timelines, objective.value, _options(loaded))
    fit = fitter.fit(job.min_support)
    fold = stratified_folds(loaded.scored.truth, job.folds)
    # what is fitted without a fold has fewer events; a label should not fall back there for that alone
    least = max(1, math.floor(job.min_support * (1 - 1 / int(fold.max() + 1))))
    before, after = [], []
    for number in np.unique(fold):
        out = fold == number
        if not loaded.scored.truth[~out].any():
            continue  # nothing could be fitted without these
        lines = [line for line, is_out in zip(timelines, out, strict=True) if is_out]
        after.append(fitter.counts(lines, fitter.fit(least, ~out)))
        before.append(event_counts(lines, objective.value))
    crossed, rows = _figures(after), _figures(before)
    about = provenance(loaded, objective.name)
    entries = entries_of(loaded, fit, objective, crossed, [None] * len(loaded.scored.labels))
    return CalibrateSummary(
        thresholds=Thresholds(entries, model=loaded.scored.model or None, provenance=about),
        objective=objective.name,
        loaded=loaded,
        before=rows,
        after=crossed,
        notes=tuple(_notes(job, loaded, fit)),
        written=(job.output,) if job.page is None else (job.output, job.page),
    )


def _options(loaded: Loaded) -> SegmentOptions:
    """Return what the predicting run did with gaps and blips."""
    own = {f"{name}_s": loaded.settings[name] for name in ("join", "least") if name in loaded.settings}
    return SegmentOptions(**own)


def _figures(parts: Sequence[EventCounts]) -> DecisionFigures:
    hits, predicted, support = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("hits", "predicted", "support")
    )
    decided = np.full(hits.shape[1], len(hits), np.int64)
    return counted_figures(hits.sum(axis=0), predicted.sum(axis=0), support.sum(axis=0), decided)


def _notes(job: CalibrateJob, loaded: Loaded, fit: Fit) -> list[str]:
    notes = list(loaded.notes)
    labels = loaded.scored.labels
    never = [label for label, source in zip(labels, fit.source, strict=True) if source == "negatives"]
    if never:
        bound = np.nanmax(fit.false_alarms)
        notes.append(
            f"{len(never)} labels true at no time begin above their curves here, which lets at most {bound:.1%} of "
            f"videos raise a false alarm, for each, with a confidence of 95 %: {some(never)}"
        )
    pooled = [index for index, source in enumerate(fit.source) if source == "pooled"]
    if pooled and fit.leave is not None:
        notes.append(
            f"{len(pooled)} labels with fewer than {job.min_support} events share the thresholds {fit.pooled:.3g} and "
            f"{fit.leave[pooled[0]]:.3g}: {some([labels[index] for index in pooled])}"
        )
    return notes
