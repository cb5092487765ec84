"""The thread that feeds the worker processes of one run and collects what they return, and how results travel."""

import os
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np

from olmv import errors
from olmv.errors import DecodeError, DecodeTimeoutError, ProgramFaultError, VideoError, WorkerCrashedError
from olmv.video.decode import VideoFrames, failed
from olmv.video.options import DecodeOptions
from olmv.video.transforms import ModelPixels, Preprocess
from olmv.video.workers.fork_server import ForkServer, Worker, limit_memory, used_memory_kb

__all__ = ["Decode", "Task", "WorkerPool", "attempt", "serve"]

Decode = Callable[[str, Preprocess, DecodeOptions], VideoFrames]
"""What a worker does with a path; an object may have a `prepare`, which the fork server calls before it forks."""


@dataclass(frozen=True)
class Task:
    """What workers do with every path of a pass."""

    decode: Decode
    preprocess: Preprocess
    options: DecodeOptions

    def prepare(self) -> None:
        """Import what the task needs, in the fork server; unpickling the task has imported `decode`'s module."""
        if not self.preprocess.antialias:
            import torch.nn.functional  # noqa: F401  # it resizes
        if callable(prepare := getattr(self.decode, "prepare", None)):
            prepare()


@dataclass
class _Slot:
    """One worker and the file it has in hand."""

    worker: Worker
    job: tuple[int, str]
    deadline: float


class WorkerPool:
    """Decodes the paths of one pass in worker processes.

    A thread feeds the workers and collects, so they never wait for the caller's computing;
    `_lock` guards the results, everything else belongs to that thread."""

    def __init__(
        self,
        paths: Iterable[str | os.PathLike[str]],
        fork_server: ForkServer,
        *,
        workers: int,
        task: Task,
        prefetch: int,
        keep: bool = False,
    ) -> None:
        """Start; `keep` leaves the fork server and its idle workers running at the end."""
        self._paths = iter(paths)
        self._fork_server = fork_server
        self._workers = workers
        self._task = task
        self._prefetch = prefetch
        self._keep = keep
        self._busy: dict[Connection, _Slot] = {}
        self._done: dict[int, VideoFrames] = {}
        self._given = 0  # handed to workers
        self._taken = 0  # handed to the caller
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
        with self._lock:
            self._lock.wait_for(lambda: self._taken in self._done or self._failure or self._finished(), patience_s)
            if self._taken not in self._done:
                if self._failure is not None:
                    raise self._failure
                return None
            result = self._done.pop(self._taken)
            self._taken += 1
        self._wake()
        return result

    def _finished(self) -> bool:
        return self._closed or (self._exhausted and self._taken == self._given)

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
                if self._exhausted and not self._busy:
                    break
                self._collect()
        except BaseException as failure:
            with self._lock:
                self._failure = failure
                self._lock.notify_all()
        finally:
            if self._keep:
                for slot in self._busy.values():  # given up half-way: what comes of it nobody waits for
                    slot.worker.stop()
            else:
                for slot in self._busy.values():
                    slot.worker.connection.close()
                self._fork_server.close()

    def _feed(self) -> None:
        """Give a file to every free worker, as far as results may wait."""
        while len(self._busy) < self._workers and not self._exhausted:
            with self._lock:
                if self._given - self._taken >= self._prefetch:
                    return
            path = next(self._paths, None)
            with self._lock:
                if path is None:
                    self._exhausted = True
                    self._lock.notify_all()
                    return
                index = self._given
                self._given += 1
            self._dispatch(index, os.fspath(path))

    def _dispatch(self, index: int, path: str) -> None:
        while True:
            worker = self._fork_server.take()
            try:
                worker.connection.send((index, path, self._task))
                break
            except OSError:
                worker.stop()  # died while idle: no file is to blame
        self._busy[worker.connection] = _Slot(worker, (index, path), time.monotonic() + self._task.options.timeout_s)

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
            index, path = slot.job
            limit = f"{self._task.options.timeout_s:g} s"
            error = DecodeTimeoutError(f"{path}: not decoded within {limit}; raise the time limit if the file is sound")
            self._finish(failed(index, path, error, requested=self._task.options.frames))

    def _receive(self, slot: _Slot) -> None:
        index, path = slot.job
        try:
            result, fatal = _receive_result(slot.worker.connection)
        except (EOFError, OSError):
            code = slot.worker.stop()
            error = WorkerCrashedError(f"{path}: {self._cause(code)}")
            self._finish(failed(index, path, error, requested=self._task.options.frames))
            return
        if fatal:
            slot.worker.stop()
        else:
            self._fork_server.give_back(slot.worker)
        self._finish(replace(result, index=index, path=path))

    def _cause(self, code: int | None) -> str:
        if code == 2:
            return _over_memory(self._task.options.memory_limit_mb)
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return f"its decoding process died ({how}); convert the file, or try another decoder"

    def _finish(self, result: VideoFrames) -> None:
        with self._lock:
            self._done[result.index] = result
            self._lock.notify_all()


