"""Open a video with the decoder of one's choice, or a picture, and pick frames of it."""

import importlib.metadata
import os
from collections.abc import Callable

import numpy as np

from olmv.arguments import check_path, named_options
from olmv.errors import MissingDependencyError, UsageError
from olmv.video.frames import Frames, Indices, PickedFrame, collect
from olmv.video.options import DECODERS, check_sampling
from olmv.video.pictures.formats import picture_format
from olmv.video.readers.memory import MemoryReader, MemoryVideo
from olmv.video.readers.video_reader import VideoReader
from olmv.video.sampling import adaptive, changes, dense, keyframes, uniform

__all__ = [
    "available_decoders",
    "check_decoder",
    "open_reader",
    "pick_indices",
    "read_frames",
]

_PACKAGES = {"pyav": "av", "decord": "decord", "torchcodec": "torchcodec"}
_CURES = {"pyav": "pip install av", "decord": "pip install decord", "torchcodec": 'pip install "olmv[torchcodec]"'}
# Adaptive sampling looks at this many frames for each one it keeps, up to the cap.
CANDIDATES_PER_FRAME = 4
MAX_CANDIDATES = 256


def available_decoders() -> dict[str, str | None]:
    """Return the version of each decoder's package, None where it is not installed. Imports none of them."""
    versions: dict[str, str | None] = {}
    for name, package in _PACKAGES.items():
        try:
            versions[name] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def check_decoder(decoder: str) -> None:
    """Find out, before any file is opened, whether `decoder` can be used.

    Raises:
        UsageError: no decoder of this name.
        MissingDependencyError: its package is not installed.
    """
    if decoder not in DECODERS:
        raise UsageError(f"unknown decoder {decoder!r}; use one of {', '.join(DECODERS)}", option="decoder")
    if decoder != "auto" and available_decoders()[decoder] is None:
        raise MissingDependencyError(
            f"decoder {decoder!r} is not installed; {_CURES[decoder]}, or use the decoder auto", option="decoder"
        )


def open_reader(path: str | os.PathLike[str] | MemoryVideo, *, decoder: str = "auto", threads: int = 1) -> VideoReader:
    """Open one video or picture. `auto` is PyAV: the only one that reads every video olmv promises to read.

    Args:
        path: the file; what it holds decides what reads it, whatever its name says. Or frames in memory.
        decoder: one of `DECODERS`; pictures are read with Pillow whichever it is.
        threads: decoding threads.

    Raises:
        UsageError, MissingDependencyError: about `decoder`, see `check_decoder`.
        VideoError: the file cannot be read; any of its kinds.
    """
    check_decoder(decoder)
    if isinstance(path, MemoryVideo):
        return MemoryReader(path)
    kind = picture_format(path)
    if kind is not None:
        from olmv.video.pictures.reader import PictureReader

        return PictureReader(path, kind)
    if decoder in ("auto", "pyav"):
        from olmv.video.readers.pyav import PyAVReader

        return PyAVReader(path, threads=threads)
    if decoder == "decord":
        from olmv.video.readers.decord import DecordReader

        return DecordReader(path, threads=threads)
    from olmv.video.readers.torchcodec import TorchCodecReader

    return TorchCodecReader(path, threads=threads)


def pick_indices(reader: VideoReader, *, frames: int, sampling: str) -> Indices:
    """Choose frame indices, [at most `frames`]; `adaptive` decodes some to see what changes.

    Raises:
        UsageError: unknown sampling, or frames < 1.
    """
    check_sampling(sampling, frames)
    times, end = reader.timestamps_s, reader.end_s
    if sampling == "dense":
        return dense(times, frames=frames)
    if sampling == "keyframes":
        return keyframes(reader.keyframes, times, end_s=end, frames=frames)
    if sampling == "adaptive":
        count = max(frames, min(frames * CANDIDATES_PER_FRAME, MAX_CANDIDATES))
        candidates = uniform(times, end_s=end, frames=count)
        if len(candidates) > frames:
            candidates = candidates[adaptive(changes(reader.luma(candidates)), frames=frames)]
        return candidates
    return uniform(times, end_s=end, frames=frames)


@named_options
def read_frames(
    path: str | os.PathLike[str],
    *,
    frames: int = 8,
    sampling: str = "uniform",
    decoder: str = "auto",
    size: int | None = None,
) -> Frames:
    """Sample frames of one video or picture, in this process.

    Args:
        path: the file; of `bytes`, open files and arrays `Classifier.predict` knows what to do.
        frames: how many to ask for; a shorter video gives fewer, a broken one may.
        sampling: `uniform`, `dense`, `adaptive` or `keyframes`.
        decoder: one of `DECODERS`.
        size: side of a square to resize (shortest side, then centre crop) to; None keeps the full size.

    Returns:
        `Frames`, with pixels [T, H, W, 3] uint8.

    Raises:
        VideoError: the file cannot be read.
        UsageError: this is no path, an unknown sampling or decoder, or frames or size out of range.
        MissingDependencyError: the decoder is not installed.
    """
    check_path("the video", path)
    check_sampling(sampling, frames)
    resize = None if size is None else _resizer(size)
    with open_reader(path, decoder=decoder) as reader:
        picked = reader.frames(pick_indices(reader, frames=frames, sampling=sampling))
        return collect(picked if resize is None else map(resize, picked), requested=frames)


def _resizer(size: int) -> Callable[[PickedFrame], PickedFrame]:
    from dataclasses import replace

    from olmv.video.transforms import Preprocess

    try:
        preprocess = Preprocess(size=size)
    except ValueError as failure:
        raise UsageError(str(failure), option="size") from None

    def resize(picked: PickedFrame) -> PickedFrame:
        if picked.pixels is None:
            return picked
        small = preprocess.resize(picked.pixels)[0].transpose(1, 2, 0)
        return replace(picked, pixels=np.ascontiguousarray(small))

    return resize
