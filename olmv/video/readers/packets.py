"""The table of a video stream's packets: which frame each becomes, and where decoding may begin."""

import ctypes
import os
import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from olmv.errors import DecodeError
from olmv.video.frames import Floats, Indices
from olmv.video.readers.clock import by_decoding_order, by_presentation, stretches
from olmv.video.readers.containers import ffmpeg_errors
from olmv.video.readers.fields import FieldPairs

__all__ = ["PacketTable", "demux"]

Bools = npt.NDArray[np.bool_]


def demux(container: Any, stream: Any) -> Iterator[Any]:
    """Yield the stream's packets from where the container stands; where the file is cut off, they just end."""
    bad_data = ffmpeg_errors()
    try:
        for packet in container.demux(stream):
            if packet.size:
                yield packet
    except MemoryError:
        raise
    except bad_data:
        return


@dataclass(eq=False)
class _Packets:
    """What one reading of the stream shows, by packet in decoding order; stamps are NaN where there are none.

    Arrays, not lists: hours of video have hundreds of thousands of packets, and every worker has their table.
    """

    pts: Floats
    dts: Floats
    duration: Indices
    key: Bools
    hidden: Bools
    second: Bools

    @classmethod
    def read(cls, container: Any, stream: Any) -> "_Packets":
        codec = stream.codec_context.name
        pairs = FieldPairs(stream.codec_context.extradata) if codec == "h264" else None
        pts, dts, duration = array("d"), array("d"), array("q")
        key, hidden, second = bytearray(), bytearray(), bytearray()
        for packet in demux(container, stream):
            pts.append(np.nan if packet.pts is None else packet.pts)
            dts.append(np.nan if packet.dts is None else packet.dts)
            duration.append(packet.duration or 0)
            key.append(bool(packet.is_keyframe))
            # VP8 keeps reference-only frames in packets of their own: bit 4 of the first byte is "show"
            hidden.append(bool(packet.is_discard) or (codec == "vp8" and not bytes(packet)[0] & 0x10))
            second.append(pairs is not None and pairs.is_second(packet))
        flags = (np.frombuffer(row, bool) for row in (key, hidden, second))
        return cls(np.frombuffer(pts), np.frombuffer(dts), np.frombuffer(duration, np.int64), *flags)

    def join_fields(self) -> Indices:
        """Add second fields' durations to the first ones'; return the packets that begin a picture."""
        for number in np.flatnonzero(self.second).tolist():
            self.duration[number - 1] += self.duration[number]
        return np.flatnonzero(~self.second)

    def step(self, stream: Any) -> float:
        """Tell how long a frame is usually shown, in ticks."""
        known = self.duration[(self.duration > 0) & ~self.second]
        if len(known):
            return float(np.median(known))
        rate = stream.average_rate or stream.guessed_rate
        return max(float(1 / (rate * stream.time_base)), 1.0) if rate else 1.0


