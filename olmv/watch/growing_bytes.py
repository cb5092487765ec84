"""Bytes that may come at any time: of a file that grows, and of a pipe. Waiting for them is told as it goes on."""

import os
import select
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from olmv.watch.sources import LostSourceError

__all__ = ["GrowingFile", "PipeBytes", "mp4_layout"]

_LOOK_S = 0.05
_MOST_INDEX = 64 * 2**20
REST_S = 5.0
"""Seconds without growth, after which a file is said to rest."""


class GrowingFile:
    """A file as it grows: its end is where one waits.

    Args:
        path: of it.
        alive: called every while that one waits.
        rests: called once each time that the file has not grown for `REST_S`.
    """

    def __init__(self, path: str, *, alive: Callable[[], None], rests: Callable[[], None]) -> None:
        self._path, self._alive, self._rests = path, alive, rests
        self._file = Path(path).open("rb", buffering=0)  # noqa: SIM115  # closed by `close`
        self._told = False
        self.reached_end = False
        """All that was there before has been read: what comes now is live."""

    def head(self, size: int) -> bytes:
        """Return the first bytes, waiting until there are some; the next `read` begins with them again."""
        data = self.read(size)
        self._file.seek(0)
        return data

    def read(self, size: int = -1) -> bytes:
        """Return what there is, at most `size` bytes; waits at the end.

        Raises:
            LostSourceError: the file was removed, replaced or cut.
        """
        begun = time.monotonic()
        while not (data := self._file.read(size)):
            self.wait(begun)
        self._told = False
        return data

    def wait(self, since: float) -> None:
        """Wait a moment for the file to grow; `since` is when waiting began, by the monotonic clock.

        Raises:
            LostSourceError: as `read`.
        """
        self.reached_end = True
        self._check_same()
        self._alive()
        if not self._told and time.monotonic() - since > REST_S:
            self._told = True
            self._rests()
        time.sleep(_LOOK_S)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _check_same(self) -> None:
        ours = os.fstat(self._file.fileno())
        try:
            named = Path(self._path).stat()
        except OSError:
            raise LostSourceError("the file was removed") from None
        if not os.path.samestat(ours, named) or named.st_size < self._file.tell():
            raise LostSourceError("the file was replaced or cut")


class PipeBytes:
    """What comes through a pipe, until its writer closes it.

    Args:
        descriptor: to read from.
        alive: called every while that one waits.
    """

    def __init__(self, descriptor: int, *, alive: Callable[[], None]) -> None:
        self._descriptor, self._alive = descriptor, alive
        self.count = 0
        """Bytes so far."""
        self.is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        """It is a file that the shell opened: all of it is there."""

    def read(self, size: int = -1) -> bytes:
        """Return what has come, at most `size` bytes; nothing at the end."""
        while not select.select([self._descriptor], [], [], 0.5)[0]:
            self._alive()
        data = os.read(self._descriptor, size if size > 0 else 65536)
        self.count += len(data)
        return data


def mp4_layout(path: str) -> Literal["whole", "fragmented", "unfinished"]:
    """Tell an MP4 or MOV that is finished, one that can be read as it grows, and one whose index is still to come.

    Raises:
        OSError: it cannot be read.
    """
    with Path(path).open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        place = 0
        while place + 8 <= end:
            file.seek(place)
            head = file.read(16)
            size, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if size == 1:
                size = int.from_bytes(head[8:16], "big")
            if size < 8 or place + size > end:
                break  # it reaches to an end that is not there yet
            if kind == b"moov":
                file.seek(place)
                return "fragmented" if b"mvex" in file.read(min(size, _MOST_INDEX)) else "whole"
            place += size
    return "unfinished"
