"""Which frames of an open file are looked at, and in which parts it is decoded.

A long video is decoded in parts of about a hundred frames, each by any worker: so memory does not grow with its length,
the parts of one film keep all cores busy, a time limit is one of a part, and a run that was killed goes on behind the
last part that is done. A part begins where decoding can, at a keyframe, as long as keyframes are not too far apart.
"""

import math
from dataclasses import dataclass

import numpy as np

from olmv.video.frames import Floats, Indices
from olmv.video.options import DecodeOptions
from olmv.video.readers.open import pick_indices
from olmv.video.readers.video_reader import VideoReader
from olmv.video.sampling import CLOCK_S

__all__ = ["PART_FRAMES", "FramePlan"]

PART_FRAMES = 128
"""Of one part, where keyframes allow; at most twice as many."""


@dataclass(frozen=True, eq=False)
class FramePlan:
    """The frames that are looked at.

    Attributes:
        indices: [M] frame numbers in time; of a timeline one for each moment, so a frame that is shown for long comes
            again.
        times_s: [M] when they are shown; of a timeline the moments.
        bounds: [P + 1] where parts begin and end among them.
        edges_s: [P + 1] where the parts' times begin and end.
        requested: how many were asked for; more than M of a video with fewer frames.
        widest_gap_s: the longest time without one of them.
        capped: `max_frames` made it wider than was asked for.
    """

    indices: Indices
    times_s: Floats
    bounds: list[int]
    edges_s: list[float]
    requested: int
    widest_gap_s: float
    capped: bool = False

    @property
    def parts(self) -> int:
        """Return P, at least 1."""
        return len(self.bounds) - 1

    def requested_of(self, part: int) -> int:
        """Return how many frames were asked for of a part; what the video does not have counts with the first."""
        own = self.bounds[part + 1] - self.bounds[part]
        return own if part else self.requested - len(self.indices) + own

    @classmethod
    def of_video(cls, reader: VideoReader, options: DecodeOptions) -> "FramePlan":
        """Plan what the options ask of an open file."""
        if options.timeline and options.every_s is not None:
            return cls._of_timeline(reader, options.every_s)
        count, capped = options.frames, False
        every_s = options.every_s if reader.is_timed else None
        if every_s is not None:
            count = max(count, math.ceil(reader.end_s / every_s - CLOCK_S))
            most = count if options.max_frames is None else options.max_frames
            capped, count = count > most, min(count, most)
        indices = pick_indices(reader, frames=count, sampling=options.sampling)
        return cls.of_indices(reader, indices, requested=count, capped=capped, parted=every_s is not None)

    @classmethod
    def of_indices(
        cls, reader: VideoReader, indices: Indices, *, requested: int, capped: bool = False, parted: bool = False
    ) -> "FramePlan":
        """Plan given frames [M], in time, of an open file."""
        times = reader.timestamps_s[indices]
        bounds = _bounds(reader, times) if parted else [0, len(indices)]
        edges = [0.0, *times[bounds[1:-1]].tolist(), reader.end_s]
        return cls(indices, times, bounds, edges, requested, _widest_gap(reader, indices), capped)

    @classmethod
    def _of_timeline(cls, reader: VideoReader, every_s: float) -> "FramePlan":
        count = max(1, math.ceil(reader.end_s / every_s - CLOCK_S))
        edges = np.append(np.arange(count) * every_s, reader.end_s)
        moments = (edges[:-1] + edges[1:]) / 2
        indices = np.searchsorted(reader.timestamps_s, moments + CLOCK_S, side="right") - 1
        indices = np.clip(indices, 0, len(reader.timestamps_s) - 1)
        bounds = _bounds(reader, moments)
        return cls(indices, moments, bounds, edges[bounds].tolist(), len(indices), _widest_gap(reader, indices))


def _widest_gap(reader: VideoReader, indices: Indices) -> float:
    """Return the longest time in which frames are shown of which none is among `indices` [M], rising.

    It is counted from the moment of the one before, unless that one stays for longer than frames usually do.
    """
    if len(indices) == 0:
        return reader.end_s
    times = reader.timestamps_s
    usual = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    following = np.append(times, reader.end_s)[indices + 1]
    seen = np.maximum(times[indices], following - usual)
    gaps = (times[indices[1:]] - seen[:-1])[np.diff(indices) > 1].tolist()
    if indices[0] > 0:
        gaps.append(times[indices[0]])
    if indices[-1] < len(times) - 1:
        gaps.append(reader.end_s - seen[-1])
    return float(max(gaps, default=0.0))


def _bounds(reader: VideoReader, times_s: Floats) -> list[int]:
    """Cut times [M] into parts, each from the first time after a keyframe on, where that can be."""
    count = len(times_s)
    if count <= 2 * PART_FRAMES:
        return [0, count]
    group = np.searchsorted(reader.timestamps_s[reader.keyframes], times_s + CLOCK_S, side="right")
    starts = np.flatnonzero(np.diff(group)) + 1
    bounds = [0]
    while count - bounds[-1] > 2 * PART_FRAMES:
        first = bounds[-1]
        near = starts[(starts > first + PART_FRAMES // 2) & (starts <= first + 2 * PART_FRAMES)]
        if len(near):
            bounds.append(int(near[np.abs(near - (first + PART_FRAMES)).argmin()]))
        else:
            bounds.append(first + PART_FRAMES)
    return [*bounds, count]
