"""Write predictions for people with a spreadsheet: `.xlsx`, and wide tables, with a row for each video."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from olmv.errors import MissingDependencyError, UsageError
from olmv.io.atomic import writing_file
from olmv.io.prediction_rows import FIELDS, csv_value, flatten, valid_text
from olmv.io.table_cells import visible

__all__ = ["WIDE_FORMATS", "check_sheet", "write_wide", "write_xlsx"]

WIDE_FORMATS = (".csv", ".xlsx")
_HEAD = ("video", "status", "error", "positive")
_MOST_ROWS, _MOST_COLUMNS, _MOST_CHARS = 2**20, 2**14, 32_767  # of a sheet, as Excel reads it


def check_sheet(path: Path, *, wide: bool, labels: int) -> None:
    """Check before the run what a sheet cannot hold.

    Raises:
        UsageError: `wide` and another format than `WIDE_FORMATS`, or more labels than a sheet has columns.
        MissingDependencyError: .xlsx without its library.
    """
    suffix = path.suffix.lower()
    if wide and suffix not in WIDE_FORMATS:
        raise UsageError(
            f"a wide table is .csv or .xlsx; end {path} in one of them, or write a long one", option=("output", "wide")
        )
    if suffix != ".xlsx":
        return
    if wide and labels + len(_HEAD) > _MOST_COLUMNS:
        raise UsageError(f"{labels:,} labels are more than the columns of a sheet, {_MOST_COLUMNS:,}; write .csv")
    try:
        import xlsxwriter  # noqa: F401
    except ImportError:
        raise MissingDependencyError(".xlsx needs XlsxWriter; pip install 'olmv[xlsx]', or write .csv") from None


def write_wide(path: Path, rows: Iterable[dict[str, Any]], labels: Sequence[str]) -> None:
    """Write a line for each video, with the probability of each label in a column of its own.

    A csv begins with a byte order mark, by which Excel knows UTF-8. A label that was left out (`top_k`) has
    an empty cell.

    Raises:
        UsageError: more videos than a sheet has rows.
        OutputError: the file cannot be written.
    """
    header = [*_HEAD, *labels]
    lines = (_wide_line(row, labels) for row in rows)
    if path.suffix.lower() == ".xlsx":
        _write_sheet(path, header, lines)
        return
    with (
        writing_file(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        file.write("\ufeff")
        writer = csv.writer(file)
        writer.writerow([csv_value(name) for name in header])
        writer.writerows([csv_value(value) for value in line] for line in lines)


def write_xlsx(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write a line for each video and label, with the columns of the long csv; errors as `write_wide`."""
    _write_sheet(path, FIELDS, (list(line.values()) for row in rows for line in flatten(row)))


def _wide_line(row: dict[str, Any], labels: Sequence[str]) -> list[Any]:
    labelled = {label["label"]: label for label in row["labels"]}
    error = row["error"]
    message = None if error is None else f"{error['type']}: {error['message']}"
    positive = "; ".join(name for name in labels if name in labelled and labelled[name]["positive"])
    probabilities = (labelled.get(name, {}).get("probability") for name in labels)
    return [row["video"], row["status"], message, positive, *probabilities]


def _write_sheet(path: Path, header: Sequence[str], lines: Iterator[list[Any]]) -> None:
    import xlsxwriter
    from xlsxwriter.exceptions import XlsxFileError

    with writing_file(path) as temporary:
        book = xlsxwriter.Workbook(str(temporary), {"constant_memory": True, "in_memory": False})
        sheet = book.add_worksheet("predictions")
        sheet.freeze_panes(1, 1)
        try:
            for column, name in enumerate(header):
                sheet.write_string(0, column, _text(name))
            for number, line in enumerate(lines, start=1):
                if number >= _MOST_ROWS:
                    raise UsageError(
                        f"{path} would have more rows than a sheet, {_MOST_ROWS:,}; write .csv or .parquet"
                    )
                for column, value in enumerate(line):
                    if isinstance(value, bool):
                        sheet.write_boolean(number, column, value)
                    elif isinstance(value, int | float):
                        sheet.write_number(number, column, value)
                    elif value is not None:  # written as a string, so never a formula
                        sheet.write_string(number, column, _text(value))
        finally:
            try:
                book.close()
            except XlsxFileError as error:  # a full disk
                raise OSError(str(error)) from None


def _text(value: Any) -> str:
    return visible(valid_text(str(value)))[:_MOST_CHARS]
