"""Clips that tests make for themselves."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def write_clip(path: Path, *, seed: int = 0, frames: int = 24, size: tuple[int, int] = (64, 48)) -> Path:
    """A clip of `frames` frames at 12 per second whose colours depend on the seed. Makes the folder too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    start, step = random.integers(0, 256, 3), random.integers(-9, 10, 3)
    width, height = size
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(12))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            pixels = np.zeros((height, width, 3), np.uint8)
            pixels[:] = (start + number * step) % 256
            pixels[height // 4 : height // 2, : width // 2] = 255 - pixels[0, 0]
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path
