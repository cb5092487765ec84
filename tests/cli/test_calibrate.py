"""`olmv calibrate`: from rows and truth to a file that `predict --thresholds` uses; one line where it goes wrong."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from olmv.io.prediction_rows import write_rows
from olmv.labels.label import Label
from olmv.labels.vocabulary import Vocabulary
from olmv.scoring.run_settings import RunSettings
from olmv.scoring.thresholds import Thresholds
from tests.cli.calibration import LABELS, folder, write

__all__ = ["folder"]

Run = Callable[..., tuple[int, str, str]]

OTHER_WORDS = (
    "1 of 1 labels have other attributes or aliases than their thresholds were fitted with, 'dog' for one; "
    "calibrate again"
)


def test_thresholds_and_page(olmv: Run, folder: Path) -> None:
    code, out, err = olmv("calibrate", "rows.jsonl", "--truth", "truth.csv", "-o", "t.json", "--page", "p.html")
    assert (code, out) == (0, "")
    assert "1 videos of the truth without a prediction: 'clips/more.mp4'" in err
    assert "1 predicted videos that the truth does not list: 'clips/0.mp4'" in err
    assert "1 videos whose prediction failed: 'clips/bad.mp4'" in err
    assert "1 label true of no video: 'never'" in err
    assert "1 label with fewer than 10 positives share the threshold" in err
    assert "labels that are true of no video lie above their scores here; that lets at most 2.5% of videos" in err
    assert "micro F1 0." in err
    assert "(cross-fitted; all labels)" in err
    assert "after (cross-fitted); of labels that are true of no video 6 and 1" in err
    assert "wrote t.json\nwrote p.html\n" in err
    found = Thresholds.load("t.json")
    assert list(found) == list(LABELS)
    assert found["dog"] < 0.2 < found["<b>cat</b>"]
    assert found.entry("never").model_dump()["source"] == "negatives"
    assert found.entry("never").model_dump()["false_alarms"] == pytest.approx(1 - 0.05 ** (1 / 119), abs=1e-6)
    dog = found.entry("dog").model_dump()
    assert dog["objective"] == "f1"
    assert dog["source"] == "label"
    assert dog["cross_fitted"]["f1"] > 0.8
    assert "cross_fitted" not in found.entry("never").model_dump()
    assert found.provenance.videos == 119
    assert found.provenance.settings == {"mode": "multi-label", "frames": 8}
    page = (folder / "p.html").read_text()
    assert "&lt;b&gt;cat&lt;/b&gt;" in page
    assert "<b>cat</b>" not in page
    assert "olmv-mini knows drawings" in page
    same = Vocabulary([Label("dog", aliases=("hound",)), "rain"])
    assert found.notes_for(same, model="olmv-mini", settings=RunSettings(frames=8, mode="multi-label")) == []
    assert found.notes_for(Vocabulary(["dog"]), settings=RunSettings(frames=16)) == [
        OTHER_WORDS,
        "these thresholds were fitted with other settings (frames 8 then, 16 now); calibrate again",
    ]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_give_the_same(olmv: Run, folder: Path, kind: str) -> None:
    write_rows(folder / f"rows.{kind}", write(folder, 60))
    for name in ("rows.jsonl", f"rows.{kind}"):
        assert olmv("calibrate", name, "-t", "truth.csv", "-o", f"{name}.json", "-q")[0] == 0
    one, other = (Thresholds.load(f"{name}.json") for name in ("rows.jsonl", f"rows.{kind}"))
    assert dict(one) == dict(other)


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_scaling_shows_calibrated_numbers_and_changes_no_verdict(olmv: Run, folder: Path, kind: str) -> None:
    arguments = ("calibrate", "rows.jsonl", "-t", "truth.csv", "-o")
    assert olmv(*arguments, "plain.json", "-q")[0] == 0
    code, _, err = olmv(*arguments, "t.json", "--scaling", kind, "--page", "p.html")
    assert code == 0
    figures = re.findall(r"(Calibration error|Brier skill score).*? (-?[\d.]+) before, (-?[\d.]+) after", err)
    assert [name for name, *_ in figures] == ["Calibration error"] * 3 + ["Brier skill score"]
    assert float(figures[0][2]) < float(figures[0][1])
    assert float(figures[3][2]) > float(figures[3][1]) + 0.4
    page = (folder / "p.html").read_text()
    assert "Brier skill score" in page
    assert "Calibration error (pairs above 0.05)" in page
    plain, scaled = Thresholds.load("plain.json"), Thresholds.load("t.json")
    assert plain.scaler(LABELS) is None
    assert [plain.entry(label).threshold for label in LABELS] == [scaled.entry(label).threshold for label in LABELS]
    scaler = scaled.scaler(LABELS)
    assert scaler is not None
    rows = [json.loads(line)["labels"] for line in (folder / "rows.jsonl").read_text().splitlines()]
    for row in filter(None, rows):
        shown = scaler(np.array([label["probability"] for label in row]))
        assert [float(f"{p:.6g}") >= scaled[n] for p, n in zip(shown, LABELS, strict=True)] == [
            label["probability"] >= plain[label["label"]] for label in row
        ]


def test_unlabelled(olmv: Run, folder: Path) -> None:
    arguments = ("calibrate", "rows.jsonl", "--unlabelled", "--prevalence")
    code, _, err = olmv(*arguments, "0.25", "-o", "t.json", "--page", "p.html")
    assert code == 0, err
    rows = [json.loads(line)["labels"] for line in (folder / "rows.jsonl").read_text().splitlines()]
    found = Thresholds.load("t.json")
    for column, label in enumerate(LABELS):
        assert sum(row[column]["probability"] >= found[label] for row in rows if row) == 30
    (folder / "p.csv").write_text("label,prevalence\ndog,0.5\nrain,0.001\n")
    code, _, err = olmv(*arguments, "p.csv", "-o", "t.json")
    assert code == 1
    assert list(Thresholds.load("t.json")) == ["dog"]
    assert "2 labels have no prevalence and get no threshold: '<b>cat</b>', 'never'" in err
    assert "1 labels are too rare among 120 videos for one: 'rain'" in err
    code, _, err = olmv(*arguments, "0.001", "-o", "t.json")
    assert (code, "120 videos are too few for this prevalence; predict at least 1000" in err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rows.jsonl"], "calibrating takes the truth: add a manifest of it, or calibrate unlabelled"),
        (["rows.jsonl", "-t", "truth.csv", "--objective", "auc"], "unknown objective 'auc'; give f1"),
        (["rows.jsonl", "-t", "truth.csv", "--guarantee", "0.9"], "f1 cannot be promised; choose the objective"),
        (
            ["rows.jsonl", "-t", "truth.csv", "--guarantee", "2", "--objective", "recall=0.9"],
            "the guarantee is 2; give",
        ),
        (
            ["rows.jsonl", "-t", "truth.csv", "--prevalence", "0.1"],
            "the prevalence is for unlabelled videos; leave it out",
        ),
        (["rows.jsonl", "-t", "truth.csv", "--folds", "1"], "Invalid value for '--folds'"),
        (["rows.jsonl", "-t", "truth.csv", "--scaling", "beta"], "Invalid value for '--scaling'"),
        (["rows.jsonl", "-t", "truth.csv", "--page", "x.txt"], "the page is an HTML file; end x.txt in .html"),
        (
            ["rows.jsonl", "-t", "truth.csv", "--guarantee-scope", "all"],
            "the scope is that of a guarantee; add its confidence, such as 0.95",
        ),
        (["rows.jsonl", "--unlabelled"], "unlabelled videos do not say how often a label is true; add a prevalence"),
        (
            ["rows.jsonl", "--unlabelled", "--prevalence", "0.1", "-t", "truth.csv"],
            "the truth goes with labelled videos, not with",
        ),
        (
            ["rows.jsonl", "--unlabelled", "--prevalence", "0.1", "--guarantee-scope", "all"],
            "the guarantee scope goes with labelled videos, not with",
        ),
        (["rows.jsonl", "-t", "nowhere.csv"], "nowhere.csv"),
        (["nowhere.jsonl", "-t", "truth.csv"], "nowhere.jsonl"),
        ([".", "-t", "truth.csv"], ". is a result folder and has its own truth; leave out the other"),
        (["."], "has no result.json"),
    ],
)
def test_wrong_usage_is_one_line(olmv: Run, folder: Path, arguments: list[str], message: str) -> None:
    code, out, err = olmv("calibrate", *arguments, "-o", "t.json")
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not (folder / "t.json").exists()


def test_an_output_that_cannot_be_written_is_told_first(olmv: Run, folder: Path) -> None:
    code, _, err = olmv("calibrate", "nowhere.jsonl", "-t", "truth.csv", "-o", "missing/t.json")
    assert (code, "cannot write missing/t.json: its folder does not exist" in err) == (2, True)


def test_calibrated_probabilities_are_refused(olmv: Run, folder: Path) -> None:
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    for row in rows:
        for label in row["labels"]:
            label["probability"] = label["probability"] ** 2
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, _, err = olmv("calibrate", "rows.jsonl", "-t", "truth.csv", "-o", "t.json")
    assert (code, "they are calibrated already; predict again without thresholds" in err) == (2, True)
