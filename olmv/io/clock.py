"""Times as people write them: `2s`, `500ms`, `1.5 min`, `3:07`, `1:02:03.5`."""

import re

from olmv.errors import UsageError

__all__ = ["parse_seconds"]

_UNITS = {
    "ms": 0.001,
    "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0,
    "m": 60.0, "min": 60.0, "minute": 60.0, "minutes": 60.0,
    "h": 3600.0, "hour": 3600.0, "hours": 3600.0,
}  # fmt: skip
_AMOUNT = re.compile(r"([0-9]{1,12}(?:\.[0-9]{0,9})?|\.[0-9]{1,9}) ?([a-z]*)", re.ASCII)
_CLOCK = re.compile(r"(?:([0-9]{1,6}):)?([0-9]{1,6}):([0-9]{1,2}(?:\.[0-9]{0,9})?)", re.ASCII)
_SHOWN = 40


def parse_seconds(text: str) -> float:
    """Read a time as people write it and return it in seconds, 0 or more.

    Reads a number of seconds (`2`, `0.5`), a number with a unit (`2s`, `500ms`, `1.5 min`, `2h`) and a clock
    (`mm:ss`, `h:mm:ss`, either with a fraction of a second). In a clock only the first part may be 60 or more.

    Raises:
        UsageError: it is none of these.
    """
    word = text.strip().lower()
    if amount := _AMOUNT.fullmatch(word):
        factor = _UNITS.get(amount[2] or "s")
        if factor is not None:
            return float(amount[1]) * factor
    if clock := _CLOCK.fullmatch(word):
        hours, minutes, seconds = int(clock[1] or 0), int(clock[2]), float(clock[3])
        if seconds < 60 and (clock[1] is None or minutes < 60):
            return hours * 3600.0 + minutes * 60.0 + seconds
    shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
    raise UsageError(f"{shown!r} is no time; write 2s, 500ms, 1.5min, mm:ss or h:mm:ss")
