"""Write what a search found as rows: a moment a line, or a near-duplicate a line."""

import csv
import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from olmv.errors import UsageError
from olmv.io.atomic import write_atomic, writing_file
from olmv.io.prediction_rows import csv_value

if TYPE_CHECKING:
    from olmv.library.query.duplicates import DuplicateGroup
    from olmv.library.query.moments import Moment

__all__ = ["FORMATS", "check_rows_output", "group_rows", "moment_rows", "write_search_rows"]

FORMATS = (".jsonl", ".csv")
MOMENT_FIELDS = ("video", "path", "duration_s", "start_s", "end_s", "peak_s", "probability", "similarity")
GROUP_FIELDS = ("group", "video", "path", "duration_s", "probability", "similarity")


def check_rows_output(path: Path) -> None:
    """Raise UsageError for a format that there is not."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path} is none of {', '.join(FORMATS)}; end it in one of them", option="output")


def moment_rows(moments: Iterable["Moment"]) -> Iterator[dict[str, Any]]:
    """Yield the row of each moment, with its picture as base64 JPEG, or None."""
    for moment in moments:
        picture = None if moment.thumbnail is None else b64encode(moment.thumbnail).decode("ascii")
        yield {**moment.to_row(), "thumbnail": picture}


def group_rows(groups: Iterable["DuplicateGroup"]) -> Iterator[dict[str, Any]]:
    """Yield a row for each video of each group; groups are counted from 1."""
    for number, group in enumerate(groups, start=1):
        for copy in group.copies:
            yield {"group": number, **copy.to_row()}


def write_search_rows(path: Path, rows: Iterable[dict[str, Any]], fields: Sequence[str]) -> None:
    """Write rows as .jsonl, or as .csv with these columns.

    Raises:
        OutputError: the file cannot be written, or the disk is full.
    """
    if path.suffix.lower() == ".jsonl":
        write_atomic(path, (json.dumps(row) + "\n" for row in rows))
        return
    with (
        writing_file(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(fields)
        writer.writerows([csv_value(row[name]) for name in fields] for row in rows)
