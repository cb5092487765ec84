"""What `olmv predict` gives besides its rows: tables for spreadsheets, counts, standard output."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

LABELS = ("--labels", "dog, guitar, rain")


@pytest.fixture
def predict(olmv: Any, here: Path, model: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`olmv predict` with the tiny model, named by the environment, decoding in this process."""
    monkeypatch.setenv("OLMV_MODEL", model)
    return lambda *arguments: olmv("predict", *arguments, "--workers", "0")


def test_a_wide_table_has_a_row_a_video(predict: Any) -> None:
    assert predict("clips", *LABELS, "--wide", "-o", "x.csv")[0] == 0
    with Path("x.csv").open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["video"] for line in lines] == [f"clips/{seed}.mp4" for seed in range(5)]
    assert all(0 <= float(line[label]) <= 1 for line in lines for label in ("dog", "guitar", "rain"))
    assert predict("clips", *LABELS, "--wide", "-o", "x.xlsx")[0] == 0
    assert Path("x.xlsx").read_bytes().startswith(b"PK")
    code, _, err = predict("clips", *LABELS, "--wide", "-o", "x.jsonl")
    assert (code, "end x.jsonl in one of them, or write a long one (--output, --wide)" in err) == (2, True)
    code, _, err = predict("clips", *LABELS, "--wide")
    assert (code, "a wide table needs a file; name an output X.csv or X.xlsx (--output)" in err) == (2, True)


def test_positives_are_counted_those_of_earlier_runs_too(predict: Any) -> None:
    everything = ("clips/0.mp4", "clips/1.mp4")
    _, _, err = predict(everything[0], *LABELS, "--threshold", "0", "-o", "x.jsonl")
    assert "positive: dog 1, guitar 1, rain 1\n" in err
    _, _, err = predict(*everything, *LABELS, "--threshold", "0", "-o", "x.jsonl")
    assert "positive: dog 2, guitar 2, rain 2\n" in err
    _, _, err = predict("clips", *LABELS, "--threshold", "1")
    assert "positive: no label in any video; lower the threshold with --threshold" in err
    many = ",".join(f"label {number}" for number in range(12))
    assert "label 9 1 and 2 more labels" in predict(everything[0], "--labels", many, "--threshold", "0")[2]


def test_rows_on_standard_output(predict: Any) -> None:
    code, out, _ = predict("clips", *LABELS, "-o", "-", "--quiet")
    assert code == 0
    assert predict("clips", *LABELS, "-o", "x.jsonl", "--quiet")[0] == 0
    assert [json.loads(line) for line in out.splitlines()] == [
        json.loads(line) for line in Path("x.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert not Path("-").exists()
    code, _, err = predict("clips", *LABELS, "-o", "-", "--wide")
    assert (code, "standard output gets rows as JSON lines" in err) == (2, True)
