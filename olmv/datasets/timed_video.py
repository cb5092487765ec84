"""A video and what is true of it when, and how its times are read: numbers of seconds, or clocks."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olmv.errors import InputError, UsageError
from olmv.io.clock import parse_seconds

__all__ = ["TimedVideo", "TrueSegment", "is_empty", "joined_spans", "segment_of"]

_LATEST_S = 1e9


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


def is_empty(value: Any) -> bool:
    """Tell whether a field holds nothing: no value, or white space."""
    return value is None or (isinstance(value, str) and not value.strip())


def _seconds(value: Any, what: str) -> float:
    if is_empty(value):
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
