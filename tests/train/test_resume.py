"""A killed run goes on as if it had never stopped."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from olmv.errors import TrainingError, UsageError
from olmv.train.checkpoint import latest_checkpoint, load_tensors, load_weights, read_checkpoint
from olmv.train.trainer import Trainer
from tests.train.runs import equal, go, killed, last_weights, rows, settings, write_manifest

# everything that a resumed run could get wrong
HARD = (
    "regularization.iwr=0.5", "regularization.swa_start=0", "regularization.l2=0.01", "optimizer.accumulate=2",
    "optimizer.warmup_epochs=0.5", "objective.caption_weight=1", "optimizer.epochs=3", "optimizer.batch_size=2",
    "run.checkpoint_minutes=0", "run.keep_checkpoints=1",
)  # fmt: skip


def untimed(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in ("time", "videos_per_s")} for row in rows(folder)]


def test_a_killed_run_ends_as_an_uninterrupted_one(tiny: str, videos: Path, tmp_path: Path) -> None:
    config = settings(
        tiny, *HARD, "data.augmentation={crop: random-resized, colour_jitter: 0.3}", "run.max_failed=0",
        train={"manifest": str(videos)},
    )  # fmt: skip
    whole, _ = go(config, tmp_path / "whole")
    # 2 steps an epoch: before any checkpoint, in the middle of an epoch and after its end, twice
    for after in (1, 2, 3, 3):
        killed(config, tmp_path / "parts", after)
    parts, watcher = go(config, tmp_path / "parts")
    assert whole is not None
    assert parts is not None
    assert any("going on after step 5 of 6" in line for line in watcher.notes)
    for name in ("tuned.safetensors", "model/model.safetensors", "original.safetensors"):
        assert equal(load_tensors(tmp_path / "whole" / name), load_tensors(tmp_path / "parts" / name)), name
    a, b = (
        read_checkpoint(path)
        for path in (latest_checkpoint(tmp_path / run / "checkpoints") for run in ("whole", "parts"))
        if path is not None
    )
    assert equal(a.average, b.average)
    assert equal(a.optimizer, b.optimizer)
    assert (a.averaged, b.averaged) == (3, 3)
    assert untimed(tmp_path / "whole") == untimed(tmp_path / "parts")
    assert not equal(last_weights(tmp_path / "whole"), load_tensors(tmp_path / "whole" / "original.safetensors"))


def test_killed_right_after_the_last_batch_of_an_epoch(tiny: str, tmp_path: Path, monkeypatch: Any) -> None:
    config = settings(tiny, "run.checkpoint_minutes=0", "regularization.swa_start=0")
    whole, _ = go(config, tmp_path / "whole")

    def pulled(self: Trainer) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_end_of_epoch", pulled)
        with pytest.raises(KeyboardInterrupt):
            go(config, tmp_path / "parts")
    go(config, tmp_path / "parts")
    assert equal(*(load_tensors(tmp_path / run / "tuned.safetensors") for run in ("whole", "parts")))
    assert untimed(tmp_path / "whole") == untimed(tmp_path / "parts")
    assert whole is not None


def test_a_finished_run_says_so(tiny: str, tmp_path: Path) -> None:
    config = settings(tiny, "run.steps=1")
    go(config, tmp_path / "run")
    result, watcher = go(config, tmp_path / "run")
    assert result is None
    assert any("is finished; its model is" in line and "start over" in line for line in watcher.notes)
    with pytest.raises(UsageError, match=r"holds a run with another optimizer\.lr \(0\.001, now 0\.002\); choose"):
        go(settings(tiny, "run.steps=1", "optimizer.lr=0.002"), tmp_path / "run")
    # what does not change the result may change
    assert go(settings(tiny, "run.steps=1", "run.log_every=7"), tmp_path / "run")[0] is None


def test_a_run_stopped_by_steps(tiny: str, tmp_path: Path) -> None:
    _, watcher = go(settings(tiny, "run.steps=2"), tmp_path / "run")
    assert watcher.steps == 2
    assert watcher.starts == [(2, 0)]
    assert [row["kind"] for row in rows(tmp_path / "run")] == ["train", "train", "epoch"]


def test_weights_of_another_model_are_refused(tiny: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"does not fit the model at 'a'; start over$"):
        load_weights({"a": torch.ones(2)}, {"a": torch.ones(3)})
    with pytest.raises(TrainingError, match=r"does not fit the model at 'a'"):
        load_weights({"a": torch.ones(2)}, {})


@pytest.mark.slow
def test_a_real_kill(tiny: str, videos: Path, tmp_path: Path) -> None:
    config = settings(tiny, *HARD, "optimizer.epochs=20", train={"manifest": str(videos)})
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(config.to_dict()))
    go(config, tmp_path / "whole")
    command = [sys.executable, "-m", "olmv", "train", str(path), "-o", str(tmp_path / "parts")]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        begun = time.monotonic()
        while (found := latest_checkpoint(tmp_path / "parts" / "checkpoints")) is None or found.name < "step_000003":
            assert time.monotonic() - begun < 200
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    assert not (tmp_path / "parts" / "model").exists()
    _, watcher = go(config, tmp_path / "parts")
    assert any("going on after step" in line for line in watcher.notes)
    assert equal(*(load_tensors(tmp_path / run / "tuned.safetensors") for run in ("whole", "parts")))
    assert untimed(tmp_path / "whole") == untimed(tmp_path / "parts")


def test_failures_before_a_kill_count_after_it(tiny: str, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "videos", bad=range(6))
    config = settings(
        tiny,
        "run.max_failed=0.4",
        "optimizer.batch_size=1",
        "run.checkpoint_minutes=0",
        train={"manifest": str(manifest)},
    )
    killed(config, tmp_path / "run", 2)
    with pytest.raises(TrainingError, match=r"3 of 3 videos failed, .*\.mp4: "):
        go(config, tmp_path / "run")
