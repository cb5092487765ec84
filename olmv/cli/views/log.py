"""Lines on standard error: as people read them, or as JSON for programs that watch over runs."""

import json
import logging
import sys
from datetime import UTC, datetime
from enum import StrEnum

__all__ = ["LogFormat", "log_format", "set_log_format", "write_line"]


class LogFormat(StrEnum):
    """How lines on standard error are written."""

    text = "text"
    json = "json"


class _Lines(logging.Handler):
    """What libraries log, as lines like ours."""

    def emit(self, record: logging.LogRecord) -> None:
        write_line(record.levelname.lower(), record.getMessage())


_handler = _Lines(level=logging.WARNING)
_format = LogFormat.text


def log_format() -> LogFormat:
    """Return the log format of this process."""
    return _format


def set_log_format(chosen: LogFormat) -> None:
    """Write lines from now on in this format."""
    global _format
    _format = chosen
    root = logging.getLogger()
    root.removeHandler(_handler)
    if chosen == LogFormat.json:
        root.addHandler(_handler)


def write_line(level: str, message: str, **values: object) -> None:
    """Write one JSON object to standard error: time (UTC), level (info, warning or error), message, and `values`."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    # ASCII, so that no terminal is moved by what a file is called
    print(json.dumps({"time": time, "level": level, "message": message} | values), file=sys.stderr, flush=True)
