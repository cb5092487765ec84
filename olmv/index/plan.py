"""What is to be done about the videos of a library: new ones, changed ones, deleted ones, moved ones."""

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import numpy as np

from olmv.errors import InputError
from olmv.library.columns import values
from olmv.library.files import LibraryFiles, VideoEntry
from olmv.library.records import FileState, absolute

__all__ = ["IndexPlan", "plan_new", "plan_update"]


@dataclass(frozen=True, kw_only=True)
class IndexPlan:
    """What a run does.

    Attributes:
        videos: all that it is about.
        todo: those that are decoded, as the user named them.
        changed: how many of them are in the library as they were before.
        earlier_failed: how many of those that stay as they are could not be read.
        moves: videos that are elsewhere now, see `olmv.library.compact.moved_videos`.
        removed: absolute paths that leave the library.
    """

    videos: Sequence[str]
    todo: Sequence[str]
    changed: int = 0
    earlier_failed: int = 0
    moves: Sequence[tuple[VideoEntry, str, str]] = ()
    removed: Sequence[str] = field(default=())

    @property
    def earlier(self) -> int:
        """Return how many videos stay as they are, moved ones among them."""
        return len(self.videos) - len(self.todo)


def plan_new(library: LibraryFiles, videos: Sequence[str]) -> IndexPlan:
    """Plan to index what a library does not have."""
    there = [library.entries.get(absolute(video)) for video in videos]
    todo = [video for video, entry in zip(videos, there, strict=True) if entry is None]
    known = _Known(library, (entry for entry in there if entry is not None))
    return IndexPlan(videos=videos, todo=todo, earlier_failed=len(known.failed))


def plan_update(library: LibraryFiles, videos: Sequence[str] | None, inputs: Sequence[str]) -> IndexPlan:
    """Plan to make a library what the files are now.

    Args:
        library: to be updated.
        videos: those of the inputs; None for those that the library has.
        inputs: as the user named them: what lies below their folders and exists no more is removed.

    Raises:
        InputError: not one video of the library is there any more.
    """
    known = _Known(library, library.entries.values())
    states = {path: FileState.of(path) for path in library.entries if "://" not in path}
    gone = [path for path, state in states.items() if state == FileState()]
    if gone and len(gone) == len(library):
        raise InputError(
            f"none of the {len(gone)} videos of {library.folder} is there any more; if no disk is missing, delete the "
            "library"
        )
    if videos is None:
        missing = set(gone)
        videos = [_name(entry) for entry in library if entry.path not in missing]
        removed = gone
    else:
        listed, roots = {absolute(video) for video in videos}, _roots(inputs)
        removed = [path for path in gone if path not in listed and any(path.startswith(root) for root in roots)]
    new = {path: video for video in videos if (path := absolute(video)) not in library.entries}
    moves = _moves(library, known, new, gone) if gone else []
    moved = {path for _, _, path in moves}
    todo, changed = [], 0
    for video in videos:
        path = absolute(video)
        if path not in library.entries:
            todo += [video] if path not in moved else []
        elif path in known.failed or states.get(path, known.states[path]) != known.states[path]:
            todo.append(video)
            changed += 1
    taken = {entry.path for entry, _, _ in moves}
    return IndexPlan(
        videos=videos,
        todo=todo,
        changed=changed,
        moves=moves,
        removed=[path for path in removed if path not in taken],
    )


class _Known:
    """What a library knows of some videos: the states of their files by absolute path, and which could not be read."""

    def __init__(self, library: LibraryFiles, entries: Iterable[VideoEntry]) -> None:
        self.states: dict[str, FileState] = {}
        self.failed: set[str] = set()
        by_fragment: list[list[VideoEntry]] = [[] for _ in library.fragments]
        for entry in entries:
            by_fragment[entry.fragment].append(entry)
        for fragment, own in zip(library.fragments, by_fragment, strict=True):
            if not own:
                continue
            first, stop = (np.array([getattr(entry, name) for entry in own]) for name in ("first", "stop"))
            sizes, times = (values(fragment.parts[name])[first].tolist() for name in ("size", "mtime_ns"))
            failed = fragment.failed(first, stop).tolist()
            for entry, size, time, bad in zip(own, sizes, times, failed, strict=True):
                self.states[entry.path] = FileState(size, time)
                if bad:
                    self.failed.add(entry.path)


def _moves(
    library: LibraryFiles, known: _Known, new: dict[str, str], gone: Iterable[str]
) -> list[tuple[VideoEntry, str, str]]:
    """Find videos that are elsewhere now: one file that is gone, one that is new, of one name, size and time."""
    before: dict[tuple[str, FileState], list[str]] = {}
    after: dict[tuple[str, FileState], list[str]] = {}
    for path in gone:
        if path not in known.failed:
            before.setdefault((PurePath(path).name, known.states[path]), []).append(path)
    for path in new:
        after.setdefault((PurePath(path).name, FileState.of(path)), []).append(path)
    return [
        (library.entries[paths[0]], new[after[key][0]], after[key][0])
        for key, paths in before.items()
        if len(paths) == 1 and len(after.get(key, ())) == 1
    ]


def _name(entry: VideoEntry) -> str:
    """Return how a video is named that the user did not name now."""
    return entry.video if absolute(entry.video) == entry.path else entry.path


def _roots(inputs: Iterable[str]) -> list[str]:
    """Return the folders, with a slash behind, below which files that are gone were deleted."""
    roots = []
    for item in inputs:
        path = Path(item)
        while glob.has_magic(str(path)) and not path.exists():
            path = path.parent
        if path.is_dir():
            roots.append(absolute(str(path)).rstrip("/\\") + "/")
    return roots
