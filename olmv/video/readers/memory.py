"""Frames that are in memory already, behind the protocol of a video reader: arrays, and lists of PIL images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from olmv.errors import DecodeError, VideoError, reason
from olmv.video.frames import Indices, PickedFrame, Pixels, VideoInfo, distinct
from olmv.video.readers.video_reader import VideoReader
from olmv.video.sampling import LUMA_STEPS, small_luma

__all__ = ["MemoryReader", "MemoryVideo"]


@dataclass(frozen=True, eq=False)
class MemoryVideo:
    """A video whose frames were decoded by the caller.

    Attributes:
        name: what its row is called.
        frames: [T, H, W, 3] uint8, or T PIL images of any mode and size.
        end_s: how long it lasts, in seconds; 0 for a photo, None where nobody knows.
        error: why it cannot be looked at.
    """

    name: str
    frames: Pixels | Sequence[Any]
    end_s: float | None = None
    error: VideoError | None = None

    def __str__(self) -> str:
        return self.name


class MemoryReader(VideoReader):
    """Reads frames from memory; an image that PIL has not loaded yet is decoded here, as a photo's file would be.

    Of a video that nobody knows the length of, `is_timed` is False, and times count frames: 0, 1, 2, ...

    Args:
        video: its frames.

    Raises:
        VideoError: it has no frames, or its own error.
    """

    def __init__(self, video: MemoryVideo) -> None:
        super().__init__(video.name)
        if video.error is not None:
            raise video.error
        count = len(video.frames)
        if count == 0:
            raise DecodeError(f"{video.name}: has no frames; give at least one")
        self._frames = video.frames
        self.is_timed = video.end_s is not None
        self.end_s = float(count) if video.end_s is None else video.end_s
        self.timestamps_s = np.arange(count, dtype=np.float64) * (self.end_s / count)
        self.keyframes = np.arange(count, dtype=np.int64)

    @property
    def info(self) -> VideoInfo:
        """Tell facts about the frames; of pictures that differ in size, those of the first."""
        first = self._frames[0]
        width, height = first.shape[1::-1] if isinstance(first, np.ndarray) else first.size
        return self._make_info(width=width, height=height, rotation=0, codec="rawvideo")

    def frames(self, indices: Sequence[int] | Indices) -> Iterator[PickedFrame]:
        """Yield frames, see `VideoReader.frames`."""
        wanted = distinct(indices, len(self._frames))
        passing = wanted
        if self.tap is not None and len(wanted) > 1:  # as a decoder hands them out on the way
            passing = [*range(max(2 * wanted[0] - wanted[1], 0), wanted[-1] + 1)]
        targets = set(wanted)
        for index in passing:
            pixels, whole = self._pixels(index)
            time_s = float(self.timestamps_s[index])
            if self.tap is not None:
                self.tap(time_s, pixels)
            if index in targets:
                yield PickedFrame(index, index, time_s, pixels, not whole)

    def luma(self, indices: Sequence[int] | Indices) -> Pixels:
        """Return small grey pictures, see `VideoReader.luma`."""
        rows = [small_luma(picked.pixels) for picked in self.frames(indices)]
        return np.stack(rows) if rows else np.zeros((0, *LUMA_STEPS), np.uint8)

    def close(self) -> None:
        """Do nothing: the frames are the caller's."""

    def _pixels(self, index: int) -> tuple[Pixels, bool]:
        """Return [H, W, 3] of a frame, and whether it is whole."""
        frame = self._frames[index]
        if isinstance(frame, np.ndarray):
            return frame, True
        from PIL import ImageFile

        from olmv.video.pictures.pixels import decode, quiet, rgb_pixels
        from olmv.video.pictures.reader import exif_orientation

        try:
            with quiet():
                whole = decode(frame) if isinstance(frame, ImageFile.ImageFile) else True
                pixels = exif_orientation(frame.getexif).apply(rgb_pixels(frame))
        except MemoryError:
            raise
        except Exception as error:  # Pillow's, of many classes
            raise DecodeError(
                f"{self._path}: picture {index + 1} of {len(self._frames)} cannot be decoded ({reason(error)}); is its "
                "file open and whole?"
            ) from None
        if pixels.size == 0:
            raise DecodeError(f"{self._path}: picture {index + 1} of {len(self._frames)} has no pixels; leave it out")
        return np.ascontiguousarray(pixels), whole
