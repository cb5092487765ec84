"""Write the table of labels as csv, and values as JSON has them."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from olmv.io.table_cells import csv_cell

if TYPE_CHECKING:
    pass

__all__ = ["COLUMNS", "csv_text", "plain"]

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "multi-label": (
        *("label", "group", "support", "predicted", "ap", "precision", "recall", "f1"),
        *("threshold", "best_threshold", "best_f1"),
    ),
    "single-label": ("label", "class", "support", "accuracy", "confused_with", "confused"),
    "timed": (
        *("label", "events", "seconds", "predicted", "ap30", "ap50", "ap70", "frame_ap"),
        *("precision", "recall", "f1", "threshold"),
    ),
    "retrieval": (),
}
"""The columns of labels.csv, by kind."""


def csv_text(kind: str, table: Sequence[Mapping[str, Any]]) -> str:
    """Write the table as csv; a number that does not exist is an empty cell."""
    held = io.StringIO()
    writer = csv.DictWriter(held, COLUMNS[kind], extrasaction="ignore", restval="")
    writer.writeheader()
    writer.writerows(
        {name: csv_cell(value) if isinstance(value, str) else _cell(value) for name, value in row.items()}
        for row in table
    )
    return held.getvalue().encode("utf-8", "backslashreplace").decode("utf-8")


def plain(value: Any) -> Any:
    """Return a value as JSON has it: numpy numbers become Python's, and one that is not finite becomes null."""
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def _cell(value: Any) -> Any:
    value = plain(value)
    return f"{value:.6g}" if isinstance(value, float) else value
