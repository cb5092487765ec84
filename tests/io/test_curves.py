"""Curves as Parquet: what is written is read back."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from olmv.errors import InputError, OutputError
from olmv.io.curves import Curve, CurveFile, curves_path, read_curves, write_curves

videos = st.text(min_size=1, max_size=6).filter(lambda text: text.isprintable()) | st.binary(
    min_size=1, max_size=4
).map(os.fsdecode)
labels = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5), max_size=4, unique=True)


@st.composite
def curves_of(draw: st.DrawFn, video: str) -> Curve:
    names = tuple(draw(labels))
    gaps = draw(st.lists(st.floats(0.001, 100), max_size=6))
    starts = np.concatenate([[0.0], np.cumsum(gaps)]) if draw(st.booleans()) or gaps else np.zeros(0)
    random = np.random.default_rng(draw(st.integers(0, 999)))
    return Curve(video, names, starts, random.random((len(starts), len(names)), np.float32))


files = st.lists(videos, max_size=4, unique=True).flatmap(lambda names: st.tuples(*map(curves_of, names)))


def as_written(video: str) -> str:
    return video.encode("utf-8", "backslashreplace").decode("utf-8")


def same(a: Curve, b: Curve) -> bool:
    return (
        (as_written(a.video), a.labels) == (as_written(b.video), b.labels)
        and np.array_equal(a.starts_s, b.starts_s)
        and np.array_equal(a.probability, b.probability)
    )


def curve(video: str = "a.mp4", cells: int = 3) -> Curve:
    starts = np.arange(cells, dtype=np.float64) * 2.0
    return Curve(video, ("dog", "rain"), starts, np.linspace(0, 1, 2 * cells, dtype=np.float32).reshape(cells, 2))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(curves=files)
def test_curves_are_read_back_as_they_were_written(tmp_path: Path, curves: tuple[Curve, ...]) -> None:
    path = tmp_path / "curves.parquet"
    write_curves(path, iter(curves))
    full = [item for item in curves if item.probability.size]  # without a label or a cell there is nothing to write
    back = list(read_curves(path))
    assert len(back) == len(full)
    assert all(map(same, back, full))
    file = CurveFile(path)
    assert [*file] == [as_written(item.video) for item in full]
    for item in curves:
        assert (item.video in file) == bool(item.probability.size)
        again = file.get(item.video)
        assert again is None if item.probability.size == 0 else again is not None and same(again, item)
    assert "absent" not in file
    assert file.get("absent") is None


def test_the_columns_are_the_documented_ones(tmp_path: Path) -> None:
    path = curves_path(tmp_path / "rows.jsonl")
    assert path.name == "rows.jsonl.curves.parquet"
    write_curves(path, [curve(), curve("b.mp4", 1)])
    table = pq.read_table(path)
    assert table.column_names == ["video", "label", "start_s", "probability"]
    assert table.schema.field("probability").type == pa.float32()
    lines = table.to_pylist()
    assert [(line["video"], line["label"], line["start_s"]) for line in lines] == [
        ("a.mp4", "dog", 0), ("a.mp4", "dog", 2), ("a.mp4", "dog", 4),
        ("a.mp4", "rain", 0), ("a.mp4", "rain", 2), ("a.mp4", "rain", 4),
        ("b.mp4", "dog", 0), ("b.mp4", "rain", 0),
    ]  # fmt: skip
    assert [round(line["probability"], 3) for line in lines] == [0.0, 0.4, 0.8, 0.2, 0.6, 1.0, 0.0, 1.0]


def test_a_file_without_curves(tmp_path: Path) -> None:
    write_curves(tmp_path / "none.parquet", [])
    assert list(read_curves(tmp_path / "none.parquet")) == []


def test_a_label_that_is_not_utf_8_has_its_odd_bytes_written_out(tmp_path: Path) -> None:
    odd = Curve("a.mp4", ("dog\udcff",), np.zeros(1), np.ones((1, 1), np.float32))
    write_curves(tmp_path / "x.parquet", [odd])
    (back,) = read_curves(tmp_path / "x.parquet")
    assert back.labels == ("dog\\udcff",)


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    write_curves(path, [curve()])
    before = path.read_bytes()

    def stopped() -> object:
        yield curve("b.mp4")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_curves(path, stopped())  # type: ignore[arg-type]
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["x.parquet"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        write_curves(tmp_path / "absent" / "x.parquet", [curve()])


def test_files_that_hold_no_curves(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with pytest.raises(InputError, match=r"no such file: .*; olmv predict --timeline writes it beside its rows"):
        CurveFile(path)
    with pytest.raises(InputError, match="no such file"):
        list(read_curves(path))
    path.write_text("text")
    with pytest.raises(InputError, match=r"is no Parquet file of curves; give the curves of olmv predict --timeline"):
        CurveFile(path)
    pq.write_table(pa.table({"video": ["a.mp4"], "label": ["dog"], "start_s": [0.0]}), path)
    with pytest.raises(InputError, match=r"has no column 'probability'; give the curves"):
        CurveFile(path)
    with pytest.raises(InputError, match="cannot read"):
        CurveFile(tmp_path)


def test_columns_of_other_kinds(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    good = {"video": ["a.mp4"], "label": ["dog"], "start_s": [0.0], "probability": [0.5]}
    for change in ({"video": [1]}, {"start_s": ["soon"]}, {"probability": [None]}, {"label": [None]}):
        pq.write_table(pa.table(good | change), path)
        (name,) = change
        with pytest.raises(
            InputError, match=rf"the column '{name}' of .*x\.parquet holds something else; give the curves"
        ):
            list(read_curves(path))
    pq.write_table(pa.table(good), path)  # plain texts, as another program writes them
    assert [item.labels for item in read_curves(path)] == [("dog",)]


def test_a_group_that_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(
        pa.table({
            "video": ["a.mp4"] * 3, "label": ["dog", "dog", "rain"], "start_s": [0.0, 2.0, 0.0],
            "probability": pa.array([0.1, 0.2, 0.3], pa.float32()),
        }),
        path,
    )  # fmt: skip
    with pytest.raises(InputError, match=r"is damaged where a\.mp4 should be; give the curves"):
        CurveFile(path).get("a.mp4")


def test_numbers_that_are_no_probabilities_over_time(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    for starts, probability in (([0.0, 0.0], 0.5), ([0.0, 1.0], 1.5), ([0.0, 1.0], float("nan"))):
        write_curves(path, [Curve("a.mp4", ("dog",), np.array(starts), np.full((2, 1), probability, np.float32))])
        with pytest.raises(InputError, match=r"is damaged where a\.mp4 should be"):
            list(read_curves(path))
