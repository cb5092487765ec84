"""Cells of csv: no formulas, no cursor movements, and every text comes back."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.io.table_cells import csv_cell, from_csv_cell, visible

TEXTS = st.text(st.sampled_from("=+-@'\t\n ab,\"é") | st.characters(exclude_categories=["Cc", "Cs"]), max_size=6)


@given(TEXTS)
def test_every_text_comes_back_and_none_begins_a_formula(text: str) -> None:
    cell = csv_cell(text)
    assert from_csv_cell(cell) == text
    assert not cell.startswith(("=", "+", "-", "@", "\t"))
    held = io.StringIO(newline="")
    csv.writer(held).writerow([cell, "x"])
    held.seek(0)
    assert next(csv.reader(held))[0] == cell


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"), ("-1+2", "'-1+2"), ("@home", "'@home"), ("\t=1", "'\t=1"),
        ("'=1", "''=1"), ("it's", "it's"), ("'quoted'", "'quoted'"), ("a\x1b[31mb", r"a\x1b[31mb"), ("\r=1", r"\x0d=1"),
    ],
)  # fmt: skip
def test_cells(text: str, cell: str) -> None:
    assert csv_cell(text) == cell


def test_control_characters_are_written_out() -> None:
    assert visible("a\x00b\x7f\x9b\n\tc") == "a\\x00b\\x7f\\x9b\n\tc"
