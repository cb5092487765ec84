"""Prediction rows as csv and parquet files.

A `.jsonl` file holds one row per video (`VideoPrediction.to_row`). `.csv` and `.parquet` carry the same
fields flattened, one line per video AND label; a video that failed has one line, with its error and without
a label. Both are written to the end in a temporary file first, so a reader never sees half of one.
"""

import csv
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from olmv.errors import OutputError, UsageError
from olmv.io.table_cells import csv_cell

FORMATS = (".jsonl", ".csv", ".parquet", ".xlsx")

_FIELDS: dict[str, str] = {
    "video": "string",
    "status": "string",
    "error_type": "string",
    "error_message": "string",
    "duration_s": "float64",
    "frames_requested": "int64",
    "frames_decoded": "int64",
    "frames_corrupt": "int64",
    "model": "string",
    "label": "string",
    "similarity": "float64",
    "logit": "float64",
    "probability": "float64",
    "threshold": "float64",
    "positive": "bool",
    "explanation": "string",
}
FIELDS = tuple(_FIELDS)

# Lines held in memory before they become a parquet row group.
_GROUP = 50_000


def check_format(path: Path) -> None:
    """Raise UsageError unless the file name ends in a format that rows can be written as."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"cannot tell the format of {path}; end it in {', '.join(FORMATS)}")


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as csv or parquet, by the file's extension, replacing it in one step.

    Raises:
        UsageError: the extension is neither.
        OutputError: the file cannot be written, or the disk is full.
    """
    suffix = path.suffix.lower()
    if suffix == ".csv":
        _write_csv(path, rows)
    elif suffix == ".parquet":
        _write_parquet(path, rows)
    else:
        raise UsageError(f"{path} is neither .csv nor .parquet; rename it")


def flatten(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One line per label of a row, in the order of `FIELDS`; one line without a label for a failed video."""
    error = row["error"] or {}
    explanations = {item["label"]: item for item in row.get("explanations", ())}
    video = {
        "video": row["video"],
        "status": row["status"],
        "error_type": error.get("type"),
        "error_message": error.get("message"),
        "duration_s": row["duration_s"],
        **{f"frames_{name}": count for name, count in row["frames"].items()},
        "model": row["model"],
    }
    for label in row["labels"] or [{}]:
        explanation = explanations.get(label.get("label"))
        line = video | label | {"explanation": json.dumps(explanation) if explanation else None}
        yield {name: line.get(name) for name in FIELDS}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder that replaces `path` when the block ends well, else vanishes.

    For files too large for `olmv.io.atomic.write_atomic`.

    Raises:
        OutputError: the folder cannot be written to, or the disk is full.
    """
    temporary = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent or Path(), prefix=f".{path.name}.", suffix=".tmp")
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp makes it private
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}; choose another path") from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _write_csv(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    # surrogateescape: a file name that is not UTF-8 keeps its bytes
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        for row in rows:
            writer.writerows(_csv_line(line) for line in flatten(row))


def _csv_line(line: dict[str, Any]) -> dict[str, Any]:
    positive = line["positive"]
    line = line | {"positive": None if positive is None else str(positive).lower()}
    return {name: csv_value(value) for name, value in line.items()}


def csv_value(value: Any) -> Any:
    """A value as csv holds it: a text that no spreadsheet takes for a formula; see `olmv.io.table_cells`."""
    return csv_cell(value) if isinstance(value, str) else value


def _write_parquet(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, getattr(pa, "bool_" if kind == "bool" else kind)()) for name, kind in _FIELDS.items()])
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for lines in _groups(line for row in rows for line in flatten(row)):
            writer.write_table(pa.Table.from_pylist([_valid_text(line) for line in lines], schema))


def _groups(lines: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    for line in lines:
        group.append(line)
        if len(group) == _GROUP:
            yield group
            group = []
    if group:
        yield group


def _valid_text(line: dict[str, Any]) -> dict[str, Any]:
    return {name: valid_text(value) if isinstance(value, str) else value for name, value in line.items()}


def valid_text(text: str) -> str:
    """The text as UTF-8 can hold it: a file name that is none gets its odd bytes as backslash escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
