"""What a caller may give for a video: a path, a file's bytes, an open file, an array, PIL images.

A file that has no path is written to one of its own, which only this user may read, just before it is decoded, and is
deleted right after. So what waits takes no room on the disk, and a bad file is decoded where it can do no harm.
"""

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np

from olmv.arguments import check_number, kind_of
from olmv.errors import DecodeError, NotAVideoError, UsageError, VideoError, reason
from olmv.video.readers.memory import MemoryVideo

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

__all__ = ["PreparedInput", "SpooledFile", "VideoInput", "check_input", "input_name", "prepared", "separate"]

VideoInput: TypeAlias = Union[
    str,
    "os.PathLike[str]",
    bytes,
    bytearray,
    memoryview,
    IO[bytes],
    "np.ndarray[Any, Any]",
    "Tensor",
    "Image",
    "list[Image]",
]
"""A path; a file's bytes; a file open for reading bytes; uint8 [T, H, W, 3]; a photo; the frames of a clip."""

_PIECE = 2**20
_SINGLE = (str, os.PathLike, bytes, bytearray, memoryview, np.ndarray)
_KINDS = "a path, bytes, a file opened with 'rb', a uint8 array [T, H, W, 3], a PIL image or a list of them"


class SpooledFile:
    """A file without a path, written to one for as long as it is decoded.

    Args:
        name: what its row is called.
        source: its bytes, or from where they are read.

    Attributes:
        path: where it lies now.

    Raises:
        NotAVideoError: it cannot be read.
        DecodeError: it cannot be written.
    """

    def __init__(self, name: str, source: Any) -> None:
        self.name = name
        try:
            number, self.path = tempfile.mkstemp(prefix="olmv-")  # mode 0600
        except OSError as failure:
            raise _no_room(name, failure) from None
        try:
            with os.fdopen(number, "wb") as local:
                for piece in _pieces(name, source):
                    local.write(piece)
        except OSError as failure:
            self.release()
            raise _no_room(name, failure) from None
        except BaseException:
            self.release()
            raise

    def __str__(self) -> str:
        return self.name

    def release(self) -> None:
        """Delete it; safe to call twice."""
        Path(self.path).unlink(missing_ok=True)


PreparedInput: TypeAlias = Union[str, "os.PathLike[str]", MemoryVideo, SpooledFile]
"""What a `FrameLoader` takes."""


def separate(inputs: Any) -> Iterable[Any]:
    """Return the inputs one by one, of which there may be a single one that is not in a list."""
    if isinstance(inputs, np.ndarray) and inputs.ndim == 1 and inputs.dtype.kind in "OU":
        return list(inputs.tolist())  # a column of a table
    if isinstance(inputs, _SINGLE) or _is_image(inputs) or _is_tensor(inputs) or hasattr(inputs, "read"):
        return [inputs]
    if not isinstance(inputs, Iterable):
        raise UsageError(f"the videos are {kind_of(inputs)}; give a list, each of it {_KINDS}")
    return inputs


def prepared(inputs: Iterable[Any], *, fps: float | None = None, timed: bool = False) -> Iterator[PreparedInput]:
    """Check the inputs and yield, one at a time, what a `FrameLoader` takes.

    Args:
        inputs: of any kind of `VideoInput`. Those of a list are checked at once, others when their turn comes.
        fps: frames per second of arrays and lists of images; None where nobody knows.
        timed: the frames are chosen by their times: an array without `fps` is an error then.

    Raises:
        UsageError: one is of another kind, an array of another shape, a file open for text or closed. Of a list,
            raised by the call.
    """
    if fps is not None:
        check_number("fps", fps, what="the frames per second")
    if fps is not None and not 0 < fps < float("inf"):
        raise UsageError(f"fps is {fps:g}; give the frames per second, above 0", option="fps")
    if isinstance(inputs, list | tuple):
        for place, value in enumerate(inputs):
            check_input(value, place, timed=timed and fps is None)
    return _prepared(inputs, fps, timed and fps is None)


def _prepared(inputs: Iterable[Any], fps: float | None, timed: bool) -> Iterator[PreparedInput]:
    for place, value in enumerate(inputs):
        if isinstance(value, str | os.PathLike) and value != "":
            yield value
            continue
        check_input(value, place, timed=timed)
        name = input_name(value, place)
        if _is_image(value):
            yield MemoryVideo(name, [value], 0.0)
        elif isinstance(value, list | tuple) or _is_tensor(value) or isinstance(value, np.ndarray):
            frames = value.detach().cpu().numpy() if _is_tensor(value) else value
            yield MemoryVideo(name, frames, None if fps is None else len(frames) / fps)
        else:
            try:
                yield SpooledFile(name, value)
            except VideoError as error:
                yield MemoryVideo(name, (), error=error)
        del value  # the caller's array is not needed while the next is waited for


