"""Files of prediction rows: `.jsonl`, `.csv` and `.parquet`, written and read.

`olmv.io.prediction_fields` says what stands in them. A file is written to the end beside the old one and then takes
its place, so a reader never sees half of one.

What the flat formats cannot carry: csv, control characters in texts (written out, as `\\x1b`); parquet, the bytes of a
file name that is not UTF-8 (written out, as `\\udcff`); both, an empty label, and two rows in a row for one video that
have no label in common.
"""

import csv
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from operator import call, itemgetter
from pathlib import Path
from typing import Any, TypeVar

from olmv.errors import InputError, UsageError, reason
from olmv.io.atomic import write_atomic, writing_file
from olmv.io.journal import encode_row
from olmv.io.paths import text_lines
from olmv.io.prediction_fields import (
    FIELDS,
    KINDS,
    LATER_FIELDS,
    Line,
    Row,
    by_video,
    check_row,
    flatten,
    truth,
    unflatten,
)
from olmv.io.table_cells import csv_cell, from_csv_cell

__all__ = ["FIELDS", "FORMATS", "check_format", "csv_value", "flatten", "read_rows", "valid_text", "walk", "write_rows"]

FORMATS = (".jsonl", ".csv", ".parquet", ".xlsx")

_GROUP = 50_000  # lines held in memory before they become a parquet row group
_BATCH = 16_384  # lines of parquet read at a time

_OURS = "give the file that olmv predict wrote"

MALFORMED = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What code raises that takes the fields of a row that olmv did not write."""

_T = TypeVar("_T")


def check_format(path: Path) -> None:
    """Raise UsageError unless the file name ends in a format that rows can be written as."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"cannot tell the format of {path}; end it in {', '.join(FORMATS)}")


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as jsonl, csv or parquet, by the file's extension, replacing it in one step.

    Raises:
        UsageError: the extension is none of them.
        OutputError: the file cannot be written, or the disk is full.
    """
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        write_atomic(path, map(encode_row, rows))
    elif suffix == ".csv":
        _write_csv(path, rows)
    elif suffix == ".parquet":
        _write_parquet(path, rows)
    else:
        raise UsageError(f"{path} is neither .jsonl, .csv nor .parquet; rename it")


def read_rows(path: str | Path) -> Iterator[Row]:
    """Read the rows of a `.jsonl`, `.csv` or `.parquet` file that `write_rows` wrote, one at a time.

    Raises:
        InputError: none of these by its name, or it cannot be read.
        UsageError: it holds other things than prediction rows.
    """
    for where, row in walk(path, FIELDS, from_row=lambda row: row, from_lines=_joined):
        try:
            check_row(row)
        except MALFORMED as error:
            raise UsageError(f"{path} {where} is not a prediction ({reason(error)}); {_OURS}") from None
        yield row


def _joined(lines: Sequence[Line]) -> Row:
    return unflatten([dict(zip(FIELDS, line[1:], strict=True)) for line in lines])


def walk(
    path: str | Path,
    fields: Sequence[str],
    *,
    from_row: Callable[[Any], _T],
    from_lines: Callable[[Sequence[Line]], _T],
) -> Iterator[tuple[str, _T]]:
    """Go through a file video by video, with the place of each in the file ("line 7", "row 7").

    Args:
        path: a `.jsonl`, `.csv` or `.parquet` file.
        fields: those that are needed; of flat files no others are read. Of `LATER_FIELDS`, those that a flat file
            lacks are None.
        from_row: takes a row of `.jsonl`, as it is.
        from_lines: takes the lines of a video of a flat file; each has its number, then the values of `fields`.

    Raises:
        InputError: none of these by its name, or it cannot be read.
        UsageError: a line that is no JSON or csv, or of which `from_row` raises one of `MALFORMED`; a flat file without
            another of the `fields`.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    try:
        if suffix == ".jsonl":
            for number, text in text_lines(path):
                yield f"line {number}", _from_json(path, number, text, from_row)
        elif suffix == ".csv":
            for lines in by_video(_read_csv(path, fields), fields):
                yield f"line {lines[0][0]}", from_lines(lines)
        elif suffix == ".parquet":
            for lines in by_video(_read_parquet(path, fields), fields):
                yield f"row {lines[0][0]}", from_lines(lines)
        else:
            raise InputError(
                f"{path} is not a predictions file; give a .jsonl, .csv or .parquet that olmv predict wrote"
            )
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 (byte {error.start}); {_OURS}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or reason(error)}; check the path") from None


