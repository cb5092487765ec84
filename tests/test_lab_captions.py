"""What the laboratory's captions are measured by, and how its figures are put together."""

import pytest
import torch

from olmv.train.validation import Scores
from scripts.research.lab_captions import MOTIONS
from scripts.research.lab_common import pair_accuracy
from scripts.research.lab_results import summary


def test_pair_accuracy_asks_for_the_opposite_only() -> None:
    rows = [MOTIONS.index(motion) for motion in ("moving left", "moving right", "growing", "vanishing")]
    targets = torch.eye(len(MOTIONS))[rows]
    logits = torch.zeros(4, len(MOTIONS))
    assert pair_accuracy(Scores(logits, targets, 0), MOTIONS) == 0.5  # ties
    logits[0, MOTIONS.index("moving left")] = 1
    logits[:, MOTIONS.index("growing")] += 9  # of all four only the third is asked about it
    assert pair_accuracy(Scores(logits, targets, 0), MOTIONS) == pytest.approx((1 + 0.5 + 1 + 0.5) / 4)
    logits[3, MOTIONS.index("appearing")] = 1
    assert pair_accuracy(Scores(logits, targets, 0), MOTIONS) == pytest.approx((1 + 0.5 + 1 + 0) / 4)


def test_a_summary_has_mean_and_spread() -> None:
    figures = {f.name: (f.value, f.n) for f in summary([{"a/map": 0.2, "b/x": 1.0}, {"a/map": 0.4}], {"map": 90})}
    assert figures == {
        "a/map": (pytest.approx(0.3), 90), "a/map/sd": (pytest.approx(0.02**0.5), 2), "b/x": (1.0, 1),
    }  # fmt: skip
