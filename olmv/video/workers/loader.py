"""Many files to frames: worker processes decode while the caller computes, in order, in bounded memory.

One bad file costs one row: it is decoded in a process of its own, with a time limit and a memory cap.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Self

from olmv.arguments import check_count
from olmv.errors import UsageError
from olmv.video.decode import VideoFrames, decode_video, renamed
from olmv.video.inputs import PreparedInput, SpooledFile
from olmv.video.options import DecodeOptions, usable_cores
from olmv.video.readers.memory import MemoryVideo
from olmv.video.readers.open import check_decoder
from olmv.video.transforms import Preprocess
from olmv.video.workers.fork_server import ForkServer
from olmv.video.workers.pool import WorkerPool
from olmv.video.workers.task import Decode, Task, attempt, serve

__all__ = ["FrameLoader", "VideoFrames", "batches", "start_workers"]

# Results that wait for the caller: as many as this much memory holds, within limits.
PREFETCH_BYTES = 32 * 2**20
MOST_PREFETCHED = 64
# A batch that is not full does not wait longer for the next video than this.
PATIENCE_S = 0.1


class FrameLoader:
    """Iterates over the frames of many videos, one `VideoFrames` per path, in the order of the paths.

    With `options.every_s`, a long video comes as several `VideoFrames` in a row, see `olmv.video.frame_plan`.

    Never raises for a bad file: its row carries the error. At most `prefetch` results wait in memory. Iterating again
    decodes again (if `paths` can be iterated again).

    Args:
        paths: the files, or one; may be a generator, which is read only as far as needed. What is no path comes from
            `olmv.video.inputs.prepared`.
        preprocess: the model's input; resizing happens in the workers.
        options: frames, sampling, decoder, workers and limits.
        prefetch: results that may wait for the caller; None takes what 32 MB hold, between 1 + workers and 64.
        decode: what a worker does with a path, in place of `decode_video`: (path, preprocess, options) ->
            `VideoFrames`; what it raises becomes the row's error. A function, or an object of a class, that stands at
            the top level of a module: the workers import it.
        fork_server: of `start_workers`: its workers decode, and go on running; None for workers of one's own.
        first_parts: the part to begin with, of the paths at these places, where it is not 0.

    Raises:
        UsageError: about the decoder, a `decode` that workers cannot import, or an option out of range, see
            `DecodeOptions.check`.
        MissingDependencyError: the decoder is not installed.
    """

    def __init__(
        self,
        paths: PreparedInput | Iterable[PreparedInput],
        *,
        preprocess: Preprocess,
        options: DecodeOptions = DecodeOptions(),
        prefetch: int | None = None,
        decode: Decode = decode_video,
        fork_server: ForkServer | None = None,
        first_parts: Mapping[int, int] = {},
    ) -> None:
        check_decoder(options.decoder)
        options.check()
        if options.workers != 0 and getattr(decode, "__module__", None) == "__main__":
            raise UsageError(
                "decode is defined in the script itself, which worker processes do not import; put it into a module of "
                "its own, or use 0 workers"
            )
        if prefetch is not None:
            check_count("prefetch", prefetch)
        # a text is one path, no list of its characters
        self._paths = [paths] if isinstance(paths, str | os.PathLike | MemoryVideo | SpooledFile) else paths
        self._task = Task(decode, preprocess, options)
        self._workers = usable_cores() if options.workers is None else options.workers
        self._prefetch = _affordable(preprocess, options, self._workers) if prefetch is None else prefetch
        self._prefetch_bytes = PREFETCH_BYTES if prefetch is None else None
        self._shared = fork_server
        self._first_parts = first_parts
        self._pool: WorkerPool | None = None  # started, not yet iterated
        self._open: WorkerPool | None = None  # iterated

    def start(self) -> Self:
        """Begin to decode now and return at once, for example before a model is loaded."""
        if self._workers and self._pool is None:
            fork_server = self._shared or ForkServer(serve, self._task.prepare)
            fork_server.launch()
            self._pool = WorkerPool(
                self._paths,
                fork_server,
                workers=self._workers,
                task=self._task,
                prefetch=self._prefetch,
                prefetch_bytes=self._prefetch_bytes,
                keep=self._shared is not None,
                first_parts=self._first_parts,
            )
        return self

    def serves(self, preprocess: Preprocess, options: DecodeOptions) -> bool:
        """Tell whether this model and these options would get the same frames; mean and std come later."""
        own = self._task.preprocess
        return self._task.options == options and replace(preprocess, mean=own.mean, std=own.std) == own

    def __iter__(self) -> Iterator[VideoFrames]:
        if self._workers == 0:
            yield from self._in_this_process()
            return
        pool = self._begin()
        try:
            yield from pool
        finally:
            pool.close()

    def batches(self, batch_size: int) -> Iterator[list[VideoFrames]]:
        """Yield the videos in order, as many at a time as `batch_size` frames hold, at least one.

        A batch that is not full goes when the next video takes longer than 0.1 s: the caller had nothing to do.
        """
        if self._workers == 0:
            yield from batches(self._in_this_process(), batch_size)
            return
        pool = self._begin()
        try:
            while (video := pool.take(None)) is not None:
                batch = _Batch(batch_size)
                batch.add(video)
                until = time.monotonic() + PATIENCE_S
                while not batch.full and (video := pool.take(max(until - time.monotonic(), 0.0))) is not None:
                    if not batch.holds(video):
                        yield batch.videos
                        batch, until = _Batch(batch_size), time.monotonic() + PATIENCE_S
                    batch.add(video)
                yield batch.videos
                del batch
        finally:
            pool.close()

    def _begin(self) -> WorkerPool:
        pool = self.start()._pool
        assert pool is not None
        self._pool = None  # the next pass has one of its own
        self._open = pool
        return pool

    def _in_this_process(self) -> Iterator[VideoFrames]:
        for index, source in enumerate(self._paths):
            spooled = source if isinstance(source, SpooledFile) else None
            path = source.path if isinstance(source, SpooledFile) else source
            path = path if isinstance(path, MemoryVideo) else os.fspath(path)
            part, parts = self._first_parts.get(index, 0), 0
            try:
                while not parts or part < parts:
                    result = attempt(self._task, index, path, part)
                    result = renamed(result, spooled.path, spooled.name) if spooled else result
                    parts = parts or max(result.parts, part + 1)
                    yield replace(result, part=part, parts=parts)
                    part += 1
            finally:
                if spooled:
                    spooled.release()

    def close(self) -> None:
        """End the workers, or leave shared ones. Also happens at the end of a pass, on `break`, and on Ctrl-C."""
        for pool in (self._pool, self._open):
            if pool is not None:
                pool.close()
        self._pool = self._open = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start_workers(decode: Decode = decode_video, preprocess: Preprocess | None = None) -> ForkServer:
    """Launch a fork server whose workers serve several loaders, one after the other or together; `close` ends them.

    `decode` and `preprocess` are what most of the loaders will ask for: what these need is imported once, beforehand.
    """
    fork_server = ForkServer(serve, Task(decode, preprocess or Preprocess(), DecodeOptions()).prepare)
    fork_server.launch()
    return fork_server


class _Batch:
    """The videos of one forward pass."""

    def __init__(self, size: int) -> None:
        self.videos: list[VideoFrames] = []
        self._size = size
        self._frames = 0

    def add(self, video: VideoFrames) -> None:
        self.videos.append(video)
        self._frames += _frames_of(video)

    def holds(self, video: VideoFrames) -> bool:
        """Tell whether there is room for one more."""
        return not self.videos or self._frames + _frames_of(video) <= self._size

    @property
    def full(self) -> bool:
        """Tell whether it should wait no longer; failed files do not pile up."""
        return self._frames >= self._size or self._frames == 0 or len(self.videos) >= self._size


def batches(videos: Iterable[VideoFrames], batch_size: int) -> Iterator[list[VideoFrames]]:
    """Yield videos in order, as many at a time as `batch_size` frames hold, at least one."""
    batch = _Batch(batch_size)
    for video in videos:
        if not batch.holds(video):
            yield batch.videos
            batch = _Batch(batch_size)
        batch.add(video)
        if batch.full:
            yield batch.videos
            batch = _Batch(batch_size)
    if batch.videos:
        yield batch.videos


def _frames_of(video: VideoFrames) -> int:
    return 0 if video.pixels is None else len(video.pixels)


def _affordable(preprocess: Preprocess, options: DecodeOptions, workers: int) -> int:
    size = options.frames * 3 * preprocess.size**2
    return max(min(PREFETCH_BYTES // size, MOST_PREFETCHED), 1 + workers)
