"""decord and torchcodec behind the same protocol, for those who have pipelines built on them.

The container is opened with PyAV first: neither library refuses playlists, nor says clearly what is wrong with a file.
Both give the same pixels as PyAV at full size, but for HDR, of which they give 8 bits, and interlaced frames, of
which they give both fields woven together. decord (last release 2021) ignores edit lists and reads no AV1.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from olmv.errors import DecodeError, MissingDependencyError
from olmv.video.frames import Floats, Frames, Indices, PickedFrame, Pixels, VideoInfo, collect, distinct
from olmv.video.readers.containers import open_container
from olmv.video.readers.display import Display, is_transparent

__all__ = ["DecordReader", "TorchCodecReader"]

# Never a bad file's doing: a package of another version, or a bug.
PROGRAM_FAULTS = (AttributeError, TypeError, NameError, AssertionError, ImportError)
LUMA_STEPS = (18, 32)  # rows, columns of the brightness picture
RGB_TO_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


class _Reader(ABC):
    """What the two have in common: everything but opening and fetching one frame."""

    timestamps_s: Floats
    keyframes: Indices
    end_s: float

    def __init__(self, path: str | os.PathLike[str], *, threads: int = 1) -> None:
        self._path = os.fspath(path)
        container, stream = open_container(path)
        self._codec = str(stream.codec_context.name)
        self._stream_index = int(stream.index)
        self._stored = (int(stream.codec_context.height), int(stream.codec_context.width))
        self._display = Display.of_stream(stream)
        transparent = is_transparent(stream)
        container.close()
        if transparent:
            raise DecodeError(f"{self._path}: is transparent, which this decoder ignores; use --decoder pyav")
        try:
            self._open(threads)
        except (MemoryError, MissingDependencyError, *PROGRAM_FAULTS):
            raise
        except Exception as error:  # each library has its own exception classes, some of them bare RuntimeError
            raise DecodeError(f"{self._path}: {_first_line(error)}; use --decoder pyav") from None
        if len(self.timestamps_s) == 0:
            raise DecodeError(f"{self._path}: has a video stream but no frames in it; copy or download it again")

    @abstractmethod
    def _open(self, threads: int) -> None:
        """Sets timestamps_s, keyframes and end_s."""

    @abstractmethod
    def _frame(self, index: int) -> Pixels:
        """[H, W, 3]; raises whatever the library raises."""

    @property
    def info(self) -> VideoInfo:
        """See `VideoInfo`. These libraries turn the picture themselves and do not tell by how much: rotation is 0."""
        first = next(iter(self.frames([0]))).pixels
        height, width = (0, 0) if first is None else first.shape[:2]
        count = len(self.timestamps_s)
        return VideoInfo(
            path=self._path,
            width=width,
            height=height,
            duration_s=self.end_s,
            num_frames=count,
            fps=count / self.end_s if self.end_s > 0 else 0.0,
            rotation=0,
            codec=self._codec,
        )

    def read(self, indices: Sequence[int] | Indices, *, requested: int | None = None) -> Frames:
        """See `PyAVReader.read`."""
        return collect(self.frames(indices), requested=len(indices) if requested is None else requested)

    def frames(self, indices: Sequence[int] | Indices) -> Iterator[PickedFrame]:
        """See `VideoReader.frames`. A frame that fails is absent: there is no access to its neighbours on the way."""
        for index in distinct(indices, len(self.timestamps_s)):
            try:
                pixels = self._shown(self._frame(index))
            except (MemoryError, *PROGRAM_FAULTS):
                raise
            except Exception:  # as above
                pixels = None
            yield PickedFrame(index, index, float(self.timestamps_s[index]), pixels, pixels is None)

    def _shown(self, pixels: Pixels) -> Pixels:
        """As a player shows it; the library turned it already."""
        if self._display.tone_map is not None:
            pixels = self._display.tone_map.apply(pixels)
        return self._display.stretch(pixels, transposed=pixels.shape[:2] == self._stored[::-1] != self._stored)

    def luma(self, indices: Sequence[int] | Indices) -> Pixels:
        """See `VideoReader.luma`."""
        rows = [_small_luma(picked.pixels) for picked in self.frames(indices)]
        return np.stack(rows) if rows else np.zeros((0, *LUMA_STEPS), np.uint8)

    def close(self) -> None:
        """Frees the decoder; safe to call twice."""
        self._decoder: Any = None


class DecordReader(_Reader):
    """Reads through decord's `VideoReader`."""

    def _open(self, threads: int) -> None:
        import decord

        self._decoder = decord.VideoReader(self._path, ctx=decord.cpu(0), num_threads=threads)
        spans = np.asarray(self._decoder.get_frame_timestamp(range(len(self._decoder))), np.float64).reshape(-1, 2)
        steps = np.diff(spans[:, 0])
        if len(spans) and not ((steps > 0).all() and np.isfinite(spans).all() and (spans < 1e9).all()):
            # decord makes up times where the container has none (AVI)
            starts = np.arange(len(spans)) / float(self._decoder.get_avg_fps())
            spans = np.stack([starts, starts + starts[1:2].sum()], axis=1)
        self.timestamps_s = spans[:, 0] - spans[:1, 0]
        self.end_s = float(spans[-1, 1] - spans[0, 0]) if len(spans) else 0.0
        self.keyframes = np.asarray(self._decoder.get_key_indices(), np.int64)

    def _frame(self, index: int) -> Pixels:
        pixels: Pixels = self._decoder[index].asnumpy()
        return pixels


