"""How a player turns and mirrors the stored picture (a container's display matrix, a photo's EXIF)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from olmv.video.frames import Pixels

__all__ = ["IDENTITY", "Orientation"]


@dataclass(frozen=True)
class Orientation:
    """Transpose first, then mirror: every quarter turn and every flip is one of the eight combinations."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def of_frame(cls, frame: Any) -> "Orientation":
        """Read the display matrix that FFmpeg attaches to a decoded PyAV frame."""
        for data in frame.side_data:
            if getattr(data.type, "name", "") == "DISPLAYMATRIX":
                return cls.of_matrix(np.frombuffer(bytes(data), np.int32, count=9))
        return IDENTITY

    @classmethod
    def of_matrix(cls, matrix: Any) -> "Orientation":
        """Read nine 16.16 fixed-point numbers: x' = a x + c y, y' = b x + d y, with (a, b, _, c, d) at the front."""
        a, b, _, c, d = (int(v) for v in matrix[:5])
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(transpose=True, flip_x=c < 0, flip_y=b < 0)
        return cls(flip_x=a < 0, flip_y=d < 0)

    @classmethod
    def of_exif(cls, value: object) -> "Orientation":
        """Read a photo's EXIF orientation, 1 to 8; any other value turns nothing."""
        return _EXIF.get(value, IDENTITY)

    @property
    def degrees(self) -> int:
        """Return the clockwise turn, leaving mirroring aside: 0, 90, 180 or 270."""
        if self.transpose:
            return 270 if self.flip_y and not self.flip_x else 90
        return 180 if self.flip_x and self.flip_y else 0

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return (width, height) as shown."""
        return (height, width) if self.transpose else (width, height)

    def apply(self, pixels: Pixels) -> Pixels:
        """Turn [H, W, 3] pixels; costs nothing where there is nothing to turn."""
        if self == IDENTITY:
            return pixels
        if self.transpose:
            pixels = pixels.transpose(1, 0, 2)
        if self.flip_y:
            pixels = pixels[::-1]
        if self.flip_x:
            pixels = pixels[:, ::-1]
        return np.ascontiguousarray(pixels)


IDENTITY = Orientation()
_EXIF: dict[object, Orientation] = {
    2: Orientation(flip_x=True),
    3: Orientation(flip_x=True, flip_y=True),
    4: Orientation(flip_y=True),
    5: Orientation(transpose=True),
    6: Orientation(transpose=True, flip_x=True),
    7: Orientation(transpose=True, flip_x=True, flip_y=True),
    8: Orientation(transpose=True, flip_y=True),
}
