"""Read frames through libraries that give them by number: decord and torchcodec, for pipelines built on them.

The container is opened with PyAV first: neither library refuses playlists, nor says clearly what is wrong with a file.
Both give the same pixels as PyAV at full size, but for HDR, of which they give 8 bits, and interlaced frames, of
which they give both fields woven together. decord (last release 2021) ignores edit lists and reads no AV1.
"""

import os
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from olmv.errors import DecodeError, MissingDependencyError
from olmv.video.frames import Indices, PickedFrame, Pixels, VideoInfo, distinct
from olmv.video.readers.containers import open_container
from olmv.video.readers.display import Display, is_transparent
from olmv.video.readers.video_reader import VideoReader
from olmv.video.sampling import LUMA_STEPS, small_luma

__all__ = ["IndexedReader", "first_line"]

# Never a bad file's doing: a package of another version, or a bug.
PROGRAM_FAULTS = (AttributeError, TypeError, NameError, AssertionError, ImportError)


class IndexedReader(VideoReader):
    """Does everything but opening the file in the library and fetching one frame.

    Args:
        path: the file.
        threads: decoding threads.

    Raises:
        VideoError: any of its kinds, see `olmv.errors`.
        MissingDependencyError: the library cannot be loaded.
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int = 1) -> None:
        super().__init__(path)
        container, stream = open_container(path)
        self._codec = str(stream.codec_context.name)
        self._stream_index = int(stream.index)
        self._stored = (int(stream.codec_context.height), int(stream.codec_context.width))
        self._display = Display.of_stream(stream)
        transparent = is_transparent(stream)
        container.close()
        if transparent:
            raise DecodeError(
                f"{self._path}: is transparent, which this decoder ignores; use the decoder pyav", option="decoder"
            )
        try:
            self._open(threads)
        except (MemoryError, MissingDependencyError, *PROGRAM_FAULTS):
            raise
        except Exception as error:  # each library has its own exception classes, some of them bare RuntimeError
            raise DecodeError(f"{self._path}: {first_line(error)}; use the decoder pyav", option="decoder") from None
        if len(self.timestamps_s) == 0:
            raise DecodeError(f"{self._path}: has a video stream but no frames in it; copy or download it again")

    @abstractmethod
    def _open(self, threads: int) -> None:
        """Open the file in the library, and set timestamps_s, keyframes and end_s."""

    @abstractmethod
    def _frame(self, index: int) -> Pixels:
        """Return [H, W, 3]; raises whatever the library raises."""

    @property
    def info(self) -> VideoInfo:
        """Return the `VideoInfo`; rotation is 0: these libraries turn the picture and do not tell by how much."""
        first = next(iter(self.frames([0]))).pixels
        height, width = (0, 0) if first is None else first.shape[:2]
        return self._make_info(width=width, height=height, rotation=0, codec=self._codec)

    def frames(self, indices: Sequence[int] | Indices) -> Iterator[PickedFrame]:
        """Yield frames, see `VideoReader.frames`. One that fails is absent: there is no access to its neighbours."""
        for index in distinct(indices, len(self.timestamps_s)):
            try:
                pixels = self._shown(self._frame(index))
            except (MemoryError, *PROGRAM_FAULTS):
                raise
            except Exception:  # as above
                pixels = None
            yield PickedFrame(index, index, float(self.timestamps_s[index]), pixels, pixels is None)

    def _shown(self, pixels: Pixels) -> Pixels:
        """Return it as a player shows it; the library turned it already."""
        if self._display.tone_map is not None:
            pixels = self._display.tone_map.apply(pixels)
        return self._display.stretch(pixels, transposed=pixels.shape[:2] == self._stored[::-1] != self._stored)

    def luma(self, indices: Sequence[int] | Indices) -> Pixels:
        """Return small grey pictures, see `VideoReader.luma`."""
        rows = [small_luma(picked.pixels) for picked in self.frames(indices)]
        return np.stack(rows) if rows else np.zeros((0, *LUMA_STEPS), np.uint8)

    def close(self) -> None:
        """Free the decoder; safe to call twice."""
        self._decoder: Any = None


def first_line(error: BaseException) -> str:
    """Return the first line of a message, at most 200 characters."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]