class TorchCodecReader(_Reader):
    """Reads through torchcodec's `VideoDecoder`, with an exact scan of the file."""

    def _open(self, threads: int) -> None:
        try:
            from torchcodec.decoders import VideoDecoder
        except (ImportError, RuntimeError, OSError) as error:
            raise MissingDependencyError(
                f"torchcodec cannot be loaded ({_first_line(error)}); install FFmpeg and a torchcodec that matches "
                "torch, or use --decoder auto"
            ) from None
        self._decoder = VideoDecoder(
            self._path,
            stream_index=self._stream_index,
            dimension_order="NHWC",
            num_ffmpeg_threads=threads,
            seek_mode="exact",
        )
        count = len(self._decoder)
        spans = np.array([self._span(i) for i in range(count)], np.float64).reshape(-1, 2)
        self.timestamps_s = spans[:, 0] - spans[:1, 0]
        self.end_s = float(spans[-1].sum() - spans[0, 0]) if count else 0.0
        keys = getattr(self._decoder, "_get_key_frame_indices", None)
        self.keyframes = np.zeros(1, np.int64) if keys is None else np.asarray(keys(), np.int64)

    def _span(self, index: int) -> tuple[float, float]:
        frame = self._decoder.get_frame_at(index)
        return float(frame.pts_seconds), float(frame.duration_seconds)

    def _frame(self, index: int) -> Pixels:
        pixels: Pixels = self._decoder[index].numpy()
        return pixels


def _small_luma(pixels: Pixels | None) -> Pixels:
    """[18, 32] brightness by picking every n-th pixel after a blur of 4: cheap, and enough to see a change."""
    rows, columns = LUMA_STEPS
    if pixels is None:
        return np.zeros(LUMA_STEPS, np.uint8)
    height, width = pixels.shape[:2]
    y = (np.arange(rows * 4) + 0.5) * (height / (rows * 4))
    x = (np.arange(columns * 4) + 0.5) * (width / (columns * 4))
    sampled = pixels[y.astype(int)[:, None], x.astype(int)[None]] @ RGB_TO_LUMA
    small: Pixels = sampled.reshape(rows, 4, columns, 4).mean(axis=(1, 3)).astype(np.uint8)
    return small


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]
