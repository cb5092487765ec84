"""The laboratory's verdicts; what its arms train is tested in tests/training."""

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import olmv  # noqa: F401  (the torchvision guard)
from olmv.models.registry import load_video_clip
from scripts.benchmarks.real_sets import RealSet
from scripts.research.lab import judge
from scripts.research.lab_temporal import pair_figures
from scripts.research.real_tuning import parts_of
from scripts.research.tradeoff import area, best_within, summary


def test_a_claim_needs_every_seed() -> None:
    better, worse = "own+swa-mixed/area", "iwr+swa-mixed/area"
    console = Console(width=200, record=True)
    for gaps in ((0.1, 0.2), (0.3, -0.1), (-0.2, 0.1)):
        console.print(judge([{better: 0.5 + gap, worse: 0.5} for gap in gaps]))
    shown = console.export_text()
    assert "yes" in shown
    assert "in the mean only" in shown
    assert " no " in shown


CURVE = {
    0.0: {"new": 0.9, "old": 0.80},
    0.5: {"new": 0.8, "old": 0.89},
    1.0: {"new": 0.4, "old": 0.90},
}


def test_what_is_gained_within_a_loss() -> None:
    """Within a loss of 1 point the middle of the curve is allowed, and all before it."""
    found = area(CURVE, gained="new", kept=["old"], most=0.01)
    assert found == pytest.approx((0.4 + 0.8) / 2, abs=0.01)
    straight = {0.0: {"new": 0.9, "old": 0.9}, 1.0: {"new": 0.4, "old": 0.9}}
    assert area(straight, gained="new", kept=["old"]) == pytest.approx(0.9)
    worse = {0.0: {"new": 0.9, "old": 0.0}, 1.0: {"new": 0.4, "old": 0.9}}
    assert 0.4 < area(worse, gained="new", kept=["old"]) < 0.42


def test_the_ratio_that_loses_little() -> None:
    assert best_within(CURVE, gained="new", kept=["old"], most=0.01) == 0.5
    assert best_within(CURVE, gained="new", kept=["old"], most=0.2) == 0.0
    assert best_within(CURVE, gained="new", kept=["old"], most=0.001) == 1.0
    kept_two = {r: {**f, "other": f["old"]} for r, f in CURVE.items()}
    assert best_within(kept_two, gained="new", kept=["old", "other"], most=0.01) == 0.5


def test_means_and_the_sample_s_deviation() -> None:
    figures = {f.name: (f.value, f.n) for f in summary([{"a/map": 1.0}, {"a/map": 3.0}])}
    assert figures == {"a/map": (2.0, 2), "a/map/sd": (pytest.approx(2**0.5), 2)}
    assert [f.value for f in summary([{"a/map": 1.0}])] == [1.0, 0.0]


def test_sources_stay_together() -> None:
    """Every action's clips are parted by source, about alike."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 10)
    groups = tuple(f"g{k}" for k in rng.integers(0, 6, 40))
    real = RealSet(
        "x", tuple(Path(str(k)) for k in range(40)), tuple("abcd"), np.eye(4, dtype=bool)[labels], (), groups
    )
    parts = parts_of(real)
    assert set(parts) == {0, 1, 2, 3}
    where: dict[tuple[int, str], set[int]] = {}
    for label, group, part in zip(labels.tolist(), groups, parts, strict=True):
        where.setdefault((label, group), set()).add(part)
    assert all(len(found) == 1 for found in where.values())


@pytest.mark.parametrize("temporal", ["mean", "cross-frame"])
def test_some_modules_cannot_tell_a_clip_from_its_reversal(temporal: str) -> None:
    """Whatever they learn; olmv-mini as it ships can."""
    options = {"edges": "mask"} if temporal == "cross-frame" else None
    model = load_video_clip("olmv-mini", device="cpu", dtype="float32", temporal=temporal, temporal_options=options)
    assert pair_figures(model, clips=64, seed=1)["pair_accuracy"] == pytest.approx(0.5)
    shipped = load_video_clip("olmv-mini", device="cpu", dtype="float32")
    assert pair_figures(shipped, clips=64, seed=1)["pair_accuracy"] > 0.8
