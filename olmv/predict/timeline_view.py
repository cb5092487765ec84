"""Lay out a video over time for the page: a film strip, an axis, and a lane of colour for each label.

Everything is drawn as SVG paths in a grid of `COLUMNS` columns, so that the style sheet colours it for light and dark
screens, and a page of a three-hour film with 60 labels stays small.
"""

import base64
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olmv.io.curves import Curve
from olmv.pages.figures import clock
from olmv.pages.pictures import Pictures
from olmv.pages.player import player_address

__all__ = [
    "COLUMNS",
    "STRIP_FRAMES",
    "Lane",
    "Lanes",
    "Strip",
    "axis_ticks",
    "film_end",
    "film_strip",
    "lanes_of",
    "player_address",
]

COLUMNS = 400
"""Columns of a lane; where a curve has more cells, a column has the highest of them."""

STRIP_FRAMES = 16
"""Pictures in sight; where there are more, the others are seen one at a time under the pointer."""

_LEVELS = 10  # of colour
_TICKS = 8  # of an axis, at most
_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
_LINED_SHOTS = 60  # more lines than these would hide the colours under them
_SPANS = 6  # of a label written out as times

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Strip:
    """The pictures of a video along its time.

    Attributes:
        slots: pictures in sight, for equal stretches of time, as (index in the pictures, time in seconds, base64 JPEG).
        hidden: the other pictures, as (time, base64 JPEG).
    """

    slots: list[tuple[int, float, str]]
    hidden: list[tuple[float, str]]

    def slot_at(self, time_s: float) -> int:
        """Return which slot in sight is nearest to a time."""
        return min(range(len(self.slots)), key=lambda slot: abs(self.slots[slot][1] - time_s))


@dataclass(frozen=True)
class Lane:
    """A label over time.

    Attributes:
        label: the label.
        levels: what is coloured, as (level 1 to 10, SVG path); empty where no curve is there.
        segments: SVG path of the segments.
        curve: base64 of `COLUMNS` bytes, each a probability in per cent, rounded; empty where no curve is there.
        spans: times of the first segments, as (begin in seconds, what is shown).
        others: how many segments more there are.
    """

    label: str
    levels: list[tuple[int, str]]
    segments: str
    curve: str
    spans: list[tuple[float, str]]
    others: int


@dataclass(frozen=True)
class Lanes:
    """The lanes of a video.

    Attributes:
        shots: SVG path of the cuts, as ticks of a lane of their own.
        lined: the cuts are few enough to be lines through all lanes.
        count: how many cuts there are.
        lanes: one a label, in the order that was asked for.
    """

    shots: str
    lined: bool
    count: int
    lanes: list[Lane]


def film_end(row: dict[str, Any], pictures: Pictures | None, curve: Curve | None) -> float:
    """Return where the time axis of a video ends, in seconds; above 0 also where the file does not say."""
    ends: list[float] = [row["duration_s"] or 0.0, *(segment["end_s"] for segment in row.get("segments") or ())]
    if not row["duration_s"]:
        ends += pictures.times_s if pictures else ()
        ends += curve.starts_s[-1:].tolist() if curve else ()
    return max(0.1, *map(float, ends))


def film_strip(pictures: Pictures, end_s: float) -> Strip:
    """Choose which pictures are in sight: of each of at most `STRIP_FRAMES` equal stretches the one nearest its middle.

    Args:
        pictures: at least one, in the order of time.
        end_s: where the axis ends.
    """
    times = np.asarray(pictures.times_s, np.float64)
    count = min(STRIP_FRAMES, len(times))
    middles = (np.arange(count) + 0.5) * end_s / count
    chosen = np.abs(times[None] - middles[:, None]).argmin(1).tolist()
    in_sight = set(chosen)
    return Strip(
        [(index, pictures.times_s[index], pictures.jpegs[index]) for index in chosen],
        [
            (time_s, jpeg)
            for index, (time_s, jpeg) in enumerate(zip(pictures.times_s, pictures.jpegs, strict=True))
            if index not in in_sight
        ],
    )


