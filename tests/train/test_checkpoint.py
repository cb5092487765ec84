"""Checkpoints: whole or not there."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from olmv.errors import ModelError, OutputError
from olmv.train.checkpoint import (
    Checkpoint,
    latest_checkpoint,
    load_optimizer_tensors,
    load_tensors,
    optimizer_tensors,
    read_checkpoint,
    save_tensors,
    write_checkpoint,
)
from tests.train.runs import equal


def made(step: int = 3) -> Checkpoint:
    torch.manual_seed(step)
    return Checkpoint(
        step=step,
        epoch=1,
        batch=2,
        weights={"a": torch.randn(2, 3), "gate": torch.randn(())},
        optimizer={"a/exp_avg": torch.randn(2, 3), "a/step": torch.tensor(3.0)},
        average={"a": torch.randn(2, 3)},
        averaged=4,
        counts={"seen": 5, "failed": 1, "failures": ["x.mp4: broken"]},
    )


def test_round_trip(tmp_path: Path) -> None:
    for checkpoint in (made(), Checkpoint(0, 0, 0, {"a": torch.ones(1)}, {})):
        found = read_checkpoint(write_checkpoint(tmp_path, checkpoint))
        for name in ("step", "epoch", "batch", "averaged", "counts"):
            assert getattr(found, name) == getattr(checkpoint, name)
        for name in ("weights", "optimizer", "average"):
            assert equal(getattr(found, name), getattr(checkpoint, name))


def test_the_newest_ones_are_kept(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path / "missing") is None
    for step in (1, 5, 20, 1_000_000):
        write_checkpoint(tmp_path, made(step), keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_000020", "step_1000000"]
    assert latest_checkpoint(tmp_path) == tmp_path / "step_1000000"
    write_checkpoint(tmp_path, made(1_000_000), keep=1)  # once more, in its own place
    assert [path.name for path in tmp_path.iterdir()] == ["step_1000000"]


def test_torn_ones_do_not_count(tmp_path: Path) -> None:
    good = write_checkpoint(tmp_path, made(1))
    torn = tmp_path / "step_000002"
    torn.mkdir()
    (torn / "weights.safetensors").write_bytes(b"")
    (tmp_path / ".step_000003.tmp").mkdir()
    (tmp_path / ".step_000003.tmp" / "state.json").write_text("{}")
    (tmp_path / "step_x").mkdir()
    assert latest_checkpoint(tmp_path) == good


@pytest.mark.parametrize("file", ["weights", "optimizer", "average"])
def test_a_full_disk_leaves_the_old_one(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import safetensors.torch

    write_checkpoint(tmp_path, made(1))
    real = safetensors.torch.save_file

    def full(tensors: Any, path: Path, metadata: Any = None) -> None:
        if file in str(path):
            raise OSError(28, "No space left on device")
        real(tensors, path, metadata)

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OutputError, match=r"cannot write .*No space left on device.*; free some space"):
        write_checkpoint(tmp_path, made(2), keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step_000001"]
    assert equal(read_checkpoint(tmp_path / "step_000001").weights, made(1).weights)


def test_a_place_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*step_000003.*; free some space"):
        write_checkpoint(tmp_path / "file" / "checkpoints", made())


def test_broken_files_are_named(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path, made())
    (path / "weights.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(ModelError, match=r"weights\.safetensors cannot be read: .*; delete its folder to go on"):
        read_checkpoint(path)
    (path / "weights.safetensors").unlink()
    with pytest.raises(ModelError, match=r"weights\.safetensors cannot be read"):
        read_checkpoint(path)
    for text in ("{", "[]", "{}"):
        (path / "state.json").write_text(text)
        with pytest.raises(ModelError, match=r"step_000003 is no checkpoint: .*; delete it to go on from an older one"):
            read_checkpoint(path)
    (path / "state.json").write_text(json.dumps({"format": "olmv-checkpoint/9"}))
    with pytest.raises(ModelError, match=r"is not of format olmv-checkpoint/1; delete it"):
        read_checkpoint(path)


def test_what_a_kill_left_half_written_goes_with_the_next_checkpoint(tmp_path: Path) -> None:
    for name in (".step_000002.tmp", ".olmv-0123456789ab.tmp"):
        (tmp_path / name).mkdir()
    write_checkpoint(tmp_path, made(3))
    write_checkpoint(tmp_path, made(3))  # the same step again takes the place of the first
    assert [path.name for path in tmp_path.iterdir()] == ["step_000003"]


def test_tensors_that_share_memory(tmp_path: Path) -> None:
    base = torch.arange(6.0)
    save_tensors(tmp_path / "x.safetensors", {"a": base[:3], "b": base.view(2, 3).T})
    found = load_tensors(tmp_path / "x.safetensors")
    assert equal(found, {"a": base[:3], "b": base.view(2, 3).T})


def test_the_optimizer_goes_on_as_if_nothing_happened() -> None:
    def fresh() -> tuple[dict[str, torch.nn.Parameter], torch.optim.AdamW]:
        torch.manual_seed(0)
        weights = {name: torch.nn.Parameter(torch.randn(3)) for name in ("a.b", "c", "idle")}
        groups: list[dict[str, Any]] = [
            {"params": [weights["a.b"]]},
            {"params": [weights["c"], weights["idle"]], "weight_decay": 0.0},
        ]
        return weights, torch.optim.AdamW(groups, lr=0.1)

    def step(weights: dict[str, torch.nn.Parameter], optimizer: torch.optim.AdamW) -> None:
        optimizer.zero_grad()
        torch.autograd.backward((weights["a.b"] * weights["c"]).square().sum())
        optimizer.step()

    def names(weights: dict[str, torch.nn.Parameter]) -> dict[int, str]:
        return {id(p): name for name, p in weights.items()}

    whole, optimizer = fresh()
    for _ in range(2):
        step(whole, optimizer)
    saved = {k: v.clone() for k, v in optimizer_tensors(optimizer, names(whole)).items()}
    assert set(saved) == {f"{n}/{k}" for n in ("a.b", "c") for k in ("exp_avg", "exp_avg_sq", "step")}
    resumed, other = fresh()
    for name, weight in resumed.items():
        weight.data.copy_(whole[name].data)
    load_optimizer_tensors(other, names(resumed), saved)
    step(whole, optimizer)
    step(resumed, other)
    assert equal({k: v.detach() for k, v in whole.items()}, {k: v.detach() for k, v in resumed.items()})
