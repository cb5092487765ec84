"""The `group` column: read from every kind of manifest, with holes, numbers, dates, and what is no group."""

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from olmv.datasets.groups import group_name, group_note, group_numbers, groups_of
from olmv.datasets.manifests import misnamed_group_note, read_manifest
from olmv.errors import InputError


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (" camera 3 ", "camera 3"),
        ("", ""),
        ("  ", ""),
        (None, ""),
        (float("nan"), ""),
        (7, "7"),
        (7.0, "7"),
        (0.5, "0.5"),
        (0, "0"),
        (datetime.date(2026, 5, 1), "2026-05-01"),
    ],
)
def test_names(value: Any, name: str) -> None:
    assert group_name(value, "here") == name


@pytest.mark.parametrize("value", [["a"], {"a": 1}, True, b"a"])
def test_what_is_no_group(value: Any) -> None:
    with pytest.raises(InputError, match=r"^m.jsonl row 3 has a bad 'group', .*; write a name or a number$"):
        group_name(value, "m.jsonl row 3")


def test_every_kind_of_manifest_has_the_same_groups(tmp_path: Path) -> None:
    groups = [3, 3, None, 12]
    (tmp_path / "m.csv").write_text("video,labels,group\na.mp4,dog,3\nb.mp4,dog,3 \nc.mp4,dog,\nd.mp4,dog,12\n")
    (tmp_path / "m.jsonl").write_text(
        "".join(json.dumps({"video": f"{v}.mp4", "group": g}) + "\n" for v, g in zip("abcd", groups, strict=True))
    )
    table = pa.table({"video": [f"{v}.mp4" for v in "abcd"], "group": pa.array(groups, pa.int64())})
    pq.write_table(table, tmp_path / "m.parquet")
    # as pandas writes whole numbers with a hole
    floats = pa.table({"video": table["video"], "group": pa.array([3.0, 3.0, float("nan"), 12.0])})
    pq.write_table(floats, tmp_path / "floats.parquet")
    for name in ("m.csv", "m.jsonl", "m.parquet", "floats.parquet"):
        rows = read_manifest(tmp_path / name)
        assert [row.group for row in rows] == ["3", "3", "", "12"], name
        names = groups_of(((row.video, row.group) for row in rows), [row.video for row in rows])
        assert group_numbers(names) is not None
        assert np.array_equal(np.asarray(group_numbers(names)), [0, 0, 1, 2])
        assert misnamed_group_note(tmp_path / name) == ()
    (tmp_path / "bad.jsonl").write_text('{"video": "a.mp4", "group": ["x"]}\n')
    with pytest.raises(InputError, match=r"bad.jsonl row 1 has a bad 'group', \['x'\]; write a name or a number"):
        read_manifest(tmp_path / "bad.jsonl")


def test_days_of_a_parquet_file(tmp_path: Path) -> None:
    days = pa.array([datetime.date(2026, 5, 1), None], pa.date32())
    pq.write_table(pa.table({"video": ["a.mp4", "b.mp4"], "group": days}), tmp_path / "m.parquet")
    assert [row.group for row in read_manifest(tmp_path / "m.parquet")] == ["2026-05-01", ""]


def test_no_column_is_no_groups_and_a_row_without_one_is_a_hole(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"video": "a.mp4"}\n{"video": "b.mp4"}\n')
    rows = read_manifest(tmp_path / "m.jsonl")
    assert groups_of(((row.video, row.group) for row in rows), [row.video for row in rows]) == ()
    assert group_numbers(()) is None
    assert group_note(()) == ()
    (tmp_path / "m.jsonl").write_text('{"video": "a.mp4"}\n{"video": "b.mp4", "group": "x"}\n')
    rows = read_manifest(tmp_path / "m.jsonl")
    assert groups_of(((row.video, row.group) for row in rows), [row.video for row in rows]) == ("", "x")


def test_two_videos_without_a_group_are_two_groups() -> None:
    assert np.array_equal(np.asarray(group_numbers(["", "x", "", "x"])), [0, 1, 2, 1])


def test_rows_of_one_video() -> None:
    rows = [("a.mp4", "x"), ("a.mp4", ""), ("b.mp4", ""), ("b.mp4", "y")]
    assert groups_of(rows, ["b.mp4", "a.mp4"]) == ("y", "x")
    with pytest.raises(InputError, match=r"^a.mp4 has two groups, 'x' and 'y'; give it one$"):
        groups_of([*rows, ("a.mp4", "y")], ["a.mp4"])


def test_what_is_told() -> None:
    assert group_note(["x", "x", "y"]) == ("3 videos are of 2 groups, which stay whole",)
    assert group_note(["x", "x", "", ""]) == (
        "2 videos are of 1 group, which stay whole; 2 videos have none and count as groups of their own",
    )
    assert group_note(["", ""]) == ("the 'group' column is empty: each of 2 videos counts as a group of its own",)


@pytest.mark.parametrize("column", ["Group", "groups", " group"])
def test_a_column_that_is_called_nearly_so_is_told(tmp_path: Path, column: str) -> None:
    (tmp_path / "m.csv").write_text(f"video,labels,{column}\na.mp4,dog,x\n")
    (tmp_path / "m.jsonl").write_text(json.dumps({"video": "a.mp4", column: "x"}) + "\n")
    pq.write_table(pa.table({"video": ["a.mp4"], column: ["x"]}), tmp_path / "m.parquet")
    for name in ("m.csv", "m.jsonl", "m.parquet"):
        assert misnamed_group_note(tmp_path / name) == (
            f"the column {column!r} of {name} is not looked at; name it 'group' if its videos belong together",
        )
        assert read_manifest(tmp_path / name)[0].group is None
