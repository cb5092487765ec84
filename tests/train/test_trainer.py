"""The loop: what stops a run and what does not, rates, groups, and what moves."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from olmv.errors import InputError, OutputError, TrainingError, UsageError
from olmv.train.checkpoint import latest_checkpoint, load_tensors, read_checkpoint
from olmv.train.config import Optimizer, TrainConfig
from olmv.train.loss_terms import LABEL_OBJECTIVES
from olmv.train.optimizer import parameter_groups
from olmv.train.trainer import Trainer
from tests.train.runs import equal, go, killed, last_weights, losses, rows, settings, write_manifest

# --- what stops a run


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_loss_that_is_no_number(where: str, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def bad(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls < 4:
            return logits.square().mean()
        zero = (logits - logits.detach()).abs().sum()
        return logits.mean() * math.nan if where == "loss" else zero.sqrt() * 0.0 + logits.mean()

    monkeypatch.setitem(LABEL_OBJECTIVES, "bce", bad)
    config, folder = settings(tiny), tmp_path / "run"
    with pytest.raises(TrainingError, match=rf"the {where} is not a number at step 4; .*step_000003'.*optimizer\.lr"):
        go(config, folder)
    kept = latest_checkpoint(folder / "checkpoints")
    assert kept is not None
    assert all(w.isfinite().all() for w in read_checkpoint(kept).weights.values())
    told = json.loads((folder / "diverged.json").read_text())
    assert told == [{"step": 4, "lr": 1e-3, "what": where}]
    # what the message says: the same folder with a lower rate goes on, with anything else it does not
    calls = -10
    with pytest.raises(UsageError, match=r"holds a run with another optimizer\.epochs"):
        go(settings(tiny, "optimizer.epochs=3"), folder)
    result, watcher = go(settings(tiny, "optimizer.lr=1e-4"), folder)
    assert result is not None
    assert any("going on after step 3 of 6" in line for line in watcher.notes)
    assert max(row["lr"] for row in rows(folder)[4:] if row["kind"] == "train") <= 1e-4
    calls = 3
    with pytest.raises(
        TrainingError,
        match=r"at step 1; there is no checkpoint yet: lower optimizer\.lr .* run it again, it begins anew",
    ):
        go(config, tmp_path / "other")


def test_some_broken_videos_are_left_out(tiny: str, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "videos", bad=[2])
    config = settings(
        tiny,
        "run.max_failed=0.2",
        "optimizer.batch_size=1",
        "optimizer.accumulate=2",
        train={"manifest": str(manifest)},
    )
    result, watcher = go(config, tmp_path / "run")
    assert result is not None
    assert watcher.steps == 6
    assert sum("left out" in line and "2.mp4" in line for line in watcher.notes) == 2
    assert [row["failed"] for row in rows(tmp_path / "run") if row["kind"] == "epoch"] == [1, 1]


def test_too_many_broken_videos(tiny: str, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "videos", bad=[1, 2, 4])
    config = settings(tiny, "run.max_failed=0.2", "optimizer.batch_size=1", train={"manifest": str(manifest)})
    message = r"2 of \d videos failed, over run\.max_failed=0\.2 .*\d\.mp4: .*; mend the data, or allow more with"
    with pytest.raises(TrainingError, match=message):
        go(config, tmp_path / "run")


def test_a_full_disk(tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    config = settings(tiny, "run.checkpoint_minutes=0")
    killed(config, tmp_path / "run", 3)
    before = last_weights(tmp_path / "run")
    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OutputError, match="No space left on device"):
        go(config, tmp_path / "run")
    assert equal(last_weights(tmp_path / "run"), before)


def test_a_validation_source_that_cannot_be_read(tiny: str, videos: Path, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "videos", bad=range(6))
    overrides = f"data.validation.seen.manifest={manifest}", "run.steps=1"
    config = settings(tiny, *overrides, train={"manifest": str(videos)})
    with pytest.raises(InputError, match="no video of the validation source 'seen' can be read; mend its paths"):
        go(config, tmp_path / "run")


# --- optimisation


def trainer_of(config: TrainConfig, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    """The trainer of a run, before its first step."""
    found: list[Trainer] = []

    class StoppedError(Exception):
        pass

    def run(self: Trainer) -> None:
        found.append(self)
        raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run", run)
        with pytest.raises(StoppedError):
            go(config, folder)
    return found[0]


def test_warm_up_and_cosine(tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = ("optimizer.epochs=4", "optimizer.warmup_epochs=1", "optimizer.new_lr=0.01", "optimizer.end=0.1")
    config = settings(tiny, *overrides, "model.temporal=attention", "optimizer.warmup_start=0.5")
    trainer = trainer_of(config, tmp_path / "run", monkeypatch)
    assert (trainer.steps_per_epoch, trainer.total) == (3, 12)
    factors = []
    for trainer.step in range(12):
        trainer._set_rates()
        rates = {group["base_lr"]: group["lr"] for group in trainer.optimizer.param_groups}
        assert set(rates) == {0.001, 0.01}
        assert rates[0.01] == pytest.approx(10 * rates[0.001])
        factors.append(rates[0.001] / 0.001)
    cosine = [0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * k / 9)) for k in range(9)]
    assert factors == pytest.approx([0.5, 0.5 + 0.5 / 3, 0.5 + 1 / 3, *cosine])


def test_groups() -> None:
    weights = {name: torch.nn.Parameter(torch.zeros(shape)) for name, shape in
               {"w": (2, 2), "b": (2,), "new.w": (2, 2), "new.gate": ()}.items()}  # fmt: skip
    names = {id(p): name for name, p in weights.items()}

    def rates(new_lr: float | None = None, gate_lr: float | None = None) -> dict[str, tuple[float, float]]:
        options = Optimizer(lr=1.0, weight_decay=0.3, new_lr=new_lr, gate_lr=gate_lr)
        groups = parameter_groups(weights, {"new.w", "new.gate"}, options)
        return {names[id(p)]: (group["base_lr"], group["weight_decay"]) for group in groups for p in group["params"]}

    old = {"w": (1.0, 0.3), "b": (1.0, 0.0)}
    assert rates() == {**old, "new.w": (1.0, 0.3), "new.gate": (1.0, 0.0)}
    assert rates(new_lr=2.0) == {**old, "new.w": (2.0, 0.3), "new.gate": (2.0, 0.0)}
    assert rates(new_lr=2.0, gate_lr=9.0) == {**old, "new.w": (2.0, 0.3), "new.gate": (9.0, 0.0)}
    assert rates(gate_lr=9.0) == {**old, "new.w": (1.0, 0.3), "new.gate": (9.0, 0.0)}


def moved(folder: Path) -> float:
    original = load_tensors(folder / "original.safetensors")
    return float(sum((w - original[n]).square().sum() for n, w in load_tensors(folder / "tuned.safetensors").items()))


def test_l2_keeps_the_model_near(tiny: str, tmp_path: Path) -> None:
    far = {}
    for name, override in {"plain": "optimizer.weight_decay=0", "l2": "regularization.l2=100"}.items():
        config = settings(tiny, override, "optimizer.epochs=4", "optimizer.lr=1e-2", "optimizer.weight_decay=0")
        go(config, tmp_path / name)
        far[name] = moved(tmp_path / name)
    assert far["l2"] < far["plain"] / 2
    assert all("distance" in row for row in rows(tmp_path / "l2") if row["kind"] == "train")


@pytest.mark.parametrize(("temporal", "part"), [("transformer", "model.context."), ("st-adapter", ".temporal.")])
def test_only_new_weights_move_on_a_frozen_tower(temporal: str, part: str, tiny: str, tmp_path: Path) -> None:
    go(settings(tiny, f"model.temporal={temporal}", "model.train=new"), tmp_path / "run")
    tuned = load_tensors(tmp_path / "run" / "tuned.safetensors")
    assert tuned
    assert all(part in name for name in tuned)
    assert moved(tmp_path / "run") > 0


def test_no_new_weights_to_train(tiny: str, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"model\.train is 'new', but this model has no new weights; choose a temporal"
    ):
        go(settings(tiny, "model={temporal: mean, train: new}"), tmp_path / "other")


def test_a_run_learns(tiny: str, tmp_path: Path) -> None:
    go(settings(tiny, "optimizer.epochs=12", "optimizer.lr=1e-2"), tmp_path / "run")
    every = losses(tmp_path / "run")
    assert sum(every[-3:]) < 0.9 * sum(every[:3])


def test_texts_are_encoded_once(tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from olmv.models.mini.towers import MiniTowers

    encoded: list[str] = []
    real = MiniTowers.text

    def counting(self: MiniTowers, texts: Any) -> torch.Tensor:
        encoded.extend(texts)
        return real(self, texts)

    monkeypatch.setattr(MiniTowers, "text", counting)
    source = "{moji: {seed: 2, clips: 4, objects: 'seen[:3]', labels: [objects, motions], counts: [1]}}"
    config = settings(tiny, "objective.caption_weight=4", f"data.validation.seen={source}", "optimizer.epochs=3")
    go(config, tmp_path / "run")
    assert encoded
    assert len(encoded) == len(set(encoded))
    encoded.clear()
    go(config, tmp_path / "again")  # from the cache on disk
    assert encoded == []
