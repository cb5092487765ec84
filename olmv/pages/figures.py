"""What a figure is called and how it is printed, the same on every page."""

import math
from collections.abc import Iterable, Mapping

__all__ = ["ERRORS", "HEADLINES", "NAMES", "clock", "deviation", "percent", "shown", "title"]

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
    "brier_skill": "Brier skill score",
    "ece": "Calibration error (all pairs)",
    "ece_above": "Calibration error (pairs above 0.05)",
    "bin_error": "Calibration error (mean of bins)",
    "map_iou30": "mAP (temporal IoU 0.3)",
    "map_iou50": "mAP (temporal IoU 0.5)",
    "map_iou70": "mAP (temporal IoU 0.7)",
    "mean_map": "mAP (mean of the three)",
    "frame_map": "mAP (frame level)",
    "event_f1": "Event F1 (micro)",
    "event_precision": "Event precision (micro)",
    "event_recall": "Event recall (micro)",
    "macro_event_f1": "Event F1 (macro)",
    "macro_event_precision": "Event precision (macro)",
    "macro_event_recall": "Event recall (macro)",
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
    "multi-label": (
        *("macro_map", "micro_ap", "harmonic_map", "peak_f1", "macro_f1", "micro_f1"),
        *("brier_skill", "ece", "ece_above", "bin_error"),
    ),
    "timed": (
        *("map_iou50", "map_iou30", "map_iou70", "mean_map", "frame_map"),
        *("event_f1", "event_precision", "event_recall"),
    ),
    "retrieval": ("t2v_r1", "t2v_r5", "t2v_r10", "v2t_r1", "v2t_r5", "v2t_r10"),
}

ERRORS = ("ece", "ece_above", "bin_error")
"""Metrics of which less is better."""


def title(name: str) -> str:
    """Return what people call a metric."""
    return NAMES.get(name, name.replace("_", " "))


def shown(name: str, value: float | None) -> str:
    """Write a figure as people read it: shares in percent, thresholds, ranks and skills as they are, "–" for none."""
    if value is None or not math.isfinite(value):
        return "–"
    if "skill" in name:
        return f"{value:.3f}"
    if "threshold" in name:
        return f"{value:.3f}" if abs(value) >= 0.01 or value == 0 else f"{value:.1g}"
    if "rank" in name or abs(value) > 1:
        return f"{value:.6g}"
    return f"{100 * value:.1f} %"


def deviation(values: Iterable[float]) -> tuple[float, float]:
    """Return the mean and the sample standard deviation (divisor n - 1) of a metric over splits.

    The splits are a few of many that could have been drawn, and the deviation is told to say how far others would lie:
    that takes the sample's. `np.std` has the population's by default, which is smaller: by 5 % over ten splits, by 18 %
    over three.

    Returns:
        NaN for the deviation of fewer than two splits, and for the mean of none.
    """
    import numpy as np

    numbers = np.array([value for value in values if math.isfinite(value)], dtype=np.float64)
    mean = float(numbers.mean()) if numbers.size else math.nan
    return mean, float(numbers.std(ddof=1)) if numbers.size > 1 else math.nan


def percent(probability: float) -> str:
    """Write a probability with two digits that never round an uncertain verdict to certainty."""
    value = 100 * probability
    if value < 0.1:
        return "<0.1%" if value > 0 else "0%"
    if value > 99.9:
        return ">99.9%" if value < 100 else "100%"
    return f"{value:.1f}%" if value < 10 or value > 99 else f"{value:.0f}%"


def clock(seconds: float, *, digits: int = 0) -> str:
    """Write a time as players show it, 0:05 or 1:02:03, with as many digits after the second."""
    units = 10**digits
    rest, fraction = divmod(round(seconds * units), units)
    minutes, second = divmod(rest, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
    return f"{text}.{fraction:0{digits}d}" if digits else text
