"""Watch for shots while a part of a film is decoded, and where two parts meet."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from olmv.video.frames import Floats, Pixels
from olmv.video.shots import SIGNATURE_BYTES, find_cuts, signature, signature_of_pixels

__all__ = ["PartShots", "ShotWatch"]

EDGE_FRAMES = 8
"""At either end of a part, to see whether a cut lies between it and its neighbour."""


@dataclass(frozen=True, eq=False)
class PartShots:
    """The shots of one part of a film.

    Attributes:
        cuts_s: [M] the first frames of new shots within the part.
        head_s, head: [n] times and [n, K] signatures of its first frames.
        tail_s, tail: of its last ones.
    """

    cuts_s: Floats
    head_s: Floats
    head: Pixels
    tail_s: Floats
    tail: Pixels

    def cut_after(self, before: "PartShots") -> float | None:
        """Return when this part begins if a shot ends just there, the part before being `before`; else None."""
        if len(before.tail_s) == 0 or len(self.head_s) == 0:
            return None
        times = np.concatenate([before.tail_s, self.head_s])
        if times[len(before.tail_s)] <= times[len(before.tail_s) - 1]:
            return None
        cuts = find_cuts(times, np.concatenate([before.tail, self.head]))
        return float(self.head_s[0]) if self.head_s[0] in cuts else None


class ShotWatch:
    """Takes the signatures of the frames that pass by, in the order of time.

    Args:
        begin_s, end_s: of the part; frames outside, which had to be decoded on the way, are of no interest.
    """

    def __init__(self, begin_s: float, end_s: float) -> None:
        self._span = begin_s, end_s
        self._times: list[float] = []
        self._signatures: list[Pixels] = []

    def take_frame(self, time_s: float, frame: Any) -> None:
        """Take a frame as a reader's `tap` has it."""
        if self._is_new(time_s):
            self._add(time_s, signature_of_pixels(frame) if isinstance(frame, np.ndarray) else signature(frame))

    def take_pixels(self, time_s: float, pixels: Pixels) -> None:
        """Take a picture [H, W, 3] uint8 of a reader that shows no other frames."""
        if self._is_new(time_s):
            self._add(time_s, signature_of_pixels(pixels))

    def _is_new(self, time_s: float) -> bool:
        begin, end = self._span
        return begin <= time_s <= end and (not self._times or time_s > self._times[-1])

    def _add(self, time_s: float, signed: Pixels) -> None:
        self._times.append(time_s)
        self._signatures.append(signed)

    def shots(self) -> PartShots:
        """Find the cuts among what was taken."""
        times = np.array(self._times)
        signed = np.stack(self._signatures) if self._signatures else np.zeros((0, SIGNATURE_BYTES), np.uint8)
        cuts = find_cuts(times, signed) if len(times) > 1 else np.zeros(0)
        head, tail = slice(None, EDGE_FRAMES), slice(-EDGE_FRAMES, None)
        return PartShots(cuts, times[head], signed[head], times[tail], signed[tail])
