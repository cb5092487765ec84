"""Whole runs on tiny models: seconds, not minutes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from olmv.models.storage.saving import save_pretrained
from olmv.train.checkpoint import latest_checkpoint, read_checkpoint
from olmv.train.config import TrainConfig
from olmv.train.config_file import parse_config
from olmv.train.job import TrainJob, TrainSummary, run
from tests.support.samples import write_clip
from tests.support.tiny import tiny_model
from tests.support.watcher import Watcher

MOJI = {"seed": 1, "clips": 12, "objects": "seen[:3]", "labels": ["objects", "motions"], "counts": [1]}


def save_tiny(folder: Path, **options: Any) -> str:
    save_pretrained(tiny_model(**options), folder)
    return str(folder)


def settings(model: str, *overrides: str, train: Mapping[str, Any] | None = None) -> TrainConfig:
    """A run of a few steps: 12 clips, 3 steps an epoch, 2 epochs."""
    values = {
        "model": {"name": model},
        "data": {"train": train or {"moji": MOJI}, "frames": 2, "workers": 0},
        "optimizer": {"lr": 1e-3, "epochs": 2, "warmup_epochs": 0, "batch_size": 4},
        "run": {"device": "cpu", "log_every": 1},
    }
    return parse_config(values, overrides)


def go(config: TrainConfig, folder: Path, *, resume: bool = True) -> tuple[TrainSummary | None, Watcher]:
    watcher = Watcher()
    return run(TrainJob(config, folder, resume=resume), watcher), watcher


def losses(folder: Path) -> list[float]:
    """Of every step of a run, which logs them all."""
    return [row["loss"] for row in rows(folder) if row["kind"] == "train"]


def last_weights(folder: Path) -> dict[str, Tensor]:
    path = latest_checkpoint(folder / "checkpoints")
    assert path is not None
    return read_checkpoint(path).weights


def equal(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)


def write_manifest(folder: Path, *, bad: Sequence[int] = (), count: int = 6) -> Path:
    """A manifest of small clips with a label and a caption each; those in `bad` are no videos."""
    rows = ["video,labels,caption"]
    for number in range(count):
        clip = folder / f"{number}.mp4"
        write_clip(clip, seed=number, frames=6)
        if number in bad:
            clip.write_bytes(b"not a video")
        rows.append(f"{clip},{'dog' if number % 2 else 'cat'},clip number {number}")
    path = folder / "train.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def rows(folder: Path) -> list[dict[str, Any]]:
    """Of metrics.jsonl."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def killed(config: TrainConfig, folder: Path, after: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(TrainJob(config, folder), Watcher(stop_after=after))
