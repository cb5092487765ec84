"""Animated GIF, WebP and PNG: pictures of their own, drawn one after the other on a canvas, each for its time.

The file's blocks are read without decoding anything, for the times. Every picture is then handed to Pillow as a file of
one picture, and drawn here as browsers draw it: on a canvas that is transparent at first, and transparent again where a
picture is cleared. (Pillow's own players fill with a colour there, each format by rules of its own.) A file that was
cut off is played as far as it goes, as a video is.
"""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image

from olmv.video.pictures.pixels import decode, open_image, quiet, rgba

__all__ = ["Animation", "Piece", "read_animation"]

# Browsers show a picture for 100 ms where its file says 10 ms or less, zero included.
SHORTEST_S, UNSAID_S = 0.01, 0.1
KEEP, CLEAR, RESTORE = "keep", "clear", "restore"
Span = tuple[int, int]  # place and length in the file


@dataclass(frozen=True)
class Piece:
    """One picture of an animation.

    Attributes:
        box: left, top, width and height on the canvas.
        duration_s: how long it is shown.
        disposal: what happens to its box afterwards: `keep`, `clear` it, or `restore` what was there before.
        blends: whether it is laid over what is there; False: in its place, with its transparency.
        parts: a file of this picture alone: bytes, and places in the animation's file.
    """

    box: tuple[int, int, int, int]
    duration_s: float
    disposal: str
    blends: bool
    parts: tuple[bytes | Span, ...]

    def picture(self, file: BinaryIO, kind: str) -> tuple[Image.Image, bool]:
        """Return the picture as RGBA, and whether it is whole.

        Raises:
            Exception: it cannot be decoded, see `olmv.video.pictures.pixels.decode`.
        """
        data = io.BytesIO()
        for part in self.parts:
            data.write(part if isinstance(part, bytes) else _read_at(file, *part))
        data.seek(0)
        with quiet(), open_image(data, kind) as image:
            whole = decode(image)
            return rgba(image), whole


@dataclass(frozen=True)
class Animation:
    """The pictures of one file.

    Attributes:
        kind: `gif`, `webp` or `png`.
        size: of the canvas, width and height.
        pieces: in the order in which they are shown; none for a WebP or PNG that is a still.
        exif: the file's EXIF block, empty where there is none.
    """

    kind: str
    size: tuple[int, int]
    pieces: tuple[Piece, ...]
    exif: bytes = b""

    def frames(self, file: BinaryIO) -> Iterator[tuple[Image.Image | None, bool]]:
        """Yield the canvas after each piece, as RGBA, and whether all of it is as the file meant it.

        None where the piece itself could not be decoded. The canvas is drawn on again for the next one.
        """
        canvas = Image.new("RGBA", self.size)
        whole = True
        for piece in self.pieces:
            before = canvas.copy() if piece.disposal == RESTORE else None
            place = piece.box[:2]
            try:
                picture, piece_whole = piece.picture(file, self.kind)
                if piece.blends:
                    canvas.alpha_composite(picture, place)
                else:
                    canvas.paste(picture, place)
            except MemoryError:
                raise
            except Exception:  # Pillow's, of many classes
                whole = False
                yield None, False
                continue
            whole = whole and piece_whole
            yield canvas, whole
            if before is not None:
                canvas = before
            elif piece.disposal == CLEAR:
                canvas.paste(Image.new("RGBA", picture.size), place)


def read_animation(file: BinaryIO, kind: str) -> Animation:
    """Return the pieces of a file, in one pass over its blocks; a kind that knows no animation has none.

    Args:
        file: open for reading.
        kind: as from `olmv.video.pictures.formats.picture_format`.
    """
    reader: Callable[[BinaryIO], Animation] | None = {"gif": _gif, "webp": _webp, "png": _png}.get(kind)
    return Animation(kind, (0, 0), ()) if reader is None else reader(file)


def _shown_s(seconds: float) -> float:
    return seconds if seconds > SHORTEST_S else UNSAID_S


