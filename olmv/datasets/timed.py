"""What is true of videos, and when: a line a segment, or the JSON of Label Studio and ActivityNet.

    .csv     video, label, start_s, end_s; a line a segment; a line with a video alone: nothing happens in it
    .jsonl   the same fields an object, or {"video": ..., "segments": [{"label", "start_s", "end_s"}, ...]}, as the rows
             of `olmv predict --timeline` have them
    .json    see `olmv.datasets.timed_json`

A time is a number of seconds from the first frame, or a clock: 93.5, `93.5s`, `1:33.5`, `0:01:33.5`. Paths are relative
to the file, as in manifests.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from olmv.datasets.manifests import raw_rows, row_video
from olmv.datasets.timed_json import read_timed_json
from olmv.datasets.timed_video import TimedVideo, TrueSegment, is_empty, segment_of
from olmv.errors import InputError

__all__ = ["read_timed"]

FORMATS = (".csv", ".jsonl", ".json")
_COLUMNS = "video, label, start_s, end_s"
_NAMES = {"start_s": ("start_s", "start"), "end_s": ("end_s", "end")}


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
        videos, notes = read_timed_json(path)
    else:
        videos = list(_of_rows(path))
    if not videos:
        raise InputError(f"{path} lists no videos; add lines with {_COLUMNS}")
    return _by_video(videos), notes


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
        elif all(is_empty(row.get(name)) for name in ("label", *_times(row))):
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


def _by_video(videos: Sequence[TimedVideo]) -> list[TimedVideo]:
    """Put together what is said of one video in several lines."""
    segments: dict[str, list[TrueSegment]] = {}
    first: dict[str, TimedVideo] = {}
    for video in videos:
        key = video.video if video.is_id else os.path.abspath(video.video)  # noqa: PTH100 - keeps symbolic links
        first.setdefault(key, video)
        segments.setdefault(key, []).extend(video.segments)
    return [TimedVideo(video.video, tuple(segments[key]), video.is_id) for key, video in first.items()]
