"""A folder for what clients send, which no other process shares, and which goes when its server is gone.

PARENT/.lock             held while folders come and go
PARENT/serve-PID-XXXX/   of one server, for its user only; `.lock` in it is held as long as that server lives
"""

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from olmv.errors import OutputError
from olmv.io.atomic import os_reason

__all__ = ["PrivateFile", "PrivateFolder"]

_PREFIX = "serve-"
_LOCK = ".lock"
SPARE = 64 * 2**20
"""Bytes of the disk that are left to others."""


class PrivateFile:
    """A file of a private folder, open for writing.

    Attributes:
        path: its path, a random name without an ending.
        size: bytes that were written.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.size = path, 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
        self._file: BinaryIO = open(os.open(path, flags, 0o600), "wb", buffering=0)  # noqa: SIM115, PTH123

    def write(self, data: bytes | memoryview) -> None:
        """Append all of it; raises OSError where the disk does not take it."""
        view = memoryview(data)
        while view:
            written = self._file.write(view)
            self.size += written
            view = view[written:]

    def close(self) -> None:
        """Close it; it stays on disk."""
        self._file.close()

    def remove(self) -> None:
        """Close it and remove it, if it is still there."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self.path.unlink()


class PrivateFolder:
    """The folder of this server, made new; those of servers that died are removed.

    Args:
        parent: where it is made; itself made if need be.

    Raises:
        OutputError: it cannot be made there.
    """

    def __init__(self, parent: str | Path) -> None:
        self._parent = Path(parent)
        try:
            self._parent.mkdir(parents=True, exist_ok=True)
            with _locked(self._parent / _LOCK):
                self._sweep()
                self.path = self._parent / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
                """The folder, of mode 0700."""
                self.path.mkdir(mode=0o700)
                self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as failure:
            reason = os_reason(failure)
            raise OutputError(
                f"{self._parent}: no folder for uploads can be made here ({reason}); name another in OLMV_CACHE"
            ) from None

    def new_file(self) -> PrivateFile:
        """Make an empty file with a random name, for this user only; raises OSError where that cannot be."""
        return PrivateFile(self.path / secrets.token_hex(16))

    def room_bytes(self) -> int:
        """Return how much more its disk may take, so that some is left to others; below 0 where too little is."""
        return shutil.disk_usage(self.path).free - SPARE

    def close(self) -> None:
        """Remove the folder and all in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.close(self._lock)

    def __enter__(self) -> "PrivateFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _sweep(self) -> None:
        """Remove the folders that no living server holds: nobody can make one meanwhile."""
        for folder in self._parent.glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):
                status = folder.lstat()
                if status.st_uid == os.geteuid() and not folder.is_symlink() and not _is_held(folder / _LOCK):
                    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock file, waiting for it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _is_held(path: Path) -> bool:
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return False  # its server died before it could take the lock
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
