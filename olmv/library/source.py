"""What a library keeps of videos, as if they were decoded and encoded now."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import normalize

from olmv.errors import InputError, NotAVideoError, UsageError
from olmv.library.files import LibraryFiles, VideoEntry
from olmv.library.fragment import Fragment
from olmv.models.base import VideoEmbedding, VideoModel
from olmv.placement import PlacementOptions
from olmv.scorer import EmbeddedPart
from olmv.scoring.windows import TimelineOptions, Windows, whole
from olmv.stream import windows_of
from olmv.video.decode import VideoFrames
from olmv.video.frames import Indices
from olmv.video.options import DecodeOptions

__all__ = ["StoredVideos", "check_timeline", "read_rows", "seen_rows"]


class StoredVideos:
    """The videos of one library, or of several of one model and one sampling, each under a name of its own.

    A video is named as it was when it was indexed, or by its path where another one has that name. Of a video that is
    in several libraries, the first one tells.

    Args:
        libraries: one or more.

    Attributes:
        libraries: as given.
        settings: that they share.
        names: of all videos, in the order in which they were indexed.

    Raises:
        UsageError: they are of different models or samplings.
        InputError: there is no video in any of them.
    """

    def __init__(self, libraries: LibraryFiles | Sequence[LibraryFiles]) -> None:
        self.libraries = [libraries] if isinstance(libraries, LibraryFiles) else [*libraries]
        first = self.libraries[0]
        self.settings = first.settings
        for other in self.libraries[1:]:
            if (first.settings.timeline is None) != (other.settings.timeline is None):
                with_one, without = (other, first) if first.settings.timeline is None else (first, other)
                raise UsageError(
                    f"{with_one.folder} was made with a timeline and {without.folder} without one; take one after the "
                    "other"
                )
            first.settings.check_same(other.settings, first.folder)
        entries: dict[str, tuple[LibraryFiles, VideoEntry]] = {}
        for library in self.libraries:
            for entry in library:
                entries.setdefault(entry.path, (library, entry))
        counts = Counter(entry.video for _, entry in entries.values())
        self._entries = {
            entry.video if counts[entry.video] == 1 and entry.video not in entries else entry.path: (library, entry)
            for library, entry in entries.values()
        }
        self.names = [*self._entries]
        self._verified: set[Path] = set()
        if not self.names:
            raise InputError(f"{self.where} has no videos; index some")

    @classmethod
    def open(cls, folders: Sequence[str | Path]) -> "StoredVideos":
        """Open libraries by their folders.

        Raises:
            UsageError, InputError: as the class itself, or as `Library.open`.
        """
        return cls([LibraryFiles.open(folder) for folder in folders])

    @property
    def described(self) -> str:
        """Say how the videos were sampled."""
        own = self.settings
        if own.every_s is None:
            return f"{own.frames} frames of a video ({own.sampling})"
        least = "" if own.timeline is not None else f", at least {own.frames}"
        most = "" if own.max_frames is None else f", at most {own.max_frames}"
        return f"a frame each {own.every_s:g} s{least}{most} ({own.sampling})"

    @property
    def where(self) -> str:
        """Return the folders, for messages."""
        return ", ".join(str(library.folder) for library in self.libraries)

    def get(self, name: str) -> tuple[LibraryFiles, VideoEntry] | None:
        """Return where a video is, by one of `names` or as `Library.get`; None if it is in none of the libraries."""
        if (own := self._entries.get(name)) is not None:
            return own
        for library in self.libraries:
            if (entry := library.get(name)) is not None:
                return library, entry
        return None

    def load_model(
        self, name: str | None, placement: PlacementOptions, *, timeline: TimelineOptions | None = None
    ) -> VideoModel:
        """Load the model that made the embeddings, in the numbers that it made them in.

        Args:
            name: of it; None for the one that it had then.
            placement: where it runs; a dtype of `auto` is the library's.
            timeline: what is asked, see `check`.

        Raises:
            UsageError: another model or dtype, or windows that are not there; or the library's own model is not here.
            ModelError: a model that the user named cannot be loaded.
        """
        model = self.settings.load_model(self.where, name, placement)
        self.check(model, timeline)
        return model

    def check(self, model: VideoModel, timeline: TimelineOptions | None) -> None:
        """Check that a model and windows can be used with what is stored.

        Raises:
            UsageError: another model, another number format, or windows that are not there.
        """
        for library in self.libraries:
            library.settings.check_model(model, library.folder)
            check_timeline(library, timeline)

    def decode_options(
        self,
        *,
        frames: int | None = None,
        every_s: float | None = None,
        max_frames: int | None = None,
        sampling: str | None = None,
        thumbnails: bool = False,
    ) -> DecodeOptions:
        """Return how the videos were sampled, as `DecodeOptions` say it.

        Args:
            frames, every_s, max_frames, sampling: what a user asked for; None where nothing.
            thumbnails: whether pictures are wanted.

        Raises:
            UsageError: the user asked for something else than there is.
        """
        own = self.settings
        own_frames = own.frames if own.every_s is None else None
        for name, asked, there in (
            ("frames", frames, own_frames),
            ("every_s", every_s, own.every_s),
            ("max_frames", max_frames, own.max_frames),
            ("sampling", sampling, own.sampling),
        ):
            if asked is not None and asked != there:
                shown = f"{asked:g}" if isinstance(asked, float) else str(asked)
                raise UsageError(
                    f"{self.where} was made with {self.described}, not with {name} {shown}; leave it out, or index "
                    "the videos so into another library",
                    option=name,
                )
        return replace(own.decode, thumbnails=thumbnails)

    def verify(self, names: Iterable[str]) -> None:
        """Compare the fragments of these videos with their digests.

        Raises:
            InputError: a file has changed since it was written.
        """
        for place in map(self.get, names):
            if place is not None:
                fragment = place[0].fragments[place[1].fragment]
                if fragment.folder not in self._verified:
                    fragment.verify()
                    self._verified.add(fragment.folder)

    def parts(
        self,
        names: Iterable[str],
        model: VideoModel,
        decode: DecodeOptions,
        *,
        timeline: TimelineOptions | None = None,
    ) -> Iterator[EmbeddedPart]:
        """Yield every part of these videos, as `olmv.stream.embedded_parts` does of decoded ones.

        A video that is not there is a part with an error.

        Args:
            names: see `get`.
            model: that made the embeddings.
            decode: that of the settings; pictures come where it asks for thumbnails.
            timeline: its windows, see `check_timeline`; None for those of a video that is looked at as a whole.
        """
        for index, name in enumerate(names):
            place = self.get(name)
            if place is None:
                error = NotAVideoError(f"{name}: is not in {self.where}; index it")
                yield EmbeddedPart(VideoFrames(index=index, path=name, error=error), whole(0), (), 0)
                continue
            library, entry = place
            fragment = library.fragments[entry.fragment]
            for part in range(entry.first, entry.stop):
                video = _frames(fragment, part, name, thumbnails=decode.thumbnails)
                yield _embedded(fragment, part, replace(video, index=index), model, decode, timeline, self.by_frames)

    @property
    def by_frames(self) -> bool:
        """Tell whether there is a row for each frame, of which windows of any length can be made."""
        return self.settings.rows == "frames"

    def pictures(self, names: Iterable[str]) -> Iterator[VideoFrames]:
        """Yield every part of these videos with its thumbnails, but no embeddings."""
        for name in names:
            if (place := self.get(name)) is not None:
                library, entry = place
                for part in range(entry.first, entry.stop):
                    yield _frames(library.fragments[entry.fragment], part, name, thumbnails=True)


def _frames(fragment: Fragment, part: int, name: str, *, thumbnails: bool) -> VideoFrames:
    video = replace(fragment.records[part].frames, path=name)
    if thumbnails:
        jpegs, times = fragment.thumbnails_of(part)
        video = replace(video, thumbnails=jpegs, thumbnail_times_s=times)
    return video


def _embedded(
    fragment: Fragment,
    part: int,
    video: VideoFrames,
    model: VideoModel,
    decode: DecodeOptions,
    timeline: TimelineOptions | None,
    by_frames: bool,
) -> EmbeddedPart:
    record = fragment.records[part]
    if video.error is not None:
        return EmbeddedPart(video, whole(0), (), record.encoded)
    windows = windows_of(video, model, decode, timeline)
    rows, one = read_rows(fragment, part, model), model.yields_video_embedding
    seen = seen_rows(fragment, part, windows if by_frames else None)
    embeddings = [VideoEmbedding(rows[own[0] if one else own]) for own in map(torch.from_numpy, seen)]
    return EmbeddedPart(video, windows, embeddings, record.encoded)


def read_rows(fragment: Fragment, part: int, model: VideoModel) -> torch.Tensor:
    """Read the rows [R, D] of a part, L2-normalised, float32, onto the model's device."""
    first, stop = fragment.row_bounds[part : part + 2]
    return normalize(
        torch.from_numpy(np.asarray(fragment.row_vectors[first:stop], np.float32)).to(model.device), dim=-1
    )


