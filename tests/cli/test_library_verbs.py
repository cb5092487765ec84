"""`olmv evaluate`, `calibrate` and `caption` over a library: what decoding gives, without any file."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.cli.libraries import WINDOWED, library, rows, timed_library

__all__ = ["library", "timed_library"]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def truth(here: Path) -> str:
    lines = ["video,labels", "clips/0.mp4,dog", "clips/1.mp4,rain;dog", "clips/2.mp4,guitar", "bad.mp4,dog"]
    (here / "truth.csv").write_text("\n".join(lines) + "\n")
    return "truth.csv"


@pytest.fixture
def when(here: Path) -> str:
    lines = ["video,label,start_s,end_s", "clips/0.mp4,dog,0,1", "clips/1.mp4,rain,0.5,2", "clips/2.mp4,dog,0,2"]
    (here / "when.csv").write_text("\n".join(lines) + "\n")
    return "when.csv"


def metrics(folder: str) -> dict[str, float]:
    result: dict[str, float] = json.loads(Path(folder, "result.json").read_text())["metrics"]
    return {name: value for name, value in result.items() if value is not None}


def same(one: dict[str, float], other: dict[str, float]) -> bool:
    return one.keys() == other.keys() and all(
        value == pytest.approx(other[name], abs=1e-3, nan_ok=True) for name, value in one.items()
    )


def test_figures(olmv: Run, library: str, truth: str, model: str) -> None:
    plain = ("--model", model, "--dtype", "float32", "--workers", "0", "-q")
    assert olmv("evaluate", "manifest", "-d", truth, *plain, "-o", "decoded")[0] == 1
    code, _, err = olmv("evaluate", "manifest", "-d", truth, "--library", library, "-o", "stored")
    assert code == 1
    assert "1 videos could not be read and are left out" in err
    assert same(metrics("stored"), metrics("decoded"))
    np.testing.assert_allclose(np.load("stored/scores.npy"), np.load("decoded/scores.npy"), atol=1e-2)
    for one, other in zip(rows("stored/videos.jsonl"), rows("decoded/videos.jsonl"), strict=True):
        assert one == other
    settings = json.loads(Path("stored/result.json").read_text())["settings"]
    assert settings["library"] == "library"
    assert settings["sampling"] == "a frame each 2 s, at least 8, at most 512 (uniform)"
    # the same again takes the scores that are there, and those of files are others
    assert (
        "4 of 4 videos were done before"
        in olmv("evaluate", "manifest", "-d", truth, "--library", library, "-o", "stored")[2]
    )
    assert (
        "was made with other settings"
        in olmv("evaluate", "manifest", "-d", truth, "--library", library, "-o", "decoded")[2]
    )


def test_a_video_that_is_not_there_is_an_error(olmv: Run, library: str, here: Path) -> None:
    (here / "more.csv").write_text("video,labels\nclips/0.mp4,dog\nclips/1.mp4,rain\nclips/4.mp4,dog\n")
    assert olmv("evaluate", "manifest", "-d", "more.csv", "--library", library, "-o", "out", "-q")[0] == 1
    failed = rows("out/videos.jsonl")[2]
    assert failed["error"] == {"type": "NotAVideoError", "message": "clips/4.mp4: is not in library; index it"}


def test_figures_over_time(olmv: Run, timed_library: str, when: str, model: str) -> None:
    assert olmv("evaluate", "timed", "-d", when, "--library", timed_library, "-o", "stored")[0] == 0
    predicted = ("predict", "clips", "-l", "dog, rain", "-m", model, "--dtype", "float32", "--workers", "0", "-q")
    assert olmv(*predicted, *WINDOWED, "-o", "rows.jsonl")[0] == 0
    assert olmv("evaluate", "timed", "-d", "rows.jsonl", "--truth", when, "-o", "decoded")[0] == 0
    assert same(metrics("stored"), metrics("decoded"))


def test_thresholds(olmv: Run, library: str, truth: str, model: str) -> None:
    predicted = ("predict", "videos.jsonl", "-l", "dog, rain, guitar", "-m", model, "--dtype", "float32")
    assert olmv(*predicted, "--workers", "0", "-q", "-o", "rows.jsonl")[0] == 1
    code, _, err = olmv("calibrate", "rows.jsonl", "--truth", truth, "-o", "decoded.json")
    assert code == 0, err
    code, _, err = olmv("calibrate", library, "--truth", truth, "-o", "stored.json", "--page", "p.html")
    assert code == 0, err
    assert "1 videos whose prediction failed: 'bad.mp4'" in err
    one, two = (json.loads(Path(name).read_text()) for name in ("stored.json", "decoded.json"))
    assert one["model"] == two["model"]
    assert one["settings"] == two["settings"]
    assert one["vocabulary_sha256"] == two["vocabulary_sha256"]
    for label, entry in two["labels"].items():
        assert one["labels"][label]["threshold"] == pytest.approx(entry["threshold"], abs=1e-3)
    assert olmv("predict", library, "-l", "dog, rain, guitar", "--thresholds", "stored.json", "-q")[0] == 1


def test_thresholds_over_time(olmv: Run, timed_library: str, when: str) -> None:
    events = ("--truth", when, "--objective", "event-f1", "--min-support", "1")
    code, _, err = olmv("calibrate", timed_library, *events, "-o", "stored.json")
    assert code == 0, err
    entry = json.loads(Path("stored.json").read_text())["labels"]["dog"]
    assert entry["leave"] <= entry["threshold"]
    settings = json.loads(Path("stored.json").read_text())["settings"]
    assert (settings["window"], settings["step"]) == (0.5, 0.25)


def test_captions(olmv: Run, library: str, model: str, here: Path) -> None:
    (here / "labels.csv").write_text("label,threshold\na dog,0\nrain,0\n")
    told = ("--captioner", f"labels:{model}", "--labels", "labels.csv", "-q")
    decoded = ("--frames", "8", "--dtype", "float32", "--workers", "0")
    assert olmv("caption", "videos.jsonl", *told, *decoded, "-o", "decoded.jsonl")[0] == 1
    assert olmv("caption", library, *told, "-o", "stored.jsonl")[0] == 1
    for one, other in zip(rows("stored.jsonl"), rows("decoded.jsonl"), strict=True):
        assert one.pop("similarity") == pytest.approx(other.pop("similarity"), abs=1e-3)
        assert one == other
    assert rows("stored.jsonl")[0]["caption"].startswith("The video shows ")


def test_what_goes_wrong_is_one_line(
    olmv: Run, library: str, timed_library: str, truth: str, when: str, model: str
) -> None:
    def line(*arguments: str) -> str:
        code, out, err = olmv(*arguments)
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        return err

    manifest = ("evaluate", "manifest", "-d", truth, "--library", library, "-o", "out")
    assert "library has the embeddings of " in line(*manifest, "--model", "olmv-mini")
    assert "library has one look at a video, not the views 'xclip'; leave them out (--views)" in line(
        *manifest, "--views", "xclip"
    )
    assert "not with frames 4; leave it out" in line(*manifest, "--frames", "4")
    assert "moji has no videos that a library could have" in line("evaluate", "moji", "--library", library)
    assert "clips is no library: it has no library.json; make one with olmv index" in line(
        "evaluate", "manifest", "-d", truth, "--library", "clips"
    )
    assert "library was made without a timeline" in line("evaluate", "timed", "-d", when, "--library", library)
    assert "library is a library, which is calibrated with the labels of a truth: add it" in line(
        "calibrate", library, "-o", "t.json"
    )
    assert "library was made without a timeline" in line(
        "calibrate", library, "--truth", when, "--objective", "event-f1", "-o", "t.json"
    )
    Path("nothing.csv").write_text("video,labels\nclips/0.mp4,\n")
    assert "nothing.csv names no label that is true of a video" in line(
        "calibrate", library, "--truth", "nothing.csv", "-o", "t.json"
    )
    Path("elsewhere").mkdir()
    Path("elsewhere/moved.csv").write_text("video,labels\nclips/0.mp4,dog\n")
    assert "library has none of the 1 videos of elsewhere/moved.csv; its paths count from the folder" in line(
        "calibrate", library, "--truth", "elsewhere/moved.csv", "-o", "t.json"
    )
    assert "library is a library, which keeps no pixels for hf:x; name a captioner labels:MODEL" in line(
        "caption", library, "--captioner", "hf:x", "-o", "c.jsonl"
    )
    labels = ("--captioner", f"labels:{model}", "--labels", "dog", "-o", "c.jsonl")
    assert "not with frames 4; leave it out" in line("caption", library, *labels, "--frames", "4")
    assert "library is a library and clips is none; take one after the other" in line(
        "caption", library, "clips", *labels
    )
