"""Interlaced video: which H.264 packets are second fields, and a whole picture from one field.

H.264 may code the two fields (even and odd lines) of a frame as pictures of their own, frame by frame as the encoder
likes (ITU-T H.264, 7.3.3 and 7.4.3). Transport streams and some MP4 files then hold two packets for one frame.
"""

from typing import Any

from olmv.video.readers.containers import ffmpeg_errors

__all__ = ["FieldPairs", "OneField"]

_HEAD = 4096  # bytes of a packet in which its first slice must begin
_HIGH_PROFILES = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})
_SLICE, _IDR_SLICE, _SPS, _PPS = 1, 5, 7, 8


class FieldPairs:
    """Finds the packets that hold the second field of the frame before; to be shown every packet of a stream in order.

    Args:
        extradata: the stream's parameter sets, as the container or the first packets have them.
    """

    def __init__(self, extradata: bytes | None) -> None:
        self._sequences: dict[
            int, tuple[bool, int, bool]
        ] = {}  # SPS id -> fields allowed, frame_num bits, planes apart
        self._pictures: dict[int, int] = {}  # PPS id -> SPS id
        self._open: tuple[int, bool] | None = None  # frame number and parity of a first field without its second
        head = extradata or b""
        self._length_size = (head[4] & 3) + 1 if len(head) > 6 and head[0] == 1 else 0
        units = _avcc_units(head) if self._length_size else _start_code_units(head)
        for unit in units:
            self._learn(unit)
        self._progressive = bool(self._sequences) and not any(fields for fields, _, _ in self._sequences.values())

    def is_second(self, packet: Any) -> bool:
        """Tell whether this packet completes the frame that the one before began. Damaged headers say no."""
        if self._progressive and (self._length_size or not packet.is_keyframe):
            return False  # parameter sets change in keyframes of streams with start codes only
        field = self._field_of(bytes(memoryview(packet)[:_HEAD]))
        first, self._open = self._open, None
        if field is None:
            return False
        if first is not None and first[0] == field[0] and first[1] != field[1]:
            return True
        self._open = field
        return False

    def _field_of(self, head: bytes) -> tuple[int, bool] | None:
        """Return (frame number, bottom) if the packet's first slice is of a field, else None."""
        for unit in _length_units(head, self._length_size) if self._length_size else _start_code_units(head):
            if unit and unit[0] & 31 in (_SLICE, _IDR_SLICE):
                try:
                    return self._read_slice(_Bits(unit[1:64]))
                except (IndexError, KeyError):
                    return None
            self._learn(unit)
            if unit and unit[0] & 31 == _SPS:
                self._progressive = self._progressive and not any(f for f, _, _ in self._sequences.values())
        return None

    def _read_slice(self, bits: "_Bits") -> tuple[int, bool] | None:
        bits.golomb()  # first macroblock
        bits.golomb()  # type
        fields, number_bits, planes_apart = self._sequences[self._pictures[bits.golomb()]]
        if not fields:
            return None
        if planes_apart:
            bits.take(2)
        number = bits.take(number_bits)
        return (number, bool(bits.take(1))) if bits.take(1) else None

    def _learn(self, unit: bytes) -> None:
        kind = unit[0] & 31 if unit else 0
        try:
            if kind == _SPS:
                identity, values = _read_sps(_Bits(unit[1:]))
                self._sequences[identity] = values
            elif kind == _PPS:
                bits = _Bits(unit[1:64])
                identity = bits.golomb()
                self._pictures[identity] = bits.golomb()
        except IndexError:
            pass


