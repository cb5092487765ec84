"""Scores sorted once, so that average precision and F1 can be had for many weightings of the videos."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["RankedColumns", "average_precision", "precision_recall_curve"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class RankedColumns:
    """Columns of scores, each sorted from best to worst; equal scores stand together and count as one step.

    Args:
        score: [N, C], finite.
        truth: [N, C].

    Attributes:
        support: [C], the number of positives.
    """

    def __init__(self, score: Floats, truth: NDArray[np.bool_]) -> None:
        columns = np.ascontiguousarray(score.T)
        self._rank(columns, truth.T, np.argsort(-columns, axis=1, kind="stable").astype(np.int32))

    @classmethod
    def pooled(cls, score: Floats, truth: NDArray[np.bool_]) -> "RankedColumns":
        """Rank all N x C pairs as one column; a weight still belongs to a video, that is to C pairs."""
        ranked = cls.__new__(cls)
        pairs = score.reshape(1, -1)
        order = np.argsort(-pairs, axis=1, kind="stable")
        ranked._rank(pairs, truth.reshape(1, -1), order)
        ranked._video = (order // score.shape[1]).astype(np.int32)
        ranked._positive_video = ranked._video.ravel()[ranked._positive]
        return ranked

    def _rank(self, columns: Floats, truth: NDArray[np.bool_], order: NDArray[np.integer]) -> None:
        rows, length = columns.shape
        self._score = np.take_along_axis(columns, order, axis=1)  # [C, N], falling
        self._truth = np.take_along_axis(truth, order, axis=1)
        self._video = order  # the video of each score
        self._last = np.ones((rows, length), dtype=bool)  # the last of equal scores
        self._last[:, :-1] = self._score[:, :-1] != self._score[:, 1:]
        self.support: Ints = self._truth.sum(axis=1)

        # Average precision needs counts only where a positive stands: P positives, sorted by column and rank.
        self._positive = np.flatnonzero(self._truth)
        self._positive_video = order.ravel()[self._positive]
        self._positive_column = self._positive // length
        ends = np.flatnonzero(self._last)
        self._end = ends[np.searchsorted(ends, self._positive)]  # of the equal scores that the positive is one of
        self._through = np.searchsorted(self._positive, self._end, side="right")  # positives up to there
        self._before = np.searchsorted(self._positive, self._positive_column * length)  # positives of columns before

    def average_precision(self, weight: NDArray[np.integer] | None = None) -> Floats:
        """Return [C], the sum over the steps of (gain in recall) x precision, as scikit-learn has it; not interpolated.

        Args:
            weight: [number of videos], how often each counts; None for once each.

        Returns:
            NaN for a column without a positive.
        """
        if weight is None:
            above = self._end - self._end // self._score.shape[1] * self._score.shape[1] + 1
            gain = np.ones(len(self._positive))
        else:
            above = np.cumsum(weight[self._video], axis=1).ravel()[self._end]
            gain = weight[self._positive_video].astype(np.float64)
        hits = np.concatenate([[0.0], np.cumsum(gain)])
        precision = (hits[self._through] - hits[self._before]) / np.maximum(above, 1)
        columns = len(self._score)
        total = np.bincount(self._positive_column, weights=gain, minlength=columns)
        reached = np.bincount(self._positive_column, weights=gain * precision, minlength=columns)
        average: Floats = np.divide(reached, total, out=np.full(columns, np.nan), where=total > 0)
        return average

    def best_f1(self) -> tuple[Floats, Floats]:
        """Return the best F1 that one threshold per column reaches, and the highest threshold that does: [C], [C].

        Returns:
            NaN, NaN for a column without a positive.
        """
        f1 = np.where(self._last, self._f1(), -1.0)
        best = f1.argmax(axis=1)[:, None]
        never = self.support == 0
        value = np.take_along_axis(f1, best, axis=1)[:, 0]
        threshold = np.take_along_axis(self._score, best, axis=1)[:, 0]
        return np.where(never, np.nan, value), np.where(never, np.nan, threshold)

    def best_macro_f1(self) -> tuple[float, float]:
        """Return the best mean of the columns' F1 that one threshold for all reaches, and the highest one that does.

        Columns without a positive are not averaged in. Exact: every score of every column is tried.
        """
        columns = int((self.support > 0).sum())
        if not columns:
            return float("nan"), float("nan")
        # Lowering the threshold past one score changes the F1 of its own column only.
        steps = np.diff(self._f1(), axis=1, prepend=0.0).ravel()
        scores = self._score.ravel()
        order = np.argsort(-scores, kind="stable")
        scores = scores[order]
        mean = np.cumsum(steps[order]) / columns
        mean[:-1][scores[:-1] == scores[1:]] = -1.0
        best = int(mean.argmax())
        return float(mean[best]), float(scores[best])

    def _f1(self) -> Floats:
        """Return F1 = 2 TP / (predicted + true) of everything down to each place, [C, N]."""
        hits = np.cumsum(self._truth, axis=1)
        predicted = np.arange(1, self._score.shape[1] + 1)
        return np.asarray(2.0 * hits / (predicted + self.support[:, None]), dtype=np.float64)


def average_precision(score: NDArray[np.floating], truth: NDArray[np.bool_]) -> Floats:
    """Return the average precision of every label [C]; NaN where no video has it.

    Args:
        score: [N, C], finite; any scale, only the order counts.
        truth: [N, C].
    """
    if not len(score):
        return np.full(score.shape[1], np.nan)
    return RankedColumns(np.asarray(score, dtype=np.float64), np.asarray(truth, dtype=bool)).average_precision()


def precision_recall_curve(score: Floats, truth: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return precision [K] and recall [K] at each of the K distinct scores as threshold, the highest first.

    Args:
        score: [N], finite.
        truth: [N], at least one of them true.
    """
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    last = np.append(np.flatnonzero(ranked[:-1] != ranked[1:]), len(ranked) - 1)  # of equal scores
    hits = np.cumsum(truth[order])[last]
    return hits / (last + 1), hits / truth.sum()
