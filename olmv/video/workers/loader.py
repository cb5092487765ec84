"""Many files to frames: worker processes decode while the caller computes, in order, in bounded memory.

One bad file costs one row: it is decoded in a process of its own, with a time limit and a memory cap.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import Self

from olmv.video.decode import DecodeSettings, VideoFrames, decode_video
from olmv.video.readers.open import check_decoder
from olmv.video.sampling import check_sampling
from olmv.video.transforms import Preprocess
from olmv.video.workers.fork_server import ForkServer
from olmv.video.workers.pool import Decode, Run, attempt, serve

__all__ = ["FrameLoader", "VideoFrames", "batches"]


class FrameLoader:
    """Iterates over the frames of many videos, one `VideoFrames` per path, in the order of the paths.

    Never raises for a bad file: its row carries the error. At most `prefetch` results wait in memory. Iterating again
    decodes again (if `paths` can be iterated again).

    Args:
        paths: the files, or one; may be a generator, which is read only as far as needed.
        preprocess: the model's input; resizing happens in the workers.
        frames: per video.
        sampling: `uniform`, `dense`, `adaptive` or `keyframes`.
        decoder: `auto`, `pyav`, `decord` or `torchcodec`.
        workers: processes; None takes one for each core, 0 decodes in this process (no isolation, no limits).
        timeout_s: per file, from the moment a worker takes it.
        memory_limit_mb: how much a worker may allocate beyond its start, per worker (Linux).
        thumbnails: also make a JPEG of each frame.
        prefetch: results that may wait for the caller; None takes 8 + 2 for each worker.

    Raises:
        UsageError, MissingDependencyError: about `decoder`.
        ValueError: a count or limit out of range, or an unknown sampling.
    """

    def __init__(
        self,
        paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        *,
        preprocess: Preprocess,
        frames: int = 8,
        sampling: str = "uniform",
        decoder: str = "auto",
        workers: int | None = None,
        timeout_s: float = 60.0,
        memory_limit_mb: int = 2048,
        thumbnails: bool = False,
        prefetch: int | None = None,
        _decode: Decode = decode_video,
    ) -> None:
        check_decoder(decoder)
        check_sampling(sampling, frames)
        if workers is not None and workers < 0:
            raise ValueError(f"workers is {workers}; use 0 for none, or None for one per core")
        if timeout_s <= 0:
            raise ValueError(f"timeout_s is {timeout_s}; use a positive number of seconds")
        if memory_limit_mb < 1:
            raise ValueError(f"memory_limit_mb is {memory_limit_mb}; use at least 1")
        if prefetch is not None and prefetch < 1:
            raise ValueError(f"prefetch is {prefetch}; use at least 1")
        # a text is one path, no list of its characters
        self._paths = [paths] if isinstance(paths, str | os.PathLike) else paths
        self._settings = DecodeSettings(
            preprocess=preprocess, frames=frames, sampling=sampling, decoder=decoder, thumbnails=thumbnails
        )
        self._workers = _cores() if workers is None else workers
        self._timeout_s = timeout_s
        self._memory_limit_mb = memory_limit_mb
        self._prefetch = 8 + 2 * self._workers if prefetch is None else prefetch
        self._decode = _decode
        self._fork_server: ForkServer | None = None
        self._run: Run | None = None

    def start(self) -> Self:
        """Launches the worker processes now and returns at once, so that they come up while a model loads."""
        if self._workers and self._fork_server is None:
            self._fork_server = ForkServer(serve, self._decode, self._settings, self._memory_limit_mb)
            self._fork_server.launch()
        return self

    def __iter__(self) -> Iterator[VideoFrames]:
        if self._workers == 0:
            yield from self._in_this_process()
            return
        self.start()
        assert self._fork_server is not None
        run = self._run = Run(
            self._paths,
            self._fork_server,
            workers=self._workers,
            timeout_s=self._timeout_s,
            memory_limit_mb=self._memory_limit_mb,
            prefetch=self._prefetch,
            requested=self._settings.frames,
        )
        self._fork_server = None
        try:
            yield from run
        finally:
            run.close()

    def _in_this_process(self) -> Iterator[VideoFrames]:
        for index, path in enumerate(self._paths):
            name = os.fspath(path)
            yield attempt(self._decode, index, name, self._settings)

    def close(self) -> None:
        """Ends the workers. Also happens at the end of the iteration, on `break`, and on Ctrl-C."""
        if self._run is not None:
            self._run.close()
            self._run = None
        if self._fork_server is not None:
            self._fork_server.close()
            self._fork_server = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def batches(videos: Iterable[VideoFrames], batch_size: int) -> Iterator[list[VideoFrames]]:
    """Videos in order, as many at a time as `batch_size` frames hold, at least one."""
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
