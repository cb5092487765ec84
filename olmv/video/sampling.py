"""Which frames to look at: pure functions from times (or changes) to frame indices.

All but `window` and `even_places` return distinct, increasing indices, [min(frames, N)] of them at most: nothing is
repeated to fill up a short video.
"""

import math
from collections.abc import Sequence

import numpy as np

from olmv.video.frames import Floats, Indices, Pixels

__all__ = [
    "adaptive",
    "changes",
    "dense",
    "even_places",
    "keyframes",
    "random_segments",
    "small_luma",
    "uniform",
    "window",
    "window_room",
]

LUMA_STEPS = (18, 32)  # rows, columns of the brightness picture
RGB_TO_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

# A frame's share of the whole change that it gets for nothing, so that a still video is sampled evenly.
STILL_SHARE = 0.1
# Presentation times are rounded to the container's clock; a target this close before a frame means that frame.
CLOCK_S = 1e-4
# Open-VCLIP's clips: frames are meant to be so far apart, at so many per second.
WINDOW_STRIDE = 16
WINDOW_FPS = 30.0


def even_places(count: int, frames: int) -> Indices:
    """Return the middles of `frames` equal shares of `count` places, [T] indices in order; fewer places repeat."""
    return ((np.arange(frames) + 0.5) * count / frames).astype(np.int64)


def uniform(timestamps_s: Floats, *, end_s: float, frames: int) -> Indices:
    """Return the frames shown at the centres of `frames` equal segments of [0, end_s).

    By time, not by count, so that a video of variable frame rate is covered evenly. Where several centres fall on one
    long frame, it is taken once, and the others are spread over the time in which the picture does change: no frame
    counts for longer than one segment, see `_shares`.

    Args:
        timestamps_s: [N] increasing presentation times.
        end_s: when the last frame ends.
        frames: how many, T.

    Returns:
        [min(T, N)] indices.
    """
    count = len(timestamps_s)
    if frames >= count:
        return np.arange(count, dtype=np.int64)
    return _by_time(timestamps_s, end_s=end_s, places=np.arange(0.5, frames))


def random_segments(timestamps_s: Floats, *, end_s: float, frames: int, rng: np.random.Generator) -> Indices:
    """Return the frames shown at one random moment in each of `frames` equal segments of [0, end_s), for training.

    Temporal Segment Networks (Wang et al., ECCV 2016) and X-CLIP (Ni et al., ECCV 2022). `uniform` is its centre.

    Args:
        timestamps_s: [N] increasing presentation times.
        end_s: when the last frame ends.
        frames: how many, T.
        rng: draws T numbers, however long the video.

    Returns:
        [min(T, N)] indices.
    """
    count = len(timestamps_s)
    places = rng.random(frames)
    if frames >= count:
        return np.arange(count, dtype=np.int64)
    return _by_time(timestamps_s, end_s=end_s, places=np.arange(frames) + places)


def window(count: int, fps: float, *, start: float, frames: int = 8) -> Indices:
    """Return the frames of a clip of a few seconds, as the reader of Open-VCLIP (arXiv 2302.00624) takes them.

    The authors train and test (UCF101, Kinetics) with PySlowFast's pyav reader. It decodes the frames from the first
    at or after `start` to one past the window's L = ceil(16 * (T - 1) / 30 * fps), see `window_room`, and takes T
    moments evenly between 0 and 16 * T / 30 * fps - 1, cut to whole frames; what lies behind the last decoded frame
    is that frame. At 30 fps 8 frames, 16 apart in name, so have the offsets 0, 18, 36, 54, 72, 90, 108 and 112, or 111
    from a start between two frames. A video shorter than that repeats its last frame.

    Args:
        count: F, frames of the video.
        fps: its average frame rate; 0 for a photo.
        start: in frames, 0 to `window_room`.
        frames: how many, T.

    Returns:
        [T] indices, not decreasing, which may repeat; none for a video without frames.
    """
    if count < 1:
        return np.zeros(0, np.int64)
    inside = np.linspace(0, max(WINDOW_STRIDE * frames / WINDOW_FPS * fps - 1, 0), frames).astype(np.int64)
    last = min(math.floor(start + _window_length(fps, frames) - 1) + 1, count - 1)
    return np.minimum(math.ceil(start) + inside, last)


def window_room(count: int, fps: float, *, frames: int = 8) -> int:
    """Return the latest start of a `window`, F - L frames; 0 where the video is shorter than the window."""
    return max(count - _window_length(fps, frames), 0)


def _window_length(fps: float, frames: int) -> int:
    return max(1, math.ceil(WINDOW_STRIDE * (frames - 1) / WINDOW_FPS * fps))


