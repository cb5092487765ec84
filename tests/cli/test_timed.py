"""`olmv evaluate timed` and `olmv calibrate --objective event-f1`: from rows and a truth over time to figures."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.timed_runs import made_films, write_timelines, write_truth

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def films(here: Path) -> Path:
    curves, truth = made_films(12, {"guitar": 3.0, "dog": -3.0})
    write_truth(here / "truth.csv", truth)
    write_timelines(here, curves)
    return here


def test_figures(olmv: Run, films: Path) -> None:
    arguments = ("evaluate", "timed", "--data", "rows.jsonl", "--truth", "truth.csv", "-o", "out")
    code, out, err = olmv(*arguments, "--tolerance", "500ms")
    assert code == 0, err
    for words in ("mAP (temporal IoU 0.5)", "mAP (frame level)", "Event F1 (micro)", "Event recall (micro)"):
        assert words in out
    assert "wrote out/index.html" in err
    result = json.loads((films / "out" / "result.json").read_text())
    assert result["kind"] == "timed"
    assert result["settings"]["tolerance of events"] == "0.5 s"
    low, high = result["intervals"]["event_f1"]
    assert low <= result["metrics"]["event_f1"] <= high


def test_thresholds(olmv: Run, films: Path) -> None:
    arguments = ("calibrate", "rows.jsonl", "--truth", "truth.csv", "--objective", "event-f1=1s", "-o", "t.json")
    code, _, err = olmv(*arguments, "--page", "p.html")
    assert code == 0, err
    assert "micro event F1 0." in err
    assert "(cross-fitted; all labels)" in err
    entry = json.loads((films / "t.json").read_text())["labels"]["dog"]
    assert entry["objective"] == "event-f1=1"
    assert 0 < entry["leave"] <= entry["threshold"] < 0.5
    assert entry["cross_fitted"]["f1"] > 0.8
    assert "ends below" in (films / "p.html").read_text()


def test_what_goes_wrong_is_one_line(olmv: Run, films: Path) -> None:
    def line(*arguments: str) -> str:
        code, _, err = olmv(*arguments)
        assert code == 2
        assert err.count("\n") == 1
        return err

    rows = ("evaluate", "timed", "--data", "rows.jsonl", "--truth")
    assert "leave it out (--tolerance)" in line("evaluate", "moji", "--tolerance", "1s")
    assert "'soon' is no time" in line(*rows, "truth.csv", "--tolerance", "soon")
    assert "(--data, --truth, --model, --library)" in line("evaluate", "timed", "--data", "rows.jsonl")
    bad = films / "bad.csv"
    for text, message in (
        ("film0.mp4,dog,9,5", "bad.csv line 2: 'dog' starts at 9 s and ends at 5 s"),
        ("film0.mp4,dog,0:61,2:00", "bad.csv line 2: the start of 'dog': '0:61' is no time"),
        ("film0.mp4,dog,1:00:00,1:00:01", "'dog' begins at 3600 s of"),
        ("film0.mp4,unicorn,1,2", "no label of the truth ('unicorn' for one) was predicted"),
        ("elsewhere.mp4,dog,1,2", "have no video in common"),
    ):
        bad.write_text(f"video,label,start_s,end_s\n{text}\n")
        assert message in line(*rows, "bad.csv")
        assert message in line("calibrate", "rows.jsonl", "-t", "bad.csv", "--objective", "event-f1", "-o", "t.json")
    (films / "rows.jsonl.curves.parquet").write_bytes(b"no parquet")
    assert "is no Parquet file of curves" in line(*rows, "truth.csv")
    (films / "rows.jsonl.curves.parquet").unlink()
    assert "no such file: rows.jsonl.curves.parquet" in line(*rows, "truth.csv")
