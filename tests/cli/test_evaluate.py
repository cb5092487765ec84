"""`olmv evaluate`: a protocol measured, a result folder to look at, two of them compared."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.layouts import ucf101, ucf_name

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def manifest(here: Path) -> str:
    rows = ["video,labels", "clips/0.mp4,dog", "clips/1.mp4,rain;dog", "clips/2.mp4,guitar", "clips/3.mp4,"]
    (here / "truth.csv").write_text("\n".join(rows) + "\n")
    return "truth.csv"


def test_a_manifest(olmv: Run, model: str, manifest: str, here: Path) -> None:
    code, out, err = olmv("evaluate", "manifest", "--data", manifest, "--model", model, "-o", "out", "--workers", "0")
    assert code == 0, err
    assert "mAP (macro)" in out
    assert "wrote out/index.html" in err
    result = json.loads((here / "out" / "result.json").read_text())
    assert result["format"] == "olmv-result/1"
    assert result["counts"] == {"videos": 4, "failed": 0, "labels": 3}
    assert result["settings"]["views"] == "uniform"
    assert result["settings"]["frames"] == 8
    assert np.load(here / "out" / "scores.npy").shape == (4, 1, 3)
    rows = [json.loads(line) for line in (here / "out" / "videos.jsonl").read_text().splitlines()]
    assert rows[1]["truth"] == ["rain", "dog"] or rows[1]["truth"] == ["dog", "rain"]
    assert (here / "out" / "labels.csv").read_text().splitlines()[0].startswith("label,group,support")
    page = (here / "out" / "index.html").read_text()
    assert "data:image/png" in page
    assert "bicubic" not in page or "the model" in page
    again = olmv("evaluate", "manifest", "--data", manifest, "--model", model, "-o", "out", "--workers", "0")
    assert "4 of 4 videos were done before" in again[2]
    assert again[1] == out
    code, _, err = olmv("evaluate", "manifest", "--data", manifest, "--model", model, "-o", "out", "--frames", "4")
    assert code == 2
    assert "out/videos.jsonl was made with other settings (frames: 8 before, 4 now" in err


def test_an_action_data_set_with_open_vclips_views(olmv: Run, model: str, here: Path) -> None:
    ucf101(here / "ucf")
    for path in (here / "ucf").rglob("*.avi"):
        path.unlink()
        path.symlink_to(here / "clips" / f"{len(path.name) % 5}.mp4")
    arguments = ("evaluate", "ucf101-ep3", "--data", "ucf", "--model", model, "--views", "openvclip", "-o", "ep3")
    code, out, err = olmv(*arguments, "--workers", "0", "--frames", "2")
    assert code == 0, err
    result = json.loads((here / "ep3" / "result.json").read_text())
    assert len(result["splits"]) == 3
    assert "top1_std" in result["metrics"]
    assert result["settings"]["templates"] == "open-vclip"
    assert result["settings"]["frame pooling"] == "logits"
    assert np.load(here / "ep3" / "scores.npy").shape[1] == 3
    assert "+-" in out


def test_few_shot_writes_what_to_train_on(olmv: Run, model: str, here: Path) -> None:
    ucf101(here / "ucf")
    for path in (here / "ucf").rglob("*.avi"):
        path.unlink()
        path.symlink_to(here / "clips" / "0.mp4")
    arguments = ("evaluate", "ucf101-few-shot", "--data", "ucf", "--model", model, "--shots", "2", "-o", "few")
    code, _, err = olmv(*arguments, "--workers", "0", "--frames", "1")
    assert code == 0, err
    assert "the videos to fine-tune on are in few/train.jsonl" in err
    rows = [json.loads(line) for line in (here / "few" / "train.jsonl").read_text().splitlines()]
    classes = {row["labels"][0] for row in rows}
    assert len(rows) == 2 * len(classes)
    assert ucf_name("x", 1).endswith(".avi")


def test_predictions_beside_a_manifest(olmv: Run, model: str, manifest: str, here: Path) -> None:
    code, _, err = olmv(
        "predict", "clips", "-l", "dog,rain,guitar", "--model", model, "-o", "rows.jsonl", "--workers", "0"
    )
    assert code == 0, err
    code, _, err = olmv("evaluate", "predictions", "--data", "rows.jsonl", "--truth", manifest, "-o", "out")
    assert code == 0, err
    assert "1 predicted videos are not in the truth: clips/4.mp4" in err
    arguments = ("evaluate", "manifest", "--data", manifest, "--labels", "dog,rain,guitar", "--model", model)
    code, _, err = olmv(*arguments, "-o", "straight", "--workers", "0")
    assert code == 0, err
    mine, other = (json.loads((here / name / "result.json").read_text())["metrics"] for name in ("out", "straight"))
    assert mine["macro_map"] == pytest.approx(other["macro_map"], abs=1e-4)
    assert mine["micro_f1"] == pytest.approx(other["micro_f1"], abs=1e-4)


def test_compare(olmv: Run, model: str, manifest: str, here: Path) -> None:
    for name, frames in (("a", "2"), ("b", "4")):
        arguments = ("evaluate", "manifest", "--data", manifest, "--model", model, "-o", name, "--frames", frames)
        code, _, err = olmv(*arguments, "--workers", "0", "--quiet")
        assert code == 0, err
    code, out, err = olmv("evaluate", "--compare", "a", "b", "-o", "both")
    assert code == 0, err
    assert "mAP (macro)" in out
    assert "frames" in out
    assert (here / "both" / "index.html").is_file()


def test_a_failed_video_costs_one_row(olmv: Run, model: str, manifest: str, here: Path) -> None:
    (here / "broken.mp4").write_bytes(b"nothing")
    with (here / manifest).open("a") as file:
        file.write("broken.mp4,dog\n")
    arguments = ("evaluate", "manifest", "--data", manifest, "--model", model, "-o", "out", "--workers", "0")
    code, _, err = olmv(*arguments)
    assert code == 1
    assert "1 videos could not be read and are left out; videos.jsonl says why" in err


def test_moji_needs_no_data(olmv: Run, here: Path) -> None:
    code, out, err = olmv("evaluate", "moji", "--model", "olmv-mini", "--clips", "12", "--frames", "4", "-o", "out")
    assert code == 0, err
    assert "mAP (macro) of motion" in out
    result = json.loads((here / "out" / "result.json").read_text())
    assert set(result["groups"]) >= {"seen", "unseen", "scene", "motion"}
    assert result["settings"]["frame pooling"] == "softmax"
    assert "drawings" in (here / "out" / "index.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give a PROTOCOL, such as moji, or --compare A B"),
        (("moji", "--compare", "a", "b"), "not both"),
        (("ucf101-ep",), "no protocol 'ucf101-ep'; choose from ucf101-ep1, ucf101-ep2, ucf101-ep3"),
        (("ucf101-ep2",), "ucf101-ep2 needs its data; name its folder"),
        (("moji", "--views", "xclip"), "moji clips are drawn, not decoded; leave the views out"),
        (("moji", "--views", "best"), "no views 'best'; choose from uniform, openvclip, xclip, xclip-4x3"),
        (("predictions",), "name the rows of olmv predict, and a manifest of what is true of the videos"),
        (("manifest", "--data", "missing.csv"), "missing.csv"),
        (("--compare", "clips", "clips"), "result.json"),
    ],
)
def test_wrong_usage(olmv: Run, here: Path, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = olmv("evaluate", *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_thresholds_are_for_multi_label(olmv: Run, here: Path, model: str) -> None:
    ucf101(here / "ucf")
    (here / "t.json").write_text('{"format": "olmv-thresholds/1", "labels": {"dog": {"threshold": 0.2}}}')
    code, _, err = olmv("evaluate", "ucf101-ep2", "--data", "ucf", "--thresholds", "t.json", "--model", model)
    assert code == 2
    assert "ucf101-ep2 has one true label a video; thresholds are for multi-label protocols" in err