class OneField:
    """Makes progressive pictures of interlaced frames: the lines of the first field, at the full height.

    The other field shows a moment 1/50 s or so later; woven together, what moves is torn into combs. A frame alone
    cannot be deinterlaced in time, and half the lines are still more than a model looks at.
    """

    def __init__(self) -> None:
        self._graph: Any = None
        self._shape: tuple[int, int, str] | None = None

    def apply(self, frame: Any) -> Any:
        """Return a PyAV frame from another; one that is not flagged as interlaced is handed back as it is."""
        if not frame.interlaced_frame or frame.height < 4:
            return frame
        shape = (frame.width, frame.height, frame.format.name)
        bad_data = ffmpeg_errors()
        try:
            if shape != self._shape:
                self._graph, self._shape = _field_graph(*shape), shape
            self._graph.push(frame)
            picture = self._graph.pull()
        except MemoryError:
            raise
        except bad_data:  # a pixel format that FFmpeg cannot scale
            return frame
        for tag in ("color_trc", "color_primaries", "colorspace", "color_range"):
            setattr(picture, tag, getattr(frame, tag))
        return picture


def _field_graph(width: int, height: int, pixel_format: str) -> Any:
    from fractions import Fraction

    from av import VideoFormat
    from av.filter import Graph

    graph = Graph()
    pixels = VideoFormat(pixel_format, width, height)
    source = graph.add_buffer(width=width, height=height, format=pixels, time_base=Fraction(1, 1000))
    field = graph.add("field", "type=top")
    scale = graph.add("scale", f"w={width}:h={height}:flags=bicubic")
    same = graph.add("format", f"pix_fmts={pixel_format}")
    graph.link_nodes(source, field, scale, same, graph.add("buffersink")).configure()
    return graph


class _Bits:
    """Reads a parameter set or slice header bit by bit. Raises IndexError at its end."""

    def __init__(self, data: bytes) -> None:
        data = data.replace(b"\0\0\x03", b"\0\0")  # emulation prevention
        self._left = len(data) * 8
        self._value = int.from_bytes(data, "big")

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise IndexError(count)
        return (self._value >> self._left) & ((1 << count) - 1)

    def golomb(self) -> int:
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 32:
                raise IndexError(zeros)
        return (1 << zeros) - 1 + self.take(zeros)


def _read_sps(bits: _Bits) -> tuple[int, tuple[bool, int, bool]]:
    """Return (id, (fields allowed, bits of a frame number, colour planes apart)) of a sequence parameter set."""
    profile = bits.take(8)
    bits.take(16)
    identity = bits.golomb()
    planes_apart = False
    if profile in _HIGH_PROFILES:
        chroma = bits.golomb()
        planes_apart = chroma == 3 and bool(bits.take(1))
        bits.golomb()
        bits.golomb()
        bits.take(1)
        if bits.take(1):
            for place in range(12 if chroma == 3 else 8):
                if bits.take(1):
                    _skip_scaling(bits, 16 if place < 6 else 64)
    number_bits = bits.golomb() + 4
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.take(1)
        bits.golomb()
        bits.golomb()
        for _ in range(min(bits.golomb(), 255)):
            bits.golomb()
    bits.golomb()
    bits.take(1)
    bits.golomb()
    bits.golomb()
    return identity, (not bits.take(1), number_bits, planes_apart)


def _skip_scaling(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.golomb()
            following = (last + ((code + 1) // 2 if code & 1 else -(code // 2))) % 256
        last = following or last


def _start_code_units(data: bytes) -> list[bytes]:
    return [unit for unit in data.split(b"\0\0\x01")[1:] if unit]


def _length_units(data: bytes, size: int) -> list[bytes]:
    units: list[bytes] = []
    place = 0
    while place + size < len(data):
        length = int.from_bytes(data[place : place + size], "big")
        units.append(data[place + size : place + size + length])
        place += size + length
    return units


def _avcc_units(data: bytes) -> list[bytes]:
    """Return the parameter sets of an `avcC` box (ISO/IEC 14496-15, 5.3.3.1): a count and lengths of 16 bits, twice."""
    units: list[bytes] = []
    place = 5
    for mask in (31, 255):
        if place >= len(data):
            break
        count, place = data[place] & mask, place + 1
        for _ in range(count):
            length = int.from_bytes(data[place : place + 2], "big")
            units.append(data[place + 2 : place + 2 + length])
            place += 2 + length
    return units