def _from_json(path: Path, number: int, text: str, from_row: Callable[[Any], _T]) -> _T:
    try:
        return from_row(json.loads(text))
    except MALFORMED:
        raise UsageError(f"{path} line {number} is not a prediction; {_OURS}") from None


def _write_csv(path: Path, rows: Iterable[Row]) -> None:
    # surrogateescape: a file name that is not UTF-8 keeps its bytes
    with (
        writing_file(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        for row in rows:
            writer.writerows(_csv_line(line) for line in flatten(row))


def _csv_line(line: Row) -> Row:
    return {name: csv_value(value) for name, value in line.items()}


def csv_value(value: Any) -> Any:
    """Return a value as csv holds it: a text that no spreadsheet takes for a formula; see `olmv.io.table_cells`."""
    if isinstance(value, bool):
        return str(value).lower()
    return csv_cell(value) if isinstance(value, str) else value


def _read_csv(path: Path, fields: Sequence[str]) -> Iterator[Line]:
    # surrogateescape: as it was written
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file)
        try:
            header = next(reader, [])
            _check_columns(path, header, fields)
            cells_of = itemgetter(*(header.index(name) if name in header else 0 for name in fields))
            values_of = [_CSV_READERS[KINDS[name]] if name in header else _nothing for name in fields]
            nothing = (None,) * len(fields)
            for line in reader:
                try:
                    if line:
                        yield reader.line_num, *map(call, values_of, cells_of(line))
                except IndexError:  # a line that was cut
                    yield reader.line_num, *nothing
        except csv.Error as error:
            raise UsageError(f"{path} line {reader.line_num} is not csv ({reason(error)}); {_OURS}") from None


def _nothing(cell: str) -> None:
    """Read a column that the file lacks."""


def _number(cell: str) -> float | None:
    try:
        return float(cell.removeprefix("'"))
    except ValueError:
        return None


def _whole(cell: str) -> int | None:
    return int(cell) if cell.isdecimal() else None


# what a cell holds; None where it is empty or holds something else, which is for the reader of the row to say
_CSV_READERS: dict[type, Callable[[str], Any]] = {str: from_csv_cell, float: _number, int: _whole, bool: truth}


def _write_parquet(path: Path, rows: Iterable[Row]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow = {str: pa.string(), float: pa.float64(), int: pa.int64(), bool: pa.bool_()}
    schema = pa.schema([(name, arrow[kind]) for name, kind in KINDS.items()])
    with writing_file(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for lines in _groups(line for row in rows for line in flatten(row)):
            writer.write_table(pa.Table.from_pylist([_valid_texts(line) for line in lines], schema))


def _groups(lines: Iterable[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    for line in lines:
        group.append(line)
        if len(group) == _GROUP:
            yield group
            group = []
    if group:
        yield group


def _valid_texts(line: Row) -> Row:
    return {name: valid_text(value) if isinstance(value, str) else value for name, value in line.items()}


def valid_text(text: str) -> str:
    """Return a text as UTF-8 can hold it: a file name that is none gets its odd bytes as backslash escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _read_parquet(path: Path, fields: Sequence[str]) -> Iterator[Line]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = set(file.schema_arrow.names)
            _check_columns(path, names, fields)
            number = 1
            for batch in file.iter_batches(batch_size=_BATCH, columns=[name for name in fields if name in names]):
                nothing = [None] * batch.num_rows
                values = [batch.column(name).to_pylist() if name in names else nothing for name in fields]
                yield from zip(range(number, number + batch.num_rows), *values, strict=True)
                number += batch.num_rows
    except pa.ArrowException as error:
        raise InputError(f"{path} is not a parquet file ({reason(error)}); give one that olmv predict wrote") from None


def _check_columns(path: Path, columns: Collection[str], fields: Sequence[str]) -> None:
    missing = [name for name in fields if name not in columns and name not in LATER_FIELDS]
    if missing:
        raise UsageError(f"{path} is not a predictions file, it has no column {missing[0]!r}; {_OURS}")
