"""The laboratory's own arithmetic; what its arms train is tested in tests/training."""

import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

import olmv  # noqa: F401  (the torchvision guard)

sys.path.append(str(Path(__file__).parent.parent / "scripts"))  # scripts import their neighbours by bare names

from lab import judge
from lab_arms import best_threshold, f1


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=12))
def test_the_best_threshold_is_the_best_of_all(pairs: list[tuple[int, bool]]) -> None:
    probability = torch.tensor([p / 20 for p, _ in pairs])
    truth = torch.tensor([t for _, t in pairs])
    found = best_threshold(probability, truth)
    if not bool(truth.any()):
        assert found == 0.5
        return

    def reached(threshold: torch.Tensor) -> float:
        return float(f1((probability >= threshold)[:, None], truth[:, None]))

    assert reached(found) == pytest.approx(max(reached(t) for t in probability))


def test_a_claim_needs_every_seed() -> None:
    better, worse = "cross-frame/motion_map", "mean/motion_map"
    console = Console(width=200, record=True)
    for gaps in ((0.1, 0.2), (0.3, -0.1), (-0.2, 0.1)):
        console.print(judge([{better: 0.5 + gap, worse: 0.5} for gap in gaps]))
    shown = console.export_text()
    assert "yes" in shown
    assert "in the mean only" in shown
    assert " no " in shown