def axis_ticks(end_s: float) -> Iterator[tuple[str, str]]:
    """Yield the ticks of an axis from 0 to `end_s` seconds, as (place in per cent, what stands there)."""
    step = next((step for step in _STEPS_S if end_s / step <= _TICKS), end_s / _TICKS)
    for tick in itertools.count():
        if tick * step >= end_s * 0.97:  # the next would not fit before the edge
            return
        yield f"{100 * tick * step / end_s:.2f}%", clock(tick * step, digits=1 if step < 1 else 0)


def lanes_of(row: dict[str, Any], labels: Sequence[str], curve: Curve | None, end_s: float) -> Lanes:
    """Draw the lanes of these labels.

    Args:
        row: of a timeline.
        labels: which, in which order.
        curve: of the video, or None; then there are segments only.
        end_s: where the axis ends.
    """
    shots = [time_s for time_s in row.get("shots_s") or () if 0 < time_s < end_s]
    columns: dict[str, Floats] = {}
    if curve is not None and len(curve.starts_s):
        places = {label: place for place, label in enumerate(curve.labels)}
        shown = [label for label in labels if label in places]
        pooled = _pooled(curve.starts_s, curve.probability[:, [places[label] for label in shown]], end_s)
        columns = dict(zip(shown, pooled.T, strict=True))
    segments: dict[str, list[dict[str, Any]]] = {}
    for segment in row["segments"]:
        segments.setdefault(segment["label"], []).append(segment)
    lanes = [_lane(label, segments.get(label, []), columns.get(label), end_s) for label in labels]
    path = "".join(f"M{_place(time_s, end_s)} 0v10" for time_s in shots)
    return Lanes(path, len(shots) <= _LINED_SHOTS, len(shots), lanes)


def _pooled(starts_s: Floats, probability: Floats, end_s: float) -> Floats:
    """Pool a curve [N, C] into columns of equal time, by the maximum: [COLUMNS, C]."""
    edges = np.arange(COLUMNS + 1) * (end_s / COLUMNS)
    # a cell begins in a column up to rounding: a hair's overlap must not colour the column before
    slack = end_s / COLUMNS * 1e-6
    first = np.maximum(np.searchsorted(starts_s, edges[:-1] + slack, side="right") - 1, 0)
    stop = np.maximum(np.searchsorted(starts_s, edges[1:] - slack, side="left"), first + 1)
    padded = np.concatenate([probability, probability[-1:]])  # reduceat takes no index past the end
    pooled = np.maximum.reduceat(padded, np.stack([first, stop], 1).ravel(), axis=0)[::2]
    return np.asarray(np.clip(np.nan_to_num(pooled), 0, 1))


def _lane(label: str, segments: list[dict[str, Any]], column: Floats | None, end_s: float) -> Lane:
    begin_ends = [(_place(segment["start_s"], end_s), _place(segment["end_s"], end_s)) for segment in segments]
    digits = 1 if end_s < 60 else 0
    spans = [
        (segment["start_s"], f"{clock(segment['start_s'], digits=digits)}–{clock(segment['end_s'], digits=digits)}")
        for segment in segments[:_SPANS]
    ]
    return Lane(
        label,
        [] if column is None else list(_levels(column)),
        # a segment of a second in three hours is still seen: at least half a column
        "".join(f"M{begin} 0h{max(end - begin, 0.5):g}v3h-{max(end - begin, 0.5):g}z" for begin, end in begin_ends),
        "" if column is None else base64.b64encode(np.rint(100 * column).astype(np.uint8).tobytes()).decode("ascii"),
        spans,
        len(segments) - len(spans),
    )


def _levels(column: Floats) -> Iterator[tuple[int, str]]:
    """Yield a path for each level of colour; columns beside each other of one level are one rectangle."""
    levels = np.rint(column * _LEVELS).astype(np.int64)
    begins = np.flatnonzero(np.diff(levels, prepend=-1))
    paths: dict[int, list[str]] = {}
    for begin, end in zip(begins.tolist(), [*begins[1:].tolist(), len(levels)], strict=True):
        paths.setdefault(int(levels[begin]), []).append(f"M{begin} 0h{end - begin}v10h-{end - begin}z")
    for level in sorted(paths.keys() - {0}):
        yield level, "".join(paths[level])


def _place(time_s: float, end_s: float) -> float:
    return round(COLUMNS * min(max(time_s / end_s, 0.0), 1.0), 2)
