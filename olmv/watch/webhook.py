"""Events for another program, by HTTP POST: queued on disk, sent in order, tried again until they are taken.

    QUEUE.jsonl        an event a line, as it is posted; emptied when all are sent
    QUEUE.jsonl.sent   how many bytes of it have been sent

A receiver may get an event twice, where this process is killed between the answer and the note of it: `event` and
`state` tell. It never gets one before those that came earlier.
"""

import contextlib
import http.client
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult

from olmv.errors import OutputError
from olmv.io.atomic import write_atomic
from olmv.io.digests import sha256_json
from olmv.io.journal import JsonlJournal
from olmv.io.paths import cache_dir
from olmv.watch.http_stream import connect, request_headers, request_target
from olmv.watch.sources import LostSourceError, check_url, without_login

__all__ = ["MOST_BYTES", "EventQueue", "Webhook", "queue_path"]

TIMEOUT_S = 5.0
FIRST_RETRY_S, LAST_RETRY_S = 0.5, 30.0
MOST_BYTES = 8 * 2**20
"""Of the queue on disk, some 20,000 events; beyond it, the older half of what waits is dropped."""


def queue_path(output: Path | None, source: str, url: str) -> Path:
    """Return where events wait: beside the output, else in the user's cache, by source and address.

    Args:
        output: the file of events, if there is one.
        source, url: without user name and password.
    """
    if output is not None:
        return output.with_name(output.name + ".unsent.jsonl")
    return cache_dir() / "watch" / f"{sha256_json([source, url])[:16]}.jsonl"


