"""The thread that feeds the worker processes of one run and collects what they return."""

import os
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush
from multiprocessing.connection import Connection, wait

from olmv.errors import DecodeTimeoutError, VideoError, WorkerCrashedError, interruption
from olmv.video.decode import VideoFrames, failed, renamed
from olmv.video.inputs import PreparedInput, SpooledFile
from olmv.video.readers.memory import MemoryVideo
from olmv.video.workers.fork_server import ForkServer, Worker
from olmv.video.workers.task import Task, attempt, over_memory, receive_result

__all__ = ["WorkerPool"]

Key = tuple[int, int]
"""Place among the paths, part of the file."""

Source = str | SpooledFile | MemoryVideo


@dataclass
class _Slot:
    """One worker and the file it has in hand."""

    worker: Worker
    key: Key
    source: str | SpooledFile
    deadline: float

    @property
    def name(self) -> str:
        return str(self.source)


class WorkerPool:
    """Decodes the paths of one pass in worker processes.

    A thread feeds the workers and collects, so they never wait for the caller's computing;
    `_lock` guards the results, everything else belongs to that thread. The first result of a file tells in how many
    parts it comes; the later ones go before any other file. A file whose decoding hangs or crashes ends there. Frames
    that are in memory already are sampled and resized by the thread itself."""

    def __init__(
        self,
        paths: Iterable[PreparedInput],
        fork_server: ForkServer,
        *,
        workers: int,
        task: Task,
        prefetch: int,
        prefetch_bytes: int | None = None,
        keep: bool = False,
        first_parts: Mapping[int, int] = {},
    ) -> None:
        """Start; `keep` leaves the fork server and its idle workers running at the end.

        `prefetch` results at most wait for the caller, and nothing new is begun while they take `prefetch_bytes`.

        `first_parts` tells of a path by its place which part is the first to decode, where it is not 0.
        """
        self._paths = iter(paths)
        self._fork_server = fork_server
        self._workers = workers
        self._task = task
        self._prefetch = prefetch
        self._prefetch_bytes = prefetch_bytes
        self._keep = keep
        self._busy: dict[Connection, _Slot] = {}
        self._first_parts = first_parts
        self._done: dict[Key, VideoFrames] = {}
        self._begun = 0  # files of which a part was handed to workers
        self._waiting: Counter[int] = Counter()  # handed to workers, not to the caller: parts by file
        self._spooled: dict[int, SpooledFile] = {}  # of files that have begun
        self._later: list[tuple[Key, Source]] = []  # a heap: parts of files that have begun
        self._parts: dict[int, int] = {}  # of files that have begun, as far as known
        self._next: Key = (0, first_parts.get(0, 0))  # what the caller gets next
        self._exhausted = False
        self._closed = False
        self._failure: BaseException | None = None
        self._lock = threading.Condition()
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_writer, False)
        self._thread = threading.Thread(target=self._pump, name="olmv-loader", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[VideoFrames]:
        while (result := self.take(None)) is not None:
            yield result
            del result

    def take(self, patience_s: float | None) -> VideoFrames | None:
        """Return the next result, waiting for it so long (None: for ever); None at the end, or where it is not there.

        Raises:
            Exception: what the iterable of paths raised.
        """
        try:
            return self._take_next(patience_s)
        except RuntimeError as failure:
            if (stop := interruption(failure)) is not None:  # it came between two steps of the lock
                raise stop from None
            raise

    def _take_next(self, patience_s: float | None) -> VideoFrames | None:
        with self._lock:
            self._lock.wait_for(lambda: self._next in self._done or self._failure or self._finished(), patience_s)
            if self._next not in self._done:
                if self._failure is not None:
                    raise self._failure
                return None
            result = self._done.pop(self._next)
            index, part = self._next
            self._waiting[index] -= 1
            if part + 1 < result.parts:
                self._next = index, part + 1
            else:
                self._next = index + 1, self._first_parts.get(index + 1, 0)
                self._parts.pop(index, None)
                del self._waiting[index]
        self._wake()
        return result

    def _finished(self) -> bool:
        return self._closed or (self._exhausted and self._next[0] == self._begun)

    def _wake(self) -> None:
        with self._lock, suppress(BlockingIOError):  # a full pipe wakes too, or there is nobody left to wake
            if not self._closed:
                os.write(self._wake_writer, b".")

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True  # before the wake-up, which the pump may read at once
            with suppress(BlockingIOError):
                os.write(self._wake_writer, b".")
            self._lock.notify_all()
        self._thread.join()
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def _pump(self) -> None:
        try:
            while not self._closed:
                self._feed()
                if self._exhausted and not self._busy and not self._later:
                    break
                self._collect()
        except BaseException as failure:
            with self._lock:
                self._failure = failure
                self._lock.notify_all()
        finally:
            for index in [*self._spooled]:
                self._spooled.pop(index).release()
            if self._keep:
                for slot in self._busy.values():  # given up half-way: what comes of it nobody waits for
                    slot.worker.stop()
            else:
                for slot in self._busy.values():
                    slot.worker.close()
                self._fork_server.close()

    def _feed(self) -> None:
        """Give a file, or a later part of one, to every free worker, as far as results may wait."""
        while len(self._busy) < self._workers and not self._closed:
            with self._lock:
                job = self._later[0] if self._later else None
                # parts that are soon asked for may come in even if results of other files take all the room
                soon = job is not None and job[0][0] == self._next[0] and self._waiting[job[0][0]] <= self._workers
                if self._is_full() and not soon:
                    return
                if job is not None:
                    heappop(self._later)
                    self._waiting[job[0][0]] += 1
            if job is None and (self._exhausted or (job := self._begin_file()) is None):
                return
            key, source = job
            if isinstance(source, MemoryVideo):
                self._take(key, source, attempt(self._task, key[0], source, key[1]))
            else:
                self._dispatch(key, source)

    def _is_full(self) -> bool:
        if self._waiting.total() >= self._prefetch:
            return True
        if self._prefetch_bytes is None:
            return False
        return self._prefetch_bytes <= sum(
            result.pixels.nbytes for result in self._done.values() if result.pixels is not None
        )

    def _begin_file(self) -> tuple[Key, Source] | None:
        source = next(self._paths, None)
        with self._lock:
            if source is None:
                self._exhausted = True
                self._lock.notify_all()
                return None
            index = self._begun
            self._begun += 1
            self._waiting[index] += 1
        if isinstance(source, SpooledFile):
            self._spooled[index] = source
        elif not isinstance(source, MemoryVideo):
            source = os.fspath(source)
        return (index, self._first_parts.get(index, 0)), source

    def _dispatch(self, key: Key, source: str | SpooledFile) -> None:
        path = source.path if isinstance(source, SpooledFile) else source
        while True:
            worker = self._fork_server.take()
            try:
                worker.connection.send((*key, path, self._task))
                break
            except OSError:
                worker.stop()  # died while idle: no file is to blame
        self._busy[worker.connection] = _Slot(worker, key, source, time.monotonic() + self._task.options.timeout_s)

    def _collect(self) -> None:
        """Wait for a result, for the caller to take one, or for the next deadline."""
        deadline = min((slot.deadline for slot in self._busy.values()), default=None)
        patience = None if deadline is None else max(deadline - time.monotonic(), 0.0)
        ready = wait([*self._busy, self._wake_reader], patience)
        for source in ready:
            if source == self._wake_reader:
                os.read(self._wake_reader, 4096)
            elif isinstance(source, Connection):
                self._receive(self._busy.pop(source))
        now = time.monotonic()
        for slot in [s for s in self._busy.values() if s.deadline <= now and not s.worker.connection.poll()]:
            del self._busy[slot.worker.connection]
            slot.worker.stop()
            limit = f"{self._task.options.timeout_s:g} s"
            what = f"{slot.name}: {self._part_of(slot.key)}"
            error = DecodeTimeoutError(f"{what}not decoded within {limit}; raise the time limit if the file is sound")
            self._fail(slot, error)

    def _receive(self, slot: _Slot) -> None:
        try:
            result, fatal = receive_result(slot.worker.connection)
        except (EOFError, OSError):
            code = slot.worker.stop()
            self._fail(slot, WorkerCrashedError(f"{slot.name}: {self._part_of(slot.key)}{self._cause(code)}"))
            return
        if isinstance(slot.source, SpooledFile):
            result = renamed(result, slot.source.path, slot.name)
        if fatal:
            slot.worker.stop()
            self._fail(slot, result.error or WorkerCrashedError(f"{slot.name}: {self._cause(None)}"))
            return
        self._fork_server.give_back(slot.worker)
        self._take(slot.key, slot.source, result)

    def _take(self, key: Key, source: Source, result: VideoFrames) -> None:
        """Keep what was decoded for the caller; the first result of a file tells which parts follow."""
        index, part = key
        with self._lock:
            if self._next[0] <= index and index not in self._parts:
                self._parts[index] = max(result.parts, part + 1)
                for later in range(part + 1, result.parts):
                    heappush(self._later, ((index, later), source))
            parts = self._parts.get(index, part + 1)
        self._finish(replace(result, index=index, path=str(source), part=part, parts=parts))
        self._release(index)

    def _part_of(self, key: Key) -> str:
        parts = self._parts.get(key[0], 1)
        return f"part {key[1] + 1} of {parts}: " if parts > 1 else ""

    def _fail(self, slot: _Slot, error: VideoError) -> None:
        """End a file here: what crashed or hung once does so again."""
        index, part = slot.key
        with self._lock:
            self._parts[index] = min(self._parts.get(index, part + 1), part + 1)
            self._later = [job for job in self._later if job[0][0] != index]
            heapify(self._later)
            for key in [key for key in self._done if key[0] == index and key[1] > part]:
                del self._done[key]
                self._waiting[index] -= 1
        result = failed(index, slot.name, error, requested=self._task.options.frames)
        self._finish(replace(result, part=part, parts=part + 1))
        self._release(index)

    def _release(self, index: int) -> None:
        """Delete the copy of a file of which nothing is decoded any more, nor will be."""
        if index not in self._spooled:
            return
        busy = any(slot.key[0] == index for slot in self._busy.values())
        if not busy and not any(key[0] == index for key, _ in self._later):
            self._spooled.pop(index).release()

    def _cause(self, code: int | None) -> str:
        if code == 2:
            return over_memory(self._task.options.memory_limit_mb)
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return f"its decoding process died ({how}); convert the file, or try another decoder"

    def _finish(self, result: VideoFrames) -> None:
        with self._lock:
            if result.index < self._next[0]:  # of a file that ended before, and that the caller is done with
                self._parts.pop(result.index, None)
            elif result.part >= self._parts.get(result.index, result.part + 1):
                self._waiting[result.index] -= 1
            else:
                self._done[result.index, result.part] = result
                self._lock.notify_all()
