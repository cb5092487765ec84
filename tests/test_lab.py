"""The laboratory's verdicts; what its arms train is tested in tests/training."""

from rich.console import Console

import olmv  # noqa: F401  (the torchvision guard)
from scripts.research.lab import judge


def test_a_claim_needs_every_seed() -> None:
    better, worse = "cross-frame/motion_map", "mean/motion_map"
    console = Console(width=200, record=True)
    for gaps in ((0.1, 0.2), (0.3, -0.1), (-0.2, 0.1)):
        console.print(judge([{better: 0.5 + gap, worse: 0.5} for gap in gaps]))
    shown = console.export_text()
    assert "yes" in shown
    assert "in the mean only" in shown
    assert " no " in shown
