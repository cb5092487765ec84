"""What a figure is called and how it is printed, the same on every page."""

import math
from collections.abc import Iterable, Mapping

__all__ = ["HEADLINES", "NAMES", "deviation", "shown", "title"]

NAMES: Mapping[str, str] = {
    "top1": "Top-1",
    "top5": "Top-5",
    "macro_map": "mAP (macro)",
    "harmonic_map": "mAP, harmonic mean of seen and unseen",
    "micro_ap": "AUPR (micro)",
    "macro_f1": "F1 (macro)",
    "micro_f1": "F1 (micro)",
    "macro_precision": "Precision (macro)",
    "macro_recall": "Recall (macro)",
    "micro_precision": "Precision (micro)",
    "micro_recall": "Recall (micro)",
    "peak_f1": "Peak F1 (micro)",
    "peak_threshold": "… at the threshold",
    "peak_macro_f1": "Peak F1 (macro)",
    "peak_macro_threshold": "… at the threshold",
    "ece": "Calibration error (all pairs)",
    "bin_error": "Calibration error (mean of bins)",
    "t2v_r1": "Text → video R@1",
    "t2v_r5": "Text → video R@5",
    "t2v_r10": "Text → video R@10",
    "t2v_median_rank": "Text → video median rank",
    "v2t_r1": "Video → text R@1",
    "v2t_r5": "Video → text R@5",
    "v2t_r10": "Video → text R@10",
    "v2t_median_rank": "Video → text median rank",
}

HEADLINES: Mapping[str, tuple[str, ...]] = {
    "single-label": ("top1", "top5"),
    "multi-label": ("macro_map", "micro_ap", "harmonic_map", "peak_f1", "macro_f1", "micro_f1", "ece", "bin_error"),
    "retrieval": ("t2v_r1", "t2v_r5", "t2v_r10", "v2t_r1", "v2t_r5", "v2t_r10"),
}


def title(name: str) -> str:
    """Return what people call a metric."""
    return NAMES.get(name, name.replace("_", " "))


def shown(name: str, value: float | None) -> str:
    """Write a figure as people read it: shares in percent, thresholds and ranks as they are, "–" for none."""
    if value is None or not math.isfinite(value):
        return "–"
    if "threshold" in name:
        return f"{value:.3f}" if abs(value) >= 0.01 or value == 0 else f"{value:.1g}"
    if "rank" in name or abs(value) > 1:
        return f"{value:.6g}"
    return f"{100 * value:.1f} %"


def deviation(values: Iterable[float]) -> tuple[float, float]:
    """Return the mean and standard deviation (of the population, as Open-VCLIP's `np.std`) of a metric over splits."""
    import numpy as np

    numbers = np.array([value for value in values if math.isfinite(value)], dtype=np.float64)
    return (float(numbers.mean()), float(numbers.std())) if numbers.size else (math.nan, math.nan)
