"""Test-time patching: one run's whole trade-off between the original and the tuned model.

weights = ratio * original + (1 - ratio) * tuned          (Open-VCLIP, equation 6; WiSE-FT)

Weights that the original did not have are those of the tuned model at every ratio. Where there are some, ratio 1 is the
original's tower under a trained temporal module: another model than the original, which is measured by itself.
"""

import io
import json
from collections.abc import Callable, Collection, Mapping
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
        original: figure name -> value of the original model itself: its new weights in their first state.
        unmixed: whether there are new weights, so that `original` is not the point at ratio 1.
        ratio: the chosen one.
        rule: how it was chosen, in words.
    """

    points: dict[float, dict[str, float]]
    original: dict[str, float]
    unmixed: bool
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
    unmixed: Collection[str] = (),
) -> Curve:
    """Measure the original and every ratio, choose one, and leave the model there.

    Args:
        weights: the model's own, by name; they are overwritten.
        original, tuned: before the first step, and after the last.
        validate: figures at the present weights.
        options: ratios and rule.
        metric: `map`, or `top1` where it was measured (one label true of every video).
        seen: the validation source with the training labels.
        unmixed: names of weights that the original model did not have.
    """
    points: dict[float, dict[str, float]] = {}
    for ratio in sorted({*options.ratios, *([options.ratio] if options.ratio is not None else [])}):
        load_weights(weights, interpolate(original, tuned, ratio, unmixed=unmixed))
        points[ratio] = validate()
    if unmixed or 1.0 not in points:
        load_weights(weights, original)
        itself = validate()
    else:
        itself = points[1.0]
    first = next(iter(points.values()))
    names = {source: f"{source}/{metric if f'{source}/{metric}' in first else 'map'}" for source in (seen, GUARD)}
    ratio, rule = choose_ratio(points, itself, options, seen=names[seen], guard=names[GUARD])
    load_weights(weights, interpolate(original, tuned, ratio, unmixed=unmixed))
    return Curve(points, itself, bool(unmixed), ratio, rule)


def choose_ratio(
    points: Mapping[float, Mapping[str, float]],
    original: Mapping[str, float],
    options: Sweep,
    *,
    seen: str,
    guard: str,
) -> tuple[float, str]:
    """Return the ratio and the rule that chose it (see `Sweep`); only `seen` and `guard` are looked at.

    Raises:
        UsageError: the figure `seen` is missing.
    """
    if options.ratio is not None:
        return options.ratio, "set in the config"
    if not points or seen not in next(iter(points.values())):
        raise UsageError(f"the ratio cannot be chosen without '{seen}'; add a validation source, or set sweep.ratio")
    slack = options.tolerance
    if guard in next(iter(points.values())):
        kept = f"{guard} within {slack:g} of the original's {original[guard]:.3f}"
        safe = [ratio for ratio, figures in points.items() if figures[guard] >= original[guard] - slack]
        if not safe:
            least = max(points, key=lambda ratio: (points[ratio][guard], ratio))
            return least, f"best {guard}, as no ratio has {kept}"
        best = max(safe, key=lambda ratio: (points[ratio][seen], ratio))
        return best, f"best {seen} with {kept}"
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
    data = {
        "ratio": curve.ratio,
        "rule": curve.rule,
        "original": curve.original,
        "points": [{"ratio": r, **f} for r, f in curve.points.items()],
    }
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
        (line,) = axes.plot(ratios, [curve.points[r].get(name, float("nan")) for r in ratios], marker="o", label=name)
        if curve.unmixed and name in curve.original:
            axes.axhline(curve.original[name], color=line.get_color(), linestyle=":", linewidth=1)
    axes.axvline(curve.ratio, color="grey", linestyle="--", label=f"chosen: {curve.ratio:g}")
    title = "From tuned (0) to original (1)" + ("; dotted: the original itself" if curve.unmixed else "")
    axes.set(xlabel="ratio (weight of the original)", ylabel="score", title=title)
    axes.grid(alpha=0.3)
    axes.legend()
    held = io.BytesIO()
    figure.savefig(held, format="png", dpi=150)
    return held.getvalue()
