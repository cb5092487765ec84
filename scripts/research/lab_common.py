"""What the arms of `lab.py` share: a shipped config with a few keys changed is run with a seed, and measured.

Runs stand in WORK/GROUP/ARM/SEED; what is finished there is not run again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from olmv.moji.world import OPPOSITES
from olmv.train.config_file import load_config
from olmv.train.job import TrainJob, run
from olmv.train.validation import Scores
from scripts.research.mini_motions import Plain

__all__ = ["Lab", "pair_accuracy"]

CONFIGS = Path(__file__).parents[2] / "configs"


@dataclass(frozen=True)
class Lab:
    """Settings of all groups.

    Attributes:
        work: folder of the runs.
        size: 1 for the real thing; smaller for `--quick`: clips and steps shrink alike.
    """

    work: Path
    size: float = 1.0

    def count(self, number: int, least: int = 32) -> int:
        return max(least, int(number * self.size))

    def run(self, group: str, arm: str, seed: int, config: str, overrides: Mapping[str, Any]) -> dict[str, float]:
        """Train one arm, or find it trained; its figures on its validation sources."""
        folder = self.work / group / arm / str(seed)
        done = folder / "figures.json"
        if done.is_file():
            found: dict[str, float] = json.loads(done.read_text(encoding="utf-8"))
            return found
        items = [f"{key}={json.dumps(value)}" for key, value in {**overrides, "run.seed": seed}.items()]
        result = run(TrainJob(load_config(CONFIGS / f"{config}.yaml", items), folder), Plain(quiet=True))
        if result is None:  # killed between the end of the run and the next line
            raise SystemExit(f"delete {folder} and start again")
        figures = dict(result.figures) | {f"last/{name}": value for name, value in result.last.items()}
        if result.curve is not None:
            figures["ratio"] = result.curve.ratio
            for end, point in (("tuned", result.curve.points[0.0]), ("original", result.curve.original)):
                figures |= {f"{end}/{name}": value for name, value in point.items()}
        done.write_text(json.dumps(figures), encoding="utf-8")
        return figures


def pair_accuracy(scores: Scores, motions: Sequence[str], *, tie: float = 0.0) -> float:
    """Measure in which share of clips their own motion scores above its opposite; ties count half, chance is 0.5.

    Args:
        scores: of N clips [N, motions], each true of one motion.
        motions: the labels of the columns.
        tie: scores that are no further apart are equal.
    """
    own = scores.targets.argmax(1)
    opposites = torch.tensor([motions.index(OPPOSITES[motion]) for motion in motions])
    rows = torch.arange(len(own))
    gap = scores.logits[rows, own] - scores.logits[rows, opposites[own]]
    return float(((gap > tie).float() + 0.5 * (gap.abs() <= tie).float()).mean())
