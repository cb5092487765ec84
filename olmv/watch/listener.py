"""What a watch tells: whoever watches it, and at its end."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from olmv.progress import JobListener

__all__ = ["WatchListener", "WatchStatus", "WatchSummary"]


@dataclass(frozen=True)
class WatchStatus:
    """How a watch goes, at one frame.

    Attributes:
        at_s: of the frame, since the stream's first.
        lag_s: from the arrival of the frame to now, when it is scored.
        frames, dropped: scored, and left out because scoring was behind.
        top: the most probable labels, as (label, probability).
        on: the labels whose events are open.
    """

    at_s: float
    lag_s: float
    frames: int
    dropped: int
    top: tuple[tuple[str, float], ...]
    on: tuple[str, ...]


class WatchListener(JobListener):
    """Watches a watch; `advanced` counts the label texts that are encoded. `note` may come from another thread."""

    def event(self, row: dict[str, Any]) -> None:
        """Take one event."""

    def watched(self, status: WatchStatus) -> None:
        """Take how it goes, once a frame."""


@dataclass
class WatchSummary:
    """What a watch saw.

    Attributes:
        frames, dropped: scored, and left out because scoring was behind.
        reconnections: how often the source came back.
        events: how often each label began.
        unsent: events that wait in `queue` for the receiver.
        queue: the file in which they wait; None where nothing is posted.
        interrupted: it was ended from outside, not by the source.
    """

    frames: int = 0
    dropped: int = 0
    reconnections: int = 0
    events: Counter[str] = field(default_factory=Counter)
    unsent: int = 0
    queue: Path | None = None
    interrupted: bool = False
