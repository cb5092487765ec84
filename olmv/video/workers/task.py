"""What a worker process does with a path, and how its result travels back."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from olmv import errors
from olmv.errors import DecodeError, ProgramFaultError, VideoError, WorkerCrashedError
from olmv.video.decode import VideoFrames, failed
from olmv.video.options import DecodeOptions
from olmv.video.readers.memory import MemoryVideo
from olmv.video.transforms import ModelPixels, Preprocess
from olmv.video.workers.fork_server import limit_memory, used_memory_kb

__all__ = ["Decode", "Task", "attempt", "over_memory", "receive_result", "serve"]

Decode = Callable[..., VideoFrames]
"""What a worker does with (path, preprocess, options); for a later part of a file also `part=`, its number.

An object may have a `prepare`, which the fork server calls before it forks."""


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


def attempt(task: Task, index: int, path: str | MemoryVideo, part: int = 0) -> VideoFrames:
    """Do the task with one path, or a later part of it, with every failure but MemoryError turned into a row."""
    try:
        which = {"part": part} if part else {}
        return replace(task.decode(path, task.preprocess, task.options, **which), index=index, path=str(path))
    except VideoError as error:
        return failed(index, str(path), error, requested=task.options.frames)
    except MemoryError:
        raise
    except Exception as error:  # a bug must not cost the run; what is wrong with a file, the readers say themselves
        return failed(index, str(path), _fault(str(path), error), requested=task.options.frames)


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
        index, part, path, task = connection.recv()
        limit_memory(used_kb, task.options.memory_limit_mb)
        try:
            result = attempt(task, index, path, part)
        except MemoryError:
            error = WorkerCrashedError(f"{path}: {over_memory(task.options.memory_limit_mb)}")
            _send_result(connection, failed(index, path, error, requested=task.options.frames), fatal=True)
            return
        _send_result(connection, result, fatal=False)
        del result


def over_memory(limit_mb: int) -> str:
    """Say, after the name of a file, that it takes more memory than a worker may use."""
    return f"needs more than {limit_mb} MB to decode; raise the memory limit, or convert the file"


def _send_result(connection: Connection, result: VideoFrames, *, fatal: bool) -> None:
    """Send the header, then the pixels as they lie in memory; errors as (class name, text), so that none is lost."""
    pixels = None if result.pixels is None else np.ascontiguousarray(result.pixels)
    error = None if result.error is None else (type(result.error).__name__, str(result.error))
    kind = None if pixels is None else (pixels.shape, pixels.dtype.str)
    connection.send((replace(result, pixels=None, error=None), error, kind, fatal))
    if pixels is not None and pixels.size:
        connection.send_bytes(_bytes_of(pixels))


def receive_result(connection: Connection) -> tuple[VideoFrames, bool]:
    """Receive what a worker sent: a result, and whether the worker ends with it."""
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
