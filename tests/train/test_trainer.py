"""The loop: what stops a run and what does not, rates, losses on other kinds of model."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from olmv.errors import InputError, OutputError, TrainingError, UsageError
from olmv.models.clip.model import VideoCLIP
from olmv.models.registry import load_model
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


# --- other kinds of model


def test_cross_entropy_on_open_clip(clip: str, tmp_path: Path) -> None:
    source = "{moji: {seed: 2, clips: 6, objects: 'seen[:3]', labels: [objects], counts: [1]}}"
    config = settings(
        clip, "objective.label=cross-entropy", "data.train.moji.labels=[objects]", f"data.validation.seen={source}",
        "regularization.iwr=0.5", "sweep.ratios=[0, 1]", "model.temporal=cross-frame",
    )  # fmt: skip
    result, _ = go(config, tmp_path / "run")
    assert result is not None
    assert set(result.figures) == {"seen/map", "seen/top1"}
    assert result.curve is not None
    assert "seen/top1" in result.curve.rule
    assert load_model(result.model, device="cpu").logit_bias is None


def test_bce_gives_a_softmax_model_a_bias(clip: str, tmp_path: Path) -> None:
    from olmv import Classifier

    manifest = write_manifest(tmp_path / "videos")
    config = settings(clip, "optimizer.lr=1e-6", train={"manifest": str(manifest)})
    result, _ = go(config, tmp_path / "run")
    assert result is not None
    model = load_model(result.model, device="cpu", dtype="float32")
    assert model.logit_bias is not None
    assert "model.towers.model.logit_bias" in load_tensors(tmp_path / "run" / "original.safetensors")
    predictions = list(Classifier(model).predict([tmp_path / "videos" / f"{i}.mp4" for i in range(6)], ["cat", "dog"]))
    mean = sum(label.probability for p in predictions for label in p.labels) / 12
    assert mean == pytest.approx(0.5, abs=0.1)  # half of all labels are true
    # from the bias on, the first loss is no worse than saying 0.5 of everything, or little
    assert losses(tmp_path / "run")[0] < 2 * math.log(2) + 0.5


@pytest.mark.parametrize("temporal", ["cross-frame", "divided", "st-adapter", "transformer"])
def test_gradient_checkpointing_changes_nothing(temporal: str, clip: str, tmp_path: Path) -> None:
    found = []
    for on in ("false", "true"):
        config = settings(
            clip, f"model.gradient_checkpointing={on}", f"model.temporal={temporal}", "run.steps=3",
            "regularization.iwr=0.5",
        )  # fmt: skip
        go(config, tmp_path / on)
        found.append((losses(tmp_path / on), last_weights(tmp_path / on)))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    for name, weight in found[0][1].items():
        assert torch.allclose(weight, found[1][1][name], atol=2e-5), name


def test_adapters_under_all_that_keeps_near_the_original(tiny: str, tmp_path: Path) -> None:
    """IWR, the mean of epochs and the sweep mix the tower and leave the adapters as they were tuned."""
    config = settings(
        tiny, "model.temporal=st-adapter", "regularization={iwr: 0.5, swa_start: 0}",
        "data.validation.seen={moji: {seed: 2, clips: 4, objects: 'seen[:3]', labels: [objects, motions]}}",
        "sweep={ratios: [0, 1], ratio: 1}",
    )  # fmt: skip
    result, _ = go(config, tmp_path / "run")
    assert result is not None
    assert result.curve is not None
    assert all(map(math.isfinite, losses(tmp_path / "run")))
    first = load_tensors(tmp_path / "run" / "original.safetensors")
    tuned = load_tensors(tmp_path / "run" / "tuned.safetensors")
    kernels = [name for name in tuned if name.endswith("temporal.kernel")]
    assert kernels
    assert all(not first[name].any() and tuned[name].any() for name in kernels)
    frozen, made = (load_model(name, device="cpu", dtype="float32") for name in (tiny, result.model))
    assert isinstance(frozen, VideoCLIP)
    assert isinstance(made, VideoCLIP)
    assert made.temporal == "st-adapter"
    assert made.temporal_options == {"width": None, "kernel": 3}
    mine = made.towers.state_dict()
    assert all(torch.equal(weight, mine[name]) for name, weight in frozen.towers.state_dict().items())
    saved = load_tensors(result.model / "model.safetensors")
    assert all(torch.equal(saved[name.removeprefix("model.")], tuned[name]) for name in kernels)
    curve = json.loads((tmp_path / "run" / "curve.json").read_text())
    assert set(curve["original"]) == set(curve["points"][1]) - {"ratio"}
    card = (result.model / "README.md").read_text()
    assert "| the original itself | " in card
    assert "Weights that the original did not have are the tuned ones at every ratio." in card


def test_no_gradient_checkpointing_for_mini(tiny: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no gradient checkpointing; set model\.gradient_checkpointing=false"):
        go(settings(tiny, "model.gradient_checkpointing=true"), tmp_path / "run")


def test_caption_weight(tiny: str, tmp_path: Path) -> None:
    for weight in (0, 4):
        go(settings(tiny, f"objective.caption_weight={weight}", "run.steps=1"), tmp_path / str(weight))
    plain, with_captions = (next(r for r in rows(tmp_path / w) if r["kind"] == "train") for w in ("0", "4"))
    assert "caption" not in plain
    assert with_captions["label"] == pytest.approx(plain["label"], rel=1e-6)
    assert with_captions["loss"] == pytest.approx(plain["loss"] + 4 * with_captions["caption"], rel=1e-5)


def test_videos_with_captions_only(tiny: str, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "videos")
    text = manifest.read_text().splitlines()
    manifest.write_text("\n".join([text[0], *text[1:3], *(line.replace(",dog,", ",,") for line in text[3:])]) + "\n")
    config = settings(tiny, "objective.caption_weight=1", train={"manifest": str(manifest)})
    result, _ = go(config, tmp_path / "run")
    assert result is not None
    assert all(map(math.isfinite, losses(tmp_path / "run")))


# --- several processes


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bce", "cross-entropy", "new"])
def test_two_processes(kind: str, tiny: str, tmp_path: Path) -> None:
    special = {
        "bce": ["objective.caption_weight=1", "regularization.iwr=0.5", "optimizer.accumulate=2"],
        "cross-entropy": ["objective.label=cross-entropy", "model.temporal=divided"],
        "new": ["model.temporal=transformer", "model.train=new", f"data.feature_cache={tmp_path / 'features'}"],
    }[kind]
    source = "{moji: {seed: 2, clips: 4, objects: 'seen[:3]', labels: [objects, motions], counts: [1]}}"
    config = settings(
        tiny, *special, "optimizer.batch_size=2", "run.checkpoint_minutes=0", f"data.validation.seen={source}",
        *(() if kind == "new" else ("sweep.ratios=[0, 1]",)),
    )  # fmt: skip
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(config.to_dict()))
    spy = tmp_path / "spy.py"
    spy.write_text(SPY)
    # what `accelerate launch` starts for several GPUs; for CPUs it wants MPI
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    repo = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [*launch, str(spy), "train", str(path), "-o", str(tmp_path / "run")],
        env={**os.environ, "PYTHONPATH": str(repo), "SPY": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    seen = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2)]
    assert seen[0]["weights"] == seen[1]["weights"]
    for epoch in range(2):
        mine, theirs = (set(s["order"][epoch]) for s in seen)
        assert len(mine) == len(theirs) == 6
        assert mine | theirs == set(range(12))
    assert done.stderr.count("training on cpu") == 1
    assert load_model(tmp_path / "run" / "model", device="cpu").embed_dim == 16


SPY = """
import hashlib, json, os, sys
from pathlib import Path
import olmv
from olmv.cli import main
from olmv.train import trainer
orders = []
real_order = trainer.epoch_order
trainer.epoch_order = lambda *a, **k: orders.append(real_order(*a, **k)) or orders[-1]
real_run = trainer.Trainer.run
def run(self):
    real_run(self)
    digest = hashlib.sha256()
    for name, weight in sorted(self.weights.items()):
        digest.update(name.encode() + weight.detach().numpy().tobytes())
    path = Path(os.environ["SPY"]) / f"rank{self.accelerator.process_index}.json"
    path.write_text(json.dumps({"weights": digest.hexdigest(), "order": orders}))
trainer.Trainer.run = run
sys.exit(main())
"""
