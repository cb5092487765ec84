"""`olmv predict rows.jsonl`: rows are decided anew, without their videos and without a model."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from olmv.io.curves import CurveFile
from tests.cli.libraries import assert_same, library, rows, timed_library
from tests.support.report_page import ReportPage

__all__ = ["library", "timed_library"]

Run = Callable[..., tuple[int, str, str]]

LABELS = ("--labels", "dog, guitar, rain")


@pytest.fixture
def predicted(olmv: Run, library: str) -> str:
    """The rows of a library's videos."""
    assert olmv("predict", library, *LABELS, "-q", "-o", "rows.jsonl")[0] == 1
    return "rows.jsonl"


@pytest.fixture
def timed(olmv: Run, timed_library: str) -> str:
    """The same over time."""
    single = ("--single-label", "--threshold", "0.3")
    assert olmv("predict", timed_library, *LABELS, "--timeline", *single, "-q", "-o", "timed.jsonl")[0] == 1
    return "timed.jsonl"


def thresholds(path: Path, **labels: dict[str, Any]) -> str:
    path.write_text(json.dumps({"format": "olmv-thresholds/1", "model": None, "labels": labels}))
    return path.name


def test_as_if_predicted_so(olmv: Run, predicted: str, library: str) -> None:
    code, out, err = olmv("predict", predicted, "--threshold", "0.3", "-o", "new.jsonl")
    assert code == 1
    assert "bad.mp4\terror: NotAVideoError" in out
    assert "3 videos, 1 failed" in err
    assert olmv("predict", library, *LABELS, "--threshold", "0.3", "-q", "-o", "x.jsonl")[0] == 1
    assert rows("new.jsonl") == rows("x.jsonl")
    settings = json.loads(Path("new.jsonl.run.json").read_text())["settings"]
    assert settings["thresholds"] == [0.3] * 3
    assert settings["decided from"] == "rows.jsonl"
    # again, otherwise: they are decided again, and a second time from them
    assert olmv("predict", predicted, "--threshold", "0.9", "-q", "-o", "new.jsonl")[0] == 1
    assert olmv("predict", "new.jsonl", "--threshold", "0.3", "-q", "-o", "third.jsonl")[0] == 1
    assert rows("third.jsonl") == rows("x.jsonl")
    code, out, _ = olmv("predict", predicted, "--threshold", "0.3", "-q", "-o", "-")
    assert [json.loads(line) for line in out.splitlines()] == rows("x.jsonl")


def test_a_probability_that_is_none(olmv: Run, predicted: str) -> None:
    path = Path(predicted)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    place = next(place for place, row in enumerate(lines) if row["labels"])
    lines[place]["labels"][0]["probability"] = float("nan")
    path.write_text("".join(json.dumps(row) + "\n" for row in lines))
    code, _, err = olmv("predict", predicted, "--threshold", "0.3", "-o", "new.jsonl")
    assert code == 2
    assert f"line {place + 1} is not a prediction (its 'labels.probability' is nan, not a number from 0 to 1)" in err
    assert not Path("new.jsonl").exists()


def test_over_time(olmv: Run, timed: str, timed_library: str) -> None:
    again = ("--threshold", "0.34", "-q")
    assert olmv("predict", timed, *again, "-o", "new.jsonl")[0] == 1
    assert olmv("predict", timed_library, *LABELS, "--timeline", "--single-label", *again, "-o", "x.jsonl")[0] == 1
    for one, other in zip(rows("new.jsonl"), rows("x.jsonl"), strict=True):
        assert_same(one, other, tolerance=1e-6)
    assert [*CurveFile("new.jsonl.curves.parquet")] == [*CurveFile("timed.jsonl.curves.parquet")]
    joined = ("--timeline", "--join", "10s", "--least", "10ms")
    assert olmv("predict", timed, *joined, "--threshold", "0.3", "-q", "-o", "joined.jsonl")[0] == 1
    for row in rows("joined.jsonl"):
        named = [segment["label"] for segment in row.get("segments", ())]
        assert len(named) == len(set(named))
    assert olmv("predict", timed, "--threshold", "0", "-q", "-o", "{}.srt", "-r", "x.html")[0] == 1
    assert "-->" in Path("0.srt").read_text()
    assert any("curve" in detail for detail in ReportPage(Path("x.html")).details)
    assert olmv("predict", timed, "--threshold", "0", "-q", "-o", "w.csv", "--wide")[0] == 1


def test_calibrated(olmv: Run, predicted: str, library: str, here: Path) -> None:
    scaling = {"kind": "platt", "slope": 1.5, "offset": -0.5}
    fitted = thresholds(here / "t.json", dog={"threshold": 0.4, "scaling": scaling}, rain={"threshold": 0.6})
    plain = thresholds(here / "p.json", dog={"threshold": 0.4}, guitar={"threshold": 0.5}, rain={"threshold": 0.6})
    assert olmv("predict", predicted, "--thresholds", fitted, "-q", "-o", "new.jsonl")[0] == 1
    assert olmv("predict", library, *LABELS, "--thresholds", fitted, "-q", "-o", "x.jsonl")[0] == 1
    for one, other in zip(rows("new.jsonl"), rows("x.jsonl"), strict=True):
        assert_same(one, other, tolerance=2e-6)
    # of calibrated rows, a file of thresholds asks for the model's own probabilities again, which their logits tell
    assert olmv("predict", "x.jsonl", "--thresholds", plain, "-q", "-o", "own.jsonl")[0] == 1
    assert olmv("predict", predicted, "--thresholds", plain, "-q", "-o", "y.jsonl")[0] == 1
    for one, other in zip(rows("own.jsonl"), rows("y.jsonl"), strict=True):
        assert_same(one, other, tolerance=2e-6)
    # one threshold is of the probabilities as they stand in the rows
    assert olmv("predict", "x.jsonl", "--threshold", "0.1", "-q", "-o", "z.jsonl")[0] == 1
    shown = [[label["probability"] for label in row["labels"]] for row in rows("z.jsonl")]
    assert shown == [[label["probability"] for label in row["labels"]] for row in rows("x.jsonl")]


