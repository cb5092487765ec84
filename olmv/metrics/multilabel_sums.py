"""The figures of multi-label predictions for many weightings of the videos, as a bootstrap asks for them."""

import numpy as np
from numpy.typing import NDArray

from olmv.metrics.calibration_error import CalibrationSums
from olmv.metrics.checks import check_multi_label
from olmv.metrics.decisions import precision_recall_f1
from olmv.metrics.ranked import RankedColumns

__all__ = ["MultiLabelSums", "mean_where"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class MultiLabelSums:
    """The figures of multi-label predictions for many weightings of the videos; scores are sorted once."""

    def __init__(self, probability: Floats, truth: Bools, thresholds: Floats) -> None:
        probability, self.truth, thresholds = check_multi_label(probability, truth, thresholds)
        self._ranked = RankedColumns(probability, self.truth)
        self._pooled = RankedColumns.pooled(probability, self.truth)
        self._calibration = CalibrationSums(probability, self.truth)
        predicted = probability >= thresholds
        # [N, 3C], float32 for the fast matrix product: exact, since counts stay far below 2**24
        self._counted = np.concatenate([self.truth, predicted, self.truth & predicted], axis=1).astype(np.float32)

    def figures(self, weights: Ints) -> dict[str, Floats]:
        """Return figure -> [R] for weights [R, N], how often each video counts."""
        true, predicted, hits = np.split(np.float64(weights.astype(np.float32) @ self._counted), 3, axis=1)  # [R, C]
        precision, recall, f1 = precision_recall_f1(hits, predicted, true)
        ap = np.stack([self._ranked.average_precision(row) for row in weights])
        per_label = {"f1": f1, "precision": precision, "recall": recall, "map": ap}  # [R, C], NaN where never true
        counted = dict.fromkeys(per_label, true > 0)
        counted["map"] = (true > 0) & (true < weights.sum(axis=1, keepdims=True))
        macro = {f"macro_{name}": mean_where(values, counted[name]) for name, values in per_label.items()}
        precision, recall, f1 = precision_recall_f1(*(counts.sum(axis=1) for counts in (hits, predicted, true)))
        return (
            macro
            | self._calibration.figures(weights)
            | {
                "micro_ap": np.concatenate([self._pooled.average_precision(row) for row in weights]),
                "micro_f1": f1,
                "micro_precision": precision,
                "micro_recall": recall,
            }
        )


def mean_where(values: Floats, counted: Bools) -> Floats:
    """Return the means [R] of the values [R, C] that count; NaN where none does."""
    labels = counted.sum(axis=1)
    return np.where(labels > 0, np.where(counted, values, 0).sum(axis=1) / np.maximum(labels, 1), np.nan)
