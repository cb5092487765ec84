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
from olmv.train.config import TrainConfig, parse_config
from olmv.train.job import TrainResult, train
from tests.support.samples import write_clip
from tests.support.tiny import tiny_model

MOJI = {"seed": 1, "clips": 12, "objects": "seen[:3]", "labels": ["objects", "motions"], "counts": [1]}


class Watcher:
    """A view that remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.losses: list[float] = []
        self.started: list[tuple[int, int]] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def start(self, *, total: int, done: int) -> None:
        self.started.append((total, done))

    def side(self, what: str, done: int, total: int) -> None:
        pass

    def advance(self, **side: Any) -> None:
        self.losses.append(side["loss"])


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


def go(config: TrainConfig, folder: Path, **options: Any) -> tuple[TrainResult | None, Watcher]:
    watcher = Watcher()
    return train(config, folder, view=watcher, **options), watcher


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


class Killer(Watcher):
    """Pulls the plug after some steps."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def advance(self, **side: Any) -> None:
        super().advance(**side)
        if len(self.losses) == self.after:
            raise KeyboardInterrupt


def killed(config: TrainConfig, folder: Path, after: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(config, folder, view=Killer(after))
