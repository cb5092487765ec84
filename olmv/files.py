"""Files that are there, whole, or reported: shipped folders, the cache, atomic writing, the row journal."""

import contextlib
import errno
import hashlib
import json
import os
import secrets
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import platformdirs

from olmv.errors import OutputError, UsageError

if sys.platform != "win32":
    import fcntl

__all__ = [
    "JsonlJournal",
    "cache_dir",
    "check_writable",
    "open_locked",
    "read_text",
    "reserve",
    "sha256_json",
    "share_dir",
    "write_atomic",
]

SHARED = ("prompts", "configs")
MAX_TEXT_BYTES = 256 * 2**20
"""Nobody writes a label file of this size; somebody will pass a video in its place."""
_PIECE_BYTES = 2**16
_LOCK_ATTEMPTS = 10  # bounded: some network file systems give a file a new number at every look


def share_dir(name: str) -> Path:
    """The shipped folder `prompts` or `configs`.

    A wheel carries it as `olmv/_share/NAME`; in an editable checkout it is `NAME` beside the package.

    Raises:
        UsageError: there is no such folder, or the installation lacks it.
    """
    if name not in SHARED:
        raise UsageError(f"olmv ships no folder {name!r}; it ships {' and '.join(SHARED)}")
    package = Path(__file__).resolve().parent
    installed = package / "_share" / name
    if installed.is_dir():
        return installed
    checkout = package.parent
    # site-packages may hold somebody else's folder "configs": only our own checkout counts
    if (checkout / "pyproject.toml").is_file() and (checkout / name).is_dir():
        return checkout / name
    raise UsageError(f"this installation of olmv lacks its folder {name!r}; reinstall it with pip")


