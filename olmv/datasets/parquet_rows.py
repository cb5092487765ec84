"""Rows of a parquet manifest, a batch at a time.

300 kB of parquet can stand for gigabytes: a value that comes again is a small number in the file. So texts stay in one
dictionary, of which the rows share the values, and the file's own figures are held against bounds before it is read.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from olmv.errors import InputError

__all__ = ["MAX_CHARS", "MAX_VALUES", "parquet_columns", "parquet_rows"]

# the last three: of rows that olmv predict wrote
COLUMNS = ("video", "labels", "absent", "caption", "split", "group", "status", "label", "positive")
MAX_VALUES = 50_000_000
"""Rows, or labels of all rows together."""
MAX_CHARS = 131_072  # of one value; Python's csv reader has the same limit
_MAX_CHUNK_BYTES = 2**30  # of one column of a row group, unpacked
_BATCH = 4096  # rows


def parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows with their numbers, from 1; columns that no manifest has are left out.

    Raises:
        InputError: not a parquet file, or one that unfolds to more than a manifest holds.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(path)
        names = [name for name in metadata.schema.to_arrow_schema().names if name in COLUMNS]
        if "video" not in names:
            columns = ", ".join(metadata.schema.to_arrow_schema().names)[:200]
            raise InputError(f"{path} has no 'video' (columns: {columns}); name the path column 'video'")
        _check_sizes(path, metadata)
        leaves = [metadata.schema.column(index) for index in range(len(metadata.schema))]
        texts = [leaf.path for leaf in leaves if _root(leaf.path) in COLUMNS and leaf.physical_type == "BYTE_ARRAY"]
        number = 0
        with (
            pq.ParquetFile(path, read_dictionary=texts) as shared,
            pq.ParquetFile(path, read_dictionary=[name for name in texts if name in names]) as unfolded,
        ):
            for group in range(metadata.num_row_groups):
                first = number
                try:
                    for row in _group_rows(path, shared, group, names):
                        number += 1
                        yield number, row
                except pa.ArrowNotImplementedError:  # lists of texts of which not all are in the dictionary
                    for row in islice(_group_rows(path, unfolded, group, names), number - first, None):
                        number += 1
                        yield number, row
    except (pa.ArrowException, MemoryError) as error:
        message = (str(error).splitlines() or ["it takes too much memory"])[0]
        raise InputError(f"{path} is not a parquet file: {message}") from None


def parquet_columns(path: Path) -> list[str]:
    """Return the names of the columns of a parquet file that can be read."""
    import pyarrow.parquet as pq

    names: list[str] = pq.read_schema(path).names
    return names


def _group_rows(path: Path, file: Any, group: int, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    for batch in file.iter_batches(batch_size=_BATCH, row_groups=[group], columns=names):
        columns = {name: _values(path, batch.column(name)) for name in batch.schema.names}
        for values in zip(*columns.values(), strict=True):
            yield dict(zip(columns, values, strict=True))


def _check_sizes(path: Path, metadata: Any) -> None:
    totals: dict[str, int] = {}
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            name = _root(column.path_in_schema)
            if name not in COLUMNS:
                continue
            totals[name] = totals.get(name, 0) + column.num_values
            if totals[name] > MAX_VALUES:
                raise InputError(f"{path} has more than {MAX_VALUES:,} values of '{name}'; split it into several files")
            if column.total_uncompressed_size > _MAX_CHUNK_BYTES:
                raise InputError(
                    f"{path} has {column.total_uncompressed_size / 1e9:.1f} GB of '{name}' in one row group; write it "
                    "with smaller ones"
                )


def _root(column: str) -> str:
    return column.partition(".")[0]


def _values(path: Path, column: Any) -> list[Any]:
    """Return the values of one batch of a column; texts that come again are one object."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        inner, starts = _values(path, column.values), column.offsets.to_pylist()
        there = column.is_valid().to_pylist()
        ends = zip(starts, starts[1:], there, strict=False)
        return [inner[first:last] if known else None for first, last, known in ends]
    if not pa.types.is_dictionary(column.type):
        values: list[Any] = column.to_pylist()
        return values
    longest = pc.max(pc.binary_length(column.dictionary)).as_py() or 0
    if longest > MAX_CHARS:
        raise InputError(f"{path} holds a text of {longest:,} bytes; at most {MAX_CHARS:,} are read, so shorten it")
    texts = column.dictionary.to_pylist()
    return [None if index is None else texts[index] for index in column.indices.to_pylist()]
