"""Fill a library: parts of videos come in, fragments go out; one writer at a time."""

import os
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from olmv.errors import OutputError
from olmv.io.atomic import raise_output
from olmv.library.encode import LibraryPart, join_parts
from olmv.library.fragment import write_fragment
from olmv.library.settings import LIBRARY_FILE, LibrarySettings

if sys.platform != "win32":
    import fcntl

__all__ = ["LibraryWriter", "fragment_numbers"]

FRAGMENT_BYTES = 32 * 2**20
FRAGMENT_SECONDS = 30.0
"""A run that is killed loses the work of so long, and of the video at hand."""


class LibraryWriter:
    """Writes fragments of a library, and keeps others from writing it at the same time.

    Args:
        folder: of the library; it is made if it is not there.
        settings: of the run. A library that is there must have the same.

    Raises:
        UsageError: the library has another model or another sampling.
        InputError: its description is damaged.
        OutputError: it cannot be written, or another run is writing it.
    """

    def __init__(self, folder: str | Path, settings: LibrarySettings) -> None:
        self.folder = Path(folder)
        self.settings = settings
        self._lock: int | None = None
        self._parts: list[LibraryPart] = []  # of whole videos, and at the end those of one that is not whole yet
        self._whole = 0  # parts of whole videos
        self._since = time.monotonic()
        try:
            (self.folder / "fragments").mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.folder)
            for half in (self.folder / "fragments").glob(".olmv-*.tmp"):  # of a run that was killed
                shutil.rmtree(half, ignore_errors=True)
        except OSError as failure:
            raise_output(self.folder, failure)
        try:
            if (self.folder / LIBRARY_FILE).is_file():
                LibrarySettings.read(self.folder).check_same(settings, self.folder)
            else:
                settings.write(self.folder)
        except BaseException:
            self.close()
            raise

    def add(self, part: LibraryPart) -> None:
        """Take the next part of a video; a fragment is written when there is enough of whole videos.

        Raises:
            OutputError: the disk is full.
        """
        self._parts.append(part)
        if part.record.frames.part + 1 < part.record.frames.parts:
            return
        self._whole = len(self._parts)
        enough = sum(part.size for part in self._parts) >= FRAGMENT_BYTES
        if enough or time.monotonic() - self._since >= FRAGMENT_SECONDS:
            self.flush()

    def flush(self, *, removed: Iterable[str] = ()) -> None:
        """Write what is there of whole videos, and which paths are in the library no more.

        Raises:
            OutputError: the disk is full.
        """
        gone, parts = list(removed), self._parts[: self._whole]
        if parts or gone:
            number = max(fragment_numbers(self.folder), default=0) + 1
            content = join_parts(parts, dimension=self.settings.dimension, removed=gone)
            write_fragment(self.folder / "fragments" / f"{number:06d}", content)
        self._parts, self._whole = self._parts[self._whole :], 0
        self._since = time.monotonic()

    def close(self) -> None:
        """Let others write; what was not flushed is lost."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def fragment_numbers(folder: str | Path) -> list[int]:
    """List the numbers of the fragments of a library, rising."""
    root = Path(folder) / "fragments"
    return sorted(int(path.name) for path in root.iterdir() if path.name.isdecimal()) if root.is_dir() else []


def _locked(folder: Path) -> int:
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if sys.platform != "win32":
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise OutputError(
            f"{folder} is being written by another run; wait for it, or choose another library", option="output"
        ) from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