def dense(timestamps_s: Floats, *, frames: int, stride: int = 4, clips: int | None = None) -> Indices:
    """Return `frames` frames in all, as `clips` evenly placed runs in which every `stride`-th frame is taken.

    Args:
        timestamps_s: [N]; only the count matters.
        frames: how many over all clips, T.
        stride: distance within a clip, in frames; smaller where the video is too short for it.
        clips: how many runs; one for every 4 frames by default.

    Returns:
        [min(T, N)] indices.
    """
    count = len(timestamps_s)
    if stride < 1:
        raise ValueError(f"stride is {stride}; use at least 1")
    if clips is not None and clips < 1:
        raise ValueError(f"clips is {clips}; use at least 1")
    if frames >= count:
        return np.arange(count, dtype=np.int64)
    runs = min(clips or max(1, frames // 4), frames)
    lengths = [len(part) for part in np.array_split(np.arange(frames), runs)]
    room = count / runs
    picked: list[int] = []
    for run, length in enumerate(lengths):
        step = min(float(stride), max(room / length, 1.0))
        start = run * room + (room - (length - 1) * step) / 2 - 0.5
        picked += [round(start + i * step) for i in range(length)]
    return _spread(np.clip(np.array(picked, np.int64), 0, count - 1), count)


def changes(luma: Pixels) -> Floats:
    """Return the mean absolute brightness change [N] of each picture against the one before; the first is 0.

    Args:
        luma: [N, h, w] uint8.
    """
    pictures = luma.astype(np.int16)
    steps = np.abs(np.diff(pictures, axis=0)).mean(axis=(1, 2)) if len(luma) > 1 else np.zeros(0)
    return np.concatenate([np.zeros(min(len(luma), 1)), steps])


def small_luma(pixels: Pixels | None) -> Pixels:
    """Return [18, 32] brightness by picking every n-th pixel after a blur of 4: cheap, and enough to see a change."""
    rows, columns = LUMA_STEPS
    if pixels is None:
        return np.zeros(LUMA_STEPS, np.uint8)
    height, width = pixels.shape[:2]
    y = (np.arange(rows * 4) + 0.5) * (height / (rows * 4))
    x = (np.arange(columns * 4) + 0.5) * (width / (columns * 4))
    sampled = pixels[y.astype(int)[:, None], x.astype(int)[None]] @ RGB_TO_LUMA
    small: Pixels = sampled.reshape(rows, 4, columns, 4).mean(axis=(1, 3)).astype(np.uint8)
    return small


def adaptive(change: Floats | Sequence[float], *, frames: int) -> Indices:
    """Pick frames at equal steps of accumulated change: many where the picture changes, few where it rests.

    Args:
        change: [N] non-negative, see `changes`.
        frames: how many, T.

    Returns:
        [min(T, N)] indices into `change`.
    """
    amount = np.asarray(change, np.float64)
    count = len(amount)
    if frames >= count:
        return np.arange(count, dtype=np.int64)
    total = amount.sum()
    still = STILL_SHARE * total / count if total > 0 else 1.0
    passed = np.cumsum(_shares(amount + still, frames))
    targets = (np.arange(frames) + 0.5) * (passed[-1] / frames)
    return _spread(np.minimum(np.searchsorted(passed, targets), count - 1), count)


def keyframes(keyframe_indices: Indices, timestamps_s: Floats, *, end_s: float, frames: int) -> Indices:
    """Choose for each centre of `frames` equal segments the keyframe nearest in time. Fewer where they coincide.

    Returns:
        [at most T] frame indices, all of them keyframes; the first frame where the file marks no keyframe.
    """
    if len(timestamps_s) == 0:
        return np.zeros(0, np.int64)
    keys = np.asarray(keyframe_indices, np.int64)
    if len(keys) == 0:
        return np.zeros(1, np.int64)
    centres = (np.arange(frames) + 0.5) * (max(end_s, 0.0) / frames)
    nearest = np.abs(timestamps_s[keys][None, :] - centres[:, None]).argmin(axis=1)
    return np.unique(keys[nearest])


def _by_time(timestamps_s: Floats, *, end_s: float, places: Floats) -> Indices:
    """Return the frames shown at `places` [T < N], which rise in units of a T-th of the video; all differ."""
    count, frames = len(timestamps_s), len(places)
    moments = places * (max(end_s, 0.0) / frames)
    picked = np.clip(np.searchsorted(timestamps_s, moments + CLOCK_S, side="right") - 1, 0, count - 1)
    if len(np.unique(picked)) < frames:
        shown = np.diff(timestamps_s, append=max(end_s, float(timestamps_s[-1])))
        passed = np.cumsum(_shares(np.maximum(shown, CLOCK_S), frames))
        picked = np.searchsorted(passed, places * (passed[-1] / frames), side="right")
    return _spread(np.clip(picked, 0, count - 1), count)


def _shares(amounts: Floats, frames: int) -> Floats:
    """Cut the largest of `amounts` [N] so that each is at most a `frames`-th of the new sum; needs frames <= N."""
    falling = np.sort(amounts)[::-1]
    rest = np.cumsum(falling[::-1])[::-1][:frames]  # what is left when the larger ones are cut to whole shares
    sharing = frames - np.arange(frames)
    cut = int(np.argmax(falling[:frames] * sharing <= rest))
    shares: Floats = np.minimum(amounts, rest[cut] / sharing[cut])
    return shares


def _spread(picked: Indices, count: int) -> Indices:
    """Move repeated indices to the nearest free ones, so that all differ; needs len(picked) <= count."""
    result = np.array(picked, np.int64)
    if len(np.unique(result)) < len(result):
        # push up from the left, then down from the right: the smallest shifts that make an increasing row
        slots = np.arange(len(result))
        result = np.maximum.accumulate(np.sort(result) - slots) + slots
        result = np.minimum(result, count - len(result) + slots)
    return np.sort(result)
