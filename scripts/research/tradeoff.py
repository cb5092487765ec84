"""What a tuned model gains against what it loses, along the ratio between the original and the tuned weights."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from scripts.benchmarks.results import Figure

__all__ = ["Points", "area", "best_within", "read_curves", "summary", "write_curves"]

Points = dict[float, dict[str, float]]

MOST = 0.05
"""The largest loss that the area looks at."""


def area(points: Mapping[float, Mapping[str, float]], *, gained: str, kept: Sequence[str], most: float = MOST) -> float:
    """Return the mean, over losses allowed from 0 to `most`, of the best score that a curve reaches within them.

    The area under the curve of what is gained against what is lost, of width 1. Between two ratios the figures are
    interpolated linearly.

    Args:
        points: ratio (weight of the original) -> figure -> value; 1 is the original.
        gained: the figure that tuning is for.
        kept: those whose mean is not to fall.
        most: the largest loss allowed, as a share.
    """
    score, loss = _curve(points, gained, kept)
    allowed = np.linspace(0, most, 101)
    return float(np.mean([score[loss <= limit + 1e-9].max() for limit in allowed]))


def best_within(points: Mapping[float, Mapping[str, float]], *, gained: str, kept: Sequence[str], most: float) -> float:
    """Return the measured ratio with the best score among those that lose at most `most`; the larger one of equals."""
    start = np.mean([points[1.0][name] for name in kept])
    safe = [r for r, figures in points.items() if start - np.mean([figures[name] for name in kept]) <= most + 1e-9]
    return max(safe, key=lambda ratio: (points[ratio][gained], ratio))


def read_curves(run: Path) -> dict[str, Points]:
    """Read a run's curves along the ratio, by the end that they begin at; none where none was measured."""
    file = run / "curves.json"
    if not file.is_file():
        return {}
    saved: dict[str, dict[str, dict[str, float]]] = json.loads(file.read_text(encoding="utf-8"))
    return {end: {float(ratio): figures for ratio, figures in sorted(points.items())} for end, points in saved.items()}


def write_curves(run: Path, curves: Mapping[str, Points]) -> None:
    """Write what `read_curves` reads."""
    (run / "curves.json").write_text(json.dumps(curves), encoding="utf-8")


def _curve(
    points: Mapping[float, Mapping[str, float]], gained: str, kept: Sequence[str]
) -> tuple["np.ndarray[tuple[int], np.dtype[np.float64]]", "np.ndarray[tuple[int], np.dtype[np.float64]]"]:
    """Return score and loss at 201 ratios from 0 to 1."""
    ratios = sorted(points)
    fine = np.linspace(0, 1, 201)
    score = np.interp(fine, ratios, [points[r][gained] for r in ratios])
    held = np.interp(fine, ratios, [float(np.mean([points[r][name] for name in kept])) for r in ratios])
    return score, held[-1] - held


def summary(by_run: Sequence[Mapping[str, float]]) -> list[Figure]:
    """Return NAME, the mean over runs, and NAME/sd, the sample's standard deviation, of every figure."""
    figures = []
    for name in by_run[0]:
        values = [found[name] for found in by_run]
        figures.append(Figure(name, statistics.mean(values), None, None, len(values)))
        figures.append(
            Figure(f"{name}/sd", statistics.stdev(values) if len(values) > 1 else 0.0, None, None, len(values))
        )
    return figures
