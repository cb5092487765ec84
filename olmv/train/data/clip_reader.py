"""One video file to one training clip: what a decoding worker does, and the cache of decoded frames.

The worker gets a `Task`: the path, and which sample of which epoch it is for. Everything random about the clip is
drawn from `(seed, epoch, index)`, so that a run that was stopped goes on exactly where it would have been.
"""

import contextlib
import io
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from olmv.errors import OutputError
from olmv.io.atomic import write_atomic
from olmv.io.digests import sha256_json
from olmv.train.data.augment import LARGEST_SHORT_SIDE, Augmentation, AugmentConfig
from olmv.video.decode import VideoFrames, decode_video
from olmv.video.frames import Floats, Indices, Pixels
from olmv.video.options import DecodeOptions
from olmv.video.readers.video_reader import VideoReader
from olmv.video.sampling import random_segments, uniform, window, window_room
from olmv.video.transforms import ModelPixels, Preprocess

__all__ = ["ClipReader", "Task"]

CACHE_FORMAT = 1


class Task(str):
    """A path, as the worker pool carries it, and the sample that its clip is for."""

    __slots__ = ("epoch", "may_flip", "sample")
    sample: int
    epoch: int
    may_flip: bool

    def __new__(cls, path: str, sample: int, epoch: int, may_flip: bool) -> "Task":
        task = super().__new__(cls, path)
        task.sample, task.epoch, task.may_flip = sample, epoch, may_flip
        return task

    def __reduce__(self) -> tuple[Any, ...]:
        return Task, (str(self), self.sample, self.epoch, self.may_flip)


@dataclass(frozen=True, kw_only=True)
class ClipReader:
    """Reads the clips of a data set; stands in for `decode_video` in a worker.

    Attributes:
        seed: of everything random.
        sampling: `uniform`: one frame of each of T equal segments; `window`: T frames close together, of stride 16 at
            30 fps, from a random start, see `olmv.video.sampling.window`.
        augment: how clips are varied; None for validation: the centres, uncut and unflipped, the same in every epoch.
        cache: folder of decoded frames, or None.
        cache_frames: frames kept of each video.
    """

    seed: int
    sampling: Literal["uniform", "window"] = "uniform"
    augment: AugmentConfig | None = None
    cache: str | None = None
    cache_frames: int = 32

    def __call__(self, path: str, preprocess: Preprocess, options: DecodeOptions) -> VideoFrames:
        """Make the clip of a `Task`: pixels [at most T, 3, S, S], augmented, see `Augmentation.crop`.

        Raises:
            VideoError: the file cannot be read.
        """
        assert isinstance(path, Task)
        rng = None if self.augment is None else np.random.default_rng([self.seed, path.epoch, path.sample])
        # drawn before the frames, whose number differs between files
        plan = Augmentation() if self.augment is None or rng is None else self.augment.draw(rng, may_flip=path.may_flip)
        if self.cache is not None:
            clip = self._from_cache(path, preprocess, options, Path(self.cache), plan, rng)
        else:
            clip = decode_video(
                str(path),
                preprocess,
                options,
                pick=lambda reader: self._pick(reader, options.frames, rng),
                resize=lambda frame: plan.crop(frame, preprocess).numpy(),
            )
        return replace(clip, pixels=plan.finish(clip.tensor).numpy())

    def _pick(self, reader: VideoReader, frames: int, rng: np.random.Generator | None) -> Indices:
        if self.sampling == "window":
            count, fps = len(reader.timestamps_s), reader.info.fps
            place = 0.5 if rng is None else rng.random()
            return window(count, fps, start=place * window_room(count, fps, frames=frames), frames=frames)
        return _segments(reader.timestamps_s, reader.end_s, frames, rng)

    def _from_cache(
        self,
        path: Task,
        preprocess: Preprocess,
        options: DecodeOptions,
        folder: Path,
        plan: Augmentation,
        rng: np.random.Generator | None,
    ) -> VideoFrames:
        frames = self._kept_frames(str(path), preprocess, options, folder)
        # they lie at even distances in time
        picked = _segments(np.arange(len(frames)) / len(frames), 1.0, options.frames, rng)
        pixels = plan.crop(frames[picked], preprocess).numpy()
        return VideoFrames(index=0, path=str(path), pixels=pixels, requested=options.frames, decoded=len(pixels))

    def _kept_frames(self, path: str, preprocess: Preprocess, options: DecodeOptions, folder: Path) -> Pixels:
        """Return [N, h, w, 3] of a video, from the cache where it has them."""
        try:
            status = os.stat(path)  # noqa: PTH116 - what the file is now, through links
        except (OSError, ValueError):
            return _decoded(path, preprocess, replace(options, frames=self.cache_frames))  # says what is wrong with it
        key = {
            "format": CACHE_FORMAT,
            "path": os.path.realpath(path),
            "modified_ns": status.st_mtime_ns,
            "bytes": status.st_size,
            "frames": self.cache_frames,
            "short_side": _short_side(preprocess),
            "interpolation": preprocess.interpolation,
            "antialias": preprocess.antialias,
            "decoder": options.decoder,
        }
        entry = folder / f"{sha256_json(key)}.npy"
        if (cached_frames := _load(entry)) is not None:
            return cached_frames
        frames = _decoded(path, preprocess, replace(options, frames=self.cache_frames))
        buffer = io.BytesIO()
        np.save(buffer, frames)
        # the folder was checked at the start; a disk that fills up later costs time, not the run
        with contextlib.suppress(OutputError):
            write_atomic(entry, buffer.getvalue())
        return frames


def _segments(times_s: Floats, end_s: float, frames: int, rng: np.random.Generator | None) -> Indices:
    if rng is None:
        return uniform(times_s, end_s=end_s, frames=frames)
    return random_segments(times_s, end_s=end_s, frames=frames, rng=rng)


def _short_side(preprocess: Preprocess) -> int:
    return math.ceil(preprocess.size * LARGEST_SHORT_SIDE)


def _load(entry: Path) -> Pixels | None:
    """Return cached frames, mapped, not read; None where they are missing or damaged."""
    try:
        array = np.load(entry, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] != 3 or array.size == 0:
        return None
    frames: Pixels = array
    return frames


def _decoded(path: str, preprocess: Preprocess, options: DecodeOptions) -> Pixels:
    """Decode frames [at most `options.frames`, h, w, 3], evenly placed, the short side as large as a crop needs it."""
    size: tuple[int, int] | None = None

    def small(frame: Pixels) -> ModelPixels:
        nonlocal size
        if size is None:  # of the first frame, for all: the size may change within a file
            height, width = frame.shape[:2]
            scale = min(_short_side(preprocess) / min(height, width), 1.0)
            size = max(round(height * scale), 1), max(round(width * scale), 1)
        return preprocess.shrink(frame, size)

    clip = decode_video(
        path,
        preprocess,
        options,
        pick=lambda reader: uniform(reader.timestamps_s, end_s=reader.end_s, frames=options.frames),
        resize=small,
    )
    assert clip.pixels is not None  # decode_video raises instead
    return np.ascontiguousarray(clip.pixels.transpose(0, 2, 3, 1))
