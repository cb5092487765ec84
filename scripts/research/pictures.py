"""A picture for `real_tuning.py` and `lab.py`: what is gained against what is lost, one line an arm."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["draw_tradeoff"]


def draw_tradeoff(
    curves: Mapping[str, Sequence[Mapping[float, Mapping[str, float]]]],
    path: Path,
    *,
    gained: str = "actions_top1",
    kept: Sequence[str] = ("nouns_top1", "objects_map"),
    labels: tuple[str, str] = ("open vocabulary: mean of nouns top-1 and objects mAP", "ten actions, top-1"),
) -> Path:
    """Draw the mean over runs of every arm's curve, from the original (star) to the tuned model (dot)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 5), layout="constrained")
    axes = figure.add_subplot()
    for name, runs in curves.items():
        ratios = sorted(runs[0], reverse=True)
        x = [statistics.mean(statistics.mean(run[r][k] for k in kept) for run in runs) for r in ratios]
        y = [statistics.mean(run[r][gained] for run in runs) for r in ratios]
        (line,) = axes.plot(x, y, marker=".", label=name)
        axes.plot(x[-1], y[-1], marker="o", color=line.get_color())
        axes.plot(x[0], y[0], marker="*", markersize=14, color="black")
    axes.set(xlabel=labels[0], ylabel=labels[1], title="From the original (star) to the tuned model (dot)")
    axes.grid(alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    return path
