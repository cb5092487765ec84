"""The per-label table of an evaluation: its rows, and labels.csv."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from olmv.io.table_cells import csv_cell

if TYPE_CHECKING:
    from olmv.evaluate.results import Result

__all__ = ["COLUMNS", "csv_text", "label_table", "plain"]

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "multi-label": (
        *("label", "group", "support", "predicted", "ap", "precision", "recall", "f1"),
        *("threshold", "best_threshold", "best_f1"),
    ),
    "single-label": ("label", "class", "support", "accuracy", "confused_with", "confused"),
    "retrieval": (),
}
"""The columns of labels.csv, by kind."""


def label_table(result: "Result", groups: Mapping[str, Sequence[int]] | None = None) -> list[dict[str, Any]]:
    """Make one row per label with the `COLUMNS` of the kind, from the videos that have scores; empty for retrieval.

    Args:
        result: with scores.
        groups: group name -> label indices; where they overlap the names are joined with "; ".

    Raises:
        UsageError: the result has no scores.
    """
    if result.kind == "retrieval":
        return []
    ok = result.ok
    if result.kind == "single-label":
        return _single_label(result, ok)
    from olmv.metrics.multilabel import multi_label

    thresholds = np.array(result.thresholds or [0.5] * len(result.labels), dtype=np.float64)
    per_label = multi_label(result.probability()[ok], result.truth[ok], thresholds).per_label
    members = {name: set(indices) for name, indices in (groups or {}).items()}
    return [
        {
            "label": label,
            "group": "; ".join(name for name, indices in members.items() if index in indices),
            "threshold": float(thresholds[index]),
            **{
                name: getattr(per_label, name)[index].item()
                for name in ("support", "predicted", "ap", "precision", "recall", "f1", "best_threshold", "best_f1")
            },
        }
        for index, label in enumerate(result.labels)
    ]


def _single_label(result: "Result", ok: Any) -> list[dict[str, Any]]:
    from olmv.metrics.single_label import single_label_table

    known = ok & result.truth.any(axis=1)
    table = single_label_table(result.logit()[known], result.truth[known].argmax(axis=1))
    classes = result.classes or result.labels
    return [
        {
            "label": label,
            "class": classes[index],
            "support": int(table.support[index]),
            "accuracy": float(table.accuracy[index]),
            "confused_with": result.labels[table.confused_with[index]] if table.confused_with[index] >= 0 else "",
            "confused": int(table.confused[index]),
        }
        for index, label in enumerate(result.labels)
    ]


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
