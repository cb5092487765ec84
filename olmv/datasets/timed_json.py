"""Truth over time as Label Studio exports it (JSON, not JSON-MIN) and as ActivityNet publishes it.

    Label Studio   [{"data": {"video": ...}, "annotations": [{"result": [region, ...]}]}]; the value of a region has
                   `timelinelabels` and `ranges` of frames (from 1, the last one included), or `labels` (or
                   `timelinelabels`) with `start` and `end` in seconds
    ActivityNet    {"database": {ID: {"annotations": [{"segment": [start, end], "label": ...}]}}}

Label Studio counts frames and does not say how fast they follow each other. The rate is taken from the region or the
task's data: `fps` (`frameRate`, `frame_rate`), or `framesCount` over `duration`.
"""

import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from olmv.datasets.timed_video import TimedVideo, TrueSegment, segment_of
from olmv.errors import InputError, reason
from olmv.io.paths import read_text

__all__ = ["read_timed_json"]

_RATES = ("fps", "frameRate", "framerate", "frame_rate")
_LABELS = ("timelinelabels", "labels", "videolabels")
_UPLOAD = re.compile(r"^[0-9a-f]{8}-(?=.)")  # what Label Studio puts before the name of an uploaded file


def read_timed_json(path: Path) -> tuple[list[TimedVideo], tuple[str, ...]]:
    """Read either, told apart by what they hold.

    Returns:
        The videos, and what a reader should know of them, a line each.

    Raises:
        InputError: neither, or a region that cannot be understood.
    """
    try:
        content = json.loads(read_text(path, error=InputError))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({reason(error)}); export it again") from None
    if isinstance(content, dict) and isinstance(content.get("database"), dict):
        return _activitynet(path, content["database"])
    if isinstance(content, list) and any(isinstance(task, dict) and "annotations" in task for task in content):
        return _label_studio(path, content)
    raise InputError(
        f"{path} is neither ActivityNet's JSON nor Label Studio's; export as JSON, not JSON-MIN, or write .csv"
    )


def _activitynet(path: Path, database: Mapping[str, Any]) -> tuple[list[TimedVideo], tuple[str, ...]]:
    videos, hidden = [], 0
    for name, entry in database.items():
        where = f"{path}: {name!r:.80}"
        annotations = entry.get("annotations") if isinstance(entry, dict) else None
        if not isinstance(annotations, list):
            raise InputError(f"{where} has no list of annotations; write [] where nothing happens")
        if not annotations and entry.get("subset") == "testing":
            hidden += 1  # its truth is not published
            continue
        segments = tuple(_annotation(item, f"{where} annotation {place}") for place, item in enumerate(annotations, 1))
        videos.append(TimedVideo(name, segments, is_id=True))
    return videos, (f"{hidden} videos of the test set have no published truth and are left out",) if hidden else ()


def _annotation(item: Any, where: str) -> TrueSegment:
    times = item.get("segment") if isinstance(item, dict) else None
    if not isinstance(times, list) or len(times) != 2:
        raise InputError(f"{where} has no segment; write [start, end] in seconds")
    return segment_of(item.get("label"), times[0], times[1], where)


def _label_studio(path: Path, tasks: Sequence[Any]) -> tuple[list[TimedVideo], tuple[str, ...]]:
    videos, open_tasks, several = [], 0, 0
    for number, task in enumerate(tasks, 1):
        where = f"{path} task {number}"
        if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
            raise InputError(f"{where} has no data; export as JSON, not JSON-MIN")
        annotations = [item for item in task.get("annotations") or () if _is_finished(item)]
        if not annotations:
            open_tasks += 1
            continue
        several += len(annotations) > 1
        chosen = next((item for item in annotations if item.get("ground_truth") is True), annotations[0])
        regions = (region for region in chosen["result"] if isinstance(region, dict))
        segments = tuple(segment for region in regions for segment in _region(region, task["data"], where))
        videos.append(TimedVideo(_file(path, task["data"], where), segments))
    notes = []
    if open_tasks:
        notes.append(f"{open_tasks} of {len(tasks)} tasks have no annotation and are left out")
    if several:
        notes.append(
            f"{several} of {len(tasks)} tasks have several annotations; the one marked as ground truth counts, "
            "else the first"
        )
    return videos, tuple(notes)


def _is_finished(annotation: Any) -> bool:
    return (
        isinstance(annotation, dict)
        and isinstance(annotation.get("result"), list)
        and not annotation.get("was_cancelled")
    )


def _region(region: Mapping[str, Any], data: Mapping[str, Any], where: str) -> Iterator[TrueSegment]:
    """Yield the segments of a region; none where it is about something else than time."""
    value = region.get("value")
    if not isinstance(value, dict):
        return
    labels = next((value[name] for name in _LABELS if isinstance(value.get(name), list)), None)
    if labels is None:
        return
    if isinstance(ranges := value.get("ranges"), list):
        rate = _frame_rate(value, region, data)
        if rate is None:
            raise InputError(f"{where} counts frames and tells no frame rate; put 'fps' into the data of its task")
        times = [_frames(item, rate, where) for item in ranges]
    elif "start" in value and "end" in value:
        times = [(value["start"], value["end"])]
    else:
        return
    for start, end in times:
        for label in labels:
            yield segment_of(label, start, end, where)


def _frames(item: Any, rate: float, where: str) -> tuple[float, float]:
    first, last = (item.get("start"), item.get("end")) if isinstance(item, dict) else (None, None)
    if not (isinstance(first, int) and isinstance(last, int) and 0 <= first < 2**40 and 0 <= last < 2**40):
        raise InputError(f"{where} has a range without frames, {item!r:.60}; write whole numbers as start and end")
    return (max(first, 1) - 1) / rate, last / rate


def _frame_rate(*holders: Mapping[str, Any]) -> float | None:
    """Return frames per second, by the first of these that tells them."""
    for holder in holders:
        for name in _RATES:
            if (rate := _positive(holder.get(name))) is not None:
                return rate
        count, duration = (_positive(holder.get(name)) for name in ("framesCount", "duration"))
        if count is not None and duration is not None:
            return count / duration
    return None


def _positive(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 < number < math.inf else None


def _file(path: Path, data: Mapping[str, Any], where: str) -> str:
    """Return the path of a task's video: that of a local file, an upload without its prefix, or the path of a URL."""
    texts = [value for value in data.values() if isinstance(value, str) and value.strip()]
    source = data.get("video")
    if not isinstance(source, str) or not source.strip():
        if len(texts) != 1:
            raise InputError(f"{where} does not say which video it is about; call it 'video' in its data")
        source = texts[0]
    parts = urlsplit(source.strip())
    local = parse_qs(parts.query).get("d")
    name = local[0] if local else unquote(parts.path) if parts.scheme or "%" in parts.path else source.strip()
    folder, base = os.path.split(name)
    if "upload" in folder.split("/"):
        name = os.path.join(folder, _UPLOAD.sub("", base))  # noqa: PTH118
    if not name or "\0" in name:
        raise InputError(f"{where}: {source!r:.80} names no file; give its path")
    return os.path.normpath(os.path.join(os.path.dirname(path), name))  # noqa: PTH118, PTH120
