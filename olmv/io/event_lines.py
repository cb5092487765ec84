"""Events of `olmv watch`, as lines of a file that only grows.

    {"event": "5f0c...", "label": "dog", "state": "began", "at": "2026-01-31T12:00:00.250+00:00", "at_s": 12.5, ...}

Many runs may append to one file, one after the other or together, and the file may be moved away while one does: each
line is written in one piece, to the file that has the name then.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from olmv.io.atomic import raise_output, write_all
from olmv.io.journal import encode_row, ends_with_newline

__all__ = ["append_event"]


def append_event(path: Path, event: Mapping[str, Any]) -> None:
    """Append one event as a line.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            torn = os.fstat(descriptor).st_size and not ends_with_newline(descriptor)  # of a run that was killed
            write_all(descriptor, (b"\n" if torn else b"") + encode_row(event))
        finally:
            os.close(descriptor)
    except OSError as failure:
        raise_output(path, failure)
