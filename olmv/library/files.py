"""The files of a library, open: which videos it has, and where what is kept of them lies."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from olmv.arguments import check_path
from olmv.errors import InputError
from olmv.library.fragment import Fragment, Halves
from olmv.library.listing import FRAGMENTS, LISTING_FILE, Listing
from olmv.library.records import PartRecord, absolute
from olmv.library.settings import LIBRARY_FILE, LibrarySettings

__all__ = ["LibraryFiles", "VideoEntry", "VideoSpans"]


class VideoEntry(NamedTuple):
    """Where a video is in a library.

    Attributes:
        video: as the user named it when it was indexed.
        path: absolute, or an address.
        fragment: place of the fragment in `LibraryFiles.fragments`.
        first, stop: its parts, among those of the fragment.
    """

    video: str
    path: str
    fragment: int
    first: int
    stop: int


@dataclass(frozen=True, eq=False)
class VideoSpans:
    """Where the V videos of a fragment that are in the library lie, those that have windows.

    Attributes:
        entries: V videos.
        first: [V] their first parts.
        starts, stops: [V] their windows, half-open; both rise.
    """

    entries: list[VideoEntry]
    first: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]


class LibraryFiles:
    """What a model makes of many videos, kept by `olmv index`.

    >>> library = LibraryFiles.open("films.olmv")
    >>> len(library), library.windows

    Nothing is read before it is asked for; vectors are mapped from the disk.

    Attributes:
        folder: of it.
        settings: the model and the sampling that it was made with.
        fragments: in the order in which they were written.
    """

    def __init__(self, folder: Path, settings: LibrarySettings, fragments: list[Fragment]) -> None:
        self.folder = folder
        self.settings = settings
        self.fragments = fragments

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Open a library.

        Raises:
            InputError: there is none, it is of a later version, or a fragment is missing or not whole.
        """
        check_path("the library", folder, error=InputError)
        root = Path(folder)
        settings = LibrarySettings.read(root)
        if not (root / FRAGMENTS).is_dir():
            raise InputError(f"{folder} is damaged: its folder 'fragments' is missing; index the videos again")
        listing = Listing.read(root)
        while True:
            listing.check(folder)
            try:
                paths = [root / FRAGMENTS / f"{number:06d}" for number in listing.numbers]
                return cls(root, settings, [Fragment(path, settings.dimension) for path in paths])
            except InputError:
                # compacting may have replaced them since they were listed
                if (now := Listing.read(root)) == listing:
                    raise
                listing = now

    @classmethod
    def open_held(
        cls,
        folder: str | Path,
        *,
        before: "LibraryFiles | None" = None,
        advanced: Callable[[int, int], None] = lambda done, total: None,
    ) -> Self:
        """Open a library whose files can be read to the end, also when compacting deletes some of them meanwhile.

        Every file is mapped and compared with its digest.

        Args:
            folder: of it.
            before: the same library as it was opened earlier: fragments that it has are taken from there.
            advanced: called with (done, all) fragments; what it raises ends it.

        Raises:
            InputError: as `open`, or a file has changed since it was written.
        """
        known = {} if before is None else {fragment.number: fragment for fragment in before.fragments}
        while True:
            library = cls.open(folder)
            try:
                for place, fragment in enumerate(library.fragments):
                    advanced(place, len(library.fragments))
                    own = known.get(fragment.number)
                    if own is not None and own.is_same(fragment):
                        library.fragments[place] = own
                    else:
                        fragment.verify()
                        fragment.hold()
            except InputError:  # as in `open`
                if Listing.read(folder).numbers == [fragment.number for fragment in library.fragments]:
                    raise
            else:
                return library

    @staticmethod
    def state(folder: str | Path) -> tuple[tuple[int, int, int], ...]:
        """Return by what it is seen that a library was changed, without reading it; never fails.

        Each change replaces one of two small files: what the library says of itself, and which fragments it has.
        """
        states = []
        for name in (LIBRARY_FILE, LISTING_FILE):
            try:
                status = (Path(folder) / name).stat()
            except OSError:
                states.append((0, 0, 0))
            else:
                states.append((status.st_ino, status.st_size, status.st_mtime_ns))
        return tuple(states)

    @cached_property
    def entries(self) -> dict[str, VideoEntry]:
        """Return the videos by their absolute paths, in the order in which they were indexed."""
        entries: dict[str, VideoEntry] = {}
        for place, fragment in enumerate(self.fragments):
            for path in fragment.removed:
                entries.pop(path, None)
            for video, path, first, stop in fragment.spans():
                entries.pop(path, None)
                entries[path] = VideoEntry(video, path, place, first, stop)
        return entries

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[VideoEntry]:
        return iter(self.entries.values())

    def get(self, video: str | Path) -> VideoEntry | None:
        """Return where a video is, by its path now or as it was named when it was indexed; None if it is not here."""
        return self.entries.get(absolute(str(video))) or self._by_name.get(str(video))

    @cached_property
    def _by_name(self) -> dict[str, VideoEntry]:
        return {entry.video: entry for entry in self.entries.values()}

    def records(self, entry: VideoEntry) -> list[PartRecord]:
        """Return what is known of the parts of a video."""
        return self.fragments[entry.fragment].records[entry.first : entry.stop]

    @cached_property
    def spans(self) -> list[VideoSpans]:
        """Return for each fragment which videos it has now that have windows, and where those are."""
        owners: list[list[VideoEntry]] = [[] for _ in self.fragments]
        for entry in self.entries.values():
            owners[entry.fragment].append(entry)
        spans = []
        for fragment, entries in zip(self.fragments, owners, strict=True):
            entries.sort(key=lambda entry: entry.first)
            parts = np.array([(entry.first, entry.stop) for entry in entries], np.int64).reshape(-1, 2)
            bounds = fragment.window_bounds[parts]
            seen = bounds[:, 1] > bounds[:, 0]
            own = [entry for entry, there in zip(entries, seen.tolist(), strict=True) if there]
            spans.append(VideoSpans(own, parts[seen, 0], bounds[seen, 0], bounds[seen, 1]))
        return spans

    @cached_property
    def live(self) -> list[NDArray[np.bool_] | None]:
        """Return for each fragment which of its windows [N] are of videos as they are now; None where all are."""
        masks: list[NDArray[np.bool_] | None] = []
        parts = [np.zeros(len(fragment.window_bounds) - 1, bool) for fragment in self.fragments]
        for entry in self.entries.values():
            parts[entry.fragment][entry.first : entry.stop] = True
        for fragment, there in zip(self.fragments, parts, strict=True):
            masks.append(None if there.all() else np.repeat(there, np.diff(fragment.window_bounds)))
        return masks

    @property
    def windows(self) -> int:
        """Return how many windows there are of videos as they are now."""
        return sum(
            fragment.windows if mask is None else int(mask.sum())
            for fragment, mask in zip(self.fragments, self.live, strict=True)
        )

    @property
    def embeddings(self) -> Halves:
        """Return the vectors [N, D] of all windows, float16: mapped from the disk where there is one fragment.

        Of several fragments it is a copy; `olmv index --compact` makes few of many.
        """
        parts = [
            fragment.window_vectors if mask is None else fragment.window_vectors[mask]
            for fragment, mask in zip(self.fragments, self.live, strict=True)
        ]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([np.zeros((0, self.settings.dimension), np.float16), *parts])

    def verify(self) -> None:
        """Compare every file with its digest.

        Raises:
            InputError: one has changed since it was written.
        """
        for fragment in self.fragments:
            fragment.verify()

    def __repr__(self) -> str:
        about = f"model={self.settings.model!r}, fragments={len(self.fragments)}"
        return f"{type(self).__name__}({str(self.folder)!r}, {about})"
