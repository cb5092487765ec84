"""The folder of a run: the same run or none, and a log without doubled rows."""

import json
from pathlib import Path

import pytest
import yaml

from olmv.errors import OutputError, UsageError
from olmv.train.config_file import parse_config
from olmv.train.run_folder import MetricsLog, RunFolder

LEAST = {"data": {"train": {"moji": {"seed": 1, "clips": 2}}}}


def test_settings_are_written_with_their_defaults(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a" / "run")
    folder.begin(parse_config(LEAST), device="cpu")
    told = yaml.safe_load((folder.path / "config.yaml").read_text())
    assert told["optimizer"]["batch_size"] == 8
    versions = json.loads((folder.path / "versions.json").read_text())
    assert versions["device"] == "cpu"
    assert versions["torch"]
    assert {"python", "olmv", "git"} <= set(versions)
    assert not folder.finished


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("optimizer.lr=0.5", r"optimizer\.lr \(3\.33e-06, now 0\.5\)"),
        ("data.train.moji.clips=3", r"data\.train\.moji\.clips \(2, now 3\)"),
        ("data.validation.seen={moji: {seed: 1, clips: 1}}", r"data\.validation\.seen "),
        ("data.train={manifest: a.csv}", r"data\.train\.manifest \(None, now a\.csv\)"),
    ],
)
def test_another_run_is_refused(override: str, told: str, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.begin(parse_config(LEAST), device="cpu")
    with pytest.raises(UsageError, match=f"holds a run with another {told}.*; choose another folder, or start"):
        folder.begin(parse_config(LEAST, [override]), device="cpu")
    free = ["run.checkpoint_minutes=1", "run.keep_checkpoints=9", "run.log_every=3", "data.workers=1"]
    folder.begin(parse_config(LEAST, free), device="cpu")


def test_folders_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot make the folder '.*file': .*; choose another$"):
        RunFolder(tmp_path / "file")
    (tmp_path / "model").mkdir()
    with pytest.raises(UsageError, match=r"holds checkpoints or a model but no config\.yaml of a run; choose another"):
        RunFolder(tmp_path).begin(parse_config(LEAST), device="cpu")


def test_starting_over_deletes_what_a_run_wrote_and_nothing_else(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "curve.png").write_text("mine")
    folder.clear()  # no run was here
    assert {path.name for path in tmp_path.iterdir()} == {"model", "curve.png"}
    (tmp_path / "model").rmdir()
    folder.begin(parse_config(LEAST), device="cpu")
    for name in ("checkpoints", "tensorboard", "model", "notes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("")
    for name in (
        "metrics.jsonl",
        "original.safetensors",
        "tuned.safetensors",
        "curve.json",
        "history.json",
        "diverged.json",
        "my.txt",
        "labels.csv",
    ):
        (tmp_path / name).write_text("")
    folder.clear()
    assert {path.name for path in tmp_path.iterdir()} == {"notes", "my.txt", "labels.csv"}


def test_rows_after_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    log = MetricsLog(folder, step=0)
    for step in (1, 2, 3):
        log.write("train", step, {"loss": 0.5})
    log.close()
    with folder.metrics.open("a") as file:
        file.write('{"kind": "train", "st')  # torn by the kill
    log = MetricsLog(folder, step=2)
    log.write("train", 3, {"loss": 0.25, "note": "text stays out of TensorBoard"})
    log.close()
    rows = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    assert [(row["step"], row["loss"]) for row in rows] == [(1, 0.5), (2, 0.5), (3, 0.25)]
    assert list((tmp_path / "tensorboard").iterdir())