def _gif(file: BinaryIO) -> Animation:
    file.seek(0)
    screen = file.read(13).ljust(13, b"\0")
    palette = 13, _palette_bytes(screen[10])
    width, height = struct.unpack_from("<HH", screen, 6)
    file.seek(sum(palette))
    control = bytes(4)  # flags, hundredths of a second (two bytes), transparent index
    pieces: list[Piece] = []
    while (mark := file.read(1)) in (b"!", b","):
        if mark == b"!":
            if file.read(2) == b"\xf9\x04":
                control = file.read(4).ljust(4, b"\0")
            else:
                file.seek(-1, io.SEEK_CUR)
            _skip_blocks(file)
            continue
        place = file.read(9)
        if len(place) < 9:
            break
        left, top, wide, high, flags = struct.unpack("<4HB", place)
        start = file.tell()
        file.seek(_palette_bytes(flags) + 1, io.SEEK_CUR)  # the byte after it is the size of the first code
        _skip_blocks(file)
        head = struct.pack("<6s2H3B", b"GIF89a", wide, high, screen[10], 0, 0)
        own = (
            b"!\xf9\x04" + bytes([control[0] & 1]) + control[1:] + b"\0," + struct.pack("<4HB", 0, 0, wide, high, flags)
        )
        pieces.append(
            Piece(
                box=(left, top, wide, high),
                duration_s=_shown_s(int.from_bytes(control[1:3], "little") / 100),
                disposal={2: CLEAR, 3: RESTORE}.get(control[0] >> 2 & 7, KEEP),
                blends=True,
                parts=(head, palette, own, (start, file.tell() - start), b";"),
            )
        )
        control = bytes(4)
    if pieces:  # the screen may be missing, or too small for the first picture
        left, top, wide, high = pieces[0].box
        width, height = max(width, left + wide), max(height, top + high)
    return Animation("gif", (width, height), tuple(pieces))


def _palette_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip_blocks(file: BinaryIO) -> None:
    while (length := file.read(1)) and length != b"\0":
        file.seek(length[0], io.SEEK_CUR)


def _webp(file: BinaryIO) -> Animation:
    size, pieces, exif = (0, 0), [], b""
    place = 12
    while len(head := _read_at(file, place, 8)) == 8:
        name, length = struct.unpack("<4sI", head)
        if name == b"VP8X":
            size = _size_24(file.read(10)[4:])
        elif name == b"EXIF":
            exif = file.read(length)
        elif name == b"ANMF":
            pieces.append(_webp_piece(file.read(16).ljust(16, b"\0"), (place + 24, max(length - 16, 0))))
        place += 8 + length + length % 2
    return Animation("webp", size, tuple(pieces), exif)


def _webp_piece(control: bytes, data: Span) -> Piece:
    left, top = (2 * int.from_bytes(control[i : i + 3], "little") for i in (0, 3))
    may_be_transparent = b"\x10\0\0\0"
    extended = b"VP8X" + struct.pack("<I", 10) + may_be_transparent + control[6:12]
    riff = b"RIFF" + struct.pack("<I", min(4 + len(extended) + data[1], 2**32 - 1)) + b"WEBP"
    return Piece(
        box=(left, top, *_size_24(control[6:])),
        duration_s=_shown_s(int.from_bytes(control[12:15], "little") / 1000),
        disposal=CLEAR if control[15] & 1 else KEEP,
        blends=not control[15] & 2,
        parts=(riff + extended, data),
    )


def _size_24(data: bytes) -> tuple[int, int]:
    return int.from_bytes(data[:3], "little") + 1, int.from_bytes(data[3:6], "little") + 1


def _png(file: BinaryIO) -> Animation:
    header, exif, animated = bytes(13), b"", False
    colours: list[Span] = []
    controls: list[tuple[bytes, list[Span]]] = []
    place = 8
    while len(head := _read_at(file, place, 8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if name == b"IHDR":
            header = file.read(13).ljust(13, b"\0")
        elif name in (b"PLTE", b"tRNS"):
            colours.append((place, length + 12))
        elif name == b"acTL":
            animated = True
        elif name == b"eXIf":
            exif = file.read(length)
        elif name == b"fcTL":
            controls.append((file.read(26).ljust(26, b"\0"), []))
        elif name == b"IDAT" and controls:  # without a control before it, it is for viewers that know no animation
            controls[-1][1].append((place + 8, length))
        elif name == b"fdAT" and controls:
            controls[-1][1].append((place + 12, max(length - 4, 0)))
        place += length + 12
    pieces = tuple(_png_piece(header, colours, control, data) for control, data in controls) if animated else ()
    width, height = struct.unpack_from(">II", header)
    return Animation("png", (width, height), pieces, exif)


def _png_piece(header: bytes, colours: list[Span], control: bytes, data: list[Span]) -> Piece:
    wide, high, left, top, amount, unit, disposal, blending = struct.unpack_from(">4I2H2B", control, 4)
    start = b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", control[4:12] + header[8:])
    # one chunk of data; Pillow does not look at the sum behind it, which is left at 0
    data_head = struct.pack(">I4s", min(sum(length for _, length in data), 2**32 - 1), b"IDAT")
    return Piece(
        box=(left, top, wide, high),
        duration_s=_shown_s(amount / (unit or 100)),
        disposal={1: CLEAR, 2: RESTORE}.get(disposal, KEEP),
        blends=blending == 1,
        parts=(start, *colours, data_head, *data, bytes(4) + _png_chunk(b"IEND", b"")),
    )


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _read_at(file: BinaryIO, place: int, length: int) -> bytes:
    file.seek(place)
    return file.read(length)
