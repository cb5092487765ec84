"""Parquet manifests: what comes out is what went in, and small files that unfold are bounded."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olmv.datasets import parquet_rows as module
from olmv.datasets.manifests import expand_inputs, read_manifest
from olmv.datasets.parquet_rows import parquet_rows
from olmv.errors import InputError

TEXT = st.text("ab é", max_size=4)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"video": TEXT, "labels": st.none() | st.lists(st.none() | TEXT, max_size=3), "caption": st.none() | TEXT}
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=30, deadline=None)
@given(rows=ROWS, group=st.integers(1, 5), large=st.booleans(), encoded=st.booleans())
def test_rows_come_back(tmp_path_factory: Any, rows: list[Any], group: int, large: bool, encoded: bool) -> None:
    path = tmp_path_factory.mktemp("rows") / "x.parquet"
    text = pa.large_string() if large else pa.string()
    schema = pa.schema({"video": text, "labels": pa.list_(text), "caption": text, "other": pa.int64()})
    table = pa.Table.from_pylist([row | {"other": 1} for row in rows], schema)
    pq.write_table(table, path, row_group_size=group, use_dictionary=encoded)
    assert [row for _, row in parquet_rows(path)] == rows
    assert [number for number, _ in parquet_rows(path)] == list(range(1, len(rows) + 1))


def test_lists_that_leave_the_dictionary(tmp_path: Path) -> None:
    labels = [[f"label {number} of {k}" for k in range(3)] for number in range(9000)]
    table = pa.table({"video": [f"{number}.mp4" for number in range(9000)], "labels": labels})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=5000, dictionary_pagesize_limit=1000)
    assert [row["labels"] for _, row in parquet_rows(tmp_path / "x.parquet")] == labels


def test_a_repeated_text_is_one_object(tmp_path: Path) -> None:
    pq.write_table(pa.table({"video": ["v" * 1000] * 5000, "labels": [["dog"]] * 5000}), tmp_path / "x.parquet")
    rows = [row for _, row in parquet_rows(tmp_path / "x.parquet")][:100]
    assert len({id(row["video"]) for row in rows}) == 1
    assert len({id(row["labels"][0]) for row in rows}) == 1
    assert len(expand_inputs([str(tmp_path / "x.parquet")])) == 1


def test_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"video": ["a", "b"], "labels": [["dog"] * 9, []], "caption": ["c" * 200_000, None]}), path)
    with pytest.raises(InputError, match="holds a text of 200,000 bytes; at most 131,072 are read, so shorten it"):
        read_manifest(path)
    monkeypatch.setattr(module, "MAX_VALUES", 8)
    with pytest.raises(InputError, match="has more than 8 values of 'labels'; split it into several files"):
        read_manifest(path)
    monkeypatch.setattr(module, "_MAX_CHUNK_BYTES", 10)
    with pytest.raises(InputError, match=r"has 0.0 GB of 'video' in one row group; write it with smaller ones"):
        read_manifest(path)


def test_columns_and_damage(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"path": ["a"], "n": [1]}), path)
    with pytest.raises(InputError, match=r"has no 'video' \(columns: path, n\); name the path column 'video'"):
        read_manifest(path)
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match="is not a parquet file"):
        read_manifest(path)
