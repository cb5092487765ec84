"""Decode and encode the videos of all requests: files side by side in caged workers, frames of several in one pass.

    submit ──> waiting, a line for each request ──> decoders (threads) ──> parts ──> encoder (one thread) ──> future
                                                        │ FrameLoader of one file, on shared worker processes

Requests take turns, so that one with many videos does not hold up one with few. Decoders give their parts to the
encoder, which takes as many as there are, up to a batch; nothing waits for company. A video that hangs, crashes or is
given up holds up no other.
"""

import contextlib
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue

import torch

from olmv.errors import DecodeTimeoutError, VideoError, WorkerCrashedError, reason
from olmv.io.atomic import os_reason
from olmv.models.base import VideoModel
from olmv.models.embed import default_batch_size
from olmv.scorer import EmbeddedPart
from olmv.scoring.windows import TimelineOptions
from olmv.serve.clips import StoredClip, without_pixels
from olmv.serve.memory import give_back
from olmv.stream import embed_parts
from olmv.video.decode import VideoFrames, failed
from olmv.video.options import DecodeOptions, usable_cores
from olmv.video.workers.loader import FrameLoader, start_workers

__all__ = ["BusyError", "EmbedEngine", "EmbedTask", "not_started"]

_PARTS_AHEAD = 2  # of each decoder, that wait for the encoder
_LONGEST = 20
"""So many times as long as a part of it may a whole video take, so that few long ones do not hold up all others."""
_GIVE_BACK_PARTS = 64  # between two times that free memory is given back
_FIRST_GUESS_S = 1.0  # that a video takes, before any was done


class BusyError(Exception):
    """The queue is full.

    Args:
        retry_after_s: when there may be room.
    """

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many videos wait; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


@dataclass(eq=False)
class EmbedTask:
    """One video on its way.

    Attributes:
        path: of the file.
        name: as the client calls it; messages have it in place of the path.
        decode, timeline: how it is looked at.
        advanced: called with (done, all) parts, from another thread.
        finished: called when the file is not needed any more, from another thread, also when it was given up.
        future: its `StoredClip`.
    """

    path: Path
    name: str
    decode: DecodeOptions
    timeline: TimelineOptions | None = None
    advanced: Callable[[int, int], None] = lambda done, total: None
    finished: Callable[[], None] = lambda: None
    future: "Future[StoredClip]" = field(default_factory=Future)
    given_up: threading.Event = field(default_factory=threading.Event)
    loader: FrameLoader | None = None
    withdraw: "Callable[[EmbedTask], None]" = lambda task: None  # of the engine that has it

    def cancel(self) -> None:
        """Give the video up: it is not begun, or its decoding process ends."""
        self.given_up.set()
        self.future.cancel()
        self.withdraw(self)
        if (loader := self.loader) is not None:
            # it waits for the process to end, which who gives up need not
            threading.Thread(target=loader.close, daemon=True).start()


