"""A library on disk, open: which videos it has, and where what is kept of them lies."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from olmv.errors import InputError
from olmv.library.encode import absolute
from olmv.library.fragment import Fragment, Halves
from olmv.library.records import PartRecord
from olmv.library.settings import LibrarySettings

if TYPE_CHECKING:
    from olmv.library.duplicates import DuplicateGroup
    from olmv.library.moments import Moment
    from olmv.models.base import VideoModel

__all__ = ["Library", "VideoEntry", "VideoSpans"]


@dataclass(frozen=True)
class VideoEntry:
    """Where a video is in a library.

    Attributes:
        video: as the user named it when it was indexed.
        path: absolute, or an address.
        fragment: place of the fragment in `Library.fragments`.
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


class Library:
    """What a model makes of many videos, kept by `olmv index`.

    >>> library = Library.open("films.olmv")
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
        self._loaded: VideoModel | None = None

    @classmethod
    def open(cls, folder: str | Path) -> "Library":
        """Open a library.

        Raises:
            InputError: there is none, it is of a later version, or a fragment is not whole.
        """
        root = Path(folder)
        settings = LibrarySettings.read(root)
        places = root / "fragments"
        if not places.is_dir():
            raise InputError(f"{folder} is damaged: its folder 'fragments' is missing; index the videos again")
        numbers = sorted((path for path in places.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name))
        return cls(root, settings, [Fragment(path, settings.dimension) for path in numbers])

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

        Of several fragments it is a copy; `olmv index --compact` makes one of them.
        """
        parts = [
            fragment.window_vectors if mask is None else fragment.window_vectors[mask]
            for fragment, mask in zip(self.fragments, self.live, strict=True)
        ]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([np.zeros((0, self.settings.dimension), np.float16), *parts])

    def search(
        self,
        query: str | Sequence[str] = (),
        *,
        without: str | Sequence[str] = (),
        like: str | Path | None = None,
        threshold: float = 0.5,
        top: int = 20,
        all_moments: bool = False,
        path: str | None = None,
        longer_than_s: float | None = None,
        shorter_than_s: float | None = None,
        labels: str | Sequence[str] = (),
        model: "VideoModel | str | None" = None,
    ) -> "list[Moment]":
        """Find moments, the most probable first; none where nothing is as probable as the threshold.

        >>> for moment in library.search("a dog catches a frisbee", without="snow"):
        ...     print(moment.video, moment.start_s, moment.end_s, moment.probability)

        Args:
            query: a text, or several that must all be true of a moment.
            without: texts that must not be true of it.
            like: an image or a video that it must be like.
            threshold: the probability from which a moment passes; 0 for the best there is, whatever it is worth.
            top: the most moments.
            all_moments: each moment of a video; else only its best.
            path: a glob that the video's path or name matches.
            longer_than_s, shorter_than_s: of the video, in seconds.
            labels: what must be true of the video, such as "dog>0.5" or "rain<0.2".
            model: the library's own, where it is loaded already or lies elsewhere by now; None loads it, once.

        Raises:
            UsageError: the query cannot be used, or the model is another one.
            InputError: no path matches, or a fragment is damaged.
        """
        from olmv.library.filters import LabelLimit, VideoFilter
        from olmv.library.find import find_moments
        from olmv.library.query import SearchQuery

        search = SearchQuery(
            texts=_texts(query),
            without=_texts(without),
            like=like,
            labels=tuple(LabelLimit.parse(text) for text in _texts(labels)),
            videos=VideoFilter(path=path, longer_than_s=longer_than_s, shorter_than_s=shorter_than_s),
            threshold=threshold,
            top=top,
            all_moments=all_moments,
        )
        search.check()
        return find_moments(self, search, self.model(model)).moments

    def duplicates(self, *, threshold: float = 0.5, path: str | None = None) -> "list[DuplicateGroup]":
        """Find videos that are copies of each other: encoded again, scaled, a little cropped.

        Args:
            threshold: the probability from which two videos are copies.
            path: a glob that the paths or names of the videos match.

        Returns:
            Groups of at least two videos, see `olmv.library.duplicates`.

        Raises:
            UsageError: the threshold is not between 0 and 1.
            InputError: no path matches, or a fragment is damaged.
        """
        from olmv.library.duplicates import DuplicateQuery, find_duplicates
        from olmv.library.filters import VideoFilter

        return find_duplicates(self, DuplicateQuery(videos=VideoFilter(path=path), threshold=threshold))

    def model(self, model: "VideoModel | str | None" = None, *, device: str = "auto") -> "VideoModel":
        """Return the model whose embeddings these are, loaded once, in the number format that they were made in.

        Args:
            model: one that is loaded already, or where it lies by now; None for where it was.
            device: to load it on.

        Raises:
            UsageError: it is another one.
            ModelError: it cannot be loaded.
        """
        from olmv.models.base import VideoModel
        from olmv.models.registry import load_model

        if not isinstance(model, VideoModel):
            if self._loaded is not None and model is None:
                return self._loaded
            model = load_model(model or self.settings.model, device=device, dtype=self.settings.dtype)
        if model is not self._loaded:
            self.settings.check_model(model, self.folder)
            self._loaded = model
        return model

    def verify(self) -> None:
        """Compare every file with its digest.

        Raises:
            InputError: one has changed since it was written.
        """
        for fragment in self.fragments:
            fragment.verify()

    def __repr__(self) -> str:
        return f"Library({str(self.folder)!r}, model={self.settings.model!r}, fragments={len(self.fragments)})"


def _texts(texts: str | Sequence[str]) -> tuple[str, ...]:
    return (texts,) if isinstance(texts, str) else tuple(texts)