@dataclass(frozen=True, eq=False)
class PacketTable:
    """Every packet of one stream, numbered in file order, which is decoding order.

    Attributes:
        pts: [P] presentation stamp of each packet, in units of the stream's time base; NaN where there is none.
        seek_to: [P] decoding stamp of each packet, or its presentation stamp: what containers index.
        key_before: [P] for each packet the number of the last keyframe packet up to it (0 if there is none).
        keys: [K] packet numbers of the keyframes.
        frames: [N] packet numbers of the displayable frames, in presentation order; of a field-coded frame its first.
        times: [P] when each packet is shown, in units of the time base from the first displayable frame on.
        end: when the last frame ends, likewise.
        second: [P] packets that hold the second field of the frame before.
        ordered: the stamps tell the order of presentation. Without that, frames are counted from the start, and
            `frames` is in decoding order.
        seekable: every stamp is unique and the clock unbroken, so a stamp leads to its packet. Without that, packets
            are counted from the start.
    """

    pts: Floats
    seek_to: Floats
    key_before: Indices
    keys: Indices
    frames: Indices
    times: Floats
    end: float
    second: Bools
    ordered: bool
    seekable: bool

    @classmethod
    def of_file(cls, path: str, container: Any, stream: Any) -> "PacketTable":
        """Return the table of a file as it is now; that of one read before in this process is kept for a while.

        Raises:
            DecodeError: as `read`.
        """
        key = _identity(path, stream)
        if key is None:
            return cls.read(path, container, stream)
        with _LOCK:  # threads may read files without workers
            if key in _KEPT:
                _KEPT.move_to_end(key)
                return _KEPT[key]
        table = cls.read(path, container, stream)
        if len(table.pts) > KEPT_PACKETS // 2:
            _trim_memory()
        with _LOCK:
            _KEPT[key] = table
            packets = sum(len(kept.pts) for kept in _KEPT.values())
            while packets > KEPT_PACKETS and len(_KEPT) > 1:  # a long file is asked for part by part
                packets -= len(_KEPT.popitem(last=False)[1].pts)
        return table

    @classmethod
    def read(cls, path: str, container: Any, stream: Any) -> "PacketTable":
        """Read all packets, decode none.

        Raises:
            DecodeError: there is no packet to decode.
        """
        packets = _Packets.read(container, stream)
        whole = packets.join_fields()
        shown = whole[~packets.hidden[whole]]
        if not len(shown):
            raise DecodeError(f"{path}: has a video stream but no frames in it; copy or download it again")
        breaks = bool(int(container.format.flags) & _TS_DISCONT)
        stretch = stretches(packets.pts, packets.dts, tick_s=float(stream.time_base), breaks=breaks)
        pts = packets.pts[whole]
        pts = pts[~np.isnan(pts)]
        # AVI stores no presentation times; where frames are reordered, FFmpeg's guesses put some in the wrong place
        reordered = stream.codec_context.reorder_depth > 0 or bool((np.diff(pts) < 0).any())
        ordered = len(pts) == len(whole) and not (container.format.name == "avi" and reordered)
        times = np.zeros(len(packets.pts))
        if ordered:
            visible = ~packets.hidden[whole]
            times[whole], end = by_presentation(pts, stretch[whole], packets.duration[whole], visible)
            frames = shown[np.argsort(times[shown], kind="stable")]
        else:
            decoding = packets.dts[shown]
            stamps = packets.pts[shown] if np.isnan(decoding).all() else decoding
            times[shown], end = by_decoding_order(stamps, stretch[shown], step=packets.step(stream))
            frames = shown
        all_pts = packets.pts[~np.isnan(packets.pts)]
        keys = whole[packets.key[whole]]
        return cls(
            pts=packets.pts,
            seek_to=np.where(np.isnan(packets.dts), packets.pts, packets.dts),
            key_before=_last_before(keys, len(packets.pts)),
            keys=keys,
            frames=frames,
            times=times,
            end=end,
            second=packets.second,
            ordered=ordered,
            seekable=bool(ordered and stretch[-1] == 0 and len(np.unique(all_pts)) == len(all_pts)),
        )

    @cached_property
    def _by_stamp(self) -> tuple[Floats, Indices]:
        order = np.argsort(self.pts, kind="stable")  # those without a stamp come last
        order = order[: len(order) - int(np.isnan(self.pts).sum())]
        return self.pts[order], order

    @cached_property
    def _index_of(self) -> Indices:
        indices = np.full(len(self.pts), -1, np.int64)
        indices[self.frames] = np.arange(len(self.frames))
        return indices

    def number(self, packet: Any, following: int | None) -> int | None:
        """Tell which packet this is; None for one that was not there on the first reading.

        Args:
            packet: from the container, of a `seekable` table.
            following: the number after the packet before, which a packet without a stamp has.
        """
        if packet.pts is None:
            return following
        stamps, numbers = self._by_stamp
        place = int(np.searchsorted(stamps, packet.pts))
        return int(numbers[place]) if place < len(stamps) and stamps[place] == packet.pts else None

    def frame_index(self, number: int) -> int | None:
        """Tell which displayable frame came of this packet."""
        index = int(self._index_of[number])
        return None if index < 0 else index

    def packets_of(self, index: int) -> list[int]:
        """Return the packet that carries a displayable frame, or the two of its fields."""
        first = int(self.frames[index])
        paired = first + 1 < len(self.second) and self.second[first + 1]
        return [first, first + 1] if paired else [first]

    def keyframes(self) -> Indices:
        """Return [K] frame indices of the displayable keyframes."""
        indices = self._index_of[self.keys]
        return np.sort(indices[indices >= 0])

    def segments(self, frames: list[int]) -> Iterator[tuple[int, list[int]]]:
        """Yield (keyframe packet, frames) groups: each frame with the last keyframe that is shown no later than it.

        By presentation time, not by place in the file: frames stored after a keyframe but shown before it (open GOP)
        need the keyframe before.
        """
        if not self.ordered or not len(self.keys):
            if frames:
                yield 0, frames
            return
        order = self.keys[np.argsort(self.times[self.keys], kind="stable")]
        places = np.searchsorted(self.times[order], self.times[self.frames[frames]], side="right") - 1
        groups: dict[int, list[int]] = {}
        for frame, place in zip(frames, places.tolist(), strict=True):
            groups.setdefault(int(order[place]) if place >= 0 else 0, []).append(frame)
        yield from groups.items()

    def starts(self, start: int) -> list[int]:
        """Return where to begin, then where to begin if frames stay away: the keyframe before, then the front."""
        before = int(self.key_before[start - 1]) if start > 0 else 0
        return list(dict.fromkeys([start, before, 0]))


KEPT_PACKETS = 100_000
"""Of all tables that a process keeps, for training and evaluation, which read a file several times; about 7 MB."""

_KEPT: OrderedDict[tuple[object, ...], PacketTable] = OrderedDict()
_LOCK = threading.Lock()


def _identity(path: str, stream: Any) -> tuple[object, ...] | None:
    """Tell a file's content by what changes when it is written; None where the file is gone."""
    try:
        status = os.stat(path)  # noqa: PTH116 - what the file is now, through links
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, stream.index


def _trim_memory() -> None:
    """Give back what reading a long table took besides; glibc would keep it, as much again as the table."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


_TS_DISCONT = 0x0200  # AVFMT_TS_DISCONT


def _last_before(keys: Indices, count: int) -> Indices:
    places = np.zeros(count, np.int64)
    places[keys] = keys
    return np.maximum.accumulate(places)
