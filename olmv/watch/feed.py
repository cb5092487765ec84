"""A source's frames as they come, whatever happens to it: the reading process, and what is done when it is lost."""

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from typing import Self

from olmv.errors import InputError
from olmv.video.workers.fork_server import ForkServer, Worker
from olmv.watch.reader import Frame, ReadTask, prepare, read_source

__all__ = ["Feed"]

FIRST_RETRY_S, LAST_RETRY_S = 0.5, 4.0
TICK_S = 0.25
SILENT_S = 30.0
"""Seconds in which the reading process says nothing at all, after which it is ended: a decoder that hangs."""


class Feed:
    """Reads one source in a process of its own, and opens it again when it is lost.

    Args:
        note: told in a line what happens to the source.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._fork_server = ForkServer(read_source, prepare)
        self._worker: Worker | None = None
        self._outage = _Outage()
        self._line = _Line()
        self._dropped = 0  # of connections before this one
        self.dropped = 0
        """Frames left out so far."""
        self.reconnections = 0
        """How often frames came again after the source was lost."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def launch(self) -> None:
        """Start getting ready, and return at once."""
        self._fork_server.launch()

    def close(self) -> None:
        """End the reading process. May be called twice."""
        self._stop()
        self._fork_server.close()

    @property
    def lost(self) -> bool:
        """Tell whether the source is away."""
        return self._outage.since is not None

    def frames(self, task: ReadTask) -> Iterator[Frame | None]:
        """Yield frames until the source ends, and None every while that none comes.

        `at_s` goes on where the source is opened again, with the time that it was away.

        Raises:
            InputError: the source is not to be read, or is no video.
            OSError: the reading process cannot be started.
        """
        name = task.source.name
        retry_at = heard = 0.0
        while True:
            now = time.monotonic()
            if self._worker is None:
                if now < retry_at:
                    time.sleep(min(TICK_S, retry_at - now))
                    yield None
                    continue
                self._worker, heard = self._start(task), time.monotonic()
            kind, value = self._message(heard)
            if kind != "":
                heard = time.monotonic()
            if kind == "frame":
                assert isinstance(value, Frame)
                self._tell_return(name)
                self.dropped = self._dropped + value.dropped
                yield replace(value, at_s=self._line.place(value), dropped=self.dropped)
                heard = time.monotonic()  # nobody listened meanwhile
                self._ask()
            elif kind == "note":
                self._note(str(value))
            elif kind == "ended":
                return
            elif kind == "refused":
                raise InputError(f"{name}: {value}")
            elif kind == "lost":
                self._stop()
                self._dropped = self.dropped
                self._line.breaks()
                if task.source.kind == "pipe" or (task.source.kind == "file" and "decoding process" in str(value)):
                    raise InputError(f"{name}: {value}; convert it, or watch another source")
                if self._outage.begins():
                    self._note(f"{name} is not there ({value}); trying again until it is")
                retry_at = time.monotonic() + self._outage.delay_s()
            else:
                yield None

    def _start(self, task: ReadTask) -> Worker:
        worker = self._fork_server.spawn()
        worker.connection.send(task)
        if task.source.kind == "pipe":
            _send_pipe(worker, task.source.location)
        worker.connection.send("next")
        return worker

    def _ask(self) -> None:
        assert self._worker is not None
        try:
            self._worker.connection.send("next")
        except OSError:
            return  # its end is read next

    def _message(self, heard: float) -> tuple[str, object]:
        """Return the next message; ("", None) where none comes for a while."""
        assert self._worker is not None
        connection = self._worker.connection
        if not wait([connection], TICK_S):
            if time.monotonic() - heard > SILENT_S:
                return "lost", f"its decoding process said nothing for {SILENT_S:.0f} s"
            return "", None
        try:
            kind, value = connection.recv()
        except (EOFError, OSError):
            code = self._worker.stop()
            why = "needs too much memory" if code == 2 else f"died, code {code}"
            return "lost", f"its decoding process {why}"
        return str(kind), value

    def _tell_return(self, name: str) -> None:
        away = self._outage.ends()
        if away is not None:
            self.reconnections += 1
            self._note(f"{name} is there again, after {away:.1f} s")

    def _stop(self) -> None:
        if self._worker is not None:
            self._worker.stop()
            self._worker = None


@dataclass
class _Outage:
    """How long the source has been away, and how long to wait before the next try."""

    since: float | None = None
    tries: int = 0

    def begins(self) -> bool:
        """Count one more failure; tell whether it is the first."""
        self.tries += 1
        if self.since is not None:
            return False
        self.since = time.monotonic()
        return True

    def delay_s(self) -> float:
        return float(min(FIRST_RETRY_S * 2.0 ** min(self.tries - 1, 10), LAST_RETRY_S))

    def ends(self) -> float | None:
        """Return how long it was away; None where it was not."""
        since, self.since, self.tries = self.since, None, 0
        return None if since is None else time.monotonic() - since


@dataclass
class _Line:
    """One time line over several connections, each of which begins at 0."""

    offset_s: float = 0.0
    last: tuple[float, float] | None = None  # (time, at_s on this line) of the last frame
    fresh: bool = True

    def breaks(self) -> None:
        self.fresh = True

    def place(self, frame: Frame) -> float:
        if self.fresh and self.last is not None:
            self.offset_s = self.last[1] + max(frame.time - self.last[0], 0.0) - frame.at_s
        self.fresh = False
        at_s = self.offset_s + frame.at_s
        if self.last is not None:
            at_s = max(at_s, self.last[1])
        self.last = (frame.time, at_s)
        return at_s


def _send_pipe(worker: Worker, location: str) -> None:
    descriptor = sys.stdin.fileno() if location == "-" else os.open(location, os.O_RDONLY)
    channel = socket.socket(fileno=os.dup(worker.connection.fileno()))
    try:
        socket.send_fds(channel, [b"p"], [descriptor])
    finally:
        channel.close()
        if location != "-":
            os.close(descriptor)
