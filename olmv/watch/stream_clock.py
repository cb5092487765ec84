"""One rising time line from a live stream's stamps, frame by frame, without knowing what comes.

Clocks of streams start at hours, jump where recordings are joined, wrap after 26.5 h (33 bits of 1/90000 s) and are
missing. A step that cannot be is replaced by how long the frame took to arrive, or by the usual step.
"""

from dataclasses import dataclass, field

__all__ = ["Pace", "StreamClock"]

JUMP_S = 10.0
USUAL_GAPS = 10.0  # but a stream of slides, with many seconds between any two frames, is no row of jumps
BACK_S = 0.1  # stamps that go back by less are written carelessly, not by another clock
_SMOOTHING = 0.1
_MEASURED_S = 0.5
_FASTER = 1.5


@dataclass
class StreamClock:
    """Lays frames on one line from 0 on, in the order in which they leave the decoder."""

    _stamp_s: float | None = None
    _arrival_s: float = 0.0
    _at_s: float | None = None
    _usual_s: float = field(default=0.0)

    def place(self, stamp_s: float | None, arrival_s: float) -> float:
        """Return when a frame is shown, in seconds from the first one; never less than for the frame before.

        Args:
            stamp_s: its presentation stamp; None where it has none.
            arrival_s: when it came, by any clock that rises.
        """
        if self._at_s is None:
            self._stamp_s, self._arrival_s, self._at_s = stamp_s, arrival_s, 0.0
            return 0.0
        waited = max(arrival_s - self._arrival_s, 0.0)
        step = None if stamp_s is None or self._stamp_s is None else stamp_s - self._stamp_s
        self._arrival_s = arrival_s
        if step is not None and -BACK_S <= step < 0:
            return self._at_s  # the stamp before is the one to go on from
        if stamp_s is not None:
            self._stamp_s = stamp_s
        if step is None or not self._is_sane(step, waited):
            step = max(self._usual_s, min(waited, JUMP_S))
        elif step > 0:
            self._usual_s += (step - self._usual_s) * (_SMOOTHING if self._usual_s else 1.0)
        self._at_s += step
        return self._at_s

    def _is_sane(self, step: float, waited: float) -> bool:
        """Tell whether a step forward is of this clock: a long one is where it took as long to come."""
        return 0 <= step <= max(JUMP_S, USUAL_GAPS * self._usual_s, 1.5 * waited)


@dataclass
class Pace:
    """Tells a source that comes faster than real time (a file, a pipe from one) from one that is live.

    The first can be made to wait, and nothing is lost. The other cannot: what is not looked at in time is left out.
    """

    _since: tuple[float, float] | None = None
    _ahead: bool = True  # until it is known: nothing is left out meanwhile

    def is_ahead(self, at_s: float, reading_s: float) -> bool:
        """Tell whether the source gives more than its time, by its last half second of reading.

        Args:
            at_s: of a frame, on the stream's line.
            reading_s: time spent with the source so far, that in which it was made to wait left out.
        """
        if self._since is None:
            self._since = (at_s, reading_s)
        at, reading = at_s - self._since[0], reading_s - self._since[1]
        if reading >= _MEASURED_S:
            self._ahead = at > _FASTER * reading
            self._since = (at_s, reading_s)
        return self._ahead
