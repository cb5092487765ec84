"""Write segments for programs that people annotate and edit with: Label Studio, FiftyOne, editors that read EDL."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from olmv.io.paths import distinct_stems
from olmv.io.prediction_fields import Row
from olmv.io.prediction_rows import valid_text
from olmv.pages.figures import percent
from olmv.predict.subtitles import one_line

__all__ = ["FRAME_RATE", "edl", "fiftyone", "label_studio", "label_studio_config", "labels_of"]

FRAME_RATE = 25
"""Frames a second in formats that count frames, since rows tell times in seconds."""

_FIRST_HOUR = 1  # of a timeline in DaVinci Resolve
_SHORT_SECOND = 23  # frames of a second that a timeline of 24 has too, the one after a marker included
_DAY_FRAMES = 24 * 3600 * FRAME_RATE
_COLOURS = (  # of markers in DaVinci Resolve
    *("Blue", "Cyan", "Green", "Yellow", "Red", "Pink", "Purple", "Fuchsia"),
    *("Rose", "Lavender", "Sky", "Mint", "Lemon", "Sand", "Cocoa", "Cream"),
)

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Rows = Callable[[], Iterable[Row]]


def labels_of(rows: Iterable[Row]) -> list[str]:
    """Collect the labels of rows, and of their segments, in the order in which they first come."""
    labels: dict[str, None] = {}
    for row in rows:
        for item in (*row["labels"], *(row.get("segments") or ())):
            labels.setdefault(item["label"])
    return list(labels)


def label_studio(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the tasks of Label Studio, piece by piece: a video each, its segments as a prediction on the timeline.

    Frames begin at 1, at 25 a second; `data.fps` says so to a config with `frameRate="$fps"`.
    """
    yield from _json_list(_task(row) for row in rows if row["status"] == "ok")


def _task(row: Row) -> dict[str, Any]:
    segments = row.get("segments") or ()
    prediction = {
        "model_version": f"olmv {row['model']}",
        "score": max((segment["peak"] for segment in segments), default=0.0),
        "result": [_region(number, segment) for number, segment in enumerate(segments, start=1)],
    }
    return {"data": {"video": valid_text(row["video"]), "fps": FRAME_RATE}, "predictions": [prediction]}


def _region(number: int, segment: Row) -> dict[str, Any]:
    start = round(segment["start_s"] * FRAME_RATE) + 1
    end = max(round(segment["end_s"] * FRAME_RATE), start)
    return {
        "id": f"olmv-{number}",
        "from_name": "videoLabels",
        "to_name": "video",
        "type": "timelinelabels",
        "score": segment["peak"],
        "value": {"ranges": [{"start": start, "end": end}], "timelinelabels": [valid_text(segment["label"])]},
    }


def label_studio_config(labels: Sequence[str]) -> Iterator[str]:
    """Yield the labelling config that fits the tasks of `label_studio`, piece by piece."""
    yield '<View>\n  <Video name="video" value="$video" frameRate="$fps" timelineHeight="120"/>\n'
    yield '  <TimelineLabels name="videoLabels" toName="video">\n'
    for label in labels:
        yield f"    <Label value={quoteattr(_xml_text(label))}/>\n"
    yield "  </TimelineLabels>\n</View>\n"


def _xml_text(text: str) -> str:
    # XML 1.0 has no way to write the others
    return _NOT_XML.sub("\ufffd", text)


def fiftyone(rows: Rows) -> Iterator[str]:
    """Yield the `labels.json` of a FiftyOneTemporalDetectionDataset, piece by piece.

    `classes` and `labels` are what FiftyOne reads; `data` tells it where the videos are.
    """
    sound = [row["video"] for row in rows() if row["status"] == "ok"]
    stems = distinct_stems(sound)
    classes = labels_of(rows())
    numbers = {label: number for number, label in enumerate(classes)}
    files = {valid_text(stems[video] + Path(video).suffix): valid_text(str(Path(video).absolute())) for video in sound}
    yield f'{{"classes": {json.dumps([valid_text(label) for label in classes])},\n"data": {json.dumps(files, indent=0)}'
    yield ',\n"labels": {'
    comma = ""
    for row in rows():
        if row["status"] == "ok":
            detections = [_detection(segment, numbers) for segment in row.get("segments") or ()]
            yield f"{comma}\n{json.dumps(valid_text(stems[row['video']]))}: {json.dumps(detections)}"
            comma = ","
    yield "\n}}\n"


def _detection(segment: Row, numbers: dict[str, int]) -> dict[str, Any]:
    return {
        "label": numbers[segment["label"]],
        "timestamps": [segment["start_s"], segment["end_s"]],
        "confidence": segment["peak"],
    }


def edl(row: Row) -> Iterator[str]:
    """Yield the markers of a video as a CMX3600 list, piece by piece, as DaVinci Resolve writes and reads them.

    A marker for each segment: its colour tells the label, its name is the label and its highest probability, its length
    that of the segment. Times are non-drop at 25 frames a second and begin at 01:00:00:00. A timeline has one marker a
    frame, so those that begin together stand a frame apart; the last two frames of a second have none, since a timeline
    of 24 frames a second lacks them.
    """
    yield f"TITLE: {_marker_text(Path(row['video']).name, 70)}\nFCM: NON-DROP FRAME\n"
    colours: dict[str, str] = {}
    free = 0
    segments = sorted(row.get("segments") or (), key=lambda segment: (segment["start_s"], -segment["peak"]))
    for number, segment in enumerate(segments, start=1):
        start = max(round(segment["start_s"] * FRAME_RATE), free)
        if start % FRAME_RATE >= _SHORT_SECOND:
            start += FRAME_RATE - start % FRAME_RATE
        free = start + 1
        length = max(round(segment["end_s"] * FRAME_RATE) - start, 1)
        colour = colours.setdefault(segment["label"], _COLOURS[len(colours) % len(_COLOURS)])
        begin, end = _time_code(start), _time_code(start + 1)
        text = f"{_marker_text(segment['label'])} {percent(segment['peak'])}"
        yield f"\n{number:03d}  001      V     C        {begin} {end} {begin} {end}  \n"
        yield f" |C:ResolveColor{colour} |M:{text} |D:{length}\n"


def _marker_text(text: str, most: int = 60) -> str:
    return one_line(text, most).replace("|", "/")


def _time_code(frame: int) -> str:
    seconds, rest = divmod((frame + _FIRST_HOUR * 3600 * FRAME_RATE) % _DAY_FRAMES, FRAME_RATE)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02d}:{minute:02d}:{second:02d}:{rest:02d}"


def _json_list(items: Iterable[Any]) -> Iterator[str]:
    yield "["
    comma = ""
    for item in items:
        yield f"{comma}\n{json.dumps(item)}"
        comma = ","
    yield "\n]\n"
