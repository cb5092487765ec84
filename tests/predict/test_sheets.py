"""Tables for spreadsheets: a row a video, and .xlsx."""

import csv
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from olmv.datasets.manifests import read_manifest
from olmv.errors import MissingDependencyError, UsageError
from olmv.evaluate.tables import csv_text
from olmv.io.prediction_rows import FIELDS, write_rows
from olmv.predict import sheets
from olmv.predict.sheets import check_sheet, write_wide, write_xlsx

Row = dict[str, Any]


def cells(path: Path) -> list[str]:
    """The texts of a sheet, row by row, by what stands in its XML."""
    with zipfile.ZipFile(path) as book:
        assert not [name for name in book.namelist() if "vba" in name]
        text = book.read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in text, "a formula"
    return re.findall(r"<t[^>]*>([^<]*)</t>|<v>([^<]*)</v>", text) and [
        a or b for a, b in re.findall(r"<t[^>]*>([^<]*)</t>|<v>([^<]*)</v>", text)
    ]


def test_wide_csv(tmp_path: Path, good_row: Row, bad_row: Row) -> None:
    path = tmp_path / "x.csv"
    good_row["labels"] = good_row["labels"][:1]
    write_wide(path, [good_row, bad_row], ["rain", "dog", "=cat"])
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, good, bad = csv.reader(file)
    assert header == ["video", "status", "error", "positive", "rain", "dog", "'=cat"]
    assert good == [good_row["video"], "ok", "", "dog", "", "0.89", ""]
    assert bad == ["clips/b.mp4", "error", "NotAVideoError: clips/b.mp4 is a text; give a video", "", "", "", ""]


def test_xlsx(tmp_path: Path, good_row: Row, bad_row: Row) -> None:
    good_row["video"] = "=1+1\x1b.mp4"
    write_wide(tmp_path / "wide.xlsx", [good_row, bad_row], ["dog", "rain"])
    texts = cells(tmp_path / "wide.xlsx")
    assert texts[:9] == ["video", "status", "error", "positive", "dog", "rain", "=1+1\\x1b.mp4", "ok", "dog"]
    write_xlsx(tmp_path / "long.xlsx", [good_row, bad_row])
    assert cells(tmp_path / "long.xlsx")[: len(FIELDS)] == list(FIELDS)


def test_what_cannot_be_is_told_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_sheet(tmp_path / "x.csv", wide=True, labels=10**6)
    with pytest.raises(UsageError, match=r"a wide table is .csv or .xlsx; end .* or write a long one"):
        check_sheet(tmp_path / "x.jsonl", wide=True, labels=1)
    with pytest.raises(UsageError, match=r"20,000 labels are more than the columns of a sheet, 16,384; write .csv"):
        check_sheet(tmp_path / "x.xlsx", wide=True, labels=20_000)
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'olmv\[xlsx\]', or write .csv"):
        check_sheet(tmp_path / "x.xlsx", wide=False, labels=1)


def test_more_rows_than_a_sheet_has(tmp_path: Path, bad_row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "_MOST_ROWS", 3)
    with pytest.raises(UsageError, match=r"would have more rows than a sheet, 3; write .csv or .parquet"):
        write_xlsx(tmp_path / "x.xlsx", [bad_row] * 3)
    assert list(tmp_path.iterdir()) == []


def test_formulas_in_the_long_csv_come_back_as_they_were(tmp_path: Path, good_row: Row) -> None:
    good_row["labels"] = [good_row["labels"][0] | {"label": "=cmd()"}]
    good_row["video"] = "@dog.mp4"
    write_rows(tmp_path / "x.csv", [good_row])
    assert "'=cmd()" in (tmp_path / "x.csv").read_text(encoding="utf-8")
    (row,) = read_manifest(tmp_path / "x.csv")
    assert (Path(row.video).name, row.labels) == ("@dog.mp4", ("=cmd()",))


def test_tables_of_evaluate_hold_no_formulas() -> None:
    text = csv_text("multi-label", [{"label": "=cmd()"}, {"label": "-dog"}])
    assert "'=cmd()" in text
    assert "'-dog" in text
