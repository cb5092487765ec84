"""What is true of videos, and when: a line a segment, or the JSON of Label Studio and ActivityNet.

    .csv     video, label, start_s, end_s; a line a segment; a line with a video alone: nothing happens in it
    .jsonl   the same fields an object, or {"video": ..., "segments": [{"label", "start_s", "end_s"}, ...]}, as the rows
             of `olmv predict --timeline` have them
    .json    see `olmv.datasets.timed_json`

A time is a number of seconds from the first frame, or a clock: 93.5, `93.5s`, `1:33.5`, `0:01:33.5`. Paths are relative
to the file, as in manifests.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olmv.datasets.manifests import raw_rows, row_video
from olmv.errors import InputError, UsageError
from olmv.io.clock import parse_seconds

__all__ = ["TimedVideo", "TrueSegment", "joined_spans", "read_timed", "segment_of"]

FORMATS = (".csv", ".jsonl", ".json")
_COLUMNS = "video, label, start_s, end_s"
_LATEST_S = 1e9
_NAMES = {"start_s": ("start_s", "start"), "end_s": ("end_s", "end")}


@dataclass(frozen=True)
class TrueSegment:
    """A stretch of a video in which a label is true, in seconds; 0 <= start_s < end_s."""

    label: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class TimedVideo:
    """One video and what is true of it when.

    Attributes:
        video: its path, the truth's folder in front; of ActivityNet its id.
        segments: in the order of the file; () where nothing happens.
        is_id: `video` is no path, but the stem of a file name, with or without `v_` before it.
    """

    video: str
    segments: tuple[TrueSegment, ...]
    is_id: bool = False


def read_timed(path: str | Path) -> tuple[list[TimedVideo], tuple[str, ...]]:
    """Read a truth over time; the lines of one video are put together.

    Returns:
        The videos, and what a reader should know of them, a line each.

    Raises:
        InputError: no truth over time by its name or columns; it cannot be read; it lists no videos; a segment without
            a label or a time, with a negative time, or one that does not begin before it ends. The line is named.
    """
    path = Path(path)
    notes: tuple[str, ...] = ()
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path} is no truth over time; give .csv, .jsonl or .json with {_COLUMNS}")
    if path.suffix.lower() == ".json":
        from olmv.datasets.timed_json import read_timed_json

        videos, notes = read_timed_json(path)
    else:
        videos = list(_of_rows(path))
    if not videos:
        raise InputError(f"{path} lists no videos; add lines with {_COLUMNS}")
    return _by_video(videos), notes


def segment_of(label: Any, start: Any, end: Any, where: str) -> TrueSegment:
    """Make a segment of what a file says.

    Args:
        label: a text.
        start, end: numbers of seconds, or texts as `parse_seconds` reads them.
        where: the file and line, for the message.

    Raises:
        InputError: it can be none.
    """
    if not isinstance(label, str) or not label.strip():
        raise InputError(f"{where} has times without a label; name what is true then")
    label = label.strip()
    begins, ends = (
        _seconds(value, f"{where}: the {name} of {label!r:.80}") for value, name in ((start, "start"), (end, "end"))
    )
    if begins >= ends:
        raise InputError(
            f"{where}: {label!r:.80} starts at {begins:g} s and ends at {ends:g} s; let it end after it starts"
        )
    return TrueSegment(label, begins, ends)


def joined_spans(segments: Iterable[tuple[float, float]]) -> tuple[NDArray[np.float64], int]:
    """Join those that overlap: begins and ends [G, 2] in order, and how many were joined to another.

    Two that touch stay two: something may end and happen again.
    """
    spans: list[list[float]] = []
    joined = 0
    for start, end in sorted(segments):
        if spans and start < spans[-1][1]:
            spans[-1][1] = max(spans[-1][1], end)
            joined += 1
        else:
            spans.append([start, end])
    return np.array(spans, dtype=np.float64).reshape(-1, 2), joined


def _of_rows(path: Path) -> Iterator[TimedVideo]:
    for number, row in raw_rows(path):
        where = f"{path} line {number}"
        video = row_video(path, number, row)
        if row.get("status") == "error":
            continue  # a prediction that failed says nothing of what is true
        if isinstance(row.get("segments"), list):
            segments = tuple(
                _segment(item, f"{where} segment {place}") for place, item in enumerate(row["segments"], 1)
            )
        elif "label" not in row or (path.suffix.lower() == ".csv" and not all(map(row.__contains__, _times(row)))):
            columns = ", ".join(f"{name!r:.40}" for name in list(row)[:20])
            raise InputError(f"{where} does not say when (columns: {columns}); truth over time has {_COLUMNS}")
        elif all(_is_empty(row.get(name)) for name in ("label", *_times(row))):
            segments = ()
        else:
            segments = (_segment(row, where),)
        yield TimedVideo(video, segments)


def _segment(item: Any, where: str) -> TrueSegment:
    if not isinstance(item, Mapping):
        raise InputError(f"{where} is no object; write label, start_s and end_s")
    start, end = _times(item)
    return segment_of(item.get("label"), item.get(start), item.get(end), where)


def _times(row: Mapping[str, Any]) -> list[str]:
    """Return what the fields of start and end are called in this row."""
    return [next((name for name in names if name in row), names[0]) for names in _NAMES.values()]


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _seconds(value: Any, what: str) -> float:
    if _is_empty(value):
        raise InputError(f"{what} is missing; write seconds, such as 93.5, or a clock, such as 1:33.5")
    if isinstance(value, str):
        if value.strip().startswith("-"):
            raise InputError(f"{what} is {value.strip()!r:.40}, before the video; count from its first frame")
        try:
            return parse_seconds(value)
        except UsageError as error:
            raise InputError(f"{what}: {error}") from None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LATEST_S:  # NaN is not
        raise InputError(f"{what} is {value!r:.40}, no time; write seconds, such as 93.5, or a clock, such as 1:33.5")
    if value < 0:
        raise InputError(f"{what} is {value:g} s, before the video; count from its first frame")
    return float(value)


def _by_video(videos: Sequence[TimedVideo]) -> list[TimedVideo]:
    """Put together what is said of one video in several lines."""
    segments: dict[str, list[TrueSegment]] = {}
    first: dict[str, TimedVideo] = {}
    for video in videos:
        key = video.video if video.is_id else os.path.abspath(video.video)  # noqa: PTH100 - keeps symbolic links
        first.setdefault(key, video)
        segments.setdefault(key, []).extend(video.segments)
    return [TimedVideo(video.video, tuple(segments[key]), video.is_id) for key, video in first.items()]
