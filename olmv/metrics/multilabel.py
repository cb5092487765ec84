"""Arrays to figures: average precision, F1 and calibration here, accuracy and retrieval from `ranks`.

Every figure is a fraction (0..1), never a percentage. Where scikit-learn has the figure, ours is equal to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from olmv.errors import UsageError
from olmv.metrics.ranked import RankedColumns
from olmv.metrics.retrieval import (
    SingleLabelTable,
    check_scores,
    retrieval,
    retrieval_ranks,
    single_label_table,
    top_k_accuracy,
    top_k_hits,
)

__all__ = [
    "RELIABILITY_BINS",
    "MultiLabel",
    "PerLabel",
    "Reliability",
    "SingleLabelTable",
    "groups",
    "harmonic_mean",
    "multi_label",
    "retrieval",
    "retrieval_ranks",
    "single_label_table",
    "top_k_accuracy",
    "top_k_hits",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

RELIABILITY_BINS = 15

# Of these, more is not better, or they are no shares: a harmonic mean of them says nothing.
_NOT_HARMONIC = ("peak_threshold", "peak_macro_threshold", "ece", "bin_error")


@dataclass(frozen=True)
class PerLabel:
    """Figures of each label, arrays [C].

    Attributes:
        support: on how many videos it is true.
        predicted: on how many it reached its threshold.
        ap: average precision, like all that follow NaN for a label without a positive.
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
class Reliability:
    """Predicted probability against what came true, in 15 bins of equal width [low, high), the last one closed.

    Attributes:
        edges: [16].
        count: [15], pairs of video and label.
        probability: [15], their mean predicted probability; NaN where there are none.
        share: [15], the share of them that is true; NaN where there are none.
    """

    edges: Floats
    count: Ints
    probability: Floats
    share: Floats


@dataclass(frozen=True)
class MultiLabel:
    """Figures of multi-label predictions. "Macro" is the mean over labels with at least one positive; "micro" is over
    all pairs of video and label.

    Attributes:
        macro_map: mean of the labels' average precisions.
        micro_ap: average precision over all pairs, also called area under the micro precision-recall curve (AUPR).
        macro_f1: mean of the labels' F1 at their thresholds; likewise precision and recall.
        micro_f1: F1 over all pairs at the labels' thresholds; likewise precision and recall.
        peak_f1: the best micro F1 that a single threshold for all labels gives, `peak_threshold`.
        peak_macro_f1: the best macro F1 that a single threshold gives, `peak_macro_threshold`.
        ece: expected calibration error over all pairs: mean gap between probability and share, 15 equal-width bins.
            Of many labels nearly all pairs are easy negatives in the lowest bin, so it is small whatever the rest.
        bin_error: the mean gap over the bins that hold a pair, each bin counted once: how far the curve is off.
        per_label: figures of each label.
        reliability: the bins behind `ece`.
        never: indices of labels without a positive: left out of macro figures, their false positives count in micro.
        always: indices of labels without a negative: their average precision is 1 whatever the scores; averaged in.
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
    bin_error: float
    per_label: PerLabel
    reliability: Reliability
    never: tuple[int, ...]
    always: tuple[int, ...]

    def figures(self) -> dict[str, float]:
        """The numbers by name: every field that is a single one. NaN if no label has a positive."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.type is float}


