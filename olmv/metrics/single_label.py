"""Figures where one label is true of a video: top-k accuracy, and accuracy and confusion per label.

Every figure is a fraction (0..1), never a percentage.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olmv.errors import UsageError
from olmv.metrics.checks import check_scores

__all__ = ["SingleLabelTable", "ks_of", "single_label_table", "top_k_accuracy", "top_k_hits"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class SingleLabelTable:
    """Figures of each label where exactly one is true of a video, arrays [C].

    Attributes:
        support: videos of this label.
        accuracy: the share of them that got it; NaN without support.
        confused_with: index of the label that most of the others got; -1 if there are none.
        confused: how many of them.
    """

    support: Ints
    accuracy: Floats
    confused_with: Ints
    confused: Ints


def ks_of(labels: int) -> tuple[int, ...]:
    """Return the k of the accuracies worth telling: the true label is always among the five best of five."""
    return (1, 5) if labels > 5 else (1,)


def top_k_hits(logits: Floats, truth: Ints, ks: Sequence[int] = (1, 5)) -> dict[str, Bools]:
    """Return {"top1": [N], ...}: whether the true label is among the k best.

    Equal scores rank by the label's index, as in `argmax` and in prediction rows: a model that scores all labels
    alike gets what chance gives, not everything right.

    Args:
        logits: [N, C].
        truth: [N], index of the true label.
        ks: a k beyond C counts as C.

    Raises:
        UsageError: no videos, shapes that do not fit, a score that is not a number, or an index out of range.
    """
    logits, truth = np.asarray(logits, dtype=np.float64), np.asarray(truth)
    check_scores(logits, "score")
    if truth.shape != logits.shape[:1] or truth.min() < 0 or truth.max() >= logits.shape[1]:
        raise UsageError(f"truth must be a label index below {logits.shape[1]} for each of {len(logits)} videos")
    true = np.take_along_axis(logits, truth[:, None], axis=1)
    ties = (logits == true) & (np.arange(logits.shape[1]) < truth[:, None])
    rank = (logits > true).sum(axis=1) + ties.sum(axis=1)
    return {f"top{k}": rank < k for k in ks}


def top_k_accuracy(logits: Floats, truth: Ints, ks: Sequence[int] = (1, 5)) -> dict[str, float]:
    """Return {"top1": share, ...}: the mean of `top_k_hits`, which documents arguments, ties and errors."""
    return {name: float(hits.mean()) for name, hits in top_k_hits(logits, truth, ks).items()}


def single_label_table(logits: Floats, truth: Ints) -> SingleLabelTable:
    """Measure the accuracy per label from logits [N, C] and true indices [N]; errors as in `top_k_hits`."""
    hits = top_k_hits(logits, truth, (1,))["top1"]
    count = np.asarray(logits).shape[1]
    support = np.bincount(truth, minlength=count)
    right = np.bincount(np.asarray(truth)[hits], minlength=count)
    confusion = np.zeros((count, count), dtype=np.int64)  # [true, predicted], without the diagonal
    np.add.at(confusion, (np.asarray(truth)[~hits], np.argmax(np.asarray(logits)[~hits], axis=1)), 1)
    confused = confusion.max(axis=1)
    return SingleLabelTable(
        support=support,
        accuracy=np.where(support > 0, right / np.maximum(support, 1), np.nan),
        confused_with=np.where(confused > 0, confusion.argmax(axis=1), -1),
        confused=confused,
    )
