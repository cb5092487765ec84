"""The table of a video stream's packets: which frame each becomes, and where decoding may begin."""

import os
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from olmv.errors import DecodeError
from olmv.video.frames import Floats, Indices
from olmv.video.readers.clock import by_decoding_order, by_presentation, stretches
from olmv.video.readers.containers import ffmpeg_errors
from olmv.video.readers.fields import FieldPairs

__all__ = ["PacketTable", "demux"]


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


@dataclass
class _Packets:
    """What one reading of the stream shows, by packet in decoding order."""

    pts: list[int | None] = field(default_factory=list)
    dts: list[int | None] = field(default_factory=list)
    duration: list[int] = field(default_factory=list)
    key: list[bool] = field(default_factory=list)
    hidden: list[bool] = field(default_factory=list)
    second: list[bool] = field(default_factory=list)

    @classmethod
    def read(cls, container: Any, stream: Any) -> "_Packets":
        codec = stream.codec_context.name
        pairs = FieldPairs(stream.codec_context.extradata) if codec == "h264" else None
        table = cls()
        for packet in demux(container, stream):
            table.pts.append(packet.pts)
            table.dts.append(packet.dts)
            table.duration.append(packet.duration or 0)
            table.key.append(bool(packet.is_keyframe))
            # VP8 keeps reference-only frames in packets of their own: bit 4 of the first byte is "show"
            table.hidden.append(bool(packet.is_discard) or (codec == "vp8" and not bytes(packet)[0] & 0x10))
            table.second.append(pairs is not None and pairs.is_second(packet))
        return table

    def join_fields(self) -> list[int]:
        """Add second fields' durations to the first ones'; return the packets that begin a picture."""
        for number in np.flatnonzero(self.second).tolist():
            self.duration[number - 1] += self.duration[number]
        return np.flatnonzero(~np.array(self.second, bool)).tolist()

    def step(self, stream: Any) -> float:
        """Tell how long a frame is usually shown, in ticks."""
        known = [d for d, second in zip(self.duration, self.second, strict=True) if d > 0 and not second]
        if known:
            return float(np.median(known))
        rate = stream.average_rate or stream.guessed_rate
        return max(float(1 / (rate * stream.time_base)), 1.0) if rate else 1.0


