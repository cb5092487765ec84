"""Refuse scores and truth that no figure can be taken of."""

import numpy as np
from numpy.typing import NDArray

from olmv.errors import UsageError

__all__ = ["check_multi_label", "check_scores"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def check_scores(scores: Floats, what: str) -> None:
    """Raise UsageError unless scores are [N, C] with N, C >= 1 and no NaN; `what` they are is for the message."""
    if scores.ndim != 2 or not scores.size:
        raise UsageError(f"nothing to measure: {what} has the shape {scores.shape}; give at least one video and label")
    bad = np.argwhere(np.isnan(scores))
    if len(bad):
        video, label = bad[0].tolist()
        raise UsageError(f"{what} [{video}, {label}] is not a number; leave out the videos that failed")


def check_multi_label(probability: Floats, truth: Bools, thresholds: Floats) -> tuple[Floats, Bools, Floats]:
    """Return the three as arrays of the right kind and shape.

    Args:
        probability: [N, C], 0..1.
        truth: [N, C].
        thresholds: [C].

    Raises:
        UsageError: no videos or labels, shapes that do not fit, or a probability that is not one.
    """
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
