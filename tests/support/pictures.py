"""Photos for tests, and what Pillow cannot write: PNG and TIFF byte by byte."""

import struct
import zlib
from pathlib import Path

import numpy as np

from olmv.video.readers.open import read_frames


def photo(height: int = 40, width: int = 60) -> np.ndarray:
    """[H, W, 3] smooth colours, none of them black, all corners different."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([20 + 200 * x / width, 20 + 200 * y / height, 220 - 180 * x / width], -1).astype(np.uint8)


def near(a: np.ndarray, b: np.ndarray, most: float) -> bool:
    """Whether two pictures have one size, and differ by at most this much in the mean."""
    return a.shape == b.shape and float(np.abs(a.astype(int) - b).mean()) <= most


def pixels_of(path: Path) -> np.ndarray:
    """[H, W, 3] of the only frame of a whole photo."""
    frames = read_frames(path)
    assert (frames.requested, frames.decoded, frames.corrupt) == (8, 1, 0)
    return frames.pixels[0]


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, rows: bytes, *, bits: int = 8, colour: int = 2, extra: bytes = b"") -> bytes:
    """A PNG of unfiltered rows; `extra` chunks go before the data."""
    stride = len(rows) // height
    data = b"".join(b"\0" + rows[y * stride : (y + 1) * stride] for y in range(height))
    header = struct.pack(">2I5B", width, height, bits, colour, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + extra + png_chunk(b"IDAT", zlib.compress(data)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def tiff(width: int, height: int, data: bytes, *, bits: int, samples: int = 1, photometric: int = 1) -> bytes:
    """An uncompressed little-endian TIFF of one strip; with 3 samples `bits` is of each."""
    tags = [(256, 4, 1, width), (257, 4, 1, height)]
    after = 8 + 2 + 12 * 9 + 4
    tags += [(258, 3, samples, bits if samples == 1 else after), (259, 3, 1, 1), (262, 3, 1, photometric)]
    more = struct.pack("<3H", bits, bits, bits)
    tags += [(273, 4, 1, after + len(more)), (277, 3, 1, samples), (278, 4, 1, height), (279, 4, 1, len(data))]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4) + more + data
