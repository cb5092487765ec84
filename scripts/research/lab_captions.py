"""The arms of `lab.py` that learn from captions."""

from typing import Any

from scripts.research.lab_common import Lab

__all__ = ["captions"]


def captions(lab: Lab, seed: int) -> dict[str, float]:
    """(c) Weight of the caption loss; motions are told by captions only, never trained as labels."""
    figures = {}
    for weight in (0.0, 1.0, 4.0):
        overrides: dict[str, Any] = {
            "objective.caption_weight": weight,
            "data.train.moji.clips": lab.count(3000),
            "data.validation.seen.moji.clips": lab.count(300),
            "data.validation.motions.moji.clips": lab.count(300),
            "data.feature_cache": str(lab.work / "features"),
            "run.validate_every": 0,
        }
        if lab.size < 1:
            overrides |= {"optimizer.epochs": 2}
        found = lab.run("captions", f"weight-{weight:g}", seed, "moji_captions", overrides)
        figures[f"caption {weight:g}/seen_map"] = found["seen/map"]
        figures[f"caption {weight:g}/motion_map"] = found["motions/map"]
    return figures
