"""One time line from a stream's time stamps: the order of decoding is the truth, the stamps are a hint.

Clocks start again where recordings are joined, jump where reception fails, and wrap after 26.5 h (33 bits of
1/90000 s). Each such place opens a new stretch, which is laid right behind the one before. Frames without a stamp of
their own are placed between their neighbours.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from olmv.video.frames import Floats, Indices

__all__ = ["by_decoding_order", "by_presentation", "stretches"]

# FFmpeg's own limits (`ffmpeg -dts_delta_threshold`, `-dts_error_threshold`): a jump of 10 s is no pause in containers
# whose clock may break (transport streams, FLV); elsewhere only 30 h are not to be believed.
JUMP_S, LONG_JUMP_S = 10.0, 30 * 3600.0
BACK_S = 0.1  # decoding times that go back by less are written carelessly, not by another clock
USUAL_GAPS = 10.0  # but a video of slides, with many seconds between any two frames, is no row of jumps

Stamps = Sequence[int | None] | Floats
"""In an array NaN is what None is in a list."""


def stretches(pts: Stamps, dts: Stamps, *, tick_s: float, breaks: bool) -> Indices:
    """Number the stretches of an unbroken clock.

    Args:
        pts, dts: [N] presentation and decoding stamps in decoding order, None where there is none.
        tick_s: one unit of them.
        breaks: the container's clock may jump (FFmpeg's AVFMT_TS_DISCONT).

    Returns:
        [N] the stretch of each packet, rising from 0.
    """
    stamps = _numbers(dts)
    decoding = not np.isnan(stamps).all()
    stamps = (stamps if decoding else _numbers(pts)) * tick_s
    known = np.flatnonzero(~np.isnan(stamps))
    steps = np.diff(stamps[known])
    # without decoding times, frames that are stored early (B-frames' references) look like steps back
    back = BACK_S if decoding else JUMP_S
    forward = steps[steps > 0]
    usual = float(np.median(forward)) if len(forward) else 0.0
    jump = max(JUMP_S, USUAL_GAPS * usual) if breaks else LONG_JUMP_S
    starts = np.zeros(len(stamps), np.int64)
    starts[known[1:][(steps < -back) | (steps > jump)]] = 1
    return np.cumsum(starts)


def by_presentation(
    pts: Sequence[int] | Floats, stretch: Indices, duration: Sequence[int] | Indices, shown: npt.ArrayLike
) -> tuple[Floats, float]:
    """Lay frames that all have presentation stamps on one line.

    Args:
        pts: [N] in decoding order; frames that share a stamp come in decoding order.
        stretch: [N] see `stretches`.
        duration: [N] in the same units, 0 where unknown.
        shown: [N] whether a player shows the frame; hidden ones take no time.

    Returns:
        [N] times in decoding order, distinct for what is shown and from 0 on; and when the last frame ends. In ticks.
    """
    stamps = np.asarray(pts, np.float64)
    visible = np.asarray(shown, bool)
    times = np.zeros(len(stamps))
    end = 0.0
    for part in _parts(stretch):
        order = part[visible[part]]
        times[part] = end
        if len(order) == 0:
            continue
        order = order[np.argsort(stamps[order], kind="stable")]
        times[part] = end + stamps[part] - stamps[order[0]]
        row = stamps[order] - stamps[order[0]]
        last = float(duration[order[-1]])
        if last <= 0:
            last = _usual_step(row) or float(len(row) > 1)
        times[order] = end + _parted(row, last)
        end += float(row[-1]) + last
    return times, end


def by_decoding_order(dts: Stamps, stretch: Indices, *, step: float) -> tuple[Floats, float]:
    """Make times for frames that are numbered as they leave the decoder, since too few say when they are shown.

    The decoder hands out one frame for each that it takes, so the n-th frame is shown as long after the first as the
    n-th is decoded after the first.

    Args:
        dts: [N] stamps that rise in decoding order, None where there is none.
        stretch: [N] see `stretches`.
        step: from frame to frame where nothing else is known, in ticks.

    Returns:
        [N] rising times from 0, and when the last frame ends. In ticks.
    """
    stamps = _numbers(dts)
    times = np.zeros(len(stamps))
    end = 0.0
    for part in _parts(stretch):
        row = stamps[part]
        places = np.arange(len(row))
        known = np.flatnonzero(~np.isnan(row))
        if len(known) == 0:
            filled = places * step
        else:
            first, last = known[0], known[-1]
            filled = np.interp(places, known, np.maximum.accumulate(row[known]))
            filled[:first] = filled[first] - step * (first - places[:first])
            filled[last:] = filled[last] + step * (places[last:] - last)
        filled = _parted(filled - filled[0], step)
        times[part] = end + filled
        end += float(filled[-1]) + step
    return times, end


def _numbers(stamps: Stamps) -> Floats:
    if isinstance(stamps, np.ndarray):
        return stamps
    return np.array([np.nan if stamp is None else stamp for stamp in stamps], np.float64)


def _parts(stretch: Indices) -> list[npt.NDArray[np.intp]]:
    places = np.arange(len(stretch))
    return [part for part in np.split(places, np.flatnonzero(np.diff(stretch)) + 1) if len(part)]


def _usual_step(rising: Floats) -> float:
    steps = np.diff(rising)
    steps = steps[steps > 0]
    return float(np.median(steps)) if len(steps) else 0.0


def _parted(row: Floats, last: float) -> Floats:
    """Spread equal times evenly over the time up to the next; `last` is how long the last one is."""
    first = np.flatnonzero(np.diff(row, prepend=-1.0) > 0)
    if len(first) == len(row):
        return row
    known = np.append(row[first], row[-1] + last)
    return np.asarray(np.interp(np.arange(len(row)), np.append(first, len(row)), known))
