"""Write files so that they are there whole, or what was there before stays."""

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from olmv.errors import OutputError

__all__ = [
    "check_writable",
    "os_reason",
    "raise_output",
    "replacing_file",
    "replacing_folder",
    "reserve",
    "temporary_beside",
    "write_all",
    "write_atomic",
    "writing_file",
]

_PIECE_BYTES = 2**16


def reserve(path: Path) -> None:
    """Get the disk's promise that every byte of a file can be written, also where it has holes.

    Before it is mapped into memory: a page of a hole that finds the disk full kills the process (SIGBUS).

    Raises:
        OSError: the disk is full (ENOSPC, EDQUOT), or the file cannot be opened.
    """
    if not hasattr(os, "posix_fallocate"):  # macOS and Windows
        return
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            if size:
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as failure:
            if failure.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):  # such a disk promises nothing
                raise


def write_atomic(path: str | Path, data: bytes | str | Iterable[bytes | str]) -> None:
    """Write a whole file, or leave what was there: a temporary file beside it, fsync, then replace.

    Pieces are written as they come, so that a large file is never in memory whole.

    A link stays a link (the file it leads to is replaced); an existing file keeps its mode. A device or a
    pipe (`/dev/stdout`) is written to directly.

    Raises:
        OutputError: the folder is missing, not writable or full, or `path` is a folder.
    """
    pieces = [data] if isinstance(data, bytes | str) else data
    # a device or a pipe may not be seekable, and is never emptied
    with writing_file(path) as temporary, temporary.open("wb", buffering=0) as file:
        _write_pieces(file.fileno(), pieces)


@contextlib.contextmanager
def writing_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary file as `replacing_file` does, for a block that does nothing but write it.

    Raises:
        OutputError: as `replacing_file`, or an OSError of the block, such as a full disk.
    """
    with replacing_file(path) as temporary:
        try:
            yield temporary
        except OSError as failure:
            raise_output(path, failure)


@contextlib.contextmanager
def replacing_file(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary file in the same folder that replaces `path` when the block ends well, else vanishes.

    A link stays a link (the file it leads to is replaced); an existing file keeps its mode, a new one gets what the
    user's umask says. Where `path` is a device or a pipe (`/dev/stdout`), it is yielded itself. An OSError of the block
    passes as it is.

    Raises:
        OutputError: the folder is missing, not writable or full, or `path` is a folder.
    """
    target = Path(os.path.realpath(path))
    temporary: Path | None = None
    try:
        try:
            mode = target.stat().st_mode if target.exists() else None
            if mode is not None and stat.S_ISDIR(mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            special = mode is not None and not stat.S_ISREG(mode)
            if not special:
                temporary = temporary_beside(target)
                # created by os.open, not mkstemp, so that the user's umask decides who may read a new file; in place of
                # an old one it is private until it has that one's mode, which may forbid writing
                os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else 0o600))
        except OSError as failure:
            raise_output(path, failure)
        if temporary is None:
            yield target
            return
        yield temporary
        try:
            _sync(temporary)
            if mode is not None:
                temporary.chmod(stat.S_IMODE(mode))
            temporary.replace(target)
            temporary = None
            _sync_folder(target.parent)
        except OSError as failure:
            raise_output(path, failure)
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


@contextlib.contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """Yield a new folder beside `path` that takes its place when the block ends well, else vanishes.

    What was at `path` is moved aside first and removed last, so that one of the two is always there. An OSError of the
    block passes as it is.

    Raises:
        OutputError: the folder that holds it is missing or not writable, or `path` is a file.
    """
    target = Path(path)
    fresh, old = temporary_beside(target), temporary_beside(target)
    try:
        try:
            if target.exists() and not target.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            fresh.mkdir()
        except OSError as failure:
            raise_output(path, failure)
        yield fresh
        try:
            if target.exists():
                target.rename(old)
            try:
                fresh.rename(target)
            except OSError:
                if old.exists():
                    old.rename(target)
                raise
            _sync_folder(target.parent)
        except OSError as failure:
            raise_output(path, failure)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        if target.exists():  # else what was there could not be put back: it stays where it is
            shutil.rmtree(old, ignore_errors=True)


def temporary_beside(path: Path) -> Path:
    """Name a temporary file or folder in the folder of `path`; nothing has that name."""
    return path.parent / f".olmv-{secrets.token_hex(6)}.tmp"


def check_writable(path: str | Path) -> None:
    """Find out now, not after an hour of work, that `path` cannot be written. Changes nothing.

    Raises:
        OutputError: the folder is missing or not writable, or `path` is a folder or a write-protected file.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if target.exists():
            if not os.access(target, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            if not target.is_file():
                return
        # only trying tells the truth on network and read-only file systems
        probe = temporary_beside(target)
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        probe.unlink()
        # a name too long for the file system, say
        target.exists()
    except OSError as failure:
        raise_output(path, failure)


def _write_pieces(descriptor: int, pieces: Iterable[bytes | str]) -> None:
    waiting = bytearray()
    for piece in pieces:
        waiting += piece.encode("utf-8") if isinstance(piece, str) else piece
        if len(waiting) >= _PIECE_BYTES:
            write_all(descriptor, waiting)
            waiting = bytearray()
    write_all(descriptor, waiting)


def write_all(descriptor: int, payload: bytes | bytearray) -> None:
    """Write every byte, however few the system takes at a time."""
    rest = memoryview(payload)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    # makes the new name itself durable; not every file system allows it
    with contextlib.suppress(OSError):
        _sync(folder)


def os_reason(failure: OSError) -> str:
    """Say why the system refused, in its words."""
    return failure.strerror or str(failure)


def raise_output(path: str | Path, failure: OSError) -> NoReturn:
    """Raise the OutputError that says why `path` cannot be written and what to do about it."""
    fixes = {
        errno.ENOENT: f"its folder does not exist; create it: mkdir -p {Path(path).parent}",
        errno.EISDIR: "it is a folder; name a file in it",
        errno.ENOTDIR: "part of its path is a file; choose another path",
        errno.EACCES: "permission denied; choose a folder that you may write to",
        errno.EPERM: "permission denied; choose a folder that you may write to",
        errno.EROFS: "the file system is read-only; choose another folder",
        errno.ENOSPC: "the disk is full; make room and run again, finished rows are kept",
        errno.EDQUOT: "your disk quota is used up; make room and run again, finished rows are kept",
        errno.EFBIG: "the file would exceed the size limit; choose another disk or raise the limit",
        errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    }
    reason = fixes.get(failure.errno or 0, f"{os_reason(failure)}; choose another output path")
    raise OutputError(f"cannot write {path}: {reason}") from failure
