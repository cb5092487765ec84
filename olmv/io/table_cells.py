"""Write texts of strangers as cells of a table: no spreadsheet takes one for a formula, and none moves a cursor.

A cell that begins with = + - @ or a tab is run by spreadsheets; an apostrophe in front makes it text. Reading takes the
apostrophe away again, so every text comes back. Control characters are written out, such as `\\x1b`.
"""

import re

__all__ = ["csv_cell", "from_csv_cell", "visible"]

_FORMULA = re.compile(r"'*[=+\-@\t]")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def csv_cell(text: str) -> str:
    """Write a text as a cell of csv; `from_csv_cell` undoes it, except for control characters."""
    text = visible(text)
    return f"'{text}" if _FORMULA.match(text) else text


def from_csv_cell(cell: str) -> str:
    """Read the text of a cell that `csv_cell` wrote."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def visible(text: str) -> str:
    """Write the control characters of a text out, as `\\x1b`, line breaks and tabs excepted."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
