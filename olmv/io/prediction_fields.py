"""The fields of a prediction row, nested as in `.jsonl` and flat as in `.csv` and `.parquet`.

A `.jsonl` file holds one row per video (`VideoPrediction.to_row` makes it). The other formats carry the same fields
flattened, one line per video AND label; a video that failed has one line, with its error and without a label.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from types import NoneType
from typing import Any

from olmv.errors import InputError
from olmv.io.fields import ANY, AT_LEAST_0, COUNT, SHARE, check_fields, check_numbers

__all__ = [
    "FIELDS",
    "KINDS",
    "LATER_FIELDS",
    "Line",
    "Row",
    "by_video",
    "check_row",
    "flatten",
    "is_prediction",
    "positive_labels",
    "truth",
    "unflatten",
]

Row = dict[str, Any]
Line = Sequence[Any]
"""A line of a flat file: its number, then its values."""

_NUMBER = (int, float)
_ROW = {
    "video": str,
    "status": str,
    "error": (dict, NoneType),
    "duration_s": (*_NUMBER, NoneType),
    "frames": dict,
    "model": str,
    "labels": list,
}
_ERROR = {"type": str, "message": str}
_FRAMES = {"requested": int, "decoded": int, "corrupt": int}
# rows of earlier versions lack them
_MORE_FRAMES = {"encoded": int, "widest_gap_s": (*_NUMBER, NoneType), "capped": bool}
_SEGMENT = {"label": str, **dict.fromkeys(("start_s", "end_s", "peak", "peak_s", "mean"), _NUMBER)}
_LABEL = {
    "label": str,
    "similarity": _NUMBER,
    "logit": _NUMBER,
    "probability": _NUMBER,
    "threshold": _NUMBER,
    "positive": bool,
}
_EXPLANATION = {"label": str, "texts": list, "frames": list}
_TEXT = {"text": str, "contribution": _NUMBER}
_FRAME = {"frame": int, "time_s": (*_NUMBER, NoneType), "contribution": _NUMBER}

_ROW_RANGES = {"duration_s": AT_LEAST_0}
_FRAMES_RANGES = {**dict.fromkeys((*_FRAMES, "encoded"), COUNT), "widest_gap_s": AT_LEAST_0}
_LABEL_RANGES = {"similarity": ANY, "logit": ANY, "probability": SHARE, "threshold": SHARE}
_SEGMENT_RANGES = {**dict.fromkeys(("start_s", "end_s", "peak_s"), AT_LEAST_0), "peak": SHARE, "mean": SHARE}
_TEXT_RANGES = {"contribution": ANY}
_FRAME_RANGES = {"frame": COUNT, "time_s": ANY, "contribution": ANY}

KINDS: dict[str, type] = {
    "video": str,
    "status": str,
    **{f"error_{name}": kind for name, kind in _ERROR.items()},
    "duration_s": float,
    **{f"frames_{name}": kind for name, kind in _FRAMES.items()},
    "frames_encoded": int,
    "frames_widest_gap_s": float,
    "frames_capped": bool,
    "model": str,
    "label": str,
    "similarity": float,
    "logit": float,
    "probability": float,
    "threshold": float,
    "positive": bool,
    "explanation": str,
}
"""Column of a flat file -> what it holds, where it holds anything."""
FIELDS = tuple(KINDS)
LATER_FIELDS = frozenset(f"frames_{name}" for name in _MORE_FRAMES)
"""Columns that flat files of earlier versions lack."""


def check_row(row: Mapping[str, Any]) -> None:
    """Make sure that a row read from a file has the fields of `VideoPrediction.to_row` that others build on.

    Raises:
        ValueError: it lacks one, one holds something else or a number out of its range, a label comes twice, or status
            and error contradict each other; the field is named.
    """
    check_fields(row, _ROW)
    check_numbers(row, _ROW_RANGES)
    if not row["video"]:
        raise ValueError("its 'video' is empty")
    if row["status"] not in ("ok", "error"):
        raise ValueError(f"its 'status' is {row['status']!r:.40}, neither 'ok' nor 'error'")
    if row["error"] is not None:
        check_fields(row["error"], _ERROR, "error.")
    if (row["status"] == "error") != (row["error"] is not None):
        raise ValueError(f"its 'status' is {row['status']!r}, which its 'error' contradicts")
    check_fields(row["frames"], _FRAMES, "frames.")
    check_fields(row["frames"], {name: kind for name, kind in _MORE_FRAMES.items() if name in row["frames"]}, "frames.")
    check_numbers(row["frames"], _FRAMES_RANGES, "frames.")
    _check_labels(row["labels"])
    _check_items(row, "segments", _SEGMENT, _SEGMENT_RANGES)
    for time in _list(row, "shots_s"):
        check_fields({"shots_s": time}, {"shots_s": _NUMBER})
        check_numbers({"shots_s": time}, {"shots_s": AT_LEAST_0})
    for explanation in _list(row, "explanations"):
        check_fields(explanation, _EXPLANATION, "explanations.")
        _check_items(explanation, "texts", _TEXT, _TEXT_RANGES, "explanations.")
        _check_items(explanation, "frames", _FRAME, _FRAME_RANGES, "explanations.")


def _check_labels(labels: Sequence[Any]) -> None:
    seen: set[str] = set()
    for label in labels:
        check_fields(label, _LABEL, "labels.")
        check_numbers(label, _LABEL_RANGES, "labels.")
        if label["label"] in seen:
            raise ValueError(f"it has the label {label['label']!r:.80} twice")
        seen.add(label["label"])


def _check_items(
    row: Mapping[str, Any],
    name: str,
    fields: Mapping[str, Any],
    ranges: Mapping[str, tuple[float, float, str]],
    place: str = "",
) -> None:
    for item in _list(row, name):
        check_fields(item, fields, f"{place}{name}.")
        check_numbers(item, ranges, f"{place}{name}.")


def _list(row: Mapping[str, Any], name: str) -> list[Any]:
    """Return a list that a row may lack."""
    value = row.get(name, [])
    if not isinstance(value, list):
        raise ValueError(f"its '{name}' is {value!r:.40}, not a list")  # noqa: TRY004 - the file's fault
    return value


def flatten(row: Row) -> Iterator[Row]:
    """Yield one line per label of a row, in the order of `FIELDS`; one line without a label for a failed video."""
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


def unflatten(lines: Sequence[Row]) -> Row:
    """Put the lines of one video together to its row again: the inverse of `flatten`.

    Explanations come best first. Lost are those that `flatten` leaves out, of labels that the row does not have.
    """
    first = lines[0]
    more_frames = {name: first[f"frames_{name}"] for name in _MORE_FRAMES}
    if all(value is None for value in more_frames.values()):
        more_frames = {}
    labelled = [line for line in lines if line["label"]]
    row = {
        "video": first["video"],
        "status": first["status"],
        "error": {name: first[f"error_{name}"] for name in _ERROR} if first["error_type"] else None,
        "duration_s": first["duration_s"],
        "frames": {name: first[f"frames_{name}"] for name in _FRAMES} | more_frames,
        "model": first["model"],
        "labels": [{name: line[name] for name in _LABEL} for line in labelled],
    }
    explained = sorted((line for line in labelled if line["explanation"]), key=_probability, reverse=True)
    if explained:
        row["explanations"] = [_explanation(line["explanation"]) for line in explained]
    return row


def by_video(lines: Iterable[Line], fields: Sequence[str]) -> Iterator[list[Line]]:
    """Part lines into those of one video each. A label that comes again begins another row.

    Args:
        lines: each has its number, then the values of `fields`.
        fields: `FIELDS`, or those of them that were read; `video` and `label` among them.
    """
    video, label = 1 + fields.index("video"), 1 + fields.index("label")
    for _, group in groupby(lines, key=itemgetter(video)):
        rest = list(group)
        while rest:
            count = len(rest)
            if len({line[label] for line in rest}) < count:
                count = _before_repeat([line[label] for line in rest])
            yield rest[:count]
            rest = rest[count:]


def _before_repeat(labels: Sequence[Any]) -> int:
    """Count the labels before the first that comes again."""
    seen: set[Any] = set()
    for count, label in enumerate(labels):
        if label in seen:
            return count
        seen.add(label)
    return len(labels)


def _probability(label: Row) -> float:
    probability = label["probability"]
    return probability if isinstance(probability, _NUMBER) else 0.0  # `check_row` says that it is none


def _explanation(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text  # `check_row` says that it is none


def is_prediction(row: Any) -> bool:
    """Tell whether a row of a manifest is one of `olmv predict`, nested (.jsonl) or flat (.csv, .parquet)."""
    if not isinstance(row, dict) or row.get("status") not in ("ok", "error"):
        return False
    labels = row.get("labels")
    return isinstance(labels, list) if "labels" in row else {"label", "positive"} <= row.keys()


def positive_labels(row: Mapping[str, Any], where: str) -> tuple[str, ...] | None:
    """Read which labels are positive in a row for which `is_prediction` holds; None if its video failed.

    Raises:
        InputError: a label without a name or a verdict; `where` names the row.
    """
    if row["status"] == "error":
        return None
    positives = []
    for verdict in row.get("labels", [row]):
        label = verdict.get("label") if isinstance(verdict, Mapping) else None
        positive = truth(verdict.get("positive")) if isinstance(verdict, Mapping) else None
        if not isinstance(label, str) or positive is None:
            raise InputError(f"{where} is not a prediction; give the file that olmv predict wrote")
        if positive:
            positives.append(label)
    return tuple(positives)


def truth(value: Any) -> bool | None:
    """Read a verdict as jsonl and parquet hold it, or as csv and the programs that save csv again write it."""
    if isinstance(value, str):
        return {"true": True, "1": True, "false": False, "0": False}.get(value.strip().lower())
    return value if isinstance(value, bool) else None