def attempt(task: Task, index: int, path: str) -> VideoFrames:
    """Do the task with one path, with every failure but MemoryError turned into a row."""
    try:
        return replace(task.decode(path, task.preprocess, task.options), index=index, path=path)
    except VideoError as error:
        return failed(index, path, error, requested=task.options.frames)
    except MemoryError:
        raise
    except Exception as error:  # a bug must not cost the run; what is wrong with a file, the readers say themselves
        return failed(index, path, _fault(path, error), requested=task.options.frames)


def _fault(path: str, error: Exception) -> ProgramFaultError:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    text = " ".join(str(error).split())[:300]
    return ProgramFaultError(
        f"{path}: {type(error).__name__}{place}: {text}; a fault of olmv or of an installed package's version, not of "
        "the file: look at olmv doctor, and report it"
    )


def serve(connection: Connection) -> None:
    """Live a worker's life: a path in, frames out, until the loader hangs up."""
    used_kb = used_memory_kb()
    while True:
        index, path, task = connection.recv()
        limit_memory(used_kb, task.options.memory_limit_mb)
        try:
            result = attempt(task, index, path)
        except MemoryError:
            error = WorkerCrashedError(f"{path}: {_over_memory(task.options.memory_limit_mb)}")
            _send_result(connection, failed(index, path, error, requested=task.options.frames), fatal=True)
            return
        _send_result(connection, result, fatal=False)
        del result


def _over_memory(limit_mb: int) -> str:
    return f"needs more than {limit_mb} MB to decode; raise the memory limit, or convert the file"


def _send_result(connection: Connection, result: VideoFrames, *, fatal: bool) -> None:
    """Send the header, then the pixels as they lie in memory; errors as (class name, text), so that none is lost."""
    pixels = None if result.pixels is None else np.ascontiguousarray(result.pixels)
    error = None if result.error is None else (type(result.error).__name__, str(result.error))
    kind = None if pixels is None else (pixels.shape, pixels.dtype.str)
    connection.send((replace(result, pixels=None, error=None), error, kind, fatal))
    if pixels is not None and pixels.size:
        connection.send_bytes(_bytes_of(pixels))


def _receive_result(connection: Connection) -> tuple[VideoFrames, bool]:
    header, error, kind, fatal = connection.recv()
    pixels = None
    if kind is not None:
        pixels = np.empty(*kind)
        if pixels.size:
            connection.recv_bytes_into(_bytes_of(pixels))
    problem = None
    if error is not None:
        problem = getattr(errors, error[0], DecodeError)(error[1])
    result: VideoFrames = replace(header, pixels=pixels, error=problem)
    return result, bool(fatal)


def _bytes_of(pixels: ModelPixels) -> memoryview:
    """Return the array's memory, shared, not copied."""
    data: Any = pixels
    return memoryview(data).cast("B")
