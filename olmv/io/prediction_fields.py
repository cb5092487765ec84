"""Rows of `olmv predict` where a manifest is asked for: what is positive in them counts as true."""

from collections.abc import Mapping
from typing import Any

from olmv.errors import InputError

__all__ = ["is_prediction", "positive_labels"]


def is_prediction(row: Any) -> bool:
    """Whether a row is one of `olmv predict`, with all labels of a video (.jsonl) or one (.csv, .parquet)."""
    if not isinstance(row, dict) or row.get("status") not in ("ok", "error"):
        return False
    labels = row.get("labels")
    return isinstance(labels, list) if "labels" in row else {"label", "positive"} <= row.keys()


def positive_labels(row: Mapping[str, Any], where: str) -> tuple[str, ...] | None:
    """The labels that are positive in a row for which `is_prediction` holds; None if its video failed.

    Raises:
        InputError: a label without a name or a verdict; `where` names the row.
    """
    if row["status"] == "error":
        return None
    verdicts = row.get("labels", [row])
    found = []
    for verdict in verdicts:
        label = verdict.get("label") if isinstance(verdict, Mapping) else None
        positive = _truth(verdict.get("positive")) if isinstance(verdict, Mapping) else None
        if not isinstance(label, str) or positive is None:
            raise InputError(f"{where} is not a prediction; give the file that olmv predict wrote")
        if positive:
            found.append(label)
    return tuple(found)


def _truth(value: Any) -> bool | None:
    """A verdict as jsonl and parquet hold it, or as csv and the programs that save csv again write it."""
    if isinstance(value, str):
        return {"true": True, "1": True, "false": False, "0": False}.get(value.strip().lower())
    return value if isinstance(value, bool) else None
