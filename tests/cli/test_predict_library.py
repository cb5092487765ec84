"""`olmv predict LIBRARY`: the rows that decoding gives, without any file."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from olmv.io.curves import CurveFile
from olmv.models.registry import load_model
from tests.cli.libraries import WINDOWED, assert_same, library, rows, timed_library
from tests.support.libraries import SETTINGS, clip_library, vector_library
from tests.support.report_page import ReportPage

__all__ = ["library", "timed_library"]

Run = Callable[..., tuple[int, str, str]]
Decoded = Callable[..., list[dict[str, Any]]]

LABELS = ("--labels", "dog, guitar, rain")


@pytest.fixture
def decoded(olmv: Run, model: str) -> Decoded:
    """The rows that predict makes of the files."""

    def run(*arguments: str) -> list[dict[str, Any]]:
        common = ("--model", model, "--dtype", "float32", "--workers", "0", "-q", "-o", "decoded.jsonl")
        assert olmv("predict", "videos.jsonl", *arguments, *common)[0] == 1  # one of them is no video
        return rows("decoded.jsonl")

    return run


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--single-label", "--top-k", "2"),
        ("--explain", "--pooling", "max", "--frame-pooling", "max", "--threshold", "0.4"),
        ("--templates", "a clip of {}."),
    ],
)
def test_as_decoding_gives(olmv: Run, decoded: Decoded, library: str, options: tuple[str, ...]) -> None:
    expected = decoded(*LABELS, *options)
    assert olmv("predict", library, *LABELS, *options, "-q", "-o", "x.jsonl")[0] == 1
    assert [row["status"] for row in expected] == ["ok", "ok", "error", "ok"]
    for one, other in zip(rows("x.jsonl"), expected, strict=True):
        assert_same(one, other)


def test_over_time(olmv: Run, decoded: Decoded, timed_library: str) -> None:
    expected = decoded(*LABELS, *WINDOWED, "--single-label", "--threshold", "0.3")
    # the library knows its own windows
    timed = ("--timeline", "--single-label", "--threshold", "0.3")
    assert olmv("predict", timed_library, *LABELS, *timed, "-q", "-o", "x.jsonl")[0] == 1
    assert any(row["segments"] for row in expected if row["status"] == "ok")
    for one, other in zip(rows("x.jsonl"), expected, strict=True):
        assert_same(one, other)
    ours, theirs = CurveFile("x.jsonl.curves.parquet"), CurveFile("decoded.jsonl.curves.parquet")
    assert [*ours] == [*theirs]
    for video in ours:
        mine, other_curve = ours.get(video), theirs.get(video)
        assert mine is not None
        assert other_curve is not None
        np.testing.assert_allclose(mine.probability, other_curve.probability, atol=1e-3)
    # other windows of the same frames
    longer = ("--timeline", "--window", "1s", "--step", "500ms", "--join", "2s", "--least", "100ms")
    expected = decoded(*LABELS, *longer, "--every", "0.0625", "--no-resume")
    assert olmv("predict", timed_library, *LABELS, *longer, "-q", "-o", "y.jsonl")[0] == 1
    for one, other in zip(rows("y.jsonl"), expected, strict=True):
        assert_same(one, other)


def test_thresholds_and_attributes(olmv: Run, decoded: Decoded, library: str, here: Path) -> None:
    scaling = {"kind": "platt", "slope": 1.5, "offset": -0.5}
    labels = {"dog": {"threshold": 0.4, "scaling": scaling}, "rain": {"threshold": 0.6}}
    (here / "t.json").write_text(json.dumps({"format": "olmv-thresholds/1", "model": None, "labels": labels}))
    described = {"dog": {"attributes": ["a wagging tail", "fur"]}}
    (here / "book.json").write_text(json.dumps({"format": "olmv-attributes/1", "labels": described}))
    book = ("--attributes", "book.json")
    expected = decoded(*LABELS, "--thresholds", "t.json", *book)
    assert olmv("predict", library, *LABELS, "--thresholds", "t.json", *book, "-q", "-o", "x.jsonl")[0] == 1
    for one, other in zip(rows("x.jsonl"), expected, strict=True):
        assert_same(one, other)


def test_the_files_may_be_gone(olmv: Run, here: Path, model: str) -> None:
    shutil.copytree((here / "clips").resolve(), here / "films")
    paths = [f"films/{seed}.mp4" for seed in range(3)]
    clip_library(here / "library", load_model(model, dtype="float32"), paths)
    shutil.rmtree(here / "films")
    assert olmv("predict", "library", *LABELS, "-q", "-o", "x.jsonl", "-r", "x.html")[0] == 0
    assert [row["video"] for row in rows("x.jsonl")] == paths
    assert sum(len(detail["jpegs"]) for detail in ReportPage(here / "x.html").details) >= 3
    # rows that are there already get their pictures from the library too
    assert olmv("predict", "library", *LABELS, "-q", "-o", "x.jsonl", "-r", "y.html")[0] == 0
    assert sum(len(detail["jpegs"]) for detail in ReportPage(here / "y.html").details) >= 3


def test_files_of_every_kind(olmv: Run, library: str, timed_library: str, here: Path) -> None:
    for name in ("x.csv", "x.parquet", "x.xlsx"):
        assert olmv("predict", library, *LABELS, "-q", "-o", name)[0] == 1
    assert {line["label"] for line in pq.read_table("x.parquet").to_pylist()} == {"dog", "guitar", "rain", None}
    assert olmv("predict", library, *LABELS, "-q", "-o", "w.csv", "--wide")[0] == 1
    assert Path("w.csv").read_text(encoding="utf-8-sig").startswith("video,status,error,positive,dog,guitar,rain")
    timed = ("--timeline", "--threshold", "0")
    for name in ("{}.srt", "{}.thumbnails.vtt", "x.labelstudio.json", "x.fiftyone.json", "{}.edl", "s.csv"):
        assert olmv("predict", timed_library, *LABELS, *timed, "-q", "-o", name)[0] == 1, name
    assert "-->" in (here / "0.srt").read_text()
    assert (here / "0.thumbnails.jpg").stat().st_size > 100
    assert (here / "s.csv").read_text().startswith("video,label,start_s,end_s")


def test_a_run_that_was_stopped_goes_on(olmv: Run, library: str) -> None:
    assert olmv("predict", library, *LABELS, "-q", "-o", "x.jsonl")[0] == 1
    whole = Path("x.jsonl").read_bytes()
    Path("x.jsonl").write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    code, _, err = olmv("predict", library, *LABELS, "-o", "x.jsonl")
    assert code == 1
    assert "2 from before" in err
    assert Path("x.jsonl").read_bytes() == whole


def test_rows_of_files_and_of_a_library_stay_apart(olmv: Run, decoded: Decoded, library: str) -> None:
    decoded(*LABELS)
    code, _, err = olmv("predict", library, *LABELS, "-o", "decoded.jsonl")
    assert code == 2
    assert "decoded.jsonl was made with other settings (library: none before, " in err


def test_several_libraries(olmv: Run, library: str, timed_library: str, here: Path, model: str) -> None:
    clip_library(here / "more", load_model(model, dtype="float32"), ["clips/2.mp4", "clips/3.mp4"])
    assert olmv("predict", library, "more", *LABELS, "-q", "-o", "x.jsonl")[0] == 1
    assert [row["video"] for row in rows("x.jsonl")] == [
        "clips/0.mp4", "clips/1.mp4", "bad.mp4", "clips/2.mp4", "clips/3.mp4",
    ]  # fmt: skip
    for both in ((library, timed_library), (timed_library, library)):
        code, _, err = olmv("predict", *both, *LABELS)
        message = f"{timed_library} was made with a timeline and {library} without one; take one after the other"
        assert (code, err) == (2, f"olmv: {message}\n")


MADE = "library was made with a frame each 2 s, at least 8, at most 512 (uniform), not with "
INTO = "; leave it out, or index the videos so into another library"
OTHER = "library has the embeddings of MODEL in float32, not of "


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--frames", "16"), f"{MADE}frames 16{INTO} (--frames)"),
        (("--every", "1s"), f"{MADE}every_s 1{INTO} (--every)"),
        (("--max-frames", "8"), f"{MADE}max_frames 8{INTO} (--max-frames)"),
        (("--sampling", "adaptive"), f"{MADE}sampling adaptive{INTO} (--sampling)"),
        (
            ("--timeline",),
            "library was made without a timeline; index the videos with one into another library (--timeline)",
        ),
        (
            ("--model", "olmv-mini"),
            f"{OTHER}olmv-mini in float32; choose that model, or leave it out (--model, --dtype, --runtime)",
        ),
        (
            ("--dtype", "bfloat16"),
            f"{OTHER}MODEL in bfloat16; choose that model, or leave it out (--model, --dtype, --runtime)",
        ),
        (("--model", "nonsense"), "no model is called 'nonsense'"),
    ],
)
def test_what_contradicts_a_library(
    olmv: Run, library: str, model: str, arguments: tuple[str, ...], message: str
) -> None:
    code, _, err = olmv("predict", library, *LABELS, *arguments)
    assert code == 2
    assert message.replace("MODEL", model) in err
    assert err.count("\n") == 1


def test_what_agrees_is_fine(olmv: Run, library: str, model: str) -> None:
    same = ("--every", "2s", "--max-frames", "512", "--sampling", "uniform", "--model", model, "--dtype", "float32")
    assert olmv("predict", library, *LABELS, *same, "--workers", "3", "--decoder", "pyav", "-q")[0] == 1


def test_windows_that_are_not_there(olmv: Run, timed_library: str) -> None:
    code, _, err = olmv("predict", timed_library, *LABELS, "--timeline", "--window", "0.02s", "--step", "0.01s")
    message = "timed has a frame each 0.0625 s, which leaves windows of 0.02 s empty; take longer windows (--window)"
    assert (code, err) == (2, f"olmv: {message}\n")


def test_what_is_wrong_with_a_library_is_told(olmv: Run, library: str, here: Path, model: str) -> None:
    def line(*arguments: str) -> str:
        code, out, err = olmv("predict", *arguments)
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        return err

    assert "library is a library and clips is none; take one after the other" in line(library, "clips", *LABELS)
    assert "name the labels that are looked for: a file, or dog, guitar, rain (--labels)" in line(library)
    vector_library(here / "empty", {}, settings=SETTINGS)
    assert "empty has no videos; index some" in line("empty", *LABELS)
    vectors = {"a.mp4": np.eye(2, 8)}
    vector_library(here / "other", vectors, settings=SETTINGS)
    assert "other has the embeddings of olmv-mini in float32 with other weights, or in another runtime" in line(
        "other", *LABELS
    )
    fragment = here / "library" / "fragments"
    rows_file = next(fragment.glob("*/rows.arrow"))
    content = bytearray(rows_file.read_bytes())
    content[len(content) // 2] ^= 1
    rows_file.write_bytes(content)
    told = line(library, *LABELS, "-o", "x.jsonl")
    assert "is damaged: rows.arrow is not as it was written (its digest differs)" in told
    assert not Path("x.jsonl").exists()
