"""Options of predict from a file."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml


def test_a_file_gives_options_and_the_command_line_wins(olmv: Any, here: Path, model: str) -> None:
    Path("olmv.yaml").write_text(
        f"labels: [dog, 'salt, pepper']\nmodel: {model}\nworkers: 0\nmulti-label: false\ntop-k: 1\nthreshold: 0.25\n"
        "sampling: dense\nframe_pooling: max\nquiet: true\n"
    )
    code, out, err = olmv("predict", "clips/0.mp4", "--config", "olmv.yaml", "-o", "-", "--top-k", "2")
    assert (code, err) == (0, "")
    row = json.loads(out)
    assert sorted(label["label"] for label in row["labels"]) == ["dog", "salt, pepper"]
    assert abs(sum(label["probability"] for label in row["labels"]) - 1) < 1e-4
    assert {label["threshold"] for label in row["labels"]} == {0.25}


def test_show_tells_every_option_and_where_it_comes_from(olmv: Any, here: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("OLMV_MODEL", "olmv-mini")
    Path("olmv.yaml").write_text("labels: labels.txt\ntop-k: 3\n")
    code, out, _ = olmv("config", "show", "--config", "olmv.yaml")
    assert code == 0
    assert "labels: labels.txt  # olmv.yaml\n" in out
    assert "top-k: '3'  # olmv.yaml\n" in out
    assert "model: olmv-mini  # OLMV_MODEL\n" in out
    assert "sampling: null  # default\n" in out  # uniform, or what a library has
    assert set(yaml.safe_load(out)) >= {"labels", "top-k", "model", "timeout", "wide"}
    assert "labels: null  # default\n" in olmv("config", "show")[1]
    Path("again.yaml").write_text(out)
    assert olmv("config", "show", "--config", "again.yaml")[0] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle: olmv-mini\n", "olmv.yaml: there is no option 'modle'; did you mean model?"),
        ("zzz: 1\n", "there is no option 'zzz'; see olmv config show"),
        ("- model\n", "olmv.yaml holds no options; write a line each, such as model: olmv-lite"),
        ("model: [a, b]\n", "olmv.yaml: model is a list; give one value"),
        ("model: [\n", "olmv.yaml is not YAML"),
        ("top-k: many\nlabels: dog\n", "Invalid value for '--top-k'"),
    ],
)
def test_a_file_that_cannot_be_used(olmv: Any, here: Path, text: str, message: str) -> None:
    Path("olmv.yaml").write_text(text)
    code, out, err = olmv("predict", "clips/0.mp4", "--config", "olmv.yaml")
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
