"""Checkpoints of a run: one folder each, written whole or not at all, without pickles.

    checkpoints/step_000120/  weights.safetensors  optimizer.safetensors  average.safetensors  state.json

A checkpoint is written beside its place and renamed: a kill or a full disk leaves the older ones as they were.
Data order, frames, augmentation, interpolation ratios and dropout follow from (seed, epoch, step) alone, so the
step number is all that a resumed run needs beside the numbers here.
"""

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from olmv.errors import ModelError, OutputError, TrainingError, reason
from olmv.io.atomic import replacing_folder, write_atomic

__all__ = [
    "Checkpoint",
    "latest_checkpoint",
    "load_optimizer_tensors",
    "load_tensors",
    "load_weights",
    "optimizer_tensors",
    "read_checkpoint",
    "save_tensors",
    "write_checkpoint",
]

FORMAT = "olmv-checkpoint/1"
_NAME = re.compile(r"step_(\d+)")


@dataclass
class Checkpoint:
    """Everything that a run needs to go on.

    Attributes:
        step: optimizer steps done.
        epoch: the epoch that the next step belongs to.
        batch: batches of this epoch that are done.
        weights: trainable weights, by name.
        optimizer: the optimizer's state, see `optimizer_tensors`.
        average: running mean of checkpoints, and how many it holds.
        counts: the trainer's of this epoch, as JSON: videos seen and failed.
    """

    step: int
    epoch: int
    batch: int
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    average: dict[str, Tensor] = field(default_factory=dict)
    averaged: int = 0
    counts: dict[str, Any] = field(default_factory=dict)
    scaler: dict[str, Any] = field(default_factory=dict)


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file and flush it to disk.

    Raises:
        OutputError: it cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}, path, {"format": "pt"})
        with path.open("rb") as written:
            os.fsync(written.fileno())
    except (OSError, SafetensorError) as error:
        raise OutputError(f"cannot write '{path}': {reason(error)}; free some space and run it again") from None


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        ModelError: it is missing or broken.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        loaded: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"{path} cannot be read: {reason(error)}; delete its folder to go on from an older one"
        ) from None
    return loaded


def write_checkpoint(folder: Path, checkpoint: Checkpoint, *, keep: int = 2) -> Path:
    """Save into `folder`, then delete all but the newest `keep`.

    Raises:
        OutputError: it cannot be written; what was there before is untouched.
    """
    target = folder / f"step_{checkpoint.step:06d}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing_folder(target) as fresh:  # the same step may be saved twice
            save_tensors(fresh / "weights.safetensors", checkpoint.weights)
            save_tensors(fresh / "optimizer.safetensors", checkpoint.optimizer)
            if checkpoint.average:
                save_tensors(fresh / "average.safetensors", checkpoint.average)
            state = {k: v for k, v in _fields(checkpoint).items() if not _is_tensors(v)}
            write_atomic(fresh / "state.json", json.dumps({"format": FORMAT, **state}, indent=1) + "\n")
    except OSError as error:
        raise OutputError(
            f"cannot write '{target}': {error.strerror or error}; free some space, run it again"
        ) from None
    outdated = [path for _, path in _checkpoints(folder)[:-keep]]
    for path in (*outdated, *folder.glob(".*.tmp")):  # and what a killed run had begun to write
        shutil.rmtree(path, ignore_errors=True)
    return target


def _fields(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return fields by name, tensors not copied."""
    return {name: getattr(checkpoint, name) for name in checkpoint.__dataclass_fields__}


def _is_tensors(value: Any) -> bool:
    return isinstance(value, dict) and (not value or isinstance(next(iter(value.values())), Tensor))


def _checkpoints(folder: Path) -> list[tuple[int, Path]]:
    if not folder.is_dir():
        return []
    complete = [
        (int(m[1]), p) for p in folder.iterdir() if (m := _NAME.fullmatch(p.name)) and (p / "state.json").is_file()
    ]
    return sorted(complete)


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the newest complete checkpoint, or None."""
    complete = _checkpoints(folder)
    return complete[-1][1] if complete else None


def read_checkpoint(path: Path) -> Checkpoint:
    """Read what `write_checkpoint` wrote.

    Raises:
        ModelError: a file is missing or broken.
    """
    try:
        state: dict[str, Any] = json.loads((path / "state.json").read_text(encoding="utf-8"))
        known = state.pop("format") == FORMAT
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is no checkpoint: {reason(error)}; delete it to go on from an older one") from None
    if not known:
        raise ModelError(f"{path} is not of format {FORMAT}; delete it to go on from an older one")
    average = path / "average.safetensors"
    return Checkpoint(
        weights=load_tensors(path / "weights.safetensors"),
        optimizer=load_tensors(path / "optimizer.safetensors"),
        average=load_tensors(average) if average.exists() else {},
        counts=state.pop("counts", {}),
        **{k: v for k, v in state.items() if k in ("step", "epoch", "batch", "averaged", "scaler")},
    )


def optimizer_tensors(optimizer: torch.optim.Optimizer, names: Mapping[int, str]) -> dict[str, Tensor]:
    """Return AdamW's moments and step counts as flat tensors: `NAME/exp_avg`, ... (`names`: id of weight -> name)."""
    flat: dict[str, Tensor] = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            for key, value in optimizer.state.get(parameter, {}).items():
                flat[f"{names[id(parameter)]}/{key}"] = torch.as_tensor(value)
    return flat


def load_optimizer_tensors(
    optimizer: torch.optim.Optimizer, names: Mapping[int, str], saved: Mapping[str, Tensor]
) -> None:
    """Put back what `optimizer_tensors` took; a weight that never had a gradient has no state."""
    by_name: dict[str, dict[str, Tensor]] = {}
    for flat, value in saved.items():
        name, _, key = flat.rpartition("/")
        by_name.setdefault(name, {})[key] = value
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = optimizer.state[parameter]
            for key, value in by_name.get(names[id(parameter)], {}).items():
                state[key] = value.clone() if key == "step" else value.to(parameter.device, parameter.dtype)


def load_weights(weights: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> None:
    """Copy saved weights into the model's own.

    Raises:
        TrainingError: names or shapes differ.
    """
    for name, weight in weights.items():
        if name not in saved or saved[name].shape != weight.shape:
            raise TrainingError(f"the checkpoint does not fit the model at '{name}'; start over", option="resume")
        with torch.no_grad():
            weight.copy_(saved[name])