def test_a_scaling_cannot_be_undone_without_the_settings(olmv: Run, predicted: str, here: Path) -> None:
    scaling = {"kind": "platt", "slope": 3.0, "offset": -2.0}
    fitted = thresholds(here / "t.json", **{name: {"threshold": 0.4, "scaling": scaling} for name in ("dog", "rain")})
    assert olmv("predict", predicted, "--thresholds", fitted, "-q", "-o", "new.jsonl")[0] == 1
    Path("new.jsonl.run.json").unlink()
    code, _, err = olmv("predict", "new.jsonl", "--thresholds", fitted, "-o", "x.jsonl")
    assert code == 2
    assert "the probabilities of new.jsonl are calibrated already, and the model's own cannot be made of them" in err


def test_from_and_to_every_kind_of_file(olmv: Run, predicted: str) -> None:
    for name in ("x.csv", "x.parquet", "x.xlsx"):
        assert olmv("predict", predicted, "-q", "-o", name)[0] == 1
    for name in ("x.csv", "x.parquet"):
        assert olmv("predict", name, "--threshold", "0.2", "--top-k", "2", "-q", "-o", f"{name}.jsonl")[0] == 1
        for row in rows(f"{name}.jsonl"):
            assert len(row["labels"]) == (2 if row["status"] == "ok" else 0)
            assert all(label["positive"] == (label["probability"] >= 0.2) for label in row["labels"])
    assert olmv("predict", predicted, "--threshold", "0", "-q", "-o", "w.csv", "--wide", "-r", "x.html")[0] == 1
    with Path("w.csv").open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["positive"].count(",") + line["positive"].count(";") for line in lines if line["status"] == "ok"]
    assert "decided from" in Path("x.html").read_text(encoding="utf-8")


def test_with_labels_the_videos_are_predicted(olmv: Run, predicted: str, model: str) -> None:
    arguments = ("--labels", "a cup", "--model", model, "--workers", "0", "-q", "-o", "cups.jsonl")
    assert olmv("predict", predicted, *arguments)[0] == 1
    assert [[label["label"] for label in row["labels"]] for row in rows("cups.jsonl")] == [["a cup"]] * 2 + [
        [], ["a cup"],
    ]  # fmt: skip


def test_what_goes_wrong_is_one_line(olmv: Run, predicted: str, timed: str, here: Path) -> None:
    def line(*arguments: str) -> str:
        code, out, err = olmv("predict", *arguments)
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        return err

    assert "no such file or folder: gone.jsonl; check the path" in line("gone.jsonl", "--threshold", "0.3")
    anew = "are decided anew from their probabilities; leave out"
    assert f"{anew} model, or name the labels to predict their videos again (--model, --labels)" in line(
        predicted, "--model", "olmv-mini"
    )
    for option in (
        ("--shard", "1/2"),
        ("--frames", "4"),
        ("--explain",),
        ("--single-label",),
        ("--sampling", "dense"),
        ("--every", "1s"),
    ):
        assert anew in line(predicted, *option)
    assert "rows.jsonl and timed.jsonl are both predictions; decide them anew one after the other" in line(
        predicted, timed
    )
    assert "rows.jsonl has predictions and clips has none: without labels, predictions alone" in line(
        predicted, "clips"
    )
    assert "rows.jsonl cannot be decided into itself; choose another output (--output)" in line(
        predicted, "-o", predicted
    )
    assert "the rows of rows.jsonl have no times; predict the videos with a timeline" in line(predicted, "--timeline")
    assert "the curves of timed.jsonl were made of other windows; leave window and step out" in line(
        timed, "--timeline", "--window", "1s"
    )
    assert "timed.jsonl has no pictures; predict the videos again for {}.thumbnails.vtt" in line(
        timed, "-o", "{}.thumbnails.vtt"
    )
    scaling = {"kind": "platt", "slope": 1.5, "offset": -0.5}
    fitted = thresholds(here / "t.json", dog={"threshold": 0.4, "scaling": scaling})
    assert "the curves beside timed.jsonl are mixed of windows, and a scaling is for each of them" in line(
        timed, "--thresholds", fitted
    )
    other = json.loads(Path(predicted).read_text().splitlines()[0]) | {"model": "another", "video": "z.mp4"}
    Path("mixed.jsonl").write_text(Path(predicted).read_text() + json.dumps(other) + "\n")
    assert "mixed.jsonl has rows of two models" in line("mixed.jsonl")
    Path("failed.jsonl").write_text(Path(predicted).read_text().splitlines()[2] + "\n")
    assert "failed.jsonl has no labels of any video; predict the videos again" in line("failed.jsonl")
    Path("timed.jsonl.curves.parquet").unlink()
    assert (
        "clips/0.mp4 has no curve in timed.jsonl.curves.parquet, of which its segments are made; save the rows with "
        "their curves, or predict it again"
    ) in line(timed)
    assert "was made with other settings" in line(predicted, "-o", timed)
