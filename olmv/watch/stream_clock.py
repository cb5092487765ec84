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
LEAD_S = 2.0
LOOK_S = 0.5


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

    The first can be made to wait, and nothing is lost. The other cannot: what is not looked at in time is left out. So
    a frame may wait as long as it comes before its time; a source that has to be waited for itself has no such lead,
    whatever it had (a recording that was read up to what is being recorded, the buffer of a server).

    Attributes:
        lead_s: that a source is believed to have at first.
    """

    lead_s: float = 2.0
    _start_s: float | None = None
    _looked: tuple[float, float] = (0.0, 0.0)

    def is_ahead(self, at_s: float, now_s: float, blocked_s: float) -> bool:
        """Tell whether a frame comes before its time.

        Args:
            at_s: of the frame, on the stream's line.
            now_s: by any clock that rises.
            blocked_s: the time so far in which the source was waited for.
        """
        if self._start_s is None:
            self._start_s, self._looked = now_s - at_s + self.lead_s, (now_s, blocked_s)
        waited, passed = blocked_s - self._looked[1], now_s - self._looked[0]
        if passed >= LOOK_S:
            self._looked = (now_s, blocked_s)
            if waited > passed / 2:
                self._start_s = min(self._start_s, now_s - at_s + LEAD_S)
        return at_s - (now_s - self._start_s) > LEAD_S / 2
