"""The ratio between the original and the tuned model: how it is chosen, and what is written."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from olmv.errors import UsageError
from olmv.train.config import Sweep
from olmv.train.sweep import Curve, choose_ratio, sweep_ratios, write_curve

RATIOS = (0.0, 0.25, 0.5, 0.75, 1.0)
SCORES = st.lists(st.floats(0, 1), min_size=5, max_size=5)


def points(seen: list[float], guard: list[float] | None = None, **others: list[float]) -> dict[float, dict[str, float]]:
    columns = {"seen/map": seen, **({"guard/map": guard} if guard else {}), **others}
    return {ratio: {name: column[i] for name, column in columns.items()} for i, ratio in enumerate(RATIOS)}


def choose(found: dict[float, dict[str, float]], original: float | None = None, **options: float) -> tuple[float, str]:
    """Where `original` is None nothing is new, so that the original is the point at ratio 1."""
    itself = found.get(1.0, {}) if original is None else {"guard/map": original}
    return choose_ratio(found, itself, Sweep(ratios=RATIOS, **options), seen="seen/map", guard="guard/map")


def chosen(found: dict[float, dict[str, float]], original: float | None = None, **options: float) -> float:
    return choose(found, original, **options)[0]


def test_without_a_guard_the_largest_that_costs_little() -> None:
    found = points([0.80, 0.82, 0.815, 0.79, 0.5])
    assert chosen(found, tolerance=0.01) == 0.5
    assert chosen(found, tolerance=0) == 0.25
    assert chosen(found, tolerance=1) == 1.0
    assert "largest with seen/map within 0.01 of 0.820" in choose(found)[1]


def test_with_a_guard_the_best_that_forgets_little() -> None:
    found = points([0.9, 0.85, 0.8, 0.7, 0.6], [0.1, 0.3, 0.495, 0.52, 0.5])
    assert chosen(found, tolerance=0.01) == 0.5
    assert chosen(found, tolerance=0) == 0.75
    assert chosen(found, tolerance=0.5) == 0.0
    assert chosen(points([0.6] * 5, [0.5] * 5)) == 1.0  # nothing gained: the original
    assert choose(found)[1] == "best seen/map with guard/map within 0.01 of the original's 0.500"


def test_the_guard_s_floor_is_the_original_s_own_score() -> None:
    """With new weights ratio 1 has the trained temporal module, and may have forgotten: it is no floor."""
    found = points([0.9, 0.85, 0.8, 0.7, 0.6], [0.1, 0.3, 0.4, 0.45, 0.3])
    assert chosen(found, 0.45) == 0.75
    assert chosen(found) == 0.25  # what it would be with the point at 1 for a floor
    assert choose(found, 0.6) == (0.75, "best guard/map, as no ratio has guard/map within 0.01 of the original's 0.600")


@given(SCORES, st.none() | SCORES, SCORES, SCORES, st.floats(0, 0.5))
def test_no_other_figure_is_looked_at(
    seen: list[float], guard: list[float] | None, a: list[float], b: list[float], tolerance: float
) -> None:
    with_a, with_b = (points(seen, guard, **{"unseen/map": x, "seen/top1": x}) for x in (a, b))
    ratio = chosen(with_a, tolerance=tolerance)
    assert ratio == chosen(with_b, tolerance=tolerance) == chosen(points(seen, guard), tolerance=tolerance)
    if guard is not None:
        assert dict(zip(RATIOS, guard, strict=True))[ratio] >= guard[-1] - tolerance
    else:
        assert dict(zip(RATIOS, seen, strict=True))[ratio] >= max(seen) - tolerance


def test_a_ratio_of_one_s_own() -> None:
    assert choose_ratio({}, {}, Sweep(ratio=0.3), seen="x", guard="y") == (0.3, "set in the config")


def test_figures_that_are_missing() -> None:
    with pytest.raises(UsageError, match=r"cannot be chosen without 'seen/map'; add a validation source, or set sweep"):
        chosen({ratio: {"other/map": 0.5} for ratio in RATIOS})
    with pytest.raises(UsageError, match=r"cannot be chosen without 'seen/map'"):
        chosen({})


def sweep(figures: tuple[str, ...], metric: str, **options: Any) -> tuple[Curve, nn.Parameter, list[float]]:
    weight = nn.Parameter(torch.zeros(2))
    measured: list[float] = []

    def validate() -> dict[str, float]:
        measured.append(float(weight[0]))
        return {name: 1 - abs(measured[-1] - 0.5) for name in figures}

    original, tuned = {"w": torch.ones(2)}, {"w": torch.zeros(2)}
    curve = sweep_ratios({"w": weight}, original, tuned, validate, Sweep(**options), metric=metric, seen="seen")
    return curve, weight, measured


def test_every_ratio_is_measured_and_the_model_left_at_the_chosen_one() -> None:
    curve, weight, measured = sweep(("seen/map", "seen/top1"), "top1", ratios=[1, 0, 0.5, 0.5], tolerance=0)
    assert measured == [0.0, 0.5, 1.0]
    assert list(curve.points) == [0.0, 0.5, 1.0]
    assert curve.ratio == 0.5
    assert "seen/top1" in curve.rule
    assert torch.equal(weight.detach(), torch.full((2,), 0.5))
    curve, weight, measured = sweep(("seen/map",), "map", ratios=[0, 1], ratio=0.25)
    assert measured == [0.0, 0.25, 1.0]
    assert (curve.ratio, float(weight[0])) == (0.25, 0.25)


def test_the_original_is_measured_by_itself_where_weights_are_new() -> None:
    old, new = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    measured: list[tuple[float, float]] = []

    def validate() -> dict[str, float]:
        measured.append((float(old), float(new)))
        return {"seen/map": 0.5, "guard/map": 0.5 if float(new) == 0 else 0.4 + float(old) / 20}

    original = {"old": torch.ones(1), "new": torch.zeros(1)}  # the new gate begins closed
    tuned = {"old": torch.zeros(1), "new": torch.full((1,), 3.0)}
    weights, options = {"old": old, "new": new}, Sweep(ratios=(0, 0.5, 1), tolerance=0.06)
    curve = sweep_ratios(weights, original, tuned, validate, options, metric="map", seen="seen", unmixed={"new"})
    assert measured == [(0, 3), (0.5, 3), (1, 3), (1, 0)]
    assert curve.original == {"seen/map": 0.5, "guard/map": 0.5}
    assert curve.points[1.0]["guard/map"] == pytest.approx(0.45)
    assert (curve.ratio, curve.rule) == (1.0, "best seen/map with guard/map within 0.06 of the original's 0.500")
    assert (float(old), float(new)) == (1, 3)
    # without a ratio of 1 it is measured too
    measured.clear()
    curve = sweep_ratios(weights, original, tuned, validate, Sweep(ratios=(0, 0.5)), metric="map", seen="seen")
    assert measured == [(0, 3), (0.5, 1.5), (1, 0)]
    assert not curve.unmixed


def test_map_where_top1_was_not_measured() -> None:
    curve, *_ = sweep(("seen/map", "guard/map", "guard/top1"), "top1", tolerance=0)
    assert "seen/map" in curve.rule
    assert "guard/top1" in curve.rule
    curve, *_ = sweep(("seen/top1", "guard/map"), "top1", tolerance=0)
    assert "best seen/top1 with guard/map" in curve.rule


def test_files(tmp_path: Path) -> None:
    points = {0.0: {"seen/map": 0.5, "unseen/map": 0.25}, 1.0: {"seen/map": 0.25}}
    curve = Curve(points, {"seen/map": 0.125}, unmixed=True, ratio=0.0, rule="a rule")
    write_curve(curve, tmp_path)
    told = json.loads((tmp_path / "curve.json").read_text())
    assert told == {
        "ratio": 0.0,
        "rule": "a rule",
        "original": {"seen/map": 0.125},
        "points": [{"ratio": 0.0, "seen/map": 0.5, "unseen/map": 0.25}, {"ratio": 1.0, "seen/map": 0.25}],
    }
    with Image.open(tmp_path / "curve.png") as picture:
        picture.load()
        assert (picture.format, picture.width) == ("PNG", 900)
