"""Makes test videos with PyAV's own encoders: no ffmpeg program, no files in the repository.

Every picture carries its number as eight light or dark fields, so that a test can tell which frame it was given.
"""

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

WIDTH, HEIGHT, FPS = 160, 96, 25
BITS = 8


def picture(number: int, *, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """[H, W, 3]: a moving colour ramp above, the number in binary below (most significant bit on the left)."""
    x = np.arange(width)[None, :]
    y = np.arange(height)[:, None]
    image = np.stack([(x * 2 + number * 3) % 256 + 0 * y, (y * 2 + number) % 256 + 0 * x, (x + y) % 256], -1)
    image = image.astype(np.uint8)
    for bit in range(BITS):
        left, right = width * bit // BITS, width * (bit + 1) // BITS
        image[height // 2 :, left:right] = 230 if number >> (BITS - 1 - bit) & 1 else 25
    return image


def number_of(pixels: Any) -> int:
    """The number that `picture` drew, read back from [H, W, 3]."""
    height, width = pixels.shape[:2]
    row = np.asarray(pixels, np.float32)[height // 2 + height // 8 : height - height // 8].mean(axis=(0, 2))
    means = [row[width * b // BITS + 4 : width * (b + 1) // BITS - 4].mean() for b in range(BITS)]
    return int(sum(int(m > 128) << (BITS - 1 - b) for b, m in enumerate(means)))


def make_video(
    path: Path,
    *,
    frames: int = 50,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    width: int = WIDTH,
    height: int = HEIGHT,
    gop: int = 12,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    times: Sequence[int] | None = None,
    rotation: int = 0,
    draw: Callable[[int], np.ndarray] | None = None,
) -> Path:
    """Encodes `frames` numbered pictures; the container follows from the name.

    Args:
        times: presentation times in units of 1/1000 s, for variable frame rate.
        rotation: degrees in the display matrix (FFmpeg's sense).
        draw: number -> picture, instead of `picture`.
    """
    defaults = {"libx264": {"preset": "veryfast"}, "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"}}
    defaults |= {"libsvtav1": {"preset": "8", "crf": "20"}, "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"}}
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=FPS, options={**defaults.get(codec, {}), **(options or {})})
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.gop_size = gop
        stream.codec_context.thread_count = 1
        if times is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        for number in range(frames):
            image = draw(number) if draw else picture(number, width=width, height=height)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pix_fmt)
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            else:
                frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def make_audio(path: Path) -> Path:
    """One second of AAC without pictures."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=16000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def truncate(source: Path, target: Path, share: float) -> Path:
    """The first `share` of a file."""
    data = source.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])
    return target


def flip_bytes(source: Path, target: Path, *, start: float = 0.45, stop: float = 0.55, step: int = 7) -> Path:
    """Inverts every `step`-th byte between two shares of the file; the index must not lie there."""
    data = bytearray(source.read_bytes())
    for place in range(int(len(data) * start), int(len(data) * stop), step):
        data[place] ^= 0xFF
    target.write_bytes(data)
    return target


def cut_by_edit_list(source: Path, target: Path, *, skip_frames: int) -> Path:
    """Rewrites an MP4's edit list so that players hide its first `skip_frames` frames."""
    data = bytearray(source.read_bytes())
    place = data.index(b"elst")
    version, count = data[place + 4], struct.unpack_from(">I", data, place + 8)[0]
    assert (version, count) == (0, 1), "expected one short edit"
    duration, media_time = struct.unpack_from(">Ii", data, place + 12)
    header = data.index(b"mdhd")
    scale = struct.unpack_from(">I", data, header + 16)[0]
    movie_scale = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)[0]
    hidden = skip_frames * scale // FPS
    struct.pack_into(">Ii", data, place + 12, duration - skip_frames * movie_scale // FPS, media_time + hidden)
    target.write_bytes(data)
    return target


def restamp(source: Path, target: Path, change: Callable[[int], int | None]) -> Path:
    """Rewrites the time stamps of a transport stream's video.

    Args:
        change: number of the frame in decoding order -> what is added to its stamps, in 1/90000 s; None takes them out.
    """
    data = bytearray(source.read_bytes())
    number = 0
    for packet in range(0, len(data), 188):
        if not data[packet + 1] & 0x40:  # payload unit start
            continue
        place = packet + 4 + (data[packet + 4] + 1 if data[packet + 3] & 0x20 else 0)
        if data[place : place + 4] != b"\0\0\x01\xe0":
            continue
        shift, number = change(number), number + 1
        stamps, length = data[place + 7] >> 6, data[place + 8]
        if shift is None:
            data[place + 7] &= 0x3F
            data[place + 9 : place + 9 + length] = b"\xff" * length
            continue
        for at in range(place + 9, place + 9 + 5 * (stamps // 2 + stamps % 2), 5):
            value = int.from_bytes(data[at : at + 5], "big")
            stamp = (value >> 3 & 7 << 30) | (value >> 2 & 0x7FFF << 15) | (value >> 1 & 0x7FFF)
            stamp = (stamp + shift) % 2**33
            kept = value & 0xF000010001  # marker bits
            value = kept | (stamp & 7 << 30) << 3 | (stamp & 0x7FFF << 15) << 2 | (stamp & 0x7FFF) << 1
            data[at : at + 5] = value.to_bytes(5, "big")
    target.write_bytes(data)
    return target
