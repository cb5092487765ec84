"""Prediction rows as files: what is written, and that it is read back the same."""

import csv
import json
import os
import re
import unicodedata
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from olmv.errors import InputError, UsageError
from olmv.io import prediction_rows as module
from olmv.io.prediction_fields import LATER_FIELDS
from olmv.io.prediction_rows import FIELDS, check_format, flatten, read_rows, write_rows

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
    assert [line[name] for name in sorted(LATER_FIELDS)] == [None] * 3


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


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.parquet"])
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


def test_formats() -> None:
    for name in ("x.jsonl", "x.CSV", "x.parquet"):
        check_format(Path(name))
    with pytest.raises(UsageError, match=r"cannot tell the format of x\.txt; end it in \.jsonl, \.csv, \.parquet"):
        check_format(Path("x.txt"))
    with pytest.raises(UsageError, match=r"x\.txt is neither \.jsonl, \.csv nor \.parquet; rename it"):
        write_rows(Path("x.txt"), [])


# no control characters: csv writes them out; a label has a name
texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from("=+-@'\n\t\",;"), max_size=6)
names = texts.filter(bool)
# as the system gives file names: bytes that are not UTF-8 are lone surrogates
odd_names = st.binary(min_size=1, max_size=4).map(os.fsdecode)
videos = names | odd_names.filter(lambda name: not any(unicodedata.category(char) == "Cc" for char in name))
numbers = st.floats(allow_nan=False, allow_infinity=False)
lengths = st.floats(0, allow_infinity=False)
shares = st.floats(0, 1)
counts = st.integers(0, 2**31)
earlier_frames = st.fixed_dictionaries({"requested": counts, "decoded": counts, "corrupt": counts})
frames = st.fixed_dictionaries({
    "requested": counts, "decoded": counts, "corrupt": counts,
    "encoded": counts, "widest_gap_s": st.none() | lengths, "capped": st.booleans(),
})  # fmt: skip
explained = st.fixed_dictionaries({
    "texts": st.lists(st.fixed_dictionaries({"text": st.text(max_size=4), "contribution": numbers}), max_size=2),
    "frames": st.lists(
        st.fixed_dictionaries({"frame": counts, "time_s": st.none() | numbers, "contribution": numbers}), max_size=2
    ),
})  # fmt: skip


@st.composite
def rows_of(draw: st.DrawFn, video: str) -> Row:
    error = draw(st.none() | st.fixed_dictionaries({"type": names, "message": texts}))
    labels: list[Row] = [
        {
            "label": label,
            "similarity": draw(numbers),
            "logit": draw(numbers),
            "probability": draw(shares),
            "threshold": draw(shares),
            "positive": draw(st.booleans()),
        }
        for label in ([] if error else draw(st.lists(names, max_size=3, unique=True)))
    ]
    row = {
        "video": video,
        "status": "error" if error else "ok",
        "error": error,
        "duration_s": draw(st.none() | lengths),
        "frames": draw(earlier_frames | frames),
        "model": draw(texts),
        "labels": labels,
    }
    best_first = sorted(labels, key=lambda label: label["probability"], reverse=True)[: draw(st.integers(0, 2))]
    if best_first:
        row["explanations"] = [{"label": label["label"], **draw(explained)} for label in best_first]
    return row


files = st.lists(videos, max_size=4, unique=True).flatmap(lambda found: st.tuples(*map(rows_of, found)))


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.parquet"])
@given(rows=files)
@example(rows=())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_rows_are_read_back_as_they_were_written(tmp_path: Path, name: str, rows: tuple[Row, ...]) -> None:
    path = tmp_path / name
    write_rows(path, rows)
    if path.suffix == ".parquet":  # which holds UTF-8 only: odd bytes of a file name are written out
        rows = tuple({**row, "video": row["video"].encode("utf-8", "backslashreplace").decode()} for row in rows)
    assert list(read_rows(path)) == list(rows)


@pytest.mark.parametrize("name", ["x.csv", "x.parquet"])
def test_flat_files_of_earlier_versions_lack_columns(tmp_path: Path, name: str, good_row: Row, bad_row: Row) -> None:
    path = tmp_path / name
    more = {"encoded": 7, "widest_gap_s": 1.9, "capped": True}
    write_rows(path, [good_row | {"frames": good_row["frames"] | more}, bad_row])
    assert [row["frames"].get("widest_gap_s") for row in read_rows(path)] == [1.9, None]
    if name == "x.csv":
        with path.open(newline="", encoding="utf-8") as file:
            lines = [{key: line[key] for key in line if key not in LATER_FIELDS} for line in csv.DictReader(file)]
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(lines[0]))
            writer.writeheader()
            writer.writerows(lines)
    else:
        pq.write_table(pq.read_table(path).drop_columns(sorted(LATER_FIELDS)), path)
    assert list(read_rows(path)) == [good_row, bad_row]


def test_some_of_the_later_columns_are_not_enough(tmp_path: Path, good_row: Row) -> None:
    good_row["frames"] |= {"encoded": 7, "widest_gap_s": 1.9, "capped": None}
    write_rows(tmp_path / "x.csv", [good_row])
    with pytest.raises(UsageError, match=r"is not a prediction \(its 'frames.capped' is odd\)"):
        list(read_rows(tmp_path / "x.csv"))


