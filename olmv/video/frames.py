"""Hold what a reader returns, whichever library decodes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Floats", "Frames", "Indices", "PickedFrame", "Pixels", "VideoInfo", "collect", "distinct"]

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What is known about a file once it is open.

    Attributes:
        path: as the caller wrote it.
        width, height: pixels, after rotation: as a player shows the video.
        duration_s: from the first displayed frame to the end of the last one; 0 for a photo.
        num_frames: displayable frames, counted, not read from a header.
        fps: average, num_frames / duration_s; 0 where the duration is.
        rotation: degrees clockwise that a player turns the stored picture: 0, 90, 180 or 270.
        codec: the codec's name in FFmpeg, such as `h264`; of a picture its format, such as `jpeg`.
    """

    path: str
    width: int
    height: int
    duration_s: float
    num_frames: int
    fps: float
    rotation: int
    codec: str


@dataclass(frozen=True)
class PickedFrame:
    """One wanted frame as it leaves the decoder.

    Attributes:
        wanted: the index asked for.
        index: the index that was delivered; differs from `wanted` only for a corrupt frame that a neighbour replaces.
        time_s: presentation time of `index`.
        pixels: [H, W, 3] uint8 RGB, or None where neither the frame nor a neighbour could be decoded.
        corrupt: the wanted frame was damaged or missing in the file.
    """

    wanted: int
    index: int
    time_s: float
    pixels: Pixels | None
    corrupt: bool


@dataclass(frozen=True, kw_only=True)
class Frames:
    """Decoded frames and an honest account of them.

    Attributes:
        pixels: [T, H, W, 3] uint8 RGB; a list of [H, W, 3] where the size changes within the video.
        indices: [T] which frames these are, increasing.
        times_s: [T] their presentation times.
        requested: how many the caller asked for; more than T where the video is shorter or broken.
        corrupt: how many of the picked frames were damaged or unreadable.
    """

    pixels: Pixels | list[Pixels]
    indices: Indices
    times_s: Floats
    requested: int
    corrupt: int

    @property
    def decoded(self) -> int:
        """Return T, the number of frames that are here."""
        return len(self.indices)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.pixels[0].shape[1::-1])) if self.decoded else "-"
        return f"Frames(decoded={self.decoded}/{self.requested}, corrupt={self.corrupt}, size={size})"


def distinct(indices: Sequence[int] | Indices, count: int) -> list[int]:
    """Return the indices in order and without repeats.

    Raises:
        IndexError: one of them is no frame of a video of `count` frames.
    """
    numbers = sorted({int(i) for i in indices})
    if numbers and not 0 <= numbers[0] <= numbers[-1] < count:
        outside = numbers[0] if numbers[0] < 0 else numbers[-1]
        raise IndexError(f"frame {outside} of a video of {count} frames; indices run from 0 to {count - 1}")
    return numbers


def collect(picked: Iterator[PickedFrame], *, requested: int) -> Frames:
    """Gather what `VideoReader.frames` yields. Frames that could not be decoded are absent, never repeated."""
    all_of_them = sorted(picked, key=lambda p: p.index)
    there = [p for p in all_of_them if p.pixels is not None]
    pictures: list[Any] = [p.pixels for p in there]
    same_size = len({p.shape for p in pictures}) == 1
    pixels = np.stack(pictures) if same_size else pictures
    return Frames(
        pixels=pixels if pictures else np.zeros((0, 0, 0, 3), np.uint8),
        indices=np.array([p.index for p in there], np.int64),
        times_s=np.array([p.time_s for p in there], np.float64),
        requested=requested,
        corrupt=sum(p.corrupt for p in all_of_them),
    )
