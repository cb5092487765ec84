"""Figures of decisions: precision, recall and F1 of what was predicted, per label and over all labels.

Every figure is a fraction (0..1), never a percentage.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["DecisionFigures", "counted_figures", "decision_figures", "precision_recall_f1"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Counts = NDArray[np.int64] | NDArray[np.float64]  # floats where they are weighted


@dataclass(frozen=True)
class DecisionFigures:
    """Of decisions on N videos and C labels. Micro figures are over all pairs of video and label, macro figures
    means over the labels with a positive among the decided videos. NaN where there is nothing to count.

    Attributes:
        precision, recall, f1: [C]; a label that is never predicted has precision 0.
        predicted, support, decided: [C], videos predicted, true, and decided at all.
        false_alarms: decided videos that a label is predicted for without being true; never_true, of them those of
            labels that are true of none.
        macro_precision, macro_recall, macro_f1, micro_precision, micro_recall, micro_f1: 0..1.
    """

    precision: Floats
    recall: Floats
    f1: Floats
    predicted: Ints
    support: Ints
    decided: Ints
    false_alarms: int
    never_true: int
    macro_precision: float
    macro_recall: float
    macro_f1: float
    micro_precision: float
    micro_recall: float
    micro_f1: float


def precision_recall_f1(hits: Counts, predicted: Counts, support: Counts) -> tuple[Floats, Floats, Floats]:
    """Return precision, recall and F1 from counts [...], each [...].

    All three are NaN where nothing is true (support 0). What is true somewhere but never predicted has precision 0, as
    in scikit-learn.

    Args:
        hits: predicted and true.
        predicted: how many were predicted.
        support: how many are true.
    """

    def share(part: Counts, whole: Counts) -> Floats:
        return np.where(support > 0, part / np.maximum(whole, 1), np.nan)

    return share(hits, predicted), share(hits, support), share(2 * hits, predicted + support)


def decision_figures(positive: Bools, truth: Bools, decided: Bools | None = None) -> DecisionFigures:
    """Measure decisions.

    Args:
        positive: [N, C], the decisions.
        truth: [N, C].
        decided: [N, C], which of them count; all by default.
    """
    decided = np.ones(truth.shape, dtype=bool) if decided is None else decided
    positive, truth = positive & decided, truth & decided
    hits, predicted, support = (part.sum(axis=0) for part in (positive & truth, positive, truth))
    return counted_figures(hits, predicted, support, decided.sum(axis=0))


def counted_figures(hits: Ints, predicted: Ints, support: Ints, decided: Ints) -> DecisionFigures:
    """Measure decisions that were counted by label, of videos or of events.

    Args:
        hits: [C], predicted and true.
        predicted: [C].
        support: [C], how many are true.
        decided: [C], of how many videos.
    """
    counted = support > 0
    precision, recall, f1 = precision_recall_f1(hits, predicted, support)
    return DecisionFigures(
        precision=precision,
        recall=recall,
        f1=f1,
        predicted=predicted,
        support=support,
        decided=decided,
        false_alarms=int((predicted - hits).sum()),
        never_true=int(predicted[~counted].sum()),
        macro_precision=_mean(precision[counted]),
        macro_recall=_mean(recall[counted]),
        macro_f1=_mean(f1[counted]),
        # unlike that of a label: without a prediction there is no precision to tell
        micro_precision=_ratio(hits.sum(), predicted.sum()),
        micro_recall=_ratio(hits.sum(), support.sum()),
        micro_f1=_ratio(2 * hits.sum(), predicted.sum() + support.sum()),
    )


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _ratio(part: int, whole: int) -> float:
    return float(part / whole) if whole else float("nan")