class EmbedEngine:
    """Makes of files what a model sees in them.

    Args:
        model: that encodes.
        workers: files that are decoded at the same time; None for one per core.
        most: videos that wait or are at work at the same time.
        batch_size: frames per forward pass; None for the model's default.
    """

    def __init__(
        self, model: VideoModel, *, workers: int | None = None, most: int = 64, batch_size: int | None = None
    ) -> None:
        self.model = model
        self.most = most
        self._batch_size = batch_size or default_batch_size(model)
        self._waiting: OrderedDict[str, deque[EmbedTask]] = OrderedDict()
        self._active: set[EmbedTask] = set()
        self._count = 0  # that wait or are at work
        self._seconds = _FIRST_GUESS_S  # between two videos that are done, smoothed
        self._last_done = 0.0
        self._lock = threading.Condition()
        self._closed = False
        self._parts: SimpleQueue[tuple[EmbedTask, VideoFrames, Future[EmbeddedPart]] | None] = SimpleQueue()
        self._fork_server = start_workers(preprocess=model.preprocess)
        count = workers or usable_cores()
        self._decoders = [
            threading.Thread(target=self._decode_all, name=f"olmv-decoder-{number}", daemon=True)
            for number in range(count)
        ]
        self._encoder = threading.Thread(target=self._encode_all, name="olmv-encoder", daemon=True)
        for thread in (*self._decoders, self._encoder):
            thread.start()

    @property
    def count(self) -> int:
        """Return how many videos wait or are at work."""
        return self._count

    def check_room(self, videos: int) -> None:
        """Check that there is room for so many more.

        Raises:
            BusyError: there is none; it says when to come again.
        """
        with self._lock:
            if self._count + videos > self.most:
                wait = self._seconds * max(self._count + videos - self.most, 1)
                raise BusyError(max(1, min(int(wait + 0.999), 600)))

    def submit(self, request: str, tasks: list[EmbedTask]) -> None:
        """Take the videos of a request, all of them or none.

        Args:
            request: whose they are; requests take turns.
            tasks: in the order in which they are wanted.

        Raises:
            BusyError: there is no room for them.
        """
        with self._lock:
            self.check_room(len(tasks))
            self._count += len(tasks)
            for task in tasks:
                task.withdraw = self._withdraw
            self._waiting.setdefault(request, deque()).extend(tasks)
            self._lock.notify_all()

    def close(self) -> None:
        """End the threads and the worker processes; what waits is given up."""
        with self._lock:
            self._closed = True
            waiting = [task for line in self._waiting.values() for task in line]
            self._waiting.clear()
            self._lock.notify_all()
            active = [*self._active]
        for task in waiting:
            task.cancel()
            self._leave(task)
        for task in active:
            task.cancel()
        for thread in self._decoders:
            thread.join()
        self._parts.put(None)
        self._encoder.join()
        self._fork_server.close()

    def __enter__(self) -> "EmbedEngine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next(self) -> EmbedTask | None:
        """Return the next video, the requests taking turns; None at the end."""
        with self._lock:
            self._lock.wait_for(lambda: self._closed or self._waiting)
            if self._closed:
                return None
            request, line = self._waiting.popitem(last=False)
            task = line.popleft()
            if line:
                self._waiting[request] = line  # behind the others
            self._active.add(task)
            return task

    def _withdraw(self, task: EmbedTask) -> None:
        """Make room at once for others where the video waits still, however long those at work take."""
        with self._lock:
            request = next((request for request, line in self._waiting.items() if task in line), None)
            if request is None:
                return
            self._waiting[request].remove(task)
            if not self._waiting[request]:
                del self._waiting[request]
        self._leave(task)

    def _leave(self, task: EmbedTask) -> None:
        with self._lock:
            self._count -= 1
            self._active.discard(task)
            now = time.monotonic()
            if self._last_done and self._count and not task.given_up.is_set():  # an idle server tells no speed
                self._seconds += 0.2 * (min(now - self._last_done, 60.0) - self._seconds)
            self._last_done = now
        with contextlib.suppress(Exception):
            task.finished()

    def _decode_all(self) -> None:
        while (task := self._next()) is not None:
            try:
                if not task.given_up.is_set() and task.future.set_running_or_notify_cancel():
                    self._decode(task)
            except BaseException as failure:
                if not task.future.done():
                    task.future.set_exception(failure)
            finally:
                self._leave(task)

    def _decode(self, task: EmbedTask) -> None:
        options = replace(task.decode, workers=1)
        loader = FrameLoader(
            [str(task.path)], preprocess=self.model.preprocess, options=options, fork_server=self._fork_server
        )
        task.loader = loader
        embedded: deque[Future[EmbeddedPart]] = deque()
        parts: list[EmbeddedPart] = []
        try:
            for video in self._videos(task, loader):
                future: Future[EmbeddedPart] = Future()
                self._parts.put((task, replace(video, path=task.name, index=0), future))
                embedded.append(future)
                while len(embedded) > _PARTS_AHEAD or (video.part + 1 >= video.parts and embedded):
                    parts.append(embedded.popleft().result())
                    task.advanced(len(parts), video.parts)
        except (OSError, EOFError) as failure:  # its video alone fails, and the next one may do better
            raise not_started(task.name, failure) from failure
        finally:
            loader.close()
            task.loader = None
        if task.given_up.is_set() or not parts:
            raise GivenUpError
        task.future.set_result(StoredClip(task.name, parts, task.decode, task.timeline))

    def _videos(self, task: EmbedTask, loader: FrameLoader) -> Iterator[VideoFrames]:
        begun, limit_s = time.monotonic(), task.decode.timeout_s * _LONGEST
        for video in loader:
            if task.given_up.is_set():
                return
            if video.error is not None:  # a client knows the file by another name, and should not learn ours
                video = replace(video, error=renamed(video.error, str(task.path), task.name))
            elif video.part + 1 < video.parts and time.monotonic() - begun > limit_s:
                message = f"{task.name}: it takes longer than {limit_s:g} s in all; send a shorter video"
                late = failed(0, task.name, DecodeTimeoutError(message), requested=task.decode.frames)
                yield replace(late, part=video.part, parts=video.part + 1)
                return
            yield video

    def _encode_all(self) -> None:
        since = 0
        while (batch := self._batch()) is not None:
            since += len(batch)
            if since >= _GIVE_BACK_PARTS:
                since = 0
                give_back()
            good: list[tuple[EmbedTask, VideoFrames, Future[EmbeddedPart]]] = []
            for item in batch:  # looked at once: it can be given up at any time
                if item[0].given_up.is_set():
                    item[2].set_exception(GivenUpError())
                else:
                    good.append(item)
            try:
                for (_, _, future), part in zip(good, self._embed(good), strict=True):
                    future.set_result(without_pixels(part))
            except BaseException as failure:
                for _, _, future in good:
                    if not future.done():
                        future.set_exception(failure)

    def _embed(self, items: list[tuple[EmbedTask, VideoFrames, "Future[EmbeddedPart]"]]) -> list[EmbeddedPart]:
        with torch.inference_mode():
            return [
                *embed_parts(
                    [
                        (replace(video, index=place), task.decode, task.timeline)
                        for place, (task, video, _) in enumerate(items)
                    ],
                    self.model,
                    batch_size=self._batch_size,
                )
            ]

    def _batch(self) -> list[tuple[EmbedTask, VideoFrames, "Future[EmbeddedPart]"]] | None:
        """Wait for a part, and take with it what else is there, as much as a batch holds; None at the end."""
        first = self._parts.get()
        if first is None:
            return None
        batch, frames = [first], _frames(first[1])
        while frames < self._batch_size:
            try:
                item = self._parts.get_nowait()
            except Empty:
                break
            if item is None:
                self._parts.put(None)  # after what is here
                break
            batch.append(item)
            frames += _frames(item[1])
        return batch


class GivenUpError(Exception):
    """What was asked is not wanted any more."""


def renamed(error: VideoError, path: str, name: str) -> VideoError:
    """Return an error that calls a file by another name."""
    return type(error)(str(error).replace(path, name))


def not_started(name: str, failure: OSError | EOFError) -> WorkerCrashedError:
    """Return the error of a video for which the system gave no process, or the fork server did not come up."""
    why = os_reason(failure) if isinstance(failure, OSError) else reason(failure)
    return WorkerCrashedError(f"{name}: no process could be started to decode it ({why}); try again when there is room")


def _frames(video: VideoFrames) -> int:
    return 0 if video.pixels is None else len(video.pixels)
