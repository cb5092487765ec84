"""Files on their way to a server: what a caller may give, and where it lies until it is sent."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from olmv.client.transport import Upload
from olmv.errors import NotAVideoError, UsageError
from olmv.video.inputs import SpooledFile, check_input, input_name

__all__ = ["MOST_FILES", "SentVideo", "check_sent", "sent_video", "uploads_of"]

MOST_FILES = 64
"""Of one request."""


@dataclass(frozen=True)
class SentVideo:
    """A file to send.

    Attributes:
        name: as the caller has it.
        file: where it lies.
        size: in bytes.
    """

    name: str
    file: Path
    size: int


def check_sent(value: Any, place: int) -> None:
    """Raise UsageError where an input is no file."""
    check_input(value, place)
    if not isinstance(value, str | os.PathLike | bytes | bytearray | memoryview) and not hasattr(value, "read"):
        raise UsageError(f"input {place} is no file; send a path, bytes, or a file opened with 'rb'")


def sent_video(value: Any, place: int, stack: ExitStack) -> SentVideo:
    """Make a file of an input; what is no file yet is one until the stack is closed.

    Raises:
        NotAVideoError: it cannot be read.
        UsageError: it is no input.
    """
    check_sent(value, place)
    name = input_name(value, place)
    if isinstance(value, str | os.PathLike):
        file = Path(os.fspath(value))
    else:
        copy = SpooledFile(name, value)
        stack.callback(copy.release)
        file = Path(copy.path)
    try:
        with file.open("rb"):
            return SentVideo(name, file, file.stat().st_size)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise NotAVideoError(f"{name}: cannot be opened ({why}); check the path") from None


def uploads_of(videos: Sequence[SentVideo]) -> list[Upload]:
    """Return what is sent: of names only the last part, folders are the caller's business."""
    if len(videos) > MOST_FILES:
        raise UsageError(f"there are {len(videos)} videos; send {MOST_FILES} at most at once")
    return [(PurePath(video.name).name or "video", video.file) for video in videos]
