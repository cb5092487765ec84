"""Exact frames through PyAV, packet by packet.

Opening reads every packet of the video stream once, without decoding: that gives the presentation times (edit lists
honoured, hidden frames left out, the two packets of a field-coded frame taken for one) and the keyframes. A pick is
decoded from the last keyframe before it:

    packets   K . . . . . K . . . . . . K . . .
    picks           x         x   x
    decoded   K o o x     K o o x o x           o: decoded, not converted; skipped where no other frame needs it

A bad packet costs the frames it carries, and marks those predicted from it as corrupt, up to the next keyframe.
A damaged pick is replaced by what is near it in time: a good frame decoded before it, or a keyframe.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from olmv.video.frames import Indices, PickedFrame, Pixels, VideoInfo, distinct
from olmv.video.readers.containers import ffmpeg_errors, open_container
from olmv.video.readers.display import Display, full_decoder
from olmv.video.readers.fields import OneField
from olmv.video.readers.orientation import IDENTITY, Orientation
from olmv.video.readers.packets import PacketTable, demux
from olmv.video.readers.video_reader import VideoReader

__all__ = ["PyAVReader"]

# In these codecs "non-reference" is a property of the bitstream: no other frame is predicted from it, so leaving it
# out changes no other pixel. In HEVC the same flag only holds within one temporal layer, so HEVC decodes everything.
SKIP_UNREFERENCED = frozenset({"h264", "mpeg4", "mpeg2video", "mpeg1video"})
LUMA_SIZE = (32, 18)  # width, height
STAND_INS = 3  # keyframes that are tried in place of a frame that cannot be read
KEPT_BYTES = 96 * 2**20  # decoded frames that `luma` may keep, so that `frames` need not decode them again


class PyAVReader(VideoReader):
    """Reads exact frames of one file.

    Args:
        path: the file.
        threads: FFmpeg threads; 1 is best where several workers decode side by side, 0 lets FFmpeg choose.

    Raises:
        VideoError: any of its kinds, see `olmv.errors`.
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int = 1) -> None:
        super().__init__(path)
        self._threads = threads
        self._orientation: Orientation | None = None
        self._kept: dict[int, tuple[Any, bool]] = {}
        self._packets: Iterator[Any] | None = None  # where demuxing stands
        self._next = 0  # number of the packet that `_packets` yields next
        self._sought = False  # `_packets` began by seeking, so it may have begun too late
        self._count = 0
        self._one_field = OneField()
        self._damage: dict[int, int] = {}  # keyframe packet -> first damaged packet after it
        self._bad_data = ffmpeg_errors()
        self._open()
        try:
            self._table = PacketTable.of_file(self._path, self._container, self._stream)
        except BaseException:
            self.close()
            raise
        base = float(self._stream.time_base)
        self.timestamps_s = self._table.times[self._table.frames] * base
        self.end_s = self._table.end * base
        self.keyframes = self._table.keyframes()

    def _open(self) -> None:
        self._container, self._stream = open_container(self._path)
        try:
            self._context = full_decoder(self._path, self._stream)
        except BaseException:
            self._container.close()
            raise
        self._display = Display.of_stream(self._stream)
        self._context.thread_count = self._threads
        self._context.copy_opaque = True  # a frame tells the number of the packet it came of
        self._packets, self._next = None, 0

    def close(self) -> None:
        """Free the decoder and the file; safe to call twice."""
        self._kept.clear()
        self._packets = None
        self._container.close()

    @property
    def info(self) -> VideoInfo:
        """Tell facts about the file; decodes one frame if none was decoded yet, since rotation is known only then."""
        if self._orientation is None:
            for _ in self._decode(0, self.keyframes[:1].tolist() or [0]):
                break
        orientation = self._orientation or IDENTITY
        width, height = orientation.size(*self._display.size(self._context.width, self._context.height))
        return self._make_info(
            width=width, height=height, rotation=orientation.degrees, codec=self._stream.codec_context.name
        )

    def frames(self, indices: Sequence[int] | Indices) -> Iterator[PickedFrame]:
        """Yield frames, see `VideoReader.frames`."""
        for target, index, frame, corrupt in self._picks(indices):
            pixels = None if frame is None else self._to_rgb(frame)
            yield PickedFrame(target, index, float(self.timestamps_s[index]), pixels, corrupt)

    def luma(self, indices: Sequence[int] | Indices) -> Pixels:
        """Return small grey pictures, see `VideoReader.luma`."""
        width, height = LUMA_SIZE
        rows = {i: np.zeros((height, width), np.uint8) for i in distinct(indices, len(self.timestamps_s))}
        room = KEPT_BYTES
        for target, index, frame, corrupt in self._picks(indices):
            if frame is None:
                continue
            rows[target] = self._display.luma(frame, width, height)
            room -= sum(plane.buffer_size for plane in frame.planes)
            if room > 0 and target == index:
                self._kept[target] = (frame, corrupt)
        return np.stack([rows[i] for i in sorted(rows)]) if rows else np.zeros((0, height, width), np.uint8)

    def _to_rgb(self, frame: Any) -> Pixels:
        """Return [H, W, 3] at full size: resizing happens in one place, `olmv.video.transforms`, whatever decoded."""
        return (self._orientation or IDENTITY).apply(self._display.rgb(self._one_field.apply(frame)))

    def _picks(self, indices: Sequence[int] | Indices) -> Iterator[tuple[int, int, Any, bool]]:
        """Yield (wanted, delivered, frame or None, corrupt) once for every distinct index."""
        distinct_indices = distinct(indices, len(self.timestamps_s))
        todo = [i for i in distinct_indices if i not in self._kept]
        for i in distinct_indices:
            if i in self._kept:
                yield (i, i, *self._kept[i])
        delivered = set(distinct_indices) - set(todo)
        replaced: list[tuple[int, int, Any, bool]] = []
        for start, targets in self._table.segments(todo):
            for pick in self._segment(start, targets, delivered):
                if pick[2] is not None:
                    delivered.add(pick[1])
                if pick[2] is None or pick[1] != pick[0]:
                    replaced.append(pick)
                else:
                    yield pick
        for pick in replaced:
            pick = self._nearest(pick, delivered.union(distinct_indices))
            delivered.add(pick[1])
            yield pick

    def _nearest(self, pick: tuple[int, int, Any, bool], taken: set[int]) -> tuple[int, int, Any, bool]:
        """Return a replaced pick, or one without a picture, with a keyframe in its place that is nearer in time."""
        if not self._table.ordered:
            return pick  # every try would decode from the front
        index, instead, frame, _ = pick
        away = np.abs(self.timestamps_s[self.keyframes] - self.timestamps_s[index])
        limit = np.inf if frame is None else abs(self.timestamps_s[instead] - self.timestamps_s[index])
        order = np.argsort(away, kind="stable")
        free = [k for k in self.keyframes[order[away[order] < limit]].tolist() if k not in taken]
        for key in free[:STAND_INS]:
            for number, picture, good in self._decode(int(self._table.frames[key]), [key]):
                if number == key and good:
                    return index, key, picture, True
        return pick

    def _segment(self, start: int, targets: list[int], delivered: set[int]) -> Iterator[tuple[int, int, Any, bool]]:
        """Yield the picks that hang on one keyframe; `delivered` holds every frame handed out so far.

        A damaged pick is replaced by the last good frame that was decoded before it, unless that one is itself a pick;
        where there is none, the damaged picture is better than nothing; where there is no picture, None.
        """
        missing = dict.fromkeys(targets)
        spare: tuple[int, Any] | None = None
        for attempt in self._table.starts(start):
            damaged = False
            for index, frame, good in self._decode(attempt, list(missing)):
                damaged = damaged or not good
                if index not in missing:
                    if good and index not in delivered:
                        spare = (index, frame)
                    continue
                del missing[index]
                if good:
                    yield index, index, frame, False
                elif spare is not None:
                    yield index, *spare, True
                else:
                    yield index, index, frame, True
                spare = None
            # Nothing was damaged, and yet a frame did not come: a stream may need more run-up than its keyframe
            # flags promise (intra refresh, wrong flags), so begin earlier.
            if not missing or damaged or self._damage:
                break
        for index in missing:
            if spare is not None:
                yield index, *spare, True
                spare = None
            else:
                yield index, index, None, True

    def _decode(self, start: int, targets: list[int]) -> Iterator[tuple[int, Any, bool]]:
        """Yield (index, frame, good) of everything decoded from packet `start` to the last target's packet.

        `good` is False for a damaged frame, and for those that follow it in decoding order up to the next keyframe:
        they are predicted from it.
        """
        table = self._table
        needed = {number for i in targets for number in table.packets_of(i)}
        last = max(needed) if table.ordered else len(table.pts)
        skips = table.ordered and self._context.name in SKIP_UNREFERENCED
        self._damage = {}
        self._context.flush_buffers()  # here, not at the end: a caller may leave a generator half-way
        for number, packet in self._packets_from(start):
            # A new tuple each time: PyAV keeps these by address, and a small int is one object for the whole process,
            # so that a frame of another reader, when freed, would take the number away from this one.
            packet.opaque = (number,)
            if skips:
                self._context.skip_frame = "DEFAULT" if number in needed else "NONREF"
            yield from self._decode_packet(packet, number)
            if number >= last:
                break
        yield from self._decode_packet(None, last)

    def _decode_packet(self, packet: Any, number: int) -> Iterator[tuple[int, Any, bool]]:
        table = self._table
        try:
            frames = self._context.decode(packet)
        except MemoryError:
            raise
        except self._bad_data:
            self._mark_damage(number)
            return
        for frame in frames:
            if self._orientation is None:
                self._orientation = Orientation.of_frame(frame)
            own: int | None = None if frame.opaque is None else frame.opaque[0]
            index = self._counted() if not table.ordered else None if own is None else table.frame_index(own)
            if index is None or own is None:
                continue
            if frame.is_corrupt:
                self._mark_damage(own)
            if self.tap is not None:
                self.tap(float(self.timestamps_s[index]), frame)
            yield index, frame, own < self._damage.get(int(table.key_before[own]), own + 1)

    def _mark_damage(self, number: int) -> None:
        key = int(self._table.key_before[min(number, len(self._table.pts) - 1)])
        self._damage[key] = min(number, self._damage.get(key, number))

    def _counted(self) -> int | None:
        """Number a frame of a stream whose stamps tell no order: the n-th to come out is frame n."""
        self._count += 1
        return self._count - 1 if self._count <= len(self.timestamps_s) else None

    def _packets_from(self, start: int) -> Iterator[tuple[int, Any]]:
        """Yield (number, packet) from packet `start` on; seeks only if demuxing does not already stand there."""
        table = self._table
        if not table.ordered:
            self._reopen()
        elif not table.seekable:
            if self._packets is None or self._next > start:
                self._reopen()
        elif self._packets is None or self._next != start:
            self._seek(start)
        if not table.seekable or not self._sought:
            yield from self._packets_by_count(start)
            return
        assert self._packets is not None
        following: int | None = self._next or None  # 0: just sought, so the first packet may be any
        for packet in self._packets:
            number = table.number(packet, following)
            if number is None or number < start:
                following = None if number is None else number + 1
                continue
            if number > start and self._next <= start:
                # the container's index led past the keyframe: read on from the front instead
                self._reopen()
                yield from self._packets_by_count(start)
                return
            self._next = following = number + 1
            yield number, packet

    def _packets_by_count(self, start: int) -> Iterator[tuple[int, Any]]:
        """Yield as `_packets_from`, where demuxing stands at packet `_next`."""
        assert self._packets is not None
        for packet in self._packets:
            number, self._next = self._next, self._next + 1
            if number >= start:
                yield number, packet

    def _seek(self, start: int) -> None:
        try:
            self._container.seek(int(self._table.seek_to[start]), stream=self._stream, backward=True)
        except self._bad_data:
            self._reopen()
            return
        self._packets, self._next, self._sought = demux(self._container, self._stream), 0, True

    def _reopen(self) -> None:
        self._container.close()
        self._open()
        self._count = 0
        self._packets, self._next, self._sought = demux(self._container, self._stream), 0, False
