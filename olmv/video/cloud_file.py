"""Fetch an object from a cloud for as long as it is decoded.

It becomes a file without a name (on Linux), which is gone with the process that has it open, however that ends. The
last one is kept: a long video is decoded in several parts, one call each.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from olmv.errors import DecodeError, MissingDependencyError, NotAVideoError
from olmv.video.cloud import cloud_file_system, cloud_reason

__all__ = ["fetched"]

_PIECE = 8 * 2**20
# elsewhere, opening a descriptor again would share its place in the file
_NAMELESS = sys.platform == "linux"
_SPARE = 256 * 2**20  # that stay free on the disk


@dataclass(frozen=True)
class _Kept:
    process: int
    address: str
    state: tuple[Any, ...]
    file: IO[bytes]


_kept: list[_Kept] = []


@contextmanager
def fetched(address: str) -> Iterator[str]:
    """Yield the path of a local copy.

    Args:
        address: as `s3://bucket/a.mp4`.

    Raises:
        NotAVideoError: there is no such object.
        DecodeError: it cannot be fetched, or the disk has no room for it.
        MissingDependencyError: the package of this cloud is not installed.
    """
    try:
        files = cloud_file_system(address)
        facts = files.info(address)
        state = tuple(facts.get(name) for name in ("size", "ETag", "etag", "generation"))
        if not _kept or (_kept[0].process, _kept[0].address, _kept[0].state) != (os.getpid(), address, state):
            forget()
            _kept.append(_Kept(os.getpid(), address, state, _fetch(files, address, int(facts["size"] or 0))))
    except (DecodeError, MissingDependencyError):
        raise
    except FileNotFoundError as failure:
        raise NotAVideoError(f"{address}: {cloud_reason(address, failure)}") from None
    except Exception as failure:  # each cloud's package has errors of its own
        raise DecodeError(f"{address}: cannot be fetched: {cloud_reason(address, failure)}") from None
    yield f"/dev/fd/{_kept[0].file.fileno()}" if _NAMELESS else _kept[0].file.name


def forget() -> None:
    """Drop the copy that is kept."""
    while _kept:
        _kept.pop().file.close()


def _fetch(files: Any, address: str, size: int) -> IO[bytes]:
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if size + _SPARE > free:
        raise DecodeError(
            f"{address}: has {size:,} bytes, and {free:,} are free in {tempfile.gettempdir()}; name another folder as "
            "TMPDIR"
        )
    # it outlives this call
    local: IO[bytes] = tempfile.TemporaryFile() if _NAMELESS else tempfile.NamedTemporaryFile()  # noqa: SIM115
    try:
        with files.open(address, "rb", block_size=_PIECE, cache_type="readahead") as remote:
            shutil.copyfileobj(remote, local, _PIECE)
        local.flush()
    except BaseException:
        local.close()
        raise
    return local
