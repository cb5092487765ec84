"""From probabilities, frame by frame, to events: a label begins, and it ends.

Hysteresis as `olmv.scoring.segments` has it, but without looking ahead:

    probability  . . # # # # # # # . # # . . . . . . . # # . .      # at the threshold or above
    event              |began, after `hold_s`    |ended           below `leave`
    and then                                      `cooldown_s`, in which nothing begins
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Change", "EventTracker", "Moment"]


@dataclass(frozen=True)
class Moment:
    """A frame of the stream.

    Attributes:
        time: when it arrived, in seconds since 1970.
        at_s: seconds since the stream's first frame; rises from frame to frame.
        picture: it as a JPEG, where pictures are kept.
    """

    time: float
    at_s: float
    picture: bytes | None = None


@dataclass(frozen=True)
class Change:
    """An event begins or ends.

    Attributes:
        event: its id, the same for both.
        label: its place in the vocabulary.
        state: which of the two.
        moment: the first frame at which the label reached its threshold, or the one at which it fell below.
        probability: now.
        peak, peak_moment: the highest probability so far, and its frame.
    """

    event: str
    label: int
    state: Literal["began", "ended"]
    moment: Moment
    probability: float
    peak: float
    peak_moment: Moment


@dataclass
class _Event:
    event: str
    since: Moment
    peak: float
    peak_moment: Moment
    on: bool = False  # `hold_s` is over


class EventTracker:
    """Turns the probabilities of C labels over time into events.

    Args:
        enter, leave: [C] where a label begins, and below which it ends; `leave` is at most `enter`.
        hold_s: how long a label must stay at `enter` or above before it counts.
        cooldown_s: how long after an end nothing of that label begins.
    """

    def __init__(
        self, enter: Sequence[float], leave: Sequence[float], *, hold_s: float = 0.0, cooldown_s: float = 0.0
    ) -> None:
        self._enter: NDArray[Any] = np.asarray(enter, np.float64)
        self._leave = np.minimum(np.asarray(leave, np.float64), self._enter)
        self._hold_s, self._cooldown_s = hold_s, cooldown_s
        self._events: dict[int, _Event] = {}
        self._ready_s = np.full(len(self._enter), -np.inf)  # when its cooldown is over

    @property
    def open(self) -> list[int]:
        """Return the labels whose events have begun and not ended, in the vocabulary's order."""
        return sorted(label for label, event in self._events.items() if event.on)

    def update(self, moment: Moment, probability: NDArray[Any]) -> list[Change]:
        """Take the probabilities [C] at one more frame; return what changes, ends first."""
        ended, began = [], []
        for label, event in list(self._events.items()):
            value = float(probability[label])
            if value < self._leave[label] if event.on else value < self._enter[label]:
                del self._events[label]
                if event.on:
                    ended.append(self._end(label, event, moment, value))
            elif value > event.peak:
                event.peak, event.peak_moment = value, moment
        due = (probability >= self._enter) & (moment.at_s >= self._ready_s)
        for label in np.flatnonzero(due).tolist():
            value = float(probability[label])
            event = self._events.setdefault(label, _Event(uuid.uuid4().hex, moment, value, moment))
            if not event.on and moment.at_s - event.since.at_s >= self._hold_s - 1e-6:
                event.on = True
                began.append(Change(event.event, label, "began", event.since, value, event.peak, event.peak_moment))
        return ended + began

    def end_all(self, moment: Moment, probability: NDArray[Any] | None) -> list[Change]:
        """End every event: the source is gone, or nobody watches any more.

        Args:
            moment: the last frame.
            probability: [C] at it.
        """
        events, self._events = self._events, {}
        return [
            self._end(label, event, moment, event.peak if probability is None else float(probability[label]))
            for label, event in sorted(events.items())
            if event.on
        ]

    def _end(self, label: int, event: _Event, moment: Moment, probability: float) -> Change:
        self._ready_s[label] = moment.at_s + self._cooldown_s
        return Change(event.event, label, "ended", moment, probability, event.peak, event.peak_moment)
