"""Fill a library: parts of videos come in, fragments go out; one writer at a time."""

import os
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from olmv.errors import OutputError
from olmv.io.atomic import raise_output
from olmv.library.encode import LibraryPart, join_parts
from olmv.library.files import LibraryFiles
from olmv.library.fragment import Fragment, FragmentContent, write_fragment
from olmv.library.linking import link_fragment
from olmv.library.listing import FRAGMENTS, Listing, write_listing
from olmv.library.settings import LIBRARY_FILE, LibrarySettings, check_fillable

if sys.platform != "win32":
    import fcntl

__all__ = ["LibraryWriter"]

FRAGMENT_BYTES = 32 * 2**20
FRAGMENT_SECONDS = 30.0
"""A run that is killed loses the work of so long, and of the video at hand."""


class LibraryWriter:
    """Writes fragments of a library, and keeps others from writing it at the same time.

    Args:
        folder: of the library; it is made if it is not there.
        settings: of the run. A library that is there must have the same.

    Attributes:
        numbers: of the fragments that the library has, rising.
        missing: of those that it had and that are gone; it is written without them.

    Raises:
        UsageError: the library has another model or another sampling.
        InputError: its description is damaged.
        OutputError: it cannot be written, there is something else, or another run is writing it.
    """

    def __init__(self, folder: str | Path, settings: LibrarySettings) -> None:
        self.folder = Path(folder)
        self.settings = settings
        self._lock: int | None = None
        self._parts: list[LibraryPart] = []  # of whole videos, and at the end those of one that is not whole yet
        self._whole = 0  # parts of whole videos
        self._bytes = 0  # of all of them
        self._since = time.monotonic()
        self._reserved: set[int] = set()
        check_fillable(folder)
        try:
            (self.folder / FRAGMENTS).mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.folder)
            for place in (self.folder, self.folder / FRAGMENTS):  # of a run that was killed
                for half in place.glob(".olmv-*.tmp"):
                    shutil.rmtree(half) if half.is_dir() else half.unlink()
        except OSError as failure:
            raise_output(self.folder, failure)
        try:
            if (self.folder / LIBRARY_FILE).is_file():
                LibrarySettings.read(self.folder).check_same(settings, self.folder)
            else:
                settings.write(self.folder)
            listing = Listing.read(self.folder)
            self.numbers, self.missing, self._last = listing.numbers, listing.missing, listing.last
            self._remove(listing.leftover)
        except BaseException:
            self.close()
            raise

    def add(self, part: LibraryPart) -> None:
        """Take the next part of a video; a fragment is written when there is enough of whole videos.

        Raises:
            OutputError: the disk is full.
        """
        self._parts.append(part)
        self._bytes += part.size
        if part.record.frames.part + 1 < part.record.frames.parts:
            return
        self._whole = len(self._parts)
        if self._bytes >= FRAGMENT_BYTES or time.monotonic() - self._since >= FRAGMENT_SECONDS:
            self.flush()

    def flush(self, *, removed: Iterable[str] = ()) -> None:
        """Write what is there of whole videos, and which paths are in the library no more.

        Raises:
            OutputError: the disk is full.
        """
        gone, parts = list(removed), self._parts[: self._whole]
        if parts or gone:
            self.write(join_parts(parts, dimension=self.settings.dimension, removed=gone))
        self._parts, self._whole = self._parts[self._whole :], 0
        self._bytes = sum(part.size for part in self._parts)
        self._since = time.monotonic()

    def write(self, content: FragmentContent) -> None:
        """Write a fragment.

        Raises:
            OutputError: the disk is full.
        """
        self._last += 1
        write_fragment(self.place(self._last), content)
        self.numbers = [*self.numbers, self._last]
        write_listing(self.folder, self.numbers)

    def adopt(self, fragment: Fragment) -> None:
        """Take a fragment of another library of the same settings as it is; what it says is removed is not taken.

        Raises:
            OutputError: the disk is full.
        """
        self._last += 1
        link_fragment(self.place(self._last), fragment)
        self.numbers = [*self.numbers, self._last]
        write_listing(self.folder, self.numbers)

    def reserve(self, count: int) -> range:
        """Give away the numbers of the next fragments, which others write into `place`, see `accept`."""
        first = self._last + 1
        self._last += count
        self._reserved |= {*range(first, first + count)}
        return range(first, first + count)

    def place(self, number: int) -> Path:
        """Return the folder of a fragment."""
        return self.folder / FRAGMENTS / f"{number:06d}"

    def accept(self, number: int) -> None:
        """Take a fragment that another process has written under a reserved number.

        Those above one that is not written yet count, but are not listed: else that one would be left over.

        Raises:
            OutputError: the disk is full.
        """
        self._reserved.discard(number)
        self.numbers = sorted({*self.numbers, number})
        first = min(self._reserved, default=self._last + 1)
        if number < first:
            write_listing(self.folder, [listed for listed in self.numbers if listed < first])

    def keep(self, numbers: Sequence[int]) -> None:
        """Keep these fragments only, in ascending order: all at once, whenever the run is killed.

        Raises:
            OutputError: the disk is full.
        """
        dropped = sorted(set(self.numbers) - set(numbers))
        write_listing(self.folder, numbers)
        self.numbers = list(numbers)
        self._remove(dropped)

    def renew(self) -> None:
        """Write the description of the library in the current version of the format.

        Raises:
            OutputError: the disk is full.
        """
        LibrarySettings.read(self.folder).write(self.folder)

    def library(self) -> LibraryFiles:
        """Open the library as it is now, without what is missing.

        Raises:
            InputError: a fragment is not whole.
        """
        paths = [self.folder / FRAGMENTS / f"{number:06d}" for number in self.numbers]
        return LibraryFiles(self.folder, self.settings, [Fragment(path, self.settings.dimension) for path in paths])

    def close(self) -> None:
        """Let others write; what was not flushed is lost."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _remove(self, numbers: Iterable[int]) -> None:
        for number in numbers:  # one that stays, as where another reads it on Windows, is left over: it does not count
            shutil.rmtree(self.folder / FRAGMENTS / f"{number:06d}", ignore_errors=True)


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
