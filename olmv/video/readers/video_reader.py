"""What an open video is, whichever library reads it."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

from olmv.video.frames import Floats, Frames, Indices, PickedFrame, Pixels, VideoInfo, collect

__all__ = ["VideoReader"]


class VideoReader(ABC):
    """Reads one open file. Not to be shared between threads, nor carried over a fork: decoders crash or lie then.

    Attributes:
        timestamps_s: [N] presentation times of the displayable frames, rising from 0.
        keyframes: [K] indices into `timestamps_s` of the frames that decode on their own.
        end_s: when the last frame stops being shown.
        is_timed: its times are of a clock; those of frames in memory without a rate count frames.
        tap: called with (time, frame) for every frame that the decoder hands out on the way, as PyAV has it or as
            [H, W, 3] of memory, those that nobody asked for included; readers that see only what is asked for do not
            call it.
    """

    timestamps_s: Floats
    keyframes: Indices
    end_s: float
    is_timed: bool = True
    tap: "Callable[[float, Any], None] | None" = None

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)

    @property
    @abstractmethod
    def info(self) -> VideoInfo:
        """Tell facts about the file; may decode a frame to find them out."""

    @abstractmethod
    def frames(self, indices: Sequence[int] | Indices) -> Iterator[PickedFrame]:
        """Yield one `PickedFrame` for every distinct index, decoding only when asked for the next.

        In presentation order, but for frames that a first attempt missed, which come late. Finish or drop one
        iteration before the next: there is one decoder.
        """

    @abstractmethod
    def luma(self, indices: Sequence[int] | Indices) -> Pixels:
        """Return small brightness pictures, [T, 18, 32] uint8, one for each distinct index, for adaptive sampling.

        An unreadable frame is black.
        """

    @abstractmethod
    def close(self) -> None:
        """Free the decoder and the file; safe to call twice."""

    def read(self, indices: Sequence[int] | Indices, *, requested: int | None = None) -> Frames:
        """Read the frames at `indices` (any order, repeats allowed) together, in presentation order."""
        return collect(self.frames(indices), requested=len(indices) if requested is None else requested)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make_info(self, *, width: int, height: int, rotation: int, codec: str) -> VideoInfo:
        count = len(self.timestamps_s)
        return VideoInfo(
            path=self._path,
            width=width,
            height=height,
            duration_s=self.end_s,
            num_frames=count,
            fps=count / self.end_s if self.end_s > 0 else 0.0,
            rotation=rotation,
            codec=codec,
        )