def cache_dir() -> Path:
    """Where olmv keeps what it can make again: `$OLMV_CACHE`, else the user's cache. Not created here."""
    chosen = os.environ.get("OLMV_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return platformdirs.user_cache_path("olmv", appauthor=False)


def sha256_json(obj: object) -> str:
    """SHA-256 (hexadecimal) of plain data, the same for equal data whatever the order of its keys."""
    text = json.dumps(obj, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def read_text(path: str | Path, *, error: type[UsageError] = UsageError) -> str:
    """The text of a UTF-8 file, without its byte order mark.

    Args:
        path: the file.
        error: the class to raise, so that a label file fails as a `VocabularyError`.

    Raises:
        UsageError: it cannot be read, is not UTF-8 (the byte is named), or is far too large for a text.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TEXT_BYTES + 1)
    except FileNotFoundError:
        raise error(f"no such file: {path}") from None
    except OSError as failure:
        raise error(f"cannot read {path}: {_reason(failure)}") from failure
    if len(data) > MAX_TEXT_BYTES:
        raise error(f"{path} is larger than {MAX_TEXT_BYTES >> 20} MiB; is it a text file?")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise error(f"{path} is UTF-16, not UTF-8; convert it: iconv -f UTF-16 -t UTF-8 {path.name}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        # utf-8-sig counts from after the byte order mark
        offset = failure.start + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
        raise error(
            f"{path} is not UTF-8 (byte 0x{data[offset]:02x} at offset {offset}); "
            f"save it as UTF-8, or convert it: iconv -f LATIN1 -t UTF-8 {path.name}"
        ) from failure


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
    target = Path(os.path.realpath(path))
    temporary: Path | None = None
    try:
        mode = target.stat().st_mode if target.exists() else None
        if mode is not None and stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if mode is not None and not stat.S_ISREG(mode):
            with target.open("wb", buffering=0) as file:
                _write_pieces(file.fileno(), pieces)
            return
        temporary = target.parent / f".olmv-{secrets.token_hex(6)}.tmp"
        # created by os.open, not mkstemp, so that the user's umask decides who may read a new file
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            if mode is not None:
                os.fchmod(descriptor, stat.S_IMODE(mode))
            _write_pieces(descriptor, pieces)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(target)
        temporary = None
        _sync_folder(target.parent)
    except OSError as failure:
        _raise_output(path, failure)
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


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
        probe = target.parent / f".olmv-{secrets.token_hex(6)}.tmp"
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        probe.unlink()
        # a name too long for the file system, say
        target.exists()
    except OSError as failure:
        _raise_output(path, failure)


class JsonlJournal:
    """A file of JSON rows that survives being killed: a row is with the system before the next begins.

    A kill can only tear the last line. Reading leaves a torn line out; `open` and `append` cut it off, once the file
    is locked: without the lock it may be the half-written row of another run. The file is locked while it is open
    for appending, so that two runs cannot mix their rows.

    Args:
        path: the file; it is created by the first `append` (or `open`).
        durable: also wait until each row is on the disk, so that it survives a power cut. For rows that are
            few or dear: it costs some milliseconds a row.
    """

    def __init__(self, path: str | Path, *, durable: bool = False) -> None:
        self.path = Path(path)
        self._durable = durable
        self._descriptor: int | None = None
        self._size = 0  # what the file must have while it is ours

    def __enter__(self) -> "JsonlJournal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows, one at a time, without a torn last line.

        Raises:
            OutputError: a whole line is not a JSON object, or the file cannot be read.
        """
        return (row for _, row in self._walk() if row is not None)

    def offsets(self, key: str) -> dict[str, int]:
        """Where in the file the last row with each value of `key` begins, for `row_at`. Rows without it are skipped.

        Raises:
            OutputError: as `rows`.
        """
        return {str(row[key]): begin for begin, row in self._walk() if row is not None and key in row}

    def row_at(self, offset: int) -> dict[str, Any]:
        """The row that begins there.

        Raises:
            OutputError: as `rows`.
        """
        _, row = next(self._walk(offset), (0, None))
        if row is None:
            raise OutputError(f"{self.path} has no row at byte {offset}; was it changed by hand?")
        return row

    def _walk(self, begin: int = 0) -> Iterator[tuple[int, dict[str, Any] | None]]:
        """(offset, row) of every line; a torn last one has no row."""
        try:
            with self.path.open("rb") as file:
                file.seek(begin)
                for number, line in enumerate(file, start=1):
                    yield begin, self._parse(line, number) if line.endswith(b"\n") else None
                    begin += len(line)
        except FileNotFoundError:
            return
        except OSError as failure:
            raise OutputError(f"cannot read {self.path}: {_reason(failure)}") from failure

    def read(self) -> list[dict[str, Any]]:
        """All rows, without a torn last line. See `rows`, which needs no memory for them.

        Raises:
            OutputError: as `rows`.
        """
        return list(self.rows())

    def open(self) -> None:
        """Create the file if need be, lock it, and cut off a torn last line. `append` does so by itself.

        Raises:
            OutputError: it cannot be written, another run is writing it, or it holds other things than rows.
        """
        if self._descriptor is not None:
            return
        try:
            descriptor = open_locked(self.path)
        except OSError as failure:
            _raise_output(self.path, failure)
        try:
            if not _ends_with_newline(descriptor):
                self._cut_torn_line(descriptor)
            self._size = os.fstat(descriptor).st_size
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def append(self, row: Mapping[str, Any]) -> None:
        """Append one row and hand it to the operating system.

        Raises:
            OutputError: as `open`; the file was removed or changed since the last row; or the disk is full, and then
                what was written of this row is taken back.
        """
        self.open()
        assert self._descriptor is not None
        self.check_unchanged()
        payload = encode_row(row)
        try:
            _write_all(self._descriptor, payload)
            if self._durable:
                os.fsync(self._descriptor)
        except OSError as failure:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            _raise_output(self.path, failure)
        self._size += len(payload)

    def check_unchanged(self) -> None:
        """Make sure that the file is there and holds what was appended, and nothing else.

        A run that writes into a file that somebody removed must not report success. Does nothing before `open`.

        Raises:
            OutputError: it was removed, replaced, cut or written to by something else.
        """
        if self._descriptor is None:
            return
        opened = os.fstat(self._descriptor)
        try:
            named = self.path.stat()
        except OSError:
            raise OutputError(
                f"{self.path} was removed while this run was writing it, and its rows with it; "
                "run the same command again"
            ) from None
        size = opened.st_size if os.path.samestat(opened, named) else named.st_size
        if size != self._size:
            raise OutputError(
                f"{self.path} was changed by something else while this run was writing it ({self._size} bytes were "
                f"written, {size} are there); look at its rows, then run the same command to go on"
            )

    def clear(self) -> None:
        """Lock the file and drop every row.

        Raises:
            OutputError: as `open`, or it cannot be cut.
        """
        if self._descriptor is None:
            try:
                self._descriptor = open_locked(self.path)
            except OSError as failure:
                _raise_output(self.path, failure)
        try:
            os.ftruncate(self._descriptor, 0)
        except OSError as failure:
            _raise_output(self.path, failure)
        self._size = 0

    def close(self) -> None:
        """Close the file and unlock it. May be called twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise OutputError(
                f"{self.path} line {number} is not a row that olmv wrote; remove that line and run again, "
                "or move the file away"
            )
        return row

    def _cut_torn_line(self, descriptor: int) -> None:
        begins = [begin for begin, row in self._walk() if row is None]  # raises before a foreign file is cut
        try:
            for begin in begins:
                os.ftruncate(descriptor, begin)
        except OSError as failure:
            _raise_output(self.path, failure)


def open_locked(path: Path) -> int:
    """Open a file for reading and appending, create it if need be, and lock it until the descriptor is closed.

    Raises:
        OutputError: another run holds the lock.
        OSError: it cannot be opened.
    """
    for attempt in range(_LOCK_ATTEMPTS):
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            _lock(descriptor, path)
            # the run that held the lock may have put another file in its place before it let go
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()) or attempt == _LOCK_ATTEMPTS - 1:
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def _lock(descriptor: int, path: Path) -> None:
    if sys.platform == "win32":
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(f"another run is writing {path}; wait for it or choose another output") from None
    except OSError:
        pass  # some network file systems know no locks; a run is worth more than this guard


def encode_row(row: Mapping[str, Any]) -> bytes:
    """One row as a line of UTF-8 JSON, with its newline."""
    try:
        return (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
    except UnicodeEncodeError:
        # a file name that is not UTF-8 holds lone surrogates; escaped, it finds its file again
        return (json.dumps(row, allow_nan=False) + "\n").encode("ascii")


def _ends_with_newline(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"


def _write_pieces(descriptor: int, pieces: Iterable[bytes | str]) -> None:
    waiting = bytearray()
    for piece in pieces:
        waiting += piece.encode("utf-8") if isinstance(piece, str) else piece
        if len(waiting) >= _PIECE_BYTES:
            _write_all(descriptor, waiting)
            waiting = bytearray()
    _write_all(descriptor, waiting)


def _write_all(descriptor: int, payload: bytes | bytearray) -> None:
    rest = memoryview(payload)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync_folder(folder: Path) -> None:
    # makes the new name itself durable; not every file system allows it
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _reason(failure: OSError) -> str:
    return failure.strerror or str(failure)


def _raise_output(path: str | Path, failure: OSError) -> NoReturn:
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
    reason = fixes.get(failure.errno or 0, f"{_reason(failure)}; choose another output path")
    raise OutputError(f"cannot write {path}: {reason}") from failure