@dataclass(frozen=True)
class PacketTable:
    """Every packet of one stream, numbered in file order, which is decoding order.

    Attributes:
        pts: presentation stamp of each packet, in units of the stream's time base.
        seek_to: decoding stamp of each packet, or its presentation stamp: what containers index.
        key_before: for each packet the number of the last keyframe packet up to it (0 if there is none).
        keys: packet numbers of the keyframes.
        frames: packet numbers of the displayable frames, in presentation order; of a field-coded frame its first.
        times: when each packet is shown, in units of the time base from the first displayable frame on.
        end: when the last frame ends, likewise.
        second: packets that hold the second field of the frame before.
        ordered: the stamps tell the order of presentation. Without that, frames are counted from the start, and
            `frames` is in decoding order.
        seekable: every stamp is unique and the clock unbroken, so a stamp leads to its packet. Without that, packets
            are counted from the start.
    """

    pts: list[int | None]
    seek_to: list[int | None]
    key_before: list[int]
    keys: list[int]
    frames: list[int]
    times: Floats
    end: float
    second: list[bool]
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
        with _LOCK:
            _KEPT[key] = table
            packets = sum(len(kept.pts) for kept in _KEPT.values())
            while packets > KEPT_PACKETS:
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
        shown = [i for i in whole if not packets.hidden[i]]
        if not shown:
            raise DecodeError(f"{path}: has a video stream but no frames in it; copy or download it again")
        breaks = bool(int(container.format.flags) & _TS_DISCONT)
        stretch = stretches(packets.pts, packets.dts, tick_s=float(stream.time_base), breaks=breaks)
        pts = [stamp for i in whole if (stamp := packets.pts[i]) is not None]
        # AVI stores no presentation times; where frames are reordered, FFmpeg's guesses put some in the wrong place
        reordered = stream.codec_context.reorder_depth > 0 or pts != sorted(pts)
        ordered = len(pts) == len(whole) and not (container.format.name == "avi" and reordered)
        times = np.zeros(len(packets.pts))
        if ordered:
            durations = [packets.duration[i] for i in whole]
            visible = [not packets.hidden[i] for i in whole]
            times[whole], end = by_presentation(pts, stretch[whole], durations, visible)
            frames = sorted(shown, key=lambda i: times[i])
        else:
            decoding = [packets.dts[i] for i in shown]
            stamps = decoding if any(s is not None for s in decoding) else [packets.pts[i] for i in shown]
            times[shown], end = by_decoding_order(stamps, stretch[shown], step=packets.step(stream))
            frames = shown
        all_pts = [stamp for stamp in packets.pts if stamp is not None]
        keys = [i for i in whole if packets.key[i]]
        return cls(
            pts=packets.pts,
            seek_to=[p if d is None else d for p, d in zip(packets.pts, packets.dts, strict=True)],
            key_before=_last_before(keys, len(packets.pts)),
            keys=keys,
            frames=frames,
            times=times,
            end=end,
            second=packets.second,
            ordered=ordered,
            seekable=ordered and stretch[-1] == 0 and len(set(all_pts)) == len(all_pts),
        )

    @cached_property
    def _number_of(self) -> dict[int, int]:
        return {p: i for i, p in enumerate(self.pts) if p is not None}

    @cached_property
    def _index_of(self) -> dict[int, int]:
        return {number: index for index, number in enumerate(self.frames)}

    def number(self, packet: Any, following: int | None) -> int | None:
        """Tell which packet this is; None for one that was not there on the first reading.

        Args:
            packet: from the container, of a `seekable` table.
            following: the number after the packet before, which a packet without a stamp has.
        """
        return following if packet.pts is None else self._number_of.get(packet.pts)

    def frame_index(self, number: int) -> int | None:
        """Tell which displayable frame came of this packet."""
        return self._index_of.get(number)

    def packets_of(self, index: int) -> list[int]:
        """Return the packet that carries a displayable frame, or the two of its fields."""
        first = self.frames[index]
        paired = first + 1 < len(self.second) and self.second[first + 1]
        return [first, first + 1] if paired else [first]

    def keyframes(self) -> Indices:
        """Return [K] frame indices of the displayable keyframes."""
        indices = {self._index_of.get(k) for k in self.keys}
        return np.array(sorted(i for i in indices if i is not None), np.int64)

    def segments(self, frames: list[int]) -> Iterator[tuple[int, list[int]]]:
        """Yield (keyframe packet, frames) groups: each frame with the last keyframe that is shown no later than it.

        By presentation time, not by place in the file: frames stored after a keyframe but shown before it (open GOP)
        need the keyframe before.
        """
        if not self.ordered or not self.keys:
            if frames:
                yield 0, frames
            return
        order = sorted(self.keys, key=lambda k: self.times[k])
        times = [self.times[k] for k in order]
        groups: dict[int, list[int]] = {}
        for frame in frames:
            place = bisect_right(times, self.times[self.frames[frame]]) - 1
            groups.setdefault(order[place] if place >= 0 else 0, []).append(frame)
        yield from groups.items()

    def starts(self, start: int) -> list[int]:
        """Return where to begin, then where to begin if frames stay away: the keyframe before, then the front."""
        before = self.key_before[start - 1] if start > 0 else 0
        return list(dict.fromkeys([start, before, 0]))


KEPT_PACKETS = 100_000
"""Of all tables that a process keeps, for training and evaluation, which read a file several times; about 20 MB."""

_KEPT: OrderedDict[tuple[object, ...], PacketTable] = OrderedDict()
_LOCK = threading.Lock()


def _identity(path: str, stream: Any) -> tuple[object, ...] | None:
    """Tell a file's content by what changes when it is written; None where the file is gone."""
    try:
        status = os.stat(path)  # noqa: PTH116 - what the file is now, through links
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, stream.index


_TS_DISCONT = 0x0200  # AVFMT_TS_DISCONT


def _last_before(keys: list[int], count: int) -> list[int]:
    places = np.zeros(count, np.int64)
    places[keys] = keys
    return [int(place) for place in np.maximum.accumulate(places)]
