"""`olmv models convert`."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import torch

from olmv.models.convert.convert import convert as convert_file
from tests.models.published import clip_state, write_authors_xclip, write_clip, write_hf_xclip, write_swa


def test_open_vclip(olmv: Any, here: Path) -> None:
    write_swa(here / "swa_2_22.pth", clip_state(seed=1))
    original = write_clip(here / "original", clip_state())
    arguments = ("models", "convert", "swa_2_22.pth", "-o", "my model", "--ratio", "0.25", "--original", original)
    code, out, err = olmv(*arguments)
    assert (code, out) == (0, "")
    assert err.splitlines() == [
        f"recognised as Open-VCLIP; {len(clip_state())} tensors checked",
        "architecture ViT of 128x2, patch 16",
        f"ratio 0.25 (as asked), original {original}",
        "wrote my model",
        "next: olmv predict clips/ --labels \"dog, guitar\" --model 'my model'",
    ]
    code, _, err = olmv(*arguments)
    assert code == 2
    assert err == "olmv: 'my model' is not empty; choose a new folder (--output)\n"


def test_quiet(olmv: Any, here: Path) -> None:
    write_swa(here / "x.pth", clip_state())
    assert olmv("models", "convert", "x.pth", "-o", "out", "--ratio", "0", "--quiet") == (0, "", "")


def test_x_clip(olmv: Any, here: Path) -> None:
    write_authors_xclip(here / "k400.pth")
    code, _, err = olmv("models", "convert", "k400.pth", "-o", "out")
    assert code == 0
    assert "recognised as X-CLIP of its authors" in err
    assert "made for 5 frames" in err
    assert "ratio" not in err


def test_the_examples_run(olmv: Any, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_hf_xclip(here / "hf", pickled=True)
    for file in (here / "hf").iterdir():
        file.rename(here / file.name)
    write_swa(here / "swa_2_22.pth", clip_state(seed=1))
    # the tiny model has no published ratio
    monkeypatch.setattr("olmv.models.convert.openvclip.RATIOS", {"ViT of 128x2, patch 16": 0.0})
    _, out, _ = olmv("models", "convert", "--help")
    examples = [shlex.split(line) for line in out.partition("Examples:")[2].splitlines() if " olmv " in f" {line}"]
    assert len(examples) == 2
    for words in examples:
        code, _, err = olmv(*words[1:])
        assert code == 0, err
        assert (here / words[-1] / "config.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x.pth"], "Missing option '--output'"),
        (["x.pth", "-o", "out"], "cannot read x.pth: No such file or directory; check the path"),
        (["page.pth", "-o", "out"], "page.pth is a web page and no checkpoint"),
        (["other.pth", "-o", "out"], "other.pth is no checkpoint that olmv knows (its names begin 'a\\nb')"),
        (["page.pth", "-o", "out", "--ratio", "2"], "Invalid value for '--ratio'"),
        (["page.pth", "-o", "out", "--ratio", "nan"], "Invalid value for '--ratio'"),
    ],
)
def test_wrong_usage_is_one_line(olmv: Any, here: Path, arguments: list[str], message: str) -> None:
    (here / "page.pth").write_text("<!DOCTYPE html><title>Google Drive")
    torch.save({"a\nb": 1}, here / "other.pth")
    code, out, err = olmv("models", "convert", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not (here / "out").exists()


def test_the_command_is_the_library(here: Path, olmv: Any) -> None:
    write_swa(here / "x.pth", clip_state())
    convert_file(here / "x.pth", here / "a", ratio=0)
    assert olmv("models", "convert", "x.pth", "-o", "b", "--ratio", "0")[0] == 0
    for name in ("config.json", "model.safetensors", "README.md", "preprocess.json", "open_clip_config.json"):
        assert (here / "a" / name).read_bytes() == (here / "b" / name).read_bytes()
