"""`olmv train`: a config by name or file, settings on the command line, one line where it goes wrong."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.train.runs import save_tiny, settings

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def config(here: Path) -> str:
    values = settings(save_tiny(here / "tiny"), "run.steps=2").to_dict()
    del values["run"]["steps"]
    (here / "mine.yaml").write_text(yaml.safe_dump(values | {"smoke": {"run.steps": 1, "optimizer.lr": "1e-4"}}))
    return "mine.yaml"


def test_a_run(olmv: Run, config: str, here: Path) -> None:
    code, out, err = olmv("train", config, "--set", "run.steps=1", "--set", "optimizer.lr=2e-4", "-o", "out")
    assert (code, out) == (0, "")
    assert "training on cpu (" in err
    assert "12 training videos" in err
    assert "wrote out/model; try: olmv predict VIDEOS --labels LABELS --model out/model" in err
    assert yaml.safe_load((here / "out" / "config.yaml").read_text())["optimizer"]["lr"] == 2e-4
    code, out, _ = olmv("models", "info", "out/model")
    assert code == 0
    code, out, err = olmv("predict", "clips/0.mp4", "-l", "dog", "--model", "out/model", "-o", "rows.jsonl", "--quiet")
    assert code == 0, err
    assert json.loads((here / "rows.jsonl").read_text())["status"] == "ok"
    code, _, err = olmv("train", config, "--set", "run.steps=1", "--set", "optimizer.lr=2e-4", "-o", "out")
    assert code == 0
    assert "is finished; its model is out/model; to train anew, start over" in err
    code, out, err = olmv("train", config, "--set", "run.steps=1", "-o", "out", "--no-resume", "--quiet")
    assert (code, out, err) == (0, "", "")
    assert (here / "out" / "model" / "config.json").is_file()


def test_labels_are_added_to_a_run(olmv: Run, config: str, here: Path) -> None:
    code, _, err = olmv("train", config, "--from", "nowhere", "-o", "b")
    assert code == 2
    assert err == "olmv: 'nowhere' is no run folder; name one that a training run has written (--from)\n"
    assert olmv("train", config, "--set", "run.steps=1", "-o", "a", "--quiet")[0] == 0
    objects = "data.train.moji.objects=seen[3:6]"
    code, _, err = olmv("train", config, "--from", "a", "--set", objects, "--set", "continual.replay=4", "-o", "b")
    assert code == 0, err
    assert "16 training videos" in err
    assert [len(run["labels"]) for run in json.loads((here / "b" / "history.json").read_text())["runs"]] == [17, 17]
    code, _, err = olmv("train", config, "--from", "a", "-o", "c")
    assert code == 2
    assert "so it adds none; to train them further set model.name=a/model and leave continual out" in err


def test_smoke_has_a_folder_of_its_own(olmv: Run, config: str, here: Path) -> None:
    code, _, err = olmv("train", config, "--smoke")
    assert code == 0, err
    assert (here / "runs" / "mine_smoke" / "model" / "config.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "no config file or shipped config is called 'nothing'; there are"),
        (["missing.yaml"], "no such file: missing.yaml"),
        (["mine.yaml", "--set", "optimizer.epoch=1"], "unknown key 'optimizer.epoch'; did you mean 'epochs'?"),
        (
            ["mine.yaml", "--set", "optimizer.epochs"],
            "the override 'optimizer.epochs' is not key=value; write for example",
        ),
        (
            ["mine.yaml", "--set", "optimizer.epochs=0"],
            "'optimizer.epochs': input should be greater than or equal to 1",
        ),
        (["mine.yaml", "--set", "model.name=olmv-mimi"], "olmv-mimi"),
        (["mine.yaml", "--set", "data.train={manifest: no.csv}"], "no.csv"),
        (["mine.yaml", "-o", "mine.yaml"], "cannot make the folder 'mine.yaml'"),
        (["mine.yaml", "-o", "tiny/model.safetensors/x"], "cannot make the folder"),
        ([], "Missing argument 'CONFIG'; see olmv train --help"),
        (["mine.yaml", "--sett", "a=1"], "No such option"),
    ],
)
def test_wrong_usage_is_one_line(olmv: Run, config: str, arguments: list[str], message: str) -> None:
    code, out, err = olmv("train", *arguments)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("olmv: ")
    assert message in err.splitlines()[-1]


def test_a_training_error_is_one_line(olmv: Run, config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from olmv.train.loss_terms import LABEL_OBJECTIVES

    monkeypatch.setitem(LABEL_OBJECTIVES, "bce", lambda logits, targets: logits.sum() * float("nan"))
    code, out, err = olmv("train", config, "-o", "out", "--quiet")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("olmv: the loss is not a number at step 1; there is no checkpoint yet: lower optimizer.lr")


def test_only_the_first_of_several_processes_talks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from olmv.cli.train import view_of_process

    monkeypatch.setenv("LOCAL_RANK", "1")
    view_of_process(quiet=False).note("something")
    monkeypatch.setenv("LOCAL_RANK", "0")
    view_of_process(quiet=False).note("something else")
    assert capsys.readouterr().err == "something else\n"
