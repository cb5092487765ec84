"""Many files to frames: worker processes decode while the caller computes, in order, in bounded memory.

One bad file costs one row: it is decoded in a process of its own, with a time limit and a memory cap.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import Self

from olmv.errors import UsageError
from olmv.video.decode import VideoFrames, decode_video
from olmv.video.options import DecodeOptions
from olmv.video.readers.open import check_decoder
from olmv.video.transforms import Preprocess
from olmv.video.workers.fork_server import ForkServer
from olmv.video.workers.pool import Decode, WorkerPool, attempt, serve

__all__ = ["FrameLoader", "VideoFrames", "batches"]


class FrameLoader:
    """Iterates over the frames of many videos, one `VideoFrames` per path, in the order of the paths.

    Never raises for a bad file: its row carries the error. At most `prefetch` results wait in memory. Iterating again
    decodes again (if `paths` can be iterated again).

    Args:
        paths: the files, or one; may be a generator, which is read only as far as needed.
        preprocess: the model's input; resizing happens in the workers.
        options: frames, sampling, decoder, workers and limits.
        prefetch: results that may wait for the caller; None takes 8 + 2 for each worker.
        decode: what a worker does with a path, in place of `decode_video`: (path, preprocess, options) ->
            `VideoFrames`; what it raises becomes the row's error. A function, or an object of a class, that stands at
            the top level of a module: the workers import it.

    Raises:
        UsageError: about the decoder, or a `decode` that workers cannot import.
        MissingDependencyError: the decoder is not installed.
        ValueError: an option out of range, see `DecodeOptions.check`.
    """

    def __init__(
        self,
        paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        *,
        preprocess: Preprocess,
        options: DecodeOptions = DecodeOptions(),
        prefetch: int | None = None,
        decode: Decode = decode_video,
    ) -> None:
        check_decoder(options.decoder)
        options.check()
        if options.workers != 0 and getattr(decode, "__module__", None) == "__main__":
            raise UsageError(
                "decode is defined in the script itself, which worker processes do not import; put it into a module of "
                "its own, or use 0 workers"
            )
        if prefetch is not None and prefetch < 1:
            raise ValueError(f"prefetch is {prefetch}; use at least 1")
        # a text is one path, no list of its characters
        self._paths = [paths] if isinstance(paths, str | os.PathLike) else paths
        self._preprocess, self._options, self._decode = preprocess, options, decode
        self._workers = _cores() if options.workers is None else options.workers
        self._prefetch = 8 + 2 * self._workers if prefetch is None else prefetch
        self._fork_server: ForkServer | None = None
        self._pool: WorkerPool | None = None

    def start(self) -> Self:
        """Launch the worker processes now and return at once, so that they come up while a model loads."""
        if self._workers and self._fork_server is None:
            self._fork_server = ForkServer(serve, self._decode, self._preprocess, self._options)
            self._fork_server.launch()
        return self

    def __iter__(self) -> Iterator[VideoFrames]:
        if self._workers == 0:
            yield from self._in_this_process()
            return
        self.start()
        assert self._fork_server is not None
        pool = self._pool = WorkerPool(
            self._paths,
            self._fork_server,
            workers=self._workers,
            options=self._options,
            prefetch=self._prefetch,
        )
        self._fork_server = None
        try:
            yield from pool
        finally:
            pool.close()

    def _in_this_process(self) -> Iterator[VideoFrames]:
        for index, path in enumerate(self._paths):
            name = os.fspath(path)
            yield attempt(self._decode, index, name, self._preprocess, self._options)

    def close(self) -> None:
        """End the workers. Also happens at the end of the iteration, on `break`, and on Ctrl-C."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None
        if self._fork_server is not None:
            self._fork_server.close()
            self._fork_server = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def batches(videos: Iterable[VideoFrames], batch_size: int) -> Iterator[list[VideoFrames]]:
    """Yield videos in order, as many at a time as `batch_size` frames hold, at least one."""
    batch: list[VideoFrames] = []
    frames = 0
    for video in videos:
        count = 0 if video.pixels is None else len(video.pixels)
        if batch and frames + count > batch_size:
            yield batch
            batch, frames = [], 0
        batch.append(video)
        frames += count
        if frames >= batch_size or frames == 0 or len(batch) >= batch_size:  # failed files do not pile up
            yield batch
            batch, frames = [], 0
    if batch:
        yield batch


def _cores() -> int:
    with contextlib.suppress(AttributeError):  # only the cores that this process may use (containers, taskset)
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
