"""Test-time patching: one run's whole trade-off between the original and the tuned model.

weights = ratio * original + (1 - ratio) * tuned          (Open-VCLIP, equation 6; WiSE-FT)
"""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from olmv.errors import UsageError
from olmv.io.atomic import write_atomic
from olmv.io.packages import installed
from olmv.models.clip.interpolation import interpolate
from olmv.train.checkpoint import load_weights
from olmv.train.config import GUARD, Sweep

__all__ = ["GUARD", "Curve", "choose_ratio", "sweep_ratios", "write_curve"]


@dataclass(frozen=True)
class Curve:
    """The figures at every ratio, and the one that was chosen.

    Attributes:
        points: ratio -> figure name -> value; names are `SOURCE/map` and `SOURCE/top1`.
        ratio: the chosen one.
        rule: how it was chosen, in words.
    """

    points: dict[float, dict[str, float]]
    ratio: float
    rule: str


def sweep_ratios(
    weights: Mapping[str, nn.Parameter],
    original: Mapping[str, Tensor],
    tuned: Mapping[str, Tensor],
    validate: Callable[[], dict[str, float]],
    options: Sweep,
    *,
    metric: str,
    seen: str,
) -> Curve:
    """Measure every ratio, choose one, and leave the model there.

    Args:
        weights: the model's own, by name; they are overwritten.
        original, tuned: both ends.
        validate: figures at the present weights.
        options: ratios and rule.
        metric: `map`, or `top1` where it was measured (one label true of every video).
        seen: the validation source with the training labels.
    """
    points: dict[float, dict[str, float]] = {}
    for ratio in sorted({*options.ratios, *([options.ratio] if options.ratio is not None else [])}):
        load_weights(weights, interpolate(original, tuned, ratio))
        points[ratio] = validate()
    first = next(iter(points.values()))
    names = {source: f"{source}/{metric if f'{source}/{metric}' in first else 'map'}" for source in (seen, GUARD)}
    ratio, rule = choose_ratio(points, options, seen=names[seen], guard=names[GUARD])
    load_weights(weights, interpolate(original, tuned, ratio))
    return Curve(points, ratio, rule)


def choose_ratio(
    points: Mapping[float, Mapping[str, float]], options: Sweep, *, seen: str, guard: str
) -> tuple[float, str]:
    """Return the ratio and the rule that chose it (see `Sweep`); only `seen` and `guard` are looked at.

    Raises:
        UsageError: the figure `seen` is missing, or the guard was not measured at ratio 1.
    """
    if options.ratio is not None:
        return options.ratio, "set in the config"
    if not points or seen not in next(iter(points.values())):
        raise UsageError(f"the ratio cannot be chosen without '{seen}'; add a validation source, or set sweep.ratio")
    slack = options.tolerance
    if guard in next(iter(points.values())):
        if 1.0 not in points:
            raise UsageError("the guard's own score is that at ratio 1; add 1.0 to sweep.ratios")
        floor = points[1.0][guard] - slack
        safe = [ratio for ratio, figures in points.items() if figures[guard] >= floor]
        best = max(safe, key=lambda ratio: (points[ratio][seen], ratio))
        return best, f"best {seen} with {guard} within {slack:g} of the original's {points[1.0][guard]:.3f}"
    top = max(figures[seen] for figures in points.values())
    return max(
        r for r, figures in points.items() if figures[seen] >= top - slack
    ), f"largest with {seen} within {slack:g} of {top:.3f}"


def write_curve(curve: Curve, folder: Path) -> Path:
    """Write `curve.json`, and `curve.png` where matplotlib is installed.

    Returns:
        The one to look at.

    Raises:
        OutputError: they cannot be written.
    """
    data = {"ratio": curve.ratio, "rule": curve.rule, "points": [{"ratio": r, **f} for r, f in curve.points.items()]}
    numbers, picture = folder / "curve.json", folder / "curve.png"
    write_atomic(numbers, json.dumps(data, indent=1) + "\n")
    if not installed("matplotlib"):
        return numbers
    write_atomic(picture, _picture(curve))
    return picture


def _picture(curve: Curve) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    ratios = list(curve.points)
    for name in next(iter(curve.points.values())):
        axes.plot(ratios, [curve.points[r].get(name, float("nan")) for r in ratios], marker="o", label=name)
    axes.axvline(curve.ratio, color="grey", linestyle="--", label=f"chosen: {curve.ratio:g}")
    axes.set(xlabel="ratio (weight of the original)", ylabel="score", title="From tuned (0) to original (1)")
    axes.grid(alpha=0.3)
    axes.legend()
    held = io.BytesIO()
    figure.savefig(held, format="png", dpi=150)
    return held.getvalue()
