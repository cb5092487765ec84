"""Write the segments of one video as subtitles (SRT, WebVTT), and its frames as thumbnails for web players.

A subtitle is shown for each segment: the label and its highest probability, such as "dog 92%". Segments of different
labels overlap in time; each stays a subtitle of its own, which VLC, mpv and browsers show one above the other.

Labels are untrusted. WebVTT has escapes for what would end a cue or begin a tag; SRT has none, and players read HTML
tags, `{...}` and backslashes in it, so these characters are replaced by ones that look alike.
"""

import base64
import io
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from olmv.io.prediction_fields import Row
from olmv.io.prediction_rows import valid_text
from olmv.io.table_cells import visible
from olmv.pages.figures import percent
from olmv.pages.pictures import Pictures

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["SHEET_TILES", "one_line", "sheet_names", "srt", "thumbnail_sheets", "thumbnail_vtt", "vtt"]

SHEET_COLUMNS = 10
SHEET_TILES = 100
"""Thumbnails on one sheet: 1600 pixels wide, and within what every browser decodes where they are tall."""

_MOST_CHARS = 120  # of a label on the screen
_SRT = str.maketrans({"<": "‹", ">": "›", "{": "(", "}": ")", "\\": "⧵"})
_VTT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_JPEG_QUALITY = 80


def srt(row: Row) -> Iterator[str]:
    """Yield the SRT file of a video, piece by piece: a subtitle for each segment, by the time it begins."""
    for number, (start_ms, end_ms, text) in enumerate(_subtitles(row), start=1):
        yield f"{number}\n{_time(start_ms, ',')} --> {_time(end_ms, ',')}\n{text.translate(_SRT)}\n\n"


def vtt(row: Row) -> Iterator[str]:
    """Yield the WebVTT file of a video, piece by piece: a cue for each segment, by the time it begins."""
    yield "WEBVTT\n"
    for start_ms, end_ms, text in _subtitles(row):
        yield f"\n{_time(start_ms, '.')} --> {_time(end_ms, '.')}\n{text.translate(_VTT)}\n"


def one_line(text: str, most: int = _MOST_CHARS) -> str:
    """Write a text of a stranger in one line of at most `most` characters, its control characters written out."""
    text = visible(" ".join(valid_text(text).split()))
    return text if len(text) <= most else text[: most - 1] + "…"


def _subtitles(row: Row) -> Iterator[tuple[int, int, str]]:
    """Yield begin and end in milliseconds, and the text, of each segment."""
    for segment in sorted(row.get("segments") or (), key=lambda segment: (segment["start_s"], segment["end_s"])):
        start_ms = round(1000 * segment["start_s"])
        end_ms = max(round(1000 * segment["end_s"]), start_ms + 1)  # a cue of no length is none
        yield start_ms, end_ms, f"{one_line(segment['label'])} {percent(segment['peak'])}"


def _time(milliseconds: int, point: str) -> str:
    seconds, fraction = divmod(milliseconds, 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02d}:{minute:02d}:{second:02d}{point}{fraction:03d}"


def sheet_names(path: Path, pictures: int) -> list[Path]:
    """Name the sheets beside a thumbnail track `X.vtt`: `X.jpg`, and `X-2.jpg` and so on where one is not enough."""
    sheets = -(-pictures // SHEET_TILES)
    return [path.with_name(f"{path.stem}{f'-{number}' if number > 1 else ''}.jpg") for number in range(1, sheets + 1)]


def thumbnail_sheets(pictures: Pictures) -> Iterator[tuple[bytes, list[tuple[int, int, int, int]]]]:
    """Yield the sheets of thumbnails: a JPEG, and where each picture is on it as x, y, width, height in pixels."""
    from PIL import Image

    for first in range(0, len(pictures.jpegs), SHEET_TILES):
        tiles = [_tile(jpeg) for jpeg in pictures.jpegs[first : first + SHEET_TILES]]
        width, height = (max(tile.size[axis] for tile in tiles) for axis in (0, 1))
        columns, rows = min(len(tiles), SHEET_COLUMNS), -(-len(tiles) // SHEET_COLUMNS)
        sheet = Image.new("RGB", (columns * width, rows * height))
        places = []
        for index, tile in enumerate(tiles):
            x, y = index % SHEET_COLUMNS * width, index // SHEET_COLUMNS * height
            sheet.paste(tile, (x, y))
            places.append((x, y, *tile.size))
        file = io.BytesIO()
        sheet.save(file, "JPEG", quality=_JPEG_QUALITY)
        yield file.getvalue(), places


def _tile(jpeg: str) -> "Image":
    from PIL import Image

    return Image.open(io.BytesIO(base64.b64decode(jpeg))).convert("RGB")


def thumbnail_vtt(
    times_s: Sequence[float], duration_s: float | None, places: Sequence[tuple[str, tuple[int, int, int, int]]]
) -> Iterator[str]:
    """Yield the thumbnail track of a video, piece by piece: at every moment the picture that is nearest in time.

    Args:
        times_s: [T] of the pictures, rising.
        duration_s: of the video; None where the file does not say, then the last picture is shown for a second.
        places: T of (name of the sheet beside the track, x, y, width, height).
    """
    yield "WEBVTT\n"
    middles = [(before + after) / 2 for before, after in itertools.pairwise(times_s)]
    last = max(times_s, default=0.0)
    last = max(duration_s, last) if duration_s else last + 1.0
    edges_ms = [round(1000 * edge) for edge in (0.0, *middles, last)]
    for start_ms, end_ms, (name, (x, y, width, height)) in zip(edges_ms, edges_ms[1:], places, strict=False):
        address = quote(name.encode("utf-8", "surrogateescape"))  # a path within a URL: no space, no #
        times = f"{_time(start_ms, '.')} --> {_time(max(end_ms, start_ms + 1), '.')}"
        yield f"\n{times}\n{address}#xywh={x},{y},{width},{height}\n"
