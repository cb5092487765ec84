"""Read the numbers of a predictions file, as arrays."""

import math
import os
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olmv.errors import UsageError
from olmv.io.prediction_fields import Line
from olmv.io.prediction_rows import walk

__all__ = ["Predictions", "read_predictions"]

_NUMBERS = ("logit", "probability", "threshold")
_FIELDS = ("video", "status", "model", "label", *_NUMBERS)  # a flat file that lacks one is not ours
_AGAIN = "run olmv predict again"


@dataclass(frozen=True)
class Predictions:
    """A predictions file: N videos that were scored, and those that failed.

    Attributes:
        path: the file.
        videos: N paths, as the file has them.
        labels: C labels, in the order of the first row.
        logit: [N, C].
        probability: [N, C], 0..1.
        threshold: [C], 0..1.
        model: its name; empty if the rows do not say.
        failed: paths of the videos without scores.
    """

    path: str
    videos: tuple[str, ...]
    labels: tuple[str, ...]
    logit: NDArray[np.float64]
    probability: NDArray[np.float64]
    threshold: NDArray[np.float64]
    model: str
    failed: tuple[str, ...] = ()


def read_predictions(path: str | Path) -> Predictions:
    """Read a predictions file, row by row, keeping little more than its numbers in memory.

    Args:
        path: a `.jsonl`, `.csv` or `.parquet` file.

    Raises:
        InputError: none of these by its name, or it cannot be read.
        UsageError: not predictions; cut by `top_k`; a score that is missing or not a number; two rows for one
            video; rows of several models or thresholds; no video that was scored.
    """
    table = _Table(Path(path))
    for where, scores in walk(path, _FIELDS, from_row=_Scores.from_row, from_lines=_Scores.from_lines):
        table.add(where, scores)
    return table.predictions()


@dataclass(frozen=True)
class _Scores:
    """One video, and per label its name and numbers, unchecked."""

    video: Any
    status: Any
    model: Any
    labels: Sequence[Any]
    numbers: Sequence[Sequence[Any]]  # logit, probability, threshold

    @classmethod
    def from_row(cls, row: Any) -> "_Scores":
        labels = row["labels"]
        return cls(
            video=row["video"],
            status=row["status"],
            model=row.get("model"),
            labels=[label["label"] for label in labels],
            numbers=[[label.get(name) for label in labels] for name in _NUMBERS],
        )

    @classmethod
    def from_lines(cls, lines: Sequence[Line]) -> "_Scores":
        _, video, status, model, *_ = lines[0]
        labelled = [line for line in lines if line[4]]
        *_, labels, logit, probability, threshold = zip(*labelled, strict=True) if labelled else ((),) * 8
        return cls(video, status, model, labels, (logit, probability, threshold))


class _Table:
    """Rows come in, arrays go out; every row must fit the first one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.videos: list[str] = []
        self.failed: list[str] = []
        self.labels: tuple[str, ...] = ()
        self.model = ""
        self._first = ""
        self._threshold = array("d")
        self._logit = array("d")
        self._probability = array("d")
        self._seen: dict[str, str] = {}

    def add(self, where: str, row: _Scores) -> None:
        video = row.video
        if not isinstance(video, str) or not video or row.status not in ("ok", "error"):
            raise UsageError(f"{self.path} {where} is not a prediction; give the file that olmv predict wrote")
        key = os.path.abspath(video)  # noqa: PTH100 - a link and its target are two videos
        if key in self._seen:
            raise UsageError(f"{self.path} has two rows for {video}: {self._seen[key]} and {where}; remove one of them")
        self._seen[key] = where
        if row.status == "error":
            self.failed.append(video)
            return
        if not row.labels:
            raise UsageError(f"{self.path} {where}: {video} has no labels; {_AGAIN}")
        if not self.videos:
            self._begin(where, row)
        logit, probability, threshold = self._checked(where, row)
        if threshold != self._threshold:
            label = self.labels[next(i for i, value in enumerate(threshold) if value != self._threshold[i])]
            raise UsageError(
                f"{self.path} {where}: {video} and {self.videos[0]} have different thresholds for {label!r}; "
                f"{_AGAIN} for all videos"
            )
        if (row.model or "") != self.model:
            raise UsageError(
                f"{self.path} holds rows of two models, {self.model!r} and {row.model!r} ({where}); "
                "put them in a file each"
            )
        self.videos.append(video)
        self._logit.extend(logit)
        self._probability.extend(probability)

    def predictions(self) -> Predictions:
        if not self.videos:
            why = f"all {len(self.failed)} videos in it failed" if self.failed else "it is empty"
            raise UsageError(f"{self.path} has no scores, {why}; {_AGAIN} on videos that can be read")
        shape = (len(self.videos), len(self.labels))
        return Predictions(
            path=str(self.path),
            videos=tuple(self.videos),
            labels=self.labels,
            logit=np.frombuffer(self._logit).reshape(shape),
            probability=np.frombuffer(self._probability).reshape(shape),
            threshold=np.frombuffer(self._threshold),
            model=self.model,
            failed=tuple(self.failed),
        )

    def _begin(self, where: str, row: _Scores) -> None:
        if not all(isinstance(label, str) and label for label in row.labels):
            raise UsageError(f"{self.path} {where} has a label without a name; {_AGAIN}")
        if len(set(row.labels)) < len(row.labels):
            twice = next(label for i, label in enumerate(row.labels) if label in row.labels[:i])
            raise UsageError(f"{self.path} {where} has the label {twice!r} twice; {_AGAIN}")
        self.labels = tuple(row.labels)
        self.model = str(row.model or "")
        self._first = where
        self._threshold = self._checked(where, row)[2]

    def _checked(self, where: str, row: _Scores) -> tuple["array[float]", ...]:
        """Return logit, probability and threshold of a row, in the order of `labels`."""
        columns = row.numbers
        if tuple(row.labels) != self.labels:
            columns = self._reordered(where, row)
        logit, probability, threshold = map(_floats, columns)
        for name, values in zip(_NUMBERS, (logit, probability, threshold), strict=True):
            got = np.frombuffer(values)
            bad = ~np.isfinite(got) if name == "logit" else ~((got >= 0) & (got <= 1))
            if bad.any():
                index = int(bad.argmax())
                value = "missing or not a number" if math.isnan(got[index]) else f"{got[index]:g}"
                what = f"the {name} of {self.labels[index]!r} for {row.video}"
                raise UsageError(f"{self.path} {where}: {what} is {value}; {_AGAIN}")
        return logit, probability, threshold

    def _reordered(self, where: str, row: _Scores) -> tuple[list[Any], ...]:
        places = {label: index for index, label in enumerate(row.labels)}
        if len(row.labels) != len(self.labels) or places.keys() != set(self.labels):
            raise UsageError(
                f"{self.path} {where}: the labels of {row.video} are not those of {self.videos[0]} "
                f"({self._first}); predict again without top-k, so that every row has every label"
            )
        return tuple([column[places[label]] for label in self.labels] for column in row.numbers)


def _floats(column: Sequence[Any]) -> "array[float]":
    """Return the numbers of a column; NaN for what is not a number."""
    try:
        return array("d", map(float, column))
    except (TypeError, ValueError):
        return array("d", map(_float_or_nan, column))


def _float_or_nan(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
