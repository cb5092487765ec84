"""Rows as csv and parquet."""

import csv
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from olmv.errors import OutputError, UsageError
from olmv.io import prediction_rows as module
from olmv.io.prediction_rows import FIELDS, check_format, flatten, replacing, write_rows

Row = dict[str, Any]


def test_flatten_gives_a_line_per_label_with_the_same_numbers(good_row: Row) -> None:
    lines = list(flatten(good_row))
    assert [tuple(line) for line in lines] == [FIELDS, FIELDS]
    assert [line["label"] for line in lines] == ["dog", "rain"]
    assert lines[0]["probability"] == 0.89
    assert lines[0]["frames_corrupt"] == 1
    assert lines[0]["positive"] is True
    assert lines[0]["error_type"] is None


def test_flatten_keeps_a_failed_video(bad_row: Row) -> None:
    (line,) = flatten(bad_row)
    assert (line["error_type"], line["label"], line["frames_requested"]) == ("NotAVideoError", None, 8)


def test_explanations_travel_as_json(good_row: Row) -> None:
    good_row["explanations"] = [{"label": "dog", "texts": [], "frames": []}]
    assert [line["explanation"] for line in flatten(good_row)] == [
        '{"label": "dog", "texts": [], "frames": []}',
        None,
    ]


def test_csv(tmp_path: Path, good_row: Row, bad_row: Row) -> None:
    good_row["video"] = 'odd "name",\n.mp4'
    path = tmp_path / "x.csv"
    write_rows(path, [good_row, bad_row])
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [line["video"] for line in lines] == ['odd "name",\n.mp4', 'odd "name",\n.mp4', "clips/b.mp4"]
    assert [line["positive"] for line in lines] == ["true", "false", ""]
    assert float(lines[0]["probability"]) == 0.89


def test_parquet_has_the_same_fields(tmp_path: Path, good_row: Row, bad_row: Row, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "_GROUP", 2)
    path = tmp_path / "x.parquet"
    good_row["video"] = "odd \udcff.mp4"
    write_rows(path, [good_row, bad_row])
    table = pq.read_table(path)
    assert tuple(table.column_names) == FIELDS
    lines = table.to_pylist()
    assert lines[0]["video"] == "odd \\udcff.mp4"
    assert [line["positive"] for line in lines] == [True, False, None]
    assert lines[2]["error_message"] == "clips/b.mp4 is a text; give a video"


@pytest.mark.parametrize("name", ["x.csv", "x.parquet"])
def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, name: str, good_row: Row) -> None:
    path = tmp_path / name
    path.write_text("old")

    def rows() -> Any:
        yield good_row
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_rows(path, rows())
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == [name]


def test_replacing_says_what_is_wrong(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"cannot write .*x\.csv: No such file or directory"),
        replacing(tmp_path / "gone" / "x.csv"),
    ):
        pass
    with (
        pytest.raises(OutputError, match=r"cannot write .*: No space left on device"),
        replacing(tmp_path / "x"),
    ):
        raise OSError(28, "No space left on device")


def test_formats() -> None:
    for name in ("x.jsonl", "x.CSV", "x.parquet"):
        check_format(Path(name))
    with pytest.raises(UsageError, match=r"cannot tell the format of x\.txt; end it in \.jsonl, \.csv, \.parquet"):
        check_format(Path("x.txt"))
    with pytest.raises(UsageError, match=r"x\.txt is neither \.csv nor \.parquet; rename it"):
        write_rows(Path("x.txt"), [])
