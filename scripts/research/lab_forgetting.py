"""The arms of `lab.py` that are tuned and may forget."""

import json
from typing import Any

from scripts.research.lab_common import Lab

__all__ = ["curve", "forgetting"]


def forgetting(lab: Lab, seed: int) -> dict[str, float]:
    """(b) A fifth of the objects is trained (`seen`); another fifth tells what was forgotten (`unseen`).

    `plain`, `l2`, `frozen tower` and `iwr` are the last weights of a run; `swa` and `iwr+swa` are the means of the
    epochs of those of `plain` and `iwr`, mixed with the original at the ratio that the guard (a third fifth) chooses.
    """
    shared: dict[str, Any] = {
        "data.train.moji.clips": lab.count(1280, 128),
        **{f"data.validation.{name}.moji.clips": lab.count(400) for name in ("seen", "guard", "unseen")},
        "optimizer.epochs": 5 if lab.size == 1 else 2,
    }
    if lab.size < 1:
        shared |= {"sweep.ratios": [0.0, 0.5, 1.0], "optimizer.batch_size": 32}
    arms: dict[str, dict[str, Any]] = {
        "swa": {"regularization.iwr": 0.0},
        "iwr+swa": {},
        "l2": {"regularization.iwr": 0.0, "regularization.l2": 0.05, "regularization.swa_start": None, "sweep": None},
        "frozen tower": {
            "regularization.iwr": 0.0, "model.train": "new", "model.temporal": "transformer",
            "model.temporal_options": {"width": 256}, "optimizer.lr": 1e-3, "sweep": None,
            "data.feature_cache": str(lab.work / "features"), "regularization.swa_start": None,
        },
    }  # fmt: skip
    found = {
        arm: lab.run("forgetting", arm.replace(" ", "-"), seed, "moji_iwr", {**shared, **options})
        for arm, options in arms.items()
    }
    figures: dict[str, float] = {}
    for kind in ("seen", "unseen"):
        figures |= {
            f"original/{kind}_map": found["swa"][f"original/{kind}/map"],
            f"plain/{kind}_map": found["swa"][f"last/{kind}/map"],
            f"l2/{kind}_map": found["l2"][f"{kind}/map"],
            f"frozen tower/{kind}_map": found["frozen tower"][f"{kind}/map"],
            f"iwr/{kind}_map": found["iwr+swa"][f"last/{kind}/map"],
            f"swa, ratio 0/{kind}_map": found["swa"][f"tuned/{kind}/map"],
            f"swa/{kind}_map": found["swa"][f"{kind}/map"],
            f"iwr+swa, ratio 0/{kind}_map": found["iwr+swa"][f"tuned/{kind}/map"],
            f"iwr+swa/{kind}_map": found["iwr+swa"][f"{kind}/map"],
        }
    return figures | {f"{arm}/ratio": found[arm]["ratio"] for arm in ("swa", "iwr+swa")}


def curve(lab: Lab, arm: str, seed: int) -> list[dict[str, float]]:
    """The ratio curve of an arm of (b)."""
    data = json.loads((lab.work / "forgetting" / arm / str(seed) / "curve.json").read_text(encoding="utf-8"))
    points: list[dict[str, float]] = data["points"]
    return points
