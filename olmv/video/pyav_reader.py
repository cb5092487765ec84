"""Exact frames through PyAV, packet by packet.

Opening reads every packet of the video stream once, without decoding: that gives the presentation times (edit lists
honoured, hidden frames left out) and the keyframes. A pick is decoded from the last keyframe before it:

    packets   K . . . . . K . . . . . . K . . .
    picks           x         x   x
    decoded   K o o x     K o o . o          o: decoded, not converted    .: skipped where no other frame needs it

A bad packet costs the frames it carries, not the rest of the file.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from olmv.errors import DecodeError
from olmv.video.containers import open_container
from olmv.video.frames import Floats, Frames, Indices, PickedFrame, Pixels, VideoInfo, collect
from olmv.video.orientation import IDENTITY, Orientation

__all__ = ["PyAVReader"]

# In these codecs "non-reference" is a property of the bitstream: no other frame is predicted from it, so leaving it
# out changes no other pixel. In HEVC the same flag only holds within one temporal layer, so HEVC decodes everything.
SKIP_UNREFERENCED = frozenset({"h264", "mpeg4", "mpeg2video", "mpeg1video"})
LUMA_SIZE = (32, 18)  # width, height
KEPT_BYTES = 96 * 2**20  # decoded frames that `luma` may keep, so that `frames` need not decode them again


@dataclass(frozen=True)
class _Table:
    """Every packet of the stream, in file (= decoding) order, and the frames they become, in presentation order."""

    pts: list[int]
    key: list[bool]
    by_pts: dict[int, int]  # pts -> packet
    frame_pts: list[int]  # of displayable frames, sorted
    end_pts: int
    seekable: bool  # every packet has its own pts; without that, frames are counted from the start


class PyAVReader:
    """Reads exact frames of one file.

    Args:
        path: the file.
        threads: FFmpeg threads; 1 is best where several workers decode side by side, 0 lets FFmpeg choose.

    Raises:
        VideoError: any of its kinds, see `olmv.errors`.
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int = 1) -> None:
        self._path = os.fspath(path)
        self._container, self._stream = open_container(path)
        self._threads = threads
        self._orientation: Orientation | None = None
        self._kept: dict[int, tuple[Any, bool]] = {}
        self._errors = 0
        try:
            self._set_up()
            self._table = self._read_table()
        except BaseException:
            self.close()
            raise
        base = float(self._stream.time_base)
        pts = np.array(self._table.frame_pts, np.float64)
        self.timestamps_s: Floats = (pts - pts[0]) * base
        self.end_s = float((self._table.end_pts - pts[0]) * base)
        index_of = {p: i for i, p in enumerate(self._table.frame_pts)}
        keys = (index_of.get(p) for p, key in zip(self._table.pts, self._table.key, strict=True) if key)
        self.keyframes: Indices = np.array(sorted({k for k in keys if k is not None}), np.int64)
        self._index_of = index_of

    def _set_up(self) -> None:
        context = self._stream.codec_context
        context.thread_count = self._threads
        self._may_skip = context.name in SKIP_UNREFERENCED

    def _read_table(self) -> _Table:
        pts: list[int] = []
        key: list[bool] = []
        shown: list[bool] = []
        durations: list[int] = []
        complete = True
        for packet in self._demux():
            stamp = packet.pts if packet.pts is not None else packet.dts
            complete = complete and packet.pts is not None
            pts.append(stamp if stamp is not None else len(pts))
            key.append(bool(packet.is_keyframe))
            shown.append(not packet.is_discard and not self._is_hidden(packet))
            durations.append(packet.duration or 0)
        frame_pts = sorted({p for p, show in zip(pts, shown, strict=True) if show})
        if not frame_pts:
            raise DecodeError(f"{self._path}: holds no video frames; copy or download it again")
        by_pts = {p: i for i, p in enumerate(pts)}
        last = durations[by_pts[frame_pts[-1]]]
        if last <= 0:
            last = round(float(np.median(np.diff(frame_pts)))) if len(frame_pts) > 1 else 0
        return _Table(
            pts=pts,
            key=key,
            by_pts=by_pts,
            frame_pts=frame_pts,
            end_pts=frame_pts[-1] + last,
            seekable=complete and len(by_pts) == len(pts),
        )

    def _is_hidden(self, packet: Any) -> bool:
        """VP8 stores frames that are only references, in packets of their own; bit 4 of the first byte says so."""
        return self._stream.codec_context.name == "vp8" and not bytes(packet)[0] & 0x10

    def _demux(self) -> Iterator[Any]:
        """The stream's packets from where the container stands; ends early, without an error, where the file is cut."""
        import av

        try:
            for packet in self._container.demux(self._stream):
                if packet.size:
                    yield packet
        except MemoryError:
            raise
        except (av.error.FFmpegError, OSError, ValueError):
            self._errors += 1

    @property
    def info(self) -> VideoInfo:
        """Facts about the file; decodes one frame if none was decoded yet, since rotation is known only then."""
        if self._orientation is None:
            first = self.keyframes[:1] if len(self.keyframes) else np.zeros(1, np.int64)
            for _ in self._decode(first):
                pass
        orientation = self._orientation or IDENTITY
        context = self._stream.codec_context
        width, height = orientation.size(context.width, context.height)
        count = len(self.timestamps_s)
        return VideoInfo(
            path=self._path,
            width=width,
            height=height,
            duration_s=self.end_s,
            num_frames=count,
            fps=count / self.end_s if self.end_s > 0 else 0.0,
            rotation=orientation.degrees,
            codec=context.name,
        )

    def read(self, indices: Sequence[int] | Indices, *, requested: int | None = None) -> Frames:
        """The frames at `indices` (any order, repeats allowed) as one array, in presentation order."""
        return collect(self.frames(indices), requested=len(indices) if requested is None else requested)

    def frames(self, indices: Sequence[int] | Indices) -> Iterator[PickedFrame]:
        """See `VideoReader.frames`."""
        for wanted, index, frame, corrupt in self._picks(indices):
            pixels = None if frame is None else self._to_rgb(frame)
            yield PickedFrame(wanted, index, float(self.timestamps_s[index]), pixels, corrupt)

    def luma(self, indices: Sequence[int] | Indices) -> Pixels:
        """See `VideoReader.luma`."""
        width, height = LUMA_SIZE
        rows: list[Pixels] = []
        room = KEPT_BYTES
        for wanted, index, frame, corrupt in self._picks(indices):
            if frame is None:
                rows.append(rows[-1] if rows else np.zeros((height, width), np.uint8))
                continue
            small = frame.reformat(width, height, "gray", interpolation="AREA", threads=1)
            rows.append(small.to_ndarray())
            room -= sum(plane.buffer_size for plane in frame.planes)
            if room > 0 and wanted == index:
                self._kept[wanted] = (frame, corrupt)
        return np.stack(rows) if rows else np.zeros((0, height, width), np.uint8)

    def close(self) -> None:
        """Frees the decoder and the file; safe to call twice."""
        self._kept.clear()
        self._container.close()

    def __enter__(self) -> "PyAVReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _to_rgb(self, frame: Any) -> Pixels:
        """[H, W, 3] at full size: resizing happens in one place, `olmv.video.transforms`, whatever decoded."""
        pixels: Pixels = frame.reformat(format="rgb24", threads=1).to_ndarray()
        return (self._orientation or IDENTITY).apply(pixels)

    def _picks(self, indices: Sequence[int] | Indices) -> Iterator[tuple[int, int, Any, bool]]:
        """(wanted, delivered, frame or None, corrupt) for every distinct index, in order."""
        wanted = sorted({int(i) for i in indices})
        count = len(self.timestamps_s)
        if wanted and not 0 <= wanted[0] <= wanted[-1] < count:
            raise IndexError(f"frame {wanted[0] if wanted[0] < 0 else wanted[-1]} of a video of {count} frames")
        if wanted and all(i in self._kept for i in wanted):
            for i in wanted:
                frame, corrupt = self._kept[i]
                yield i, i, frame, corrupt
            return
        yield from self._with_substitutes(wanted)

    def _with_substitutes(self, wanted: list[int]) -> Iterator[tuple[int, int, Any, bool]]:
        """Replaces a damaged pick by the nearest good frame that was decoded on the way.

        The replacement lies nearer to the pick than to its neighbouring picks, so it speaks for the same part of the
        video; where there is none, the damaged picture itself is better than nothing, and counted as corrupt.
        """
        picks = set(wanted)
        got: dict[int, tuple[int, Any, bool]] = {}
        before: tuple[int, Any] | None = None  # the last good frame that is not itself a pick
        open_: list[tuple[int, Any, int, Any]] = []  # damaged: (wanted, own frame, neighbour, its frame)
        todo = list(wanted)

        def settle(until: int, after: tuple[int, Any] | None) -> Iterator[tuple[int, int, Any, bool]]:
            """Closes the damaged picks before `until`: `after` is a good frame that follows them."""

        del settle, got, open_, todo, picks, before
        raise NotImplementedError

    def _decode(self, wanted: Any) -> Iterator[Any]:
        raise NotImplementedError
