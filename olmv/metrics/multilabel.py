"""Figures where any number of labels is true of a video: average precision, F1, calibration.

Every figure is a fraction (0..1), never a percentage. Where scikit-learn has the figure, ours is equal to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from olmv.metrics.calibration_error import Reliability, calibration_figures, reliability
from olmv.metrics.checks import check_multi_label
from olmv.metrics.decisions import precision_recall_f1
from olmv.metrics.ranked import RankedColumns

__all__ = ["MultiLabel", "PerLabel", "groups", "harmonic_mean", "multi_label"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

# Of these, more is not better, or they are no shares: a harmonic mean of them says nothing.
_NOT_HARMONIC = ("peak_threshold", "peak_macro_threshold", "ece", "ece_above", "bin_error", "brier_skill")


@dataclass(frozen=True)
class PerLabel:
    """Figures of each label, arrays [C].

    Attributes:
        support: on how many videos it is true.
        predicted: on how many it reached its threshold.
        ap: average precision, like all that follow NaN for a label without a positive; NaN also for a label without a
            negative, where it would be 1 whatever the scores.
        precision: at the label's threshold; 0 if it was never predicted.
        recall: at the label's threshold.
        f1: at the label's threshold.
        best_threshold: the highest one that gives `best_f1`. Chosen on these very videos: an upper bound.
        best_f1: the best F1 that any threshold gives.
    """

    support: Ints
    predicted: Ints
    ap: Floats
    precision: Floats
    recall: Floats
    f1: Floats
    best_threshold: Floats
    best_f1: Floats


@dataclass(frozen=True)
class MultiLabel:
    """Figures of multi-label predictions. "Macro" is the mean over labels with at least one positive; "micro" is over
    all pairs of video and label.

    Attributes:
        macro_map: mean of the labels' average precisions, over labels with a positive and a negative.
        micro_ap: average precision over all pairs, also called area under the micro precision-recall curve (AUPR).
        macro_f1: mean of the labels' F1 at their thresholds; likewise precision and recall.
        micro_f1: F1 over all pairs at the labels' thresholds; likewise precision and recall.
        peak_f1: the best micro F1 that a single threshold for all labels gives, `peak_threshold`.
        peak_macro_f1: the best macro F1 that a single threshold gives, `peak_macro_threshold`.
        ece, ece_above, bin_error, brier_skill: of the probabilities; see `CalibrationFigures`.
        per_label: figures of each label.
        reliability: the bins behind `ece` and `bin_error`.
        never: indices of labels without a positive: left out of macro figures, their false positives count in micro.
        always: indices of labels without a negative: left out of `macro_map`.
    """

    macro_map: float
    micro_ap: float
    macro_f1: float
    micro_f1: float
    macro_precision: float
    macro_recall: float
    micro_precision: float
    micro_recall: float
    peak_f1: float
    peak_threshold: float
    peak_macro_f1: float
    peak_macro_threshold: float
    ece: float
    ece_above: float
    bin_error: float
    brier_skill: float
    per_label: PerLabel
    reliability: Reliability
    never: tuple[int, ...]
    always: tuple[int, ...]

    def figures(self) -> dict[str, float]:
        """Return the numbers by name: every field that is a single one. NaN where there is nothing to measure."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.type is float}


def multi_label(probability: Floats, truth: Bools, thresholds: Floats) -> MultiLabel:
    """Measure multi-label predictions.

    Args:
        probability: [N, C], 0..1.
        truth: [N, C].
        thresholds: [C]; a label is predicted where its probability reaches its threshold.

    Raises:
        UsageError: no videos or labels, shapes that do not fit, or a probability that is not one.
    """
    probability, truth, thresholds = check_multi_label(probability, truth, thresholds)
    predicted = probability >= thresholds
    hits = (predicted & truth).sum(axis=0)
    ranked, pooled = RankedColumns(probability, truth), RankedColumns.pooled(probability, truth)
    best_f1, best_threshold = ranked.best_f1()
    peak_macro_f1, peak_macro_threshold = ranked.best_macro_f1()
    peak_f1, peak_threshold = pooled.best_f1()
    support, chosen = truth.sum(axis=0), predicted.sum(axis=0)
    has, always = support > 0, support == len(truth)
    precision, recall, f1 = precision_recall_f1(hits, chosen, support)
    micro = precision_recall_f1(*(counts.sum() for counts in (hits, chosen, support)))
    per_label = PerLabel(
        support=support,
        predicted=chosen,
        ap=np.where(always, np.nan, ranked.average_precision()),
        precision=precision,
        recall=recall,
        f1=f1,
        best_threshold=best_threshold,
        best_f1=best_f1,
    )
    calibration = calibration_figures(probability, truth)
    return MultiLabel(
        macro_map=_mean(per_label.ap[has & ~always]),
        micro_ap=float(pooled.average_precision()[0]),
        macro_f1=_mean(f1[has]),
        micro_f1=float(micro[2]),
        macro_precision=_mean(precision[has]),
        macro_recall=_mean(recall[has]),
        micro_precision=float(micro[0]),
        micro_recall=float(micro[1]),
        peak_f1=float(peak_f1[0]),
        peak_threshold=float(peak_threshold[0]),
        peak_macro_f1=peak_macro_f1,
        peak_macro_threshold=peak_macro_threshold,
        **vars(calibration),
        per_label=per_label,
        reliability=reliability(probability, truth),
        never=tuple(np.flatnonzero(~has).tolist()),
        always=tuple(np.flatnonzero(always).tolist()),
    )


def groups(
    probability: Floats, truth: Bools, thresholds: Floats, columns: Mapping[str, Sequence[int]]
) -> dict[str, dict[str, float]]:
    """Measure as `multi_label`, by group of labels.

    Args:
        probability: [N, C], 0..1.
        truth: [N, C].
        thresholds: [C].
        columns: name of the group -> indices of its labels.

    Returns:
        Group -> figure -> number; with groups `seen` and `unseen` also `harmonic`, of the figures where more is better.
    """
    figures = {
        name: multi_label(probability[:, list(chosen)], truth[:, list(chosen)], thresholds[list(chosen)]).figures()
        for name, chosen in columns.items()
    }
    if "seen" in figures and "unseen" in figures:
        figures["harmonic"] = {
            name: harmonic_mean(value, figures["unseen"][name])
            for name, value in figures["seen"].items()
            if name not in _NOT_HARMONIC
        }
    return figures


def harmonic_mean(seen: float, unseen: float) -> float:
    """Return 2 ab / (a + b) of two shares; 0 if either is 0."""
    return 2 * seen * unseen / (seen + unseen) if seen and unseen else 0.0 * (seen + unseen)


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")
