"""Reading back the rows that `olmv predict` wrote (.jsonl, .csv, .parquet): their numbers, as arrays."""

import csv
import json
import math
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olmv.errors import InputError, UsageError, reason
from olmv.io.table_cells import from_csv_cell

__all__ = ["Predictions", "read_predictions"]

# The columns read from csv and parquet; a file that lacks one is not ours. The last three are numbers.
_COLUMNS = ("video", "status", "model", "label", "logit", "probability", "threshold")
_NUMBERS = _COLUMNS[-3:]
_AGAIN = "run olmv predict again"

# One label of one video: video, status, model, label, logit, probability, threshold.
_Line = tuple[Any, ...]


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
        UsageError: not predictions; cut by `--top-k`; a score that is missing or not a number; two rows for one
            video; rows of several models or thresholds; no video that was scored.
    """
    path = Path(path)
    reader = {".jsonl": _jsonl_rows, ".csv": _csv_rows, ".parquet": _parquet_rows}.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path} is not a predictions file; give a .jsonl, .csv or .parquet that olmv predict wrote")
    table = _Table(path)
    try:
        for row in reader(path):
            table.add(row)
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 (byte {error.start}); give the file that olmv predict wrote") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or reason(error)}; check the path") from None
    return table.predictions()


@dataclass(frozen=True)
class _Row:
    """One video: where its row is ("line 7"), and per label the columns of the file."""

    where: str
    video: Any
    status: Any
    model: Any
    labels: Sequence[Any]
    numbers: tuple[Sequence[Any], ...]  # logit, probability, threshold


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

    def add(self, row: _Row) -> None:
        video = row.video
        if not isinstance(video, str) or not video or row.status not in ("ok", "error"):
            raise UsageError(f"{self.path} {row.where} is not a prediction; give the file that olmv predict wrote")
        key = os.path.abspath(video)  # noqa: PTH100 - a link and its target are two videos
        if key in self._seen:
            raise UsageError(
                f"{self.path} has two rows for {video}: {self._seen[key]} and {row.where}; remove one of them"
            )
        self._seen[key] = row.where
        if row.status == "error":
            self.failed.append(video)
            return
        if not row.labels:
            raise UsageError(f"{self.path} {row.where}: {video} has no labels; {_AGAIN}")
        if not self.videos:
            self._begin(row)
        logit, probability, threshold = self._checked(row)
        if threshold != self._threshold:
            label = self.labels[next(i for i, value in enumerate(threshold) if value != self._threshold[i])]
            raise UsageError(
                f"{self.path} {row.where}: {video} and {self.videos[0]} have different thresholds for {label!r}; "
                f"{_AGAIN} for all videos"
            )
        if (row.model or "") != self.model:
            raise UsageError(
                f"{self.path} holds rows of two models, {self.model!r} and {row.model!r} ({row.where}); "
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

    def _begin(self, row: _Row) -> None:
        if not all(isinstance(label, str) and label for label in row.labels):
            raise UsageError(f"{self.path} {row.where} has a label without a name; {_AGAIN}")
        if len(set(row.labels)) < len(row.labels):
            twice = next(label for i, label in enumerate(row.labels) if label in row.labels[:i])
            raise UsageError(f"{self.path} {row.where} has the label {twice!r} twice; {_AGAIN}")
        self.labels = tuple(row.labels)
        self.model = str(row.model or "")
        self._first = row.where
        self._threshold = self._checked(row)[2]

    def _checked(self, row: _Row) -> tuple["array[float]", ...]:
        """logit, probability and threshold of a row, in the order of `labels`."""
        columns = row.numbers
        if tuple(row.labels) != self.labels:
            columns = self._reordered(row)
        logit, probability, threshold = map(_floats, columns)
        for name, values in zip(_NUMBERS, (logit, probability, threshold), strict=True):
            got = np.frombuffer(values)
            bad = ~np.isfinite(got) if name == "logit" else ~((got >= 0) & (got <= 1))
            if bad.any():
                index = int(bad.argmax())
                value = "missing or not a number" if math.isnan(got[index]) else f"{got[index]:g}"
                what = f"the {name} of {self.labels[index]!r} for {row.video}"
                raise UsageError(f"{self.path} {row.where}: {what} is {value}; {_AGAIN}")
        return logit, probability, threshold

    def _reordered(self, row: _Row) -> tuple[list[Any], ...]:
        places = {label: index for index, label in enumerate(row.labels)}
        if len(row.labels) != len(self.labels) or places.keys() != set(self.labels):
            raise UsageError(
                f"{self.path} {row.where}: the labels of {row.video} are not those of {self.videos[0]} "
                f"({self._first}); predict again without --top-k, so that every row has every label"
            )
        return tuple([column[places[label]] for label in self.labels] for column in row.numbers)


def _floats(column: Sequence[Any]) -> "array[float]":
    """The numbers of a column; NaN for what is not a number."""
    try:
        return array("d", map(float, column))
    except (TypeError, ValueError):
        return array("d", map(_float_or_nan, column))


def _float_or_nan(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _jsonl_rows(path: Path) -> Iterator[_Row]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                labels = row["labels"]
                yield _Row(
                    where=f"line {number}",
                    video=row["video"],
                    status=row["status"],
                    model=row.get("model"),
                    labels=[label["label"] for label in labels],
                    numbers=tuple([label.get(name) for label in labels] for name in _NUMBERS),
                )
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                if isinstance(error, UnicodeDecodeError):
                    raise
                raise UsageError(
                    f"{path} line {number} is not a prediction; give the file that olmv predict wrote"
                ) from None


def _csv_rows(path: Path) -> Iterator[_Row]:
    # surrogateescape: as it was written, for file names that are not UTF-8
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file)
        try:
            header = next(reader, [])
            places = _places(path, header)
            width = max(places) + 1
            lines = (
                (
                    reader.line_num,
                    tuple(from_csv_cell(line[place]) for place in places) if len(line) >= width else (None,) * 7,
                )
                for line in reader
                if line
            )
            yield from _videos(lines, "line")
        except csv.Error as error:
            raise UsageError(
                f"{path} line {reader.line_num} is not csv ({reason(error)}); give the file that olmv predict wrote"
            ) from None


def _parquet_rows(path: Path) -> Iterator[_Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _places(path, file.schema_arrow.names)
            yield from _videos(_parquet_lines(file), "row")
    except pa.ArrowException as error:
        raise InputError(f"{path} is not a parquet file ({reason(error)}); give one that olmv predict wrote") from None


def _parquet_lines(file: Any) -> Iterator[tuple[int, _Line]]:
    number = 0
    for batch in file.iter_batches(batch_size=16_384, columns=list(_COLUMNS)):
        for line in zip(*(batch.column(name).to_pylist() for name in _COLUMNS), strict=True):
            number += 1
            yield number, line


def _places(path: Path, header: Sequence[str]) -> list[int]:
    missing = [name for name in _COLUMNS if name not in header]
    if missing:
        raise UsageError(
            f"{path} is not a predictions file, it has no column {missing[0]!r}; give the file that olmv predict wrote"
        )
    return [header.index(name) for name in _COLUMNS]


def _videos(lines: Iterable[tuple[int, _Line]], unit: str) -> Iterator[_Row]:
    """Lines of one label each -> one row per video. A label that comes again begins another row."""
    pending: list[_Line] = []
    labels: set[Any] = set()
    start = 0
    for number, line in lines:
        video, label = line[0], line[3]
        if pending and (video != pending[0][0] or label in labels):
            yield _video(f"{unit} {start}", pending)
            pending, labels = [], set()
        if not pending:
            start = number
        pending.append(line)
        labels.add(label)
    if pending:
        yield _video(f"{unit} {start}", pending)


def _video(where: str, lines: Sequence[_Line]) -> _Row:
    video, status, model = lines[0][:3]
    named = [line for line in lines if line[3]]
    _, _, _, labels, *numbers = zip(*named, strict=True) if named else ((),) * 7
    return _Row(where, video, status, model, labels, tuple(numbers))