def test_csv_writes_control_characters_out(tmp_path: Path, good_row: Row) -> None:
    write_rows(tmp_path / "x.csv", [good_row | {"video": "a\x1b.mp4"}])
    assert [row["video"] for row in read_rows(tmp_path / "x.csv")] == [r"a\x1b.mp4"]


def test_a_flat_file_that_repeats_a_label_begins_a_row(tmp_path: Path, good_row: Row, bad_row: Row) -> None:
    rows = [good_row, good_row, bad_row, bad_row]
    for name in ("x.jsonl", "x.csv", "x.parquet"):
        write_rows(tmp_path / name, rows)
        assert list(read_rows(tmp_path / name)) == rows


SEGMENT = {"label": "dog", "start_s": 0, "end_s": 2.5, "peak": 1, "peak_s": 1.2, "mean": 0.7}


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.parquet"])
def test_a_row_that_olmv_did_not_write(tmp_path: Path, name: str, good_row: Row) -> None:
    path = tmp_path / name
    good_row["labels"][1]["logit"] = None
    write_rows(path, [good_row])
    with pytest.raises(
        UsageError, match=r"(line|row) \d is not a prediction \(its 'labels.logit' is odd\); give the file"
    ):
        list(read_rows(path))
    good_row["labels"][1]["logit"] = 0.5
    good_row["explanations"] = [{"label": "dog", "texts": 3, "frames": []}]
    write_rows(path, [good_row])
    with pytest.raises(UsageError, match=r"is not a prediction \(its 'explanations.texts' is odd\); give the file"):
        list(read_rows(path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "x"}, "its 'status' is 'x', neither 'ok' nor 'error'"),
        ({"status": "error"}, "its 'status' is 'error', which its 'error' contradicts"),
        ({"error": {"type": "X", "message": "m"}}, "its 'status' is 'ok', which its 'error' contradicts"),
        ({"video": ""}, "its 'video' is empty"),
        ({"duration_s": -5}, "its 'duration_s' is -5, not a number of 0 or more"),
        ({"duration_s": True}, "its 'duration_s' is True, not a number of 0 or more"),
        ({"duration_s": 10**400}, "its 'duration_s' is 10000"),
        ({"frames": {"requested": 8, "decoded": -1, "corrupt": 0}}, "its 'frames.decoded' is -1, not a count"),
        ({"segments": None}, "its 'segments' is None, not a list"),
        ({"segments": 3}, "its 'segments' is 3, not a list"),
        ({"segments": True}, "its 'segments' is True, not a list"),
        ({"segments": [SEGMENT | {"peak": 2}]}, "its 'segments.peak' is 2, not a number from 0 to 1"),
        ({"segments": [SEGMENT | {"end_s": float("inf")}]}, "its 'segments.end_s' is inf, not a number of 0 or more"),
        ({"shots_s": "x"}, "its 'shots_s' is 'x', not a list"),
        ({"shots_s": [None]}, "its 'shots_s' is odd"),
        ({"shots_s": [-1]}, "its 'shots_s' is -1, not a number of 0 or more"),
        ({"explanations": 3}, "its 'explanations' is 3, not a list"),
        (
            {"explanations": [{"label": "dog", "texts": [{"text": "a", "contribution": float("nan")}], "frames": []}]},
            "its 'explanations.texts.contribution' is nan, not a finite number",
        ),
        ({"probability": 7}, "its 'labels.probability' is 7, not a number from 0 to 1"),
        ({"probability": float("nan")}, "its 'labels.probability' is nan, not a number from 0 to 1"),
        ({"threshold": False}, "its 'labels.threshold' is False, not a number from 0 to 1"),
        ({"logit": float("inf")}, "its 'labels.logit' is inf, not a finite number"),
        ({"label": "rain"}, "it has the label 'rain' twice"),
    ],
)
def test_a_row_that_nobody_can_mean(tmp_path: Path, good_row: Row, change: Row, message: str) -> None:
    labels = good_row["labels"]
    label = {name: value for name, value in change.items() if name in labels[0]}
    row = {
        **good_row,
        "labels": [labels[0] | label, *labels[1:]],
        **{n: v for n, v in change.items() if n not in label},
    }
    (tmp_path / "x.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(UsageError, match=r"x.jsonl line 1 is not a prediction \(" + re.escape(message)):
        list(read_rows(tmp_path / "x.jsonl"))


def test_files_that_hold_no_rows(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.txt is not a predictions file; give a \.jsonl, \.csv or \.parquet"):
        list(read_rows(tmp_path / "x.txt"))
    (tmp_path / "x.csv").write_text("video,status\na.mp4,ok\n")
    with pytest.raises(UsageError, match="it has no column 'error_type'; give the file that olmv predict wrote"):
        list(read_rows(tmp_path / "x.csv"))
    (tmp_path / "x.jsonl").write_text("[1]\n")
    with pytest.raises(UsageError, match=r"line 1 is not a prediction \(it is no object\); give"):
        list(read_rows(tmp_path / "x.jsonl"))
