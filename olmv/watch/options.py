"""How a source is watched: every option once, with its default and its check."""

from dataclasses import dataclass

from olmv.errors import UsageError

__all__ = ["WatchOptions"]


@dataclass(frozen=True, kw_only=True)
class WatchOptions:
    """What is looked at, and when a label counts.

    Attributes:
        fps: at most so many frames a second of the stream are encoded.
        window_s: how many seconds, up to now, are looked at together.
        hold_s: how long a label stays at its threshold or above before it has begun.
        cooldown_s: how long after an end nothing of that label begins.
        memory_limit_mb: that the decoding process may allocate (Linux).
    """

    fps: float = 2.0
    window_s: float = 4.0
    hold_s: float = 1.0
    cooldown_s: float = 5.0
    memory_limit_mb: int = 2048

    def check(self) -> None:
        """Raise UsageError for a value that cannot be."""
        if not 0 < self.fps <= 120:
            raise UsageError(f"fps is {self.fps:g}; give a number above 0, at most 120", option="fps")
        if not 0 < self.window_s < float("inf"):
            raise UsageError(f"a window of {self.window_s:g} s shows nothing; give more than 0 s", option="window")
        for name, value in (("hold", self.hold_s), ("cooldown", self.cooldown_s)):
            if not 0 <= value < float("inf"):
                raise UsageError(f"{name} is {value:g} s; give 0 or more seconds", option=name)