def multi_label(probability: Floats, truth: Bools, thresholds: Floats) -> MultiLabel:
    """Figures of multi-label predictions.

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
    has = support > 0
    # a label that is true somewhere but never predicted has precision 0, as in scikit-learn
    precision = np.where(has, np.divide(hits, chosen, out=np.zeros(len(hits)), where=chosen > 0), np.nan)
    recall = _share(hits, support)
    per_label = PerLabel(
        support=support,
        predicted=chosen,
        ap=ranked.average_precision(),
        precision=precision,
        recall=recall,
        f1=np.where(has, _share(2 * hits, support + chosen), np.nan),
        best_threshold=best_threshold,
        best_f1=best_f1,
    )
    reliability = _reliability(probability, truth)
    gap = np.abs(reliability.probability - reliability.share)
    anything = bool(has.any())
    micro_precision = float(hits.sum() / max(chosen.sum(), 1)) if anything else float("nan")
    return MultiLabel(
        macro_map=_mean(per_label.ap[has]),
        micro_ap=float(pooled.average_precision()[0]),
        macro_f1=_mean(per_label.f1[has]),
        micro_f1=float(2 * hits.sum() / (support.sum() + chosen.sum())) if anything else float("nan"),
        macro_precision=_mean(precision[has]),
        macro_recall=_mean(recall[has]),
        micro_precision=micro_precision,
        micro_recall=float(hits.sum() / support.sum()) if anything else float("nan"),
        peak_f1=float(peak_f1[0]),
        peak_threshold=float(peak_threshold[0]),
        peak_macro_f1=peak_macro_f1,
        peak_macro_threshold=peak_macro_threshold,
        ece=float(np.nansum(gap * reliability.count) / probability.size),
        bin_error=float(np.nanmean(gap)),
        per_label=per_label,
        reliability=reliability,
        never=tuple(np.flatnonzero(~has).tolist()),
        always=tuple(np.flatnonzero(support == len(truth)).tolist()),
    )


def groups(
    probability: Floats, truth: Bools, thresholds: Floats, columns: Mapping[str, Sequence[int]]
) -> dict[str, dict[str, float]]:
    """The figures of `multi_label`, by group of labels.

    Args:
        probability: [N, C], 0..1.
        truth: [N, C].
        thresholds: [C].
        columns: name of the group -> indices of its labels.

    Returns:
        Group -> figure -> number; with groups `seen` and `unseen` also `harmonic`, of the figures where more is better.
    """
    found = {
        name: multi_label(probability[:, list(chosen)], truth[:, list(chosen)], thresholds[list(chosen)]).figures()
        for name, chosen in columns.items()
    }
    if "seen" in found and "unseen" in found:
        found["harmonic"] = {
            name: harmonic_mean(value, found["unseen"][name])
            for name, value in found["seen"].items()
            if name not in _NOT_HARMONIC
        }
    return found


def harmonic_mean(seen: float, unseen: float) -> float:
    """2 ab / (a + b) of two shares; 0 if either is 0."""
    return 2 * seen * unseen / (seen + unseen) if seen and unseen else 0.0 * (seen + unseen)


def check_multi_label(probability: Floats, truth: Bools, thresholds: Floats) -> tuple[Floats, Bools, Floats]:
    """The three as arrays of the right kind and shape; errors as in `multi_label`."""
    probability, truth = np.asarray(probability, dtype=np.float64), np.asarray(truth, dtype=bool)
    thresholds = np.asarray(thresholds, dtype=np.float64)
    check_scores(probability, "probability")
    if truth.shape != probability.shape or thresholds.shape != probability.shape[1:]:
        raise UsageError(
            f"probability is {probability.shape}, truth {truth.shape}, thresholds {thresholds.shape}; "
            "give [N, C], [N, C] and [C]"
        )
    if probability.min() < 0 or probability.max() > 1:
        raise UsageError("probability goes beyond 0..1; give probabilities, not logits")
    return probability, truth, thresholds


def _reliability(probability: Floats, truth: Bools) -> Reliability:
    edges = np.linspace(0, 1, RELIABILITY_BINS + 1)
    bins = np.minimum(np.searchsorted(edges, probability.ravel(), side="right") - 1, RELIABILITY_BINS - 1)
    count = np.bincount(bins, minlength=RELIABILITY_BINS)
    return Reliability(
        edges=edges,
        count=count,
        probability=_share(np.bincount(bins, weights=probability.ravel(), minlength=RELIABILITY_BINS), count),
        share=_share(np.bincount(bins, weights=truth.ravel(), minlength=RELIABILITY_BINS), count),
    )


def _share(part: NDArray[np.floating] | Ints, whole: Ints) -> Floats:
    """part / whole, NaN where the whole is 0."""
    share: Floats = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return share


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")
