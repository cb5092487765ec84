"""Rows of a timeline that are decided anew from the curves beside them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from olmv.io.curves import Curve, curves_path, write_curves
from olmv.io.prediction_fields import check_row
from olmv.io.run_journal import RunJournal
from olmv.predict.redecide import redecide
from olmv.predictions import segment_row
from olmv.scoring.segments import SegmentOptions, find_segments
from tests.support.rows import make_row
from tests.support.timelines import curve_of, segment, timeline_row

SETTINGS: dict[str, Any] = {
    "labels": [["dog", [], []], ["rain", [], []]], "thresholds": [0.5, 0.5], "model": "m", "window": 4.0, "step": 2.0,
    "join": 1.0, "least": 0.5,
}  # fmt: skip
TIMED = timeline_row("a.mp4", segment("dog", 4, 10), segment("dog", 20, 22, 0.7), others={"rain": 0.1})
FAILED = {
    **make_row("b.mp4"), "status": "error", "error": {"type": "DecodeError", "message": "no"}, "duration_s": None,
}  # fmt: skip


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A finished run: a timeline of two labels, and a file that failed."""
    path = tmp_path / "rows.jsonl"
    with RunJournal(path, SETTINGS, check=check_row) as journal:
        journal.begin()
        journal.append(TIMED)
        journal.append(FAILED)
    write_curves(curves_path(path), [curve_of(TIMED)])
    return path


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def expected(curve: Curve, thresholds: dict[str, float], options: SegmentOptions) -> list[dict[str, Any]]:
    return [
        segment_row(item)
        for place, label in enumerate(curve.labels)
        for item in find_segments(
            label, curve.starts_s, 60.0, curve.probability[:, place], enter=thresholds[label], options=options
        )
    ]


def test_new_thresholds_make_new_segments(output: Path) -> None:
    note = redecide(output, SETTINGS | {"thresholds": [0.8, 0.01]})
    assert note is not None
    assert note.startswith("2 rows were decided anew from their probabilities, with the new thresholds; no video")
    timed, failed = rows(output)
    assert failed == FAILED
    order = [label["label"] for label in timed["labels"]]
    assert timed["segments"] == sorted(timed["segments"], key=lambda item: order.index(item["label"]))
    assert timed["segments"] == expected(curve_of(TIMED), {"dog": 0.8, "rain": 0.01}, SegmentOptions())
    assert [(item["label"], item["start_s"], item["end_s"]) for item in timed["segments"]] == [
        ("rain", 0.0, 60.0),
        ("dog", 4.0, 10.0),
    ]
    assert {label["label"]: label["positive"] for label in timed["labels"]} == {"dog": True, "rain": True}
    assert timed["shots_s"] == TIMED["shots_s"]


def test_gaps_and_blips_are_decided_anew_too(output: Path) -> None:
    note = redecide(output, SETTINGS | {"join": 15.0, "least": 3.0})
    assert note is not None
    assert "with the new join and least" in note
    assert [(item["start_s"], item["end_s"]) for item in rows(output)[0]["segments"]] == [(4.0, 22.0)]
    assert redecide(output, SETTINGS | {"join": 15.0, "least": 3.0}) is None  # the file says so by now
    redecide(output, SETTINGS | {"join": 1.0, "least": 3.0})
    assert [(item["start_s"], item["end_s"]) for item in rows(output)[0]["segments"]] == [(4.0, 10.0)]


def test_labels_that_a_row_left_out_get_no_segments(output: Path) -> None:
    short = TIMED | {"labels": [label for label in TIMED["labels"] if label["label"] == "dog"]}
    output.write_text(json.dumps(short) + "\n")
    assert redecide(output, SETTINGS | {"thresholds": [0.5, 0.0]}) is not None
    assert {item["label"] for item in rows(output)[0]["segments"]} == {"dog"}


def test_a_cell_may_begin_behind_the_rounded_end(output: Path) -> None:
    row = TIMED | {"duration_s": 57.99}  # the last cell begins at 58
    output.write_text(json.dumps(row) + "\n")
    assert redecide(output, SETTINGS | {"thresholds": [0.0, 0.0]}) is not None
    assert [(item["start_s"], item["end_s"]) for item in rows(output)[0]["segments"]] == [(0.0, 58.0)] * 2


def drop(path: Path) -> None:
    path.unlink()


def damage(path: Path) -> None:
    path.write_bytes(b"PAR1")


def damage_inside(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4:200] = bytes(196)
    path.write_bytes(data)


def other_labels(path: Path) -> None:
    curve = curve_of(TIMED)
    write_curves(path, [Curve("a.mp4", ("dog", "snow"), curve.starts_s, curve.probability)])


def other_video(path: Path) -> None:
    curve = curve_of(TIMED)
    write_curves(path, [Curve("z.mp4", curve.labels, curve.starts_s, curve.probability)])


@pytest.mark.parametrize("spoil", [drop, damage, damage_inside, other_labels, other_video])
def test_without_the_curves_nothing_is_decided(output: Path, spoil: Callable[[Path], None]) -> None:
    spoil(curves_path(output))
    before = output.read_bytes(), output.with_name("rows.jsonl.run.json").read_bytes()
    assert redecide(output, SETTINGS | {"thresholds": [0.8, 0.5]}) is None
    assert (output.read_bytes(), output.with_name("rows.jsonl.run.json").read_bytes()) == before


def test_other_changes_are_none_of_its_business(output: Path) -> None:
    assert redecide(output, SETTINGS) is None
    assert redecide(output, SETTINGS | {"thresholds": [0.8, 0.5], "window": 2.0}) is None
    untimed = {name: value for name, value in SETTINGS.items() if name not in ("join", "least")}
    assert redecide(output.with_name("absent.jsonl"), untimed) is None
