"""How far probabilities are from how often they come true: gaps in bins of equal width, and the Brier skill score.

A label that is told with probability 0.8 should be true of 80 % of such videos (expected calibration error: Guo et al.
2017, arXiv 1706.04599). With many labels nearly all pairs of video and label are easy negatives with a probability near
0, and the error over all pairs says little of the rest. So it is also taken over the pairs above `EASY` alone, and the
Brier skill score (Brier 1950; Murphy 1973) sets the squared error against that of knowing nothing but how frequent each
label is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BINS", "EASY", "CalibrationFigures", "CalibrationSums", "Reliability", "calibration_figures", "reliability"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

BINS = 15
EASY = 0.05
"""Pairs with at most this probability are left out of `ece_above`. It lies in the lowest bin."""


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
class CalibrationFigures:
    """Figures of probabilities.

    Attributes:
        ece: expected calibration error: the mean over all pairs of the gap between probability and share in their bin.
        ece_above: the same over the pairs with a probability above 0.05; NaN if there are none.
        bin_error: the mean gap over the bins that hold a pair, each bin counted once.
        brier_skill: 1 - B / R, B being the mean squared error over all pairs, R that of predicting for each label the
            share of these videos that have it: 1 is perfect, 0 no better than these shares, below 0 worse. NaN where
            every label is true of all videos or of none, so that R is 0.
    """

    ece: float
    ece_above: float
    bin_error: float
    brier_skill: float


class CalibrationSums:
    """What the figures need of each video, summed once, so that they can be had for many weightings of the videos.

    Args:
        probability: [N, C], 0..1, N and C at least 1.
        truth: [N, C].
        known: [N, C], the pairs that count, all true ones among them; None for all.
    """

    def __init__(self, probability: Floats, truth: Bools, known: Bools | None = None) -> None:
        self._truth = truth
        self._known = np.ones((len(truth), 1), dtype=bool) if known is None else known
        self._squared = ((probability - truth) ** 2 * self._known).sum(axis=1)
        # 16 cells a video: the lowest bin is two, up to EASY and above it
        cells = np.where(probability > EASY, _bins(probability) + 1, 0)
        places = (cells + (BINS + 1) * np.arange(len(truth))[:, None]).ravel()
        shape = (len(truth), BINS + 1)
        count, expected, true = (
            np.bincount(places, weights=(values * self._known).ravel(), minlength=len(truth) * (BINS + 1)).reshape(
                shape
            )
            for values in (np.ones(truth.shape, dtype=bool), probability, truth)
        )
        self._cells = np.concatenate([count, expected - true], axis=1).astype(np.float64)  # [N, 32]

    def figures(self, weights: Ints) -> dict[str, Floats]:
        """Return figure -> [R] for weights [R, N], how often each video counts; named as in `CalibrationFigures`."""
        weights = np.asarray(weights, dtype=np.float64)
        count, gap = np.split(weights @ self._cells, 2, axis=1)  # [R, 16]
        count_of_bins, gap_of_bins = (
            np.concatenate([cells[:, :2].sum(axis=1, keepdims=True), cells[:, 2:]], axis=1) for cells in (count, gap)
        )
        gaps = np.abs(gap_of_bins)
        means = np.divide(gaps, count_of_bins, out=np.zeros_like(gaps), where=count_of_bins > 0)
        support, videos = weights @ self._truth, weights @ self._known
        reference = (support - support**2 / np.maximum(videos, 1)).sum(axis=1)
        return {
            "ece": _share(gaps.sum(axis=1), count.sum(axis=1)),
            "ece_above": _share(np.abs(gap[:, 1:]).sum(axis=1), count[:, 1:].sum(axis=1)),
            "bin_error": _share(means.sum(axis=1), (count_of_bins > 0).sum(axis=1)),
            "brier_skill": 1 - _share(weights @ self._squared, np.where(reference > 1e-9, reference, 0)),
        }


def calibration_figures(probability: Floats, truth: Bools, known: Bools | None = None) -> CalibrationFigures:
    """Measure probabilities [N, C], 0..1, against the truth [N, C], N and C at least 1.

    Args:
        probability, truth, known: as `CalibrationSums` takes them.
    """
    figures = CalibrationSums(probability, truth, known).figures(np.ones((1, len(truth)), dtype=np.int64))
    return CalibrationFigures(**{name: float(values[0]) for name, values in figures.items()})


def reliability(probability: Floats, truth: Bools) -> Reliability:
    """Sort all pairs of video and label into bins of their probability.

    Args:
        probability: [...], 0..1, at least one.
        truth: of the same shape.
    """
    bins = _bins(probability.ravel())
    count = np.bincount(bins, minlength=BINS)
    edges = np.linspace(0, 1, BINS + 1)
    return Reliability(edges, count, _mean_in(probability, bins, count), _mean_in(truth, bins, count))


def _bins(probability: Floats) -> Ints:
    """Return the bin of each probability, of the same shape."""
    places = np.searchsorted(np.linspace(0, 1, BINS + 1), probability, side="right")
    return np.minimum(places - 1, BINS - 1)


def _share(part: Floats, whole: Floats | Ints) -> Floats:
    """Return part / whole, NaN where the whole is 0."""
    share: Floats = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return share


def _mean_in(values: NDArray[np.floating] | Bools, bins: Ints, count: Ints) -> Floats:
    """Return the mean of the values in each bin; NaN where there are none."""
    total = np.bincount(bins, weights=values.ravel(), minlength=BINS)
    mean: Floats = np.divide(total, count, out=np.full(BINS, np.nan), where=count > 0)
    return mean