def input_name(value: Any, place: int) -> str:
    """Return what an input is called: its path, its file's name if it knows one, else what it is and its place."""
    if isinstance(value, str | os.PathLike):
        return os.fspath(value)
    named = getattr(value, "filename" if _is_image(value) else "name", None)
    if isinstance(named, str) and named:
        return named
    kinds: dict[type, str] = {bytes: "bytes", bytearray: "bytes", memoryview: "bytes", list: "images", tuple: "images"}
    kind = "image" if _is_image(value) else "file" if hasattr(value, "read") else kinds.get(type(value), "array")
    return f"<{kind} {place}>"


def check_input(value: Any, place: int, *, timed: bool = False) -> None:
    """Check that an input is of a kind that can be looked at.

    Args:
        value: the input.
        place: among all, from 0.
        timed: as `prepared`.

    Raises:
        UsageError: it is not.
    """
    what = f"input {place}"
    if isinstance(value, str) and not value:
        raise UsageError(f"{what} is an empty text; give {_KINDS}")
    if isinstance(value, str | bytes | bytearray | memoryview | os.PathLike) or _is_image(value):
        return
    if isinstance(value, list | tuple):
        if other := [item for item in value if not _is_image(item)]:
            raise UsageError(
                f"{what} is a list with {kind_of(other[0])} in it; the frames of a clip are PIL images, or one array "
                "[T, H, W, 3] (numpy.stack)"
            )
    elif isinstance(value, np.ndarray) or _is_tensor(value):
        _check_array(value, what)
    elif hasattr(value, "read"):
        if getattr(value, "closed", False):
            raise UsageError(f"{what} is a closed file; keep it open until its prediction is there")
        if hasattr(value, "encoding"):
            raise UsageError(f"{what} is a file opened as text; open it with 'rb'")
        return
    else:
        raise UsageError(f"{what} is {kind_of(value)}; give {_KINDS}")
    if timed:
        raise UsageError(f"{what} has no times, which a timeline and every_s take; give its fps", option="fps")


def _check_array(array: Any, what: str) -> None:
    shape, dtype = tuple(array.shape), str(array.dtype).removeprefix("torch.")
    told = f"{what} is an array of {dtype} {list(shape)}"
    if dtype.startswith(("float", "bfloat")):
        cast = "byte()" if _is_tensor(array) else "astype('uint8')"
        raise UsageError(f"{told}; give uint8, 0 to 255; of numbers up to 1: (array * 255).{cast}")
    if dtype != "uint8":
        raise UsageError(f"{told}; give uint8, 0 to 255")
    if len(shape) == 3 and 3 not in (shape[0], shape[2]):
        raise UsageError(f"{told}; a clip is [T, H, W, 3], of grey frames numpy.stack([array] * 3, -1)")
    if len(shape) == 3:
        raise UsageError(f"{told}; a clip is [T, H, W, 3], of a single frame array[None]")
    if len(shape) != 4:
        raise UsageError(f"{told}; a clip is [T, H, W, 3], and several are a list of such arrays")
    if shape[3] != 3 and shape[1] == 3:
        move = "permute" if _is_tensor(array) else "transpose"
        raise UsageError(f"{told}; its colours come last, [T, H, W, 3]: array.{move}(0, 2, 3, 1)")
    if shape[3] == 4:
        raise UsageError(f"{told}; a clip is [T, H, W, 3], in RGB: array[..., :3] of RGBA")
    if shape[3] != 3 or 0 in shape[1:]:
        raise UsageError(f"{told}; a clip is [T, H, W, 3], in RGB")


def _pieces(name: str, source: Any) -> Iterator[bytes | bytearray | memoryview]:
    """Yield the bytes of a source."""
    if not hasattr(source, "read"):
        yield source
        return
    while True:
        try:
            piece = source.read(_PIECE)
        except (OSError, ValueError) as failure:
            raise NotAVideoError(f"{name}: cannot be read ({reason(failure)}); is the file open and whole?") from None
        if not isinstance(piece, bytes | bytearray | memoryview):
            raise UsageError(f"{name}: reading it gives {kind_of(piece)}, not bytes; open it with 'rb'")
        if not piece:
            return
        yield piece


def _no_room(name: str, failure: OSError) -> DecodeError:
    return DecodeError(
        f"{name}: cannot be written to {tempfile.gettempdir()} ({reason(failure)}); name another folder as TMPDIR"
    )


def _is_image(value: Any) -> bool:
    """Tell whether this is a PIL image, without importing PIL for what cannot be one."""
    module: Any = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)


def _is_tensor(value: Any) -> bool:
    module: Any = sys.modules.get("torch")
    return module is not None and isinstance(value, module.Tensor)
