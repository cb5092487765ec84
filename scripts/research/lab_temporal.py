"""The arms of `lab.py` that tell motions."""

from typing import Any

from olmv.models.clip.temporal import IN_TOWER
from scripts.research.lab_common import Lab

__all__ = ["temporal"]


def temporal(lab: Lab, seed: int) -> dict[str, float]:
    """(a) Which temporal modules learn motions, each with its own best way to be trained in a few minutes.

    Four frames. `mean`, `cross-frame` and `divided` train the image tower (they have no other weights, or weights
    inside of it): 64 steps of 32 clips; `st-adapter` only its own weights inside the frozen tower, as published, for
    as many. `attention` and `transformer` stand on a frozen tower whose features are kept: 16 epochs over 6,000
    clips, about as long. Motions are the only labels.
    """
    arms: dict[str, dict[str, Any]] = {
        "mean": {"model.temporal": "mean"},
        "cross-frame": {"model.temporal": "cross-frame", "model.temporal_options": {"edges": "mask"}},
        "divided": {"model.temporal": "divided", "optimizer.new_lr": 1e-3},
        "st-adapter": {"model.temporal": "st-adapter", "model.train": "new", "optimizer.lr": 1e-3},
        "attention": {"model.temporal": "attention"},
        "transformer, embeddings only": {"model.temporal": "transformer", "model.temporal_options": {"width": 256}},
        "transformer": {"model.temporal": "transformer", "model.temporal_options": {"width": 256, "layout": 8}},
    }
    moji = {"labels": ["motions"], "clips": lab.count(6000), "seed": 31}
    checked = {"labels": ["motions"], "clips": lab.count(500), "seed": 32, "pairings": "all"}
    shared: dict[str, Any] = {
        "data.train": {"moji": moji},
        "data.validation": {"motions": {"moji": checked}},
        "data.frames": 4,
        "data.feature_cache": str(lab.work / "features"),
        "objective.frame_pooling": "mean",
        "optimizer.epochs": 16 if lab.size == 1 else 2,
        "optimizer.batch_size": 32,
        "run.validate_every": 0,
        "run.log_every": 20,
        "run.checkpoint_minutes": 60,
    }
    figures = {}
    for arm, options in arms.items():
        overrides = {**shared, "model.temporal_options": {}, **options}
        if arm in ("mean", *IN_TOWER):
            overrides |= {"data.feature_cache": None, "run.steps": lab.count(64, 2)}
            overrides |= {"model.train": "visual", "optimizer.lr": 3e-4} | options
        found = lab.run("temporal", arm.replace(", ", "-").replace(" ", "-"), seed, "moji_motions", overrides)
        figures[f"{arm}/motion_map"] = found["motions/map"]
    return figures
