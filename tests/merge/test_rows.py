"""Rows of several runs become those of one: each video once, of one question only, ready to go on."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olmv.errors import InputError, UsageError
from olmv.io.curves import Curve, CurveFile, curves_path, write_curves
from olmv.io.prediction_fields import check_row
from olmv.io.run_journal import RunJournal
from olmv.merge.job import MergeJob, run
from olmv.merge.summary import MergeSummary
from olmv.progress import JobListener
from tests.support.rows import make_row

SETTINGS: dict[str, Any] = {"model": "olmv-mini", "labels": [["dog", [], []]], "frames": 8}


class Notes(JobListener):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def write(path: Path, *rows: Mapping[str, Any], shard: str | None = None, **settings: Any) -> Path:
    document = {**SETTINGS, **settings, **({} if shard is None else {"shard": shard})}
    with RunJournal(path, document) as journal:
        journal.begin()
        for row in rows:
            journal.append(row)
    return path


def merge(output: Path, *parts: Path) -> tuple[MergeSummary, list[str]]:
    listener = Notes()
    return run(MergeJob(output=output, parts=list(parts)), listener), listener.notes


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def failed(video: str) -> dict[str, Any]:
    error = {"type": "NotAVideoError", "message": "no video"}
    return {**make_row(video), "status": "error", "error": error, "duration_s": None}


def test_shards_become_one_run(tmp_path: Path) -> None:
    a, b, c = (make_row(f"{name}.mp4", dog=0.5) for name in "abc")
    one = write(tmp_path / "1.jsonl", a, b, shard="1/2")
    two = write(tmp_path / "2.csv", c, shard="2/2")  # whose rows are beside it
    summary, notes = merge(tmp_path / "all.jsonl", one, two)
    assert (summary.videos, summary.twice, notes) == (3, 0, [])
    assert read(tmp_path / "all.jsonl") == [a, b, c]
    with RunJournal(tmp_path / "all.jsonl", SETTINGS, check=check_row) as journal:  # the same run without shards
        assert journal.done == {"a.mp4", "b.mp4", "c.mp4"}
    before = (tmp_path / "all.jsonl").read_bytes()
    merge(tmp_path / "all.jsonl", one, two)
    assert (tmp_path / "all.jsonl").read_bytes() == before


def test_a_shard_that_is_not_there(tmp_path: Path) -> None:
    one = write(tmp_path / "1.jsonl", make_row("a.mp4", dog=0.5), shard="2/6")
    _, [note] = merge(tmp_path / "all.jsonl", one)
    assert note == "shards 1/6, 3/6, 4/6 and 2 more are not among the parts"


def test_a_video_of_several_parts(tmp_path: Path) -> None:
    same, old, new = make_row("s.mp4", dog=0.5), make_row("a.mp4", dog=0.1), make_row("a.mp4", dog=0.2)
    good = make_row("g.mp4", dog=0.3)
    one = write(tmp_path / "1.jsonl", same, make_row("a.mp4", dog=0.7), old, good)
    two = write(tmp_path / "2.jsonl", new, same, failed("g.mp4"))
    summary, [note] = merge(tmp_path / "all.jsonl", one, two)
    assert (summary.videos, summary.twice, summary.differing) == (3, 3, 2)
    assert note.startswith("2 videos have different rows (a.mp4, g.mp4)")
    assert read(tmp_path / "all.jsonl") == [same, new, good]


def test_other_settings_are_refused(tmp_path: Path) -> None:
    one = write(tmp_path / "1.jsonl", make_row("a.mp4", dog=0.5))
    two = write(tmp_path / "2.jsonl", make_row("b.mp4", dog=0.5), frames=16)
    message = f"of different runs: frames: 8 in {one}, 16 in {two}; merge those of one run"
    with pytest.raises(UsageError, match=re.escape(message)):
        merge(tmp_path / "all.jsonl", one, two)
    assert not (tmp_path / "all.jsonl").exists()


def test_an_output_that_is_something_else(tmp_path: Path) -> None:
    one, two = (write(tmp_path / f"{name}.jsonl", make_row(f"{name}.mp4", dog=0.5)) for name in "ab")
    with pytest.raises(UsageError, match=r"has 1 videos that no part has \(b.mp4 is one\)"):
        merge(two, one)
    other = write(tmp_path / "c.jsonl", make_row("a.mp4", dog=0.5), frames=16)
    with pytest.raises(UsageError, match="made with other settings"):
        merge(other, one)
    with pytest.raises(UsageError, match=r"end .*all.csv in .jsonl"):
        merge(tmp_path / "all.csv", one)
    shard = write(tmp_path / "d.jsonl", make_row("a.mp4", dog=0.5), shard="1/2")
    with pytest.raises(UsageError, match="shard: 1/2 before, none now"):  # olmv merge part-*.jsonl
        merge(shard, one)


def test_parts_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such rows"):
        merge(tmp_path / "all.jsonl", tmp_path / "gone.jsonl")
    lone = tmp_path / "lone.jsonl"
    lone.write_text(json.dumps(make_row("a.mp4", dog=0.5)) + "\n")
    with pytest.raises(InputError, match=r"lone\.jsonl\.run\.json, which tells the settings"):
        merge(tmp_path / "all.jsonl", lone)
    bad = write(tmp_path / "bad.jsonl", {"video": "a.mp4", "status": "ok"})
    with pytest.raises(InputError, match="byte 0 is not a row that olmv wrote"):
        merge(tmp_path / "all.jsonl", bad)


def test_a_part_that_is_being_written(tmp_path: Path) -> None:
    with RunJournal(tmp_path / "1.jsonl", SETTINGS) as journal:
        journal.begin()
        journal.append(make_row("a.mp4", dog=0.5))
        with pytest.raises(InputError, match="another run is writing"):
            merge(tmp_path / "all.jsonl", tmp_path / "1.jsonl")
    merge(tmp_path / "all.jsonl", tmp_path / "1.jsonl")


def test_curves_are_merged(tmp_path: Path) -> None:
    parts = []
    for name in "ab":
        row = {**make_row(f"{name}.mp4", dog=0.5), "segments": []}
        parts.append(write(tmp_path / f"{name}.jsonl", row))
        probability = np.full((2, 1), ord(name) / 200, np.float32)
        write_curves(curves_path(parts[-1]), [Curve(f"{name}.mp4", ("dog",), np.array([0.0, 1.0]), probability)])
    summary, _ = merge(tmp_path / "all.jsonl", *parts)
    assert summary.written == [tmp_path / "all.jsonl", curves_path(tmp_path / "all.jsonl")]
    curves = CurveFile(curves_path(tmp_path / "all.jsonl"))
    assert list(curves) == ["a.mp4", "b.mp4"]
    curve = curves.get("b.mp4")
    assert curve is not None
    assert curve.probability[0, 0] == np.float32(ord("b") / 200)
    curves_path(parts[1]).unlink()
    _, [note] = merge(tmp_path / "all.jsonl", *parts)
    assert "the curves of" in note


def test_captions(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {
            "video": f"{name}.mp4",
            "status": "ok",
            "error": None,
            "caption": "A dog.",
            "similarity": None,
            "frame_captions": [],
        }
        for name in "ab"
    ]
    parts = [
        write(tmp_path / f"{place}.jsonl", row, captioner="labels:x", shard=f"{place + 1}/2")
        for place, row in enumerate(rows)
    ]
    merge(tmp_path / "all.jsonl", *parts)
    assert read(tmp_path / "all.jsonl") == rows