class EventQueue:
    """Events on disk, first in, first out. Safe to use from two threads.

    Args:
        path: of the file; its folder is made.
        most_bytes: that it may have.

    Raises:
        OutputError: it cannot be written, another run uses it, or it holds other things than events.
    """

    def __init__(self, path: Path, *, most_bytes: int = MOST_BYTES) -> None:
        self._path, self._most = path, most_bytes
        self._mark = path.with_name(path.name + ".sent")
        with contextlib.suppress(OSError):  # `open` says what is wrong
            path.parent.mkdir(parents=True, exist_ok=True)
        self._journal = JsonlJournal(path, durable=True)
        self._journal.open()
        self._changed = threading.Condition()
        self._sent = min(self._read_mark(), self._journal.size)
        self.waiting = sum(offset >= self._sent for offset in self._offsets())
        """Events that are not sent yet."""

    def _read_mark(self) -> int:
        try:
            return max(int(self._mark.read_text("ascii")), 0)
        except (OSError, ValueError):
            return 0

    def _offsets(self) -> list[int]:
        offsets, begin = [], 0
        with self._path.open("rb") as file:
            for line in file:
                offsets.append(begin)
                begin += len(line)
        return offsets

    def put(self, event: Mapping[str, Any]) -> int:
        """Append an event; return how many of the oldest were dropped to make room.

        Raises:
            OutputError: the disk is full, or the file was changed by something else.
        """
        with self._changed:
            dropped = self._shrink() if self._journal.size > self._most else 0
            self._journal.append(event)
            self.waiting += 1
            self._changed.notify_all()
            return dropped

    def first(self, patience_s: float) -> bytes | None:
        """Return the oldest event that is not sent, as a line of JSON; None where none comes in this time."""
        with self._changed:
            if not self.waiting and not self._changed.wait_for(lambda: self.waiting, patience_s):
                return None
            with self._path.open("rb") as file:
                file.seek(self._sent)
                return file.readline().rstrip(b"\n")

    def drop_first(self, line: bytes) -> None:
        """Count the oldest event as sent, if it is still this one.

        Raises:
            OutputError: that cannot be written down.
        """
        with self._changed:
            if self.first(0.0) != line:
                return  # dropped meanwhile, to make room
            self._sent += len(line) + 1
            self.waiting -= 1
            if self.waiting:
                write_atomic(self._mark, str(self._sent))
                return
            self._sent = 0
            self._journal.clear()
            self._mark.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file; one that holds nothing is removed."""
        with self._changed:
            self._journal.close()
            if not self.waiting:
                self._path.unlink(missing_ok=True)
                self._mark.unlink(missing_ok=True)

    def _shrink(self) -> int:
        """Drop what was sent, and then the older half of what waits if that is still too much."""
        with self._path.open("rb") as file:
            file.seek(self._sent)
            lines = file.readlines()
        dropped = 0
        if sum(map(len, lines)) > self._most // 2:
            dropped = (len(lines) + 1) // 2
        self._journal.close()
        write_atomic(self._path, b"".join(lines[dropped:]))
        self._mark.unlink(missing_ok=True)
        self._sent = 0
        self.waiting = len(lines) - dropped
        self._journal = JsonlJournal(self._path, durable=True)
        self._journal.open()
        return dropped


class Webhook:
    """Posts what is in the queue, in a thread of its own, so that nobody waits for the receiver.

    Args:
        url: http or https; a login in it goes as basic authentication.
        queue: of events.
        note: told in a line when the receiver does not take them, and when it does again; from that thread.
    """

    def __init__(self, url: str, queue: EventQueue, note: Callable[[str], None]) -> None:
        self._parts = check_url(url, "the address to post to")
        self._name = without_login(self._parts)
        self._queue, self._note = queue, note
        self._closing = threading.Event()
        self._fault: str | None = None
        self.sent = 0
        """Events that the receiver took."""
        self._thread = threading.Thread(target=self._work, name="olmv-watch-webhook", daemon=True)
        self._thread.start()

    def post(self, event: Mapping[str, Any]) -> None:
        """Queue one event; returns at once."""
        try:
            dropped = self._queue.put(event)
        except OutputError as failure:
            self._note(f"an event is not posted: {failure}")
            return
        if dropped:
            self._note(f"{dropped} events are dropped, the oldest that waited to be posted to {self._name}")

    def close(self, patience_s: float = 3.0) -> int:
        """Send what can be sent in this time, and return how many events stay queued."""
        deadline = time.monotonic() + patience_s
        while self._queue.waiting and self._fault is None and time.monotonic() < deadline:
            time.sleep(0.02)
        self._closing.set()
        self._thread.join(timeout=TIMEOUT_S + 1.0)
        left = self._queue.waiting
        self._queue.close()
        return left

    def _work(self) -> None:
        delay_s = FIRST_RETRY_S
        while not self._closing.is_set():
            line = self._queue.first(0.25)
            if line is None:
                continue
            fault = send(self._parts, line)
            if fault is None:
                self.sent += 1
                delay_s = FIRST_RETRY_S
                if self._fault is not None:
                    self._note(f"{self._name} takes events again")
                self._fault = None
                try:
                    self._queue.drop_first(line)
                except OutputError as failure:
                    self._note(f"the queue of events cannot be written, so some may be posted twice: {failure}")
                    self._closing.wait(delay_s)
                continue
            if fault != self._fault:
                self._note(f"{self._name} does not take events: {fault}; they wait and are sent again")
            self._fault = fault
            self._closing.wait(delay_s)
            delay_s = min(delay_s * 2, LAST_RETRY_S)


def send(parts: SplitResult, body: bytes) -> str | None:
    """Post one JSON document; return None where it was taken, else why not, in words. Redirects are not followed."""
    try:
        connection = connect(parts, private=True, timeout_s=TIMEOUT_S)
    except LostSourceError as failure:
        return str(failure)
    headers = {**request_headers(parts), "Content-Type": "application/json"}
    try:
        connection.request("POST", request_target(parts), body=body, headers=headers)
        status = connection.getresponse().status
    except TimeoutError:
        return f"no answer within {TIMEOUT_S:g} s"
    except (OSError, http.client.HTTPException):
        return "the connection broke, or spoke no HTTP"
    finally:
        connection.close()
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return f"it sends elsewhere ({status}), which is not followed; name the receiver's own address"
    return f"it answers {status}"