def seen_rows(fragment: Fragment, part: int, windows: Windows | None) -> list[Indices]:
    """Return which of the rows of a part each window sees.

    Args:
        fragment: that has it.
        part: its place.
        windows: over its moments, where there is a row for each frame; None for the windows that are kept.
    """
    if windows is not None:
        row_of = fragment.record(part).frames.pixel_rows
        return [row_of[moments] for moments in windows.moments]
    table, (first, stop) = fragment.window_table, fragment.window_bounds[part : part + 2]
    begins = (table.first_row[first:stop] - fragment.row_bounds[part]).tolist()
    return [np.arange(begin, begin + own) for begin, own in zip(begins, table.rows[first:stop].tolist(), strict=True)]


def check_timeline(library: LibraryFiles, timeline: TimelineOptions | None) -> None:
    """Check that a library can tell of these windows.

    Raises:
        UsageError: it was made without a timeline, or its windows are fixed and others.
    """
    own = library.settings.timeline
    if timeline is None:
        if own is not None and library.settings.rows == "windows":
            raise UsageError(
                f"{library.folder} has the windows of a timeline only; ask for the timeline", option="timeline"
            )
        return
    if own is None:
        raise UsageError(
            f"{library.folder} was made without a timeline; index the videos with one into another library",
            option="timeline",
        )
    timeline.check()
    every_s = library.settings.every_s or 0.0
    if every_s > timeline.window_s:
        raise UsageError(
            f"{library.folder} has a frame each {every_s:g} s, which leaves windows of {timeline.window_s:g} s empty; "
            "take longer windows",
            option="window_s",
        )
    same = (own.window_s, own.step_s) == (timeline.window_s, timeline.step_s)
    if library.settings.rows == "windows" and not same:
        raise UsageError(
            f"the windows of {library.folder} are {own.window_s:g} s long, each {own.step_s:g} s, and fixed by its "
            "model; leave window and step out",
            option=("window_s", "step_s"),
        )
