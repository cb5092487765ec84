"""Keep rows in a file as they come, one JSON object a line, so that a killed run loses none."""

import contextlib
import errno
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from olmv.errors import OutputError

if sys.platform != "win32":
    import fcntl
from olmv.io.atomic import os_reason, raise_output, write_all

__all__ = ["JsonlJournal", "ends_with_newline", "is_locked", "open_locked"]

_LOCK_ATTEMPTS = 10  # bounded: some network file systems give a file a new number at every look


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
        """Yield the rows, one at a time, without a torn last line.

        Raises:
            OutputError: a whole line is not a JSON object, or the file cannot be read.
        """
        return (row for _, row in self._walk() if row is not None)

    def offsets(self, key: str) -> dict[str, int]:
        """Map each value of `key` to where its last row begins, for `row_at`. Rows without it are skipped.

        Raises:
            OutputError: as `rows`.
        """
        return {str(row[key]): begin for begin, row in self._walk() if row is not None and key in row}

    def places(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield where each row begins, for `row_at`, and the row, without a torn last line.

        Raises:
            OutputError: as `rows`.
        """
        return ((begin, row) for begin, row in self._walk() if row is not None)

    def row_at(self, offset: int) -> dict[str, Any]:
        """Read the row that begins there.

        Raises:
            OutputError: as `rows`.
        """
        _, row = next(self._walk(offset), (0, None))
        if row is None:
            raise OutputError(f"{self.path} has no row at byte {offset}; was it changed by hand?")
        return row

    def _walk(self, begin: int = 0) -> Iterator[tuple[int, dict[str, Any] | None]]:
        """Yield (offset, row) of every line; a torn last one has no row."""
        try:
            with self.path.open("rb") as file:
                file.seek(begin)
                for number, line in enumerate(file, start=1):
                    yield begin, self._parse(line, number) if line.endswith(b"\n") else None
                    begin += len(line)
        except FileNotFoundError:
            return
        except OSError as failure:
            raise OutputError(f"cannot read {self.path}: {os_reason(failure)}") from failure

    def read(self) -> list[dict[str, Any]]:
        """Read all rows, without a torn last line. See `rows`, which needs no memory for them.

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
            raise_output(self.path, failure)
        try:
            if not ends_with_newline(descriptor):
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
        payload, before = encode_row(row), self._size
        try:
            write_all(self._descriptor, payload)
            self._size += len(payload)  # Ctrl-C while the disk is waited for does not undo the row
            if self._durable:
                os.fsync(self._descriptor)
        except OSError as failure:
            self._size = before
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, before)
            raise_output(self.path, failure)

    @property
    def size(self) -> int:
        """Return how many bytes of rows are in the file, as far as this process has looked."""
        return self._size

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
                raise_output(self.path, failure)
        try:
            os.ftruncate(self._descriptor, 0)
        except OSError as failure:
            raise_output(self.path, failure)
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
            raise_output(self.path, failure)


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


def is_locked(path: Path) -> bool:
    """Tell whether a run is writing a file now; changes nothing."""
    if sys.platform == "win32":
        return False
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass  # it cannot be opened, which whoever reads it will say, or its file system knows no locks
    return False


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
    """Return one row as a line of UTF-8 JSON, with its newline."""
    try:
        return (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
    except UnicodeEncodeError:
        # a file name that is not UTF-8 holds lone surrogates; escaped, it finds its file again
        return (json.dumps(row, allow_nan=False) + "\n").encode("ascii")


def ends_with_newline(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
