"""The table of a video stream's packets: which frame each becomes, and where decoding may begin."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from olmv.errors import DecodeError
from olmv.video.containers import ffmpeg_errors
from olmv.video.frames import Indices

__all__ = ["PacketTable", "demux"]


def demux(container: Any, stream: Any) -> Iterator[Any]:
    """The stream's packets from where the container stands; where the file is cut off, they end without an error."""
    bad_data = ffmpeg_errors()
    try:
        for packet in container.demux(stream):
            if packet.size:
                yield packet
    except MemoryError:
        raise
    except bad_data:
        return


@dataclass(frozen=True)
class PacketTable:
    """Every packet of one stream, numbered in file order, which is decoding order.

    Attributes:
        pts: presentation time of each packet, in units of the stream's time base.
        seek_to: decoding time of each packet, or its presentation time: what containers index.
        key_before: for each packet the number of the last keyframe packet up to it (0 if there is none).
        keys: packet numbers of the keyframes.
        frame_pts: presentation times of the displayable frames, sorted.
        end_pts: when the last frame ends.
        seekable: every packet has a presentation time of its own, one that can be trusted. Without that, frames are
            counted from the start.
    """

    pts: list[int]
    seek_to: list[int]
    key_before: list[int]
    keys: list[int]
    frame_pts: list[int]
    end_pts: int
    seekable: bool

    @classmethod
    def read(cls, path: str, container: Any, stream: Any) -> "PacketTable":
        """Reads all packets, decodes none.

        Raises:
            DecodeError: there is no packet to decode.
        """
        vp8 = stream.codec_context.name == "vp8"
        pts: list[int] = []
        seek_to: list[int] = []
        key_before: list[int] = []
        keys: list[int] = []
        shown: list[int] = []
        durations: dict[int, int] = {}
        complete = True
        rate = stream.average_rate or stream.guessed_rate
        step = max(round(1 / (rate * stream.time_base)), 1) if rate else 1
        for number, packet in enumerate(demux(container, stream)):
            complete = complete and packet.pts is not None
            stamp = next((s for s in (packet.pts, packet.dts) if s is not None), number * step)
            pts.append(stamp)
            seek_to.append(stamp if packet.dts is None else packet.dts)
            if packet.is_keyframe:
                keys.append(number)
            key_before.append(keys[-1] if keys else 0)
            # VP8 keeps reference-only frames in packets of their own: bit 4 of the first byte is "show"
            hidden = packet.is_discard or (vp8 and not bytes(packet)[0] & 0x10)
            if not hidden:
                shown.append(stamp)
                durations[stamp] = packet.duration or 0
        frame_pts = sorted(set(shown))
        if not frame_pts:
            raise DecodeError(f"{path}: has a video stream but no frames in it; copy or download it again")
        last = durations[frame_pts[-1]]
        if last <= 0 and len(frame_pts) > 1:
            last = round(float(np.median(np.diff(frame_pts))))
        # AVI stores no presentation times; where frames are reordered, FFmpeg's guesses put some in the wrong place
        reordered = stream.codec_context.reorder_depth > 0 or pts != sorted(pts)
        guessed = container.format.name == "avi" and reordered
        seekable = complete and not guessed and len(set(pts)) == len(pts)
        return cls(pts, seek_to, key_before, keys, frame_pts, frame_pts[-1] + last, seekable)

    @cached_property
    def _number_of(self) -> dict[int, int]:
        return {p: i for i, p in enumerate(self.pts)}

    @cached_property
    def _index_of(self) -> dict[int, int]:
        return {p: i for i, p in enumerate(self.frame_pts)}

    def number(self, packet: Any) -> int | None:
        """Which packet this is; None for one that was not there on the first reading."""
        return self._number_of.get(packet.pts)

    def frame_index(self, pts: int) -> int | None:
        """Which displayable frame has this presentation time."""
        return self._index_of.get(pts)

    def packet_of_frame(self, index: int) -> int:
        """The packet that carries a displayable frame."""
        return self._number_of[self.frame_pts[index]]

    def keyframes(self) -> Indices:
        """[K] frame indices of the displayable keyframes."""
        found = {self._index_of.get(self.pts[k]) for k in self.keys}
        return np.array(sorted(i for i in found if i is not None), np.int64)

    def segments(self, frames: list[int]) -> Iterator[tuple[int, list[int]]]:
        """(keyframe packet, frames) groups: each frame with the last keyframe that is shown no later than it.

        By presentation time, not by place in the file: frames stored after a keyframe but shown before it (open GOP)
        need the keyframe before.
        """
        if not self.seekable or not self.keys:
            if frames:
                yield 0, frames
            return
        order = sorted(self.keys, key=lambda k: self.pts[k])
        times = [self.pts[k] for k in order]
        groups: dict[int, list[int]] = {}
        for frame in frames:
            place = bisect_right(times, self.frame_pts[frame]) - 1
            groups.setdefault(order[place] if place >= 0 else 0, []).append(frame)
        yield from groups.items()

    def starts(self, start: int) -> list[int]:
        """Where to begin, then where to begin if frames stay away: the keyframe before, then the front."""
        before = self.key_before[start - 1] if start > 0 else 0
        return list(dict.fromkeys([start, before, 0]))
