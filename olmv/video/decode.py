"""Decode one file into model input: what a worker does, and what the calling process does with `workers=0`."""

import io
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from olmv.errors import DecodeError, VideoError
from olmv.video.frames import Floats, Indices, PickedFrame, Pixels, VideoInfo
from olmv.video.options import DecodeOptions
from olmv.video.readers.open import open_reader, pick_indices
from olmv.video.readers.video_reader import VideoReader
from olmv.video.transforms import ModelPixels, Preprocess

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["VideoFrames", "decode_video"]

THUMBNAIL_WIDTH = 160
THUMBNAIL_QUALITY = 80


@dataclass(frozen=True, kw_only=True, eq=False)
class VideoFrames:
    """One file's frames, ready for a model, or the reason why there are none.

    Attributes:
        index: place among the paths given to the loader.
        path: as given.
        pixels: [T, 3, S, S] uint8, or float32 from 0 to 255; None on failure.
        times_s: [T] presentation times.
        info: facts about the file; None on failure.
        requested, decoded, corrupt: frames asked for; T; how many picked frames were damaged or unreadable.
        error: what went wrong, or None.
        thumbnails: T JPEGs at most 160 pixels wide, if asked for.
    """

    index: int
    path: str
    pixels: ModelPixels | None = None
    times_s: Floats = field(default_factory=lambda: np.zeros(0))
    info: VideoInfo | None = None
    requested: int = 0
    decoded: int = 0
    corrupt: int = 0
    error: VideoError | None = None
    thumbnails: list[bytes] = field(default_factory=list)

    @property
    def tensor(self) -> "Tensor":
        """Return the pixels as a torch tensor, which shares their memory.

        Raises:
            DecodeError: there are none.
        """
        from torch import from_numpy

        if self.pixels is None:
            raise self.error or DecodeError(f"{self.path}: has no frames; look at its error")
        return from_numpy(self.pixels)


def decode_video(
    path: str,
    preprocess: Preprocess,
    options: DecodeOptions = DecodeOptions(),
    *,
    index: int = 0,
    pick: Callable[[VideoReader], Indices] | None = None,
    resize: Callable[[Pixels], ModelPixels] | None = None,
) -> VideoFrames:
    """Open, sample, decode and resize one file; only one full-size frame is held at a time.

    Args:
        path: the file.
        preprocess: the model's input.
        options: what to do with the file; its workers and limits are the loader's business.
        index: goes into the result.
        pick: chooses the frames in place of `options.sampling`; may name one twice.
        resize: [H, W, 3] uint8 -> [n, 3, h, w] (uint8, or float32 on the same 0-255 scale), in place of
            `preprocess.resize`; every frame of a file must come out in the same shape.

    Raises:
        VideoError: the file cannot be read, or none of its picked frames can be decoded.
    """
    with open_reader(path, decoder=options.decoder) as reader:
        if pick is None:
            indices = pick_indices(reader, frames=options.frames, sampling=options.sampling)
        else:
            indices = pick(reader)
        repeats = Counter(indices.tolist())
        resize = resize or preprocess.resize
        pictures: list[tuple[PickedFrame, ModelPixels, bytes]] = []
        corrupt = 0
        for frame in reader.frames(indices):
            corrupt += frame.corrupt
            if frame.pixels is None:
                continue
            jpeg = thumbnail(frame.pixels) if options.thumbnails else b""
            small = resize(frame.pixels)
            slim = PickedFrame(frame.wanted, frame.index, frame.time_s, None, frame.corrupt)
            pictures += [(slim, small, jpeg)] * repeats[frame.wanted]
            del frame
        if not pictures:
            raise DecodeError(f"{path}: none of {len(indices)} frames could be decoded; copy or download it again")
        pictures.sort(key=lambda item: item[0].index)
        return VideoFrames(
            index=index,
            path=path,
            pixels=np.concatenate([small for _, small, _ in pictures]),
            times_s=np.array([p.time_s for p, _, _ in pictures]),
            info=reader.info,
            requested=options.frames,
            decoded=len(pictures),
            corrupt=corrupt,
            thumbnails=[jpeg for _, _, jpeg in pictures] if options.thumbnails else [],
        )


def failed(index: int, path: str | os.PathLike[str], error: VideoError, *, requested: int) -> VideoFrames:
    """Make the row of a file that could not be read."""
    return VideoFrames(index=index, path=os.fspath(path), error=error, requested=requested)


def thumbnail(pixels: Pixels) -> bytes:
    """Make a JPEG of one [H, W, 3] frame, at most `THUMBNAIL_WIDTH` pixels wide and twice as high."""
    from PIL import Image

    image: Any = Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL_WIDTH, 2 * THUMBNAIL_WIDTH), Image.Resampling.BILINEAR, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=THUMBNAIL_QUALITY)
    return out.getvalue()
