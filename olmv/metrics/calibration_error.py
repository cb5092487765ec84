"""How far probabilities are from how often they come true: bins of equal width, and the gap over them.

A label that is told with probability 0.8 should be true of 80 % of such videos (expected calibration error: Guo et al.
2017, arXiv 1706.04599).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BINS", "Reliability", "reliability"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

BINS = 15


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

    @property
    def ece(self) -> float:
        """Return the expected calibration error: the mean over all pairs of the gap between probability and share.

        Of many labels nearly all pairs are easy negatives in the lowest bin, so it is small whatever the rest.
        """
        return float(np.nansum(self._gap * self.count) / self.count.sum())

    @property
    def bin_error(self) -> float:
        """Return the mean gap over the bins that hold a pair, each bin counted once: how far the curve is off."""
        return float(np.nanmean(self._gap))

    @property
    def _gap(self) -> Floats:
        return np.asarray(np.abs(self.probability - self.share))


def reliability(probability: Floats, truth: Bools) -> Reliability:
    """Sort all pairs of video and label into bins of their probability.

    Args:
        probability: [...], 0..1, at least one.
        truth: of the same shape.
    """
    edges = np.linspace(0, 1, BINS + 1)
    bins = np.minimum(np.searchsorted(edges, probability.ravel(), side="right") - 1, BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    return Reliability(edges, count, _mean_in(probability, bins, count), _mean_in(truth, bins, count))


def _mean_in(values: NDArray[np.floating] | Bools, bins: Ints, count: Ints) -> Floats:
    """Return the mean of the values in each bin; NaN where there are none."""
    total = np.bincount(bins, weights=values.ravel(), minlength=BINS)
    mean: Floats = np.divide(total, count, out=np.full(BINS, np.nan), where=count > 0)
    return mean
