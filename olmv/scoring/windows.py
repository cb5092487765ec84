"""Windows over a long video: which of its frames are seen together as a clip, and what that says of each moment.

A model scores a clip of some seconds. A longer video is a row of such clips that overlap by half: what fills one of
them is told as in a clip of its own, however long the rest is. The video's own logit of a label is the highest of its
windows.

A timeline has windows of a given length, at given steps, none of them across a cut between shots. Time is parted into
cells of one step; what a cell's probability is made of are the windows over it:

    cut               |                       |                          |
    windows           [ . . . . ]  . [ . . . ]|[. .]                     |
    cells             |   |   |   |   |   |   |    |

"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from olmv.arguments import check_count, check_number
from olmv.errors import UsageError
from olmv.scoring.segments import SegmentOptions
from olmv.video.options import EVERY_S, LEAST_EVERY_S, MAX_FRAMES, TIMELINE_SAMPLINGS, DecodeOptions

__all__ = ["TimelineOptions", "Windows", "clip_windows", "sampled", "shot_windows", "whole"]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class TimelineOptions:
    """How labels get their times.

    Attributes:
        window_s: length of the windows that are scored, in seconds.
        step_s: from one to the next; the cells of the curve.
        join_s: gaps between segments that are shorter are closed.
        least_s: segments that are shorter are dropped.
    """

    window_s: float = 4.0
    step_s: float = 1.0
    join_s: float = SegmentOptions.join_s
    least_s: float = SegmentOptions.least_s

    @property
    def segments(self) -> SegmentOptions:
        """Return what becomes of gaps and blips."""
        return SegmentOptions(join_s=self.join_s, least_s=self.least_s)

    def check(self) -> None:
        """Raise UsageError for a length that is not above 0, or a step longer than the window."""
        for name, value in (("window", self.window_s), ("step", self.step_s)):
            check_number(name, value, what="a number of seconds", option=f"{name}_s")
            if not 0 < value < float("inf"):
                raise UsageError(f"{name} is {value:g} s; give a number of seconds above 0", option=f"{name}_s")
        if self.step_s > self.window_s:
            raise UsageError(
                f"a step of {self.step_s:g} s leaves gaps between windows of {self.window_s:g} s; make it shorter",
                option="step_s",
            )
        self.segments.check()


def sampled(
    options: DecodeOptions,
    *,
    frames: int | None,
    every_s: float | None,
    timeline: TimelineOptions | None,
    model_frames: int,
) -> DecodeOptions:
    """Complete the options of decoding by how many frames are looked at.

    Args:
        options: all others; `max_frames` of None is 512 where neither `frames` nor `every_s` is given, else no most.
        frames: of a video, seen as one clip; None for as many as its length asks for.
        every_s: a frame each so many seconds; None for 2 s in long videos, and of a timeline for windows of
            `model_frames`.
        timeline: None for none.
        model_frames: what the model is made for.

    Raises:
        UsageError: `frames` beside `every_s`, `max_frames` beside `frames`, either of them of a timeline,
            `max_frames` below 1, or a sampling that a timeline does not have.
    """
    if frames is not None and (every_s is not None or timeline is not None):
        what = "every_s already says" if every_s is not None else "a timeline's length says"
        raise UsageError(f"{what} how many frames; leave out frames", option="frames")
    if every_s is not None:
        check_number("every", every_s, what="a number of seconds", option="every_s")
    if every_s is not None and not LEAST_EVERY_S <= every_s < float("inf"):
        raise UsageError(f"every is {every_s:g} s; give a time from {LEAST_EVERY_S:g} s up", option="every_s")
    if options.max_frames is not None:
        check_count("max_frames", options.max_frames)
    if options.max_frames is not None and (frames is not None or timeline is not None):
        what = "frames already says how many there are" if frames is not None else "a timeline has no most of frames"
        raise UsageError(f"{what}; leave out max_frames", option="max_frames")
    if timeline is not None:
        timeline.check()
        if options.sampling not in TIMELINE_SAMPLINGS:
            choices = " or ".join(TIMELINE_SAMPLINGS)
            raise UsageError(f"a timeline is not sampled '{options.sampling}'; choose {choices}", option="sampling")
        if every_s is not None and every_s > timeline.window_s:
            raise UsageError(
                f"a frame each {every_s:g} s leaves windows of {timeline.window_s:g} s empty; look more often, or take "
                "longer windows",
                option=("every_s", "window_s"),
            )
        return replace(options, timeline=True, frames=1, every_s=every_s or timeline.window_s / model_frames)
    if every_s is not None:
        return replace(options, frames=1, every_s=every_s)
    if frames is not None:
        return replace(options, frames=frames, every_s=None)
    most = options.max_frames or MAX_FRAMES
    return replace(options, frames=min(model_frames, most), every_s=EVERY_S, max_frames=most)


@dataclass(frozen=True, eq=False)
class Windows:
    """The windows over M moments of a video, or of a part of it.

    Attributes:
        moments: [W] arrays: the numbers of the moments in each window.
        starts_s: [N] where the cells of a timeline begin; empty without one.
        weights: [N, W] each window's share in a cell; rows sum to 1.
        holds: [N, W] whether a window holds the whole of a cell.
    """

    moments: list[Indices]
    starts_s: Floats
    weights: Floats
    holds: NDArray[np.bool_]

    def curve(self, probability: Floats, *, any_frame: bool) -> NDArray[np.float32]:
        """Make the probabilities of the cells [N, C] of those of the windows [W, C].

        Args:
            probability: of the windows.
            any_frame: a label that shows in one frame of a window is one of the window (`max` and `softmax` over
                frames), so what is shown fills windows that begin before it and end after it. Then a cell has the
                lowest of the windows that hold it, else their mean.
        """
        if not any_frame:
            return (self.weights @ probability).astype(np.float32)
        cells = [probability[holding].min(axis=0) for holding in self.holds]
        return np.stack(cells).astype(np.float32) if cells else np.zeros((0, probability.shape[1]), np.float32)


def whole(count: int) -> Windows:
    """Return the one window of a clip of `count` moments."""
    return Windows([np.arange(count)], np.zeros(0), np.zeros((0, 1)), np.zeros((0, 1), bool))


def clip_windows(count: int, length: int) -> Windows:
    """Return windows of `length` of `count` moments, each half a window after the last, the final one at the end."""
    return Windows(_tile(0, count, length, max(length // 2, 1)), np.zeros(0), np.zeros((0, 0)), np.zeros((0, 0), bool))


def shot_windows(
    times_s: Floats,
    span_s: tuple[float, float],
    cuts_s: Sequence[float] | Floats,
    *,
    every_s: float,
    options: TimelineOptions,
) -> Windows:
    """Return the windows and cells of a part of a timeline.

    Args:
        times_s: [M] its moments, rising.
        span_s: where the part begins and ends.
        cuts_s: where shots begin within it, rising; a shot without a moment belongs to the one before.
        every_s: from moment to moment.
        options: length and step of the windows; they hold at least one moment.
    """
    length = max(round(options.window_s / every_s), 1)
    step = min(max(round(options.step_s / every_s), 1), length)
    begin, _ = span_s
    places = np.searchsorted(times_s, np.asarray(cuts_s, np.float64)).tolist()
    stops = [place for place in dict.fromkeys(places) if 0 < place < len(times_s)]
    cut_of = {place: float(cut) for cut, place in zip(cuts_s, places, strict=True)}
    windows: list[Indices] = []
    starts: list[float] = []
    cells: list[tuple[int, int]] = []
    for first, stop in zip([0, *stops], [*stops, len(times_s)], strict=True):
        windows += _tile(first, stop, length, step)
        for cell in range(first, stop, step):
            # between two moments lies the border of their grid
            border = (times_s[cell - 1] + times_s[cell]) / 2 if cell else begin
            starts.append(cut_of[first] if cell == first and first else float(border))
            cells.append((cell, min(cell + step, stop)))
    shared = _shared(windows, cells)
    lengths = np.array([stop - first for first, stop in cells])[:, None]
    return Windows(windows, np.array(starts), shared / shared.sum(axis=1, keepdims=True), shared == lengths)


def _tile(first: int, stop: int, length: int, step: int) -> list[Indices]:
    """Lay windows from `first` to `stop`, the last one ending there."""
    last = stop - length
    if last <= first:
        return [np.arange(first, stop)]
    begins = [*range(first, last, step), last]
    return [np.arange(begin, begin + length) for begin in begins]


def _shared(windows: list[Indices], cells: list[tuple[int, int]]) -> Floats:
    """Count the moments that cells and windows share [N, W]."""
    first, last = (np.array([bound(window) for window in windows]) for bound in (min, max))
    a, b = np.array(cells).reshape(-1, 2).T
    shared = np.minimum(b[:, None], last + 1) - np.maximum(a[:, None], first)
    return np.asarray(np.maximum(shared, 0), np.float64)
