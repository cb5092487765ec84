"""A data set's folder, walked once: its list files, and which video an entry of a list means.

Copies of a data set differ in folders and in the files' endings, hardly in the files' names. So a list file is found
by its name anywhere below the folder, and a video by the name of its class folder and its own name without the
ending. What a list says is data: an entry that leads out of the folder is an error.
"""

import csv
import io
import json
import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from olmv.datasets.folders import walk
from olmv.errors import InputError
from olmv.io.paths import read_text
from olmv.video.video_formats import VIDEO_EXTENSIONS

__all__ = ["Finder", "ListFiles", "Tree", "count", "csv_rows", "list_entry", "loose", "read_json", "read_lines", "some"]

LIST_EXTENSIONS = frozenset({".txt", ".csv", ".json"})
MAX_SHOWN_CHARS = 60


class Tree:
    """The videos and list files below a folder; hidden ones are left out, linked folders followed, each once.

    Attributes:
        root: the folder.
        videos: paths relative to it, `/` between their parts, sorted; no photos: beside videos they are thumbnails.

    Raises:
        InputError: there is no such folder.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise InputError(f"no such folder: {root}; name the folder with the data set")
        below = len(os.path.join(self.root, ""))  # noqa: PTH118
        files = sorted(path[below:].replace(os.sep, "/") for path in walk(str(self.root)))
        self.videos = tuple(path for path in files if PurePosixPath(path).suffix.lower() in VIDEO_EXTENSIONS)
        self.lists = tuple(path for path in files if PurePosixPath(path).suffix.lower() in LIST_EXTENSIONS)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for path in self.videos:
            self._by_stem[PurePosixPath(path).stem].append(path)

    def named(self, *names: str) -> str | None:
        """Return the list file with the first of these names that there is, the one nearest to the root."""
        for name in names:
            paths = [path for path in self.lists if PurePosixPath(path).name == name]
            if paths:
                return min(paths, key=_nearest)
        return None

    def video(self, entry: str, classes: Collection[str] = ()) -> str | None:
        """Return the video that an entry of a list means, relative to the root.

        The class folder is matched exactly, then without regard to case, spaces and underscores; last comes a file
        of this name that lies in no other class's folder.

        Args:
            entry: CLASS/NAME.avi, NAME.mp4 or NAME; a known ending of a video does not matter.
            classes: names of folders of classes.
        """
        target = PurePosixPath(entry)
        stem = target.stem if target.suffix.lower() in VIDEO_EXTENSIONS else target.name
        candidates = sorted(self._by_stem.get(stem, ()), key=lambda path: (not _ends(path, target), _nearest(path)))
        if not target.parent.name:
            return candidates[0] if candidates else None
        for same in (str, loose):
            for path in candidates:
                if same(PurePosixPath(path).parent.name) == same(target.parent.name):
                    return path
        others = {loose(name) for name in classes} if candidates else set()
        return next((path for path in candidates if loose(PurePosixPath(path).parent.name) not in others), None)

    def inside(self, entry: str, source: str) -> str:
        """Return an entry of a list as a path relative to the root.

        Raises:
            InputError: it leads out of the root.
        """
        root = os.path.abspath(self.root)  # noqa: PTH100 - keeps symbolic links as they are
        path = os.path.relpath(os.path.join(root, entry), root) if "\0" not in entry else ".."  # noqa: PTH118
        if path.split(os.sep, 1)[0] == "..":
            raise InputError(f"{source} names {_shown(entry)}, outside of {self.root}; correct the list")
        return PurePosixPath(path).as_posix()

    def path(self, relative: str) -> str:
        """Return the path of a file below the root."""
        return str(self.root / relative)

    def found(self) -> str:
        """Say what lies in the root, for errors: 'found a/, b.txt and 3 more'."""
        names = sorted(
            entry.name + ("/" if entry.is_dir() else "")
            for entry in os.scandir(self.root)
            if not entry.name.startswith(".")
        )
        return f"found {some(names, most=4)}" if names else "found nothing"


class ListFiles:
    """Where the list files of a protocol are: in the user's own place, or below the data set's folder.

    Args:
        tree: the data set.
        lists: the user's own folder or file.

    Raises:
        InputError: there is no such folder or file.
    """

    def __init__(self, tree: Tree, lists: Path | None = None) -> None:
        self._tree, self._lists = tree, lists
        if lists is not None and not lists.exists():
            raise InputError(f"no such lists: {lists}; name a folder or file with lists")
        self._own = Tree(lists) if lists is not None and lists.is_dir() else None

    def find(self, *names: str, own: bool = True) -> Path | None:
        """Return the file with the first of these names that there is.

        Args:
            names: names of files, the best one first.
            own: it is what the user's lists are for, so with these it is not looked for anywhere else; and if the
                user named a file, that is it. Otherwise the data set's folder comes first.
        """
        if own and self._lists is not None and self._own is None:
            return self._lists
        for tree in (self._own,) if own and self._own is not None else (self._tree, self._own):
            if tree is not None and (path := tree.named(*names)) is not None:
                return tree.root / path
        return None

    def need(self, what: str, *names: str, own: bool = True) -> Path:
        """Find, as `find`, a file that has to be there.

        Raises:
            InputError: it is not; the message says what was looked for.
        """
        path = self.find(*names, own=own)
        if path is None:
            tree = self._own if own and self._own is not None else self._tree
            choices = " or ".join(names)
            raise InputError(f"{tree.root} has no {what}: looked below it for {choices}, {tree.found()}; put it there")
        return path

    def lists(self, *, own: bool = True) -> tuple[str, ...]:
        """Return all list files of the place where `find` looks first, relative to it."""
        return (self._own if own and self._own is not None else self._tree).lists

    def told(self, path: Path) -> str:
        """Say how a list is called in choices and notes: without the folders above the data set's."""
        for tree in (self._tree, self._own):
            if tree is not None and path.is_relative_to(tree.root):
                return path.relative_to(tree.root).as_posix()
        return path.name


class Finder:
    """Collects the videos that a protocol wants and counts those that are missing.

    Args:
        tree: where they are.
        classes: names of folders of classes, see `Tree.video`.
    """

    def __init__(self, tree: Tree, classes: Collection[str] = ()) -> None:
        self._tree, self._classes = tree, classes
        self._index: dict[str, int] = {}
        self._truth: list[set[int]] = []
        self._missing: dict[str, None] = {}

    def add(self, *entries: str, truth: Iterable[int]) -> int | None:
        """Return the index of a video, new or met before, with these labels true of it; None where it is missing.

        Args:
            entries: what it may be called, see `Tree.video`; the first one that there is.
            truth: label indices.
        """
        for entry in entries:
            path = self._tree.video(entry, self._classes)
            if path is not None:
                index = self._index.setdefault(path, len(self._index))
                if index == len(self._truth):
                    self._truth.append(set())
                self._truth[index].update(truth)
                return index
        self._missing[entries[0]] = None
        return None

    @property
    def videos(self) -> tuple[str, ...]:
        """Return the videos' paths, in the order in which they were met."""
        return tuple(self._tree.path(path) for path in self._index)

    @property
    def truth(self) -> tuple[tuple[int, ...], ...]:
        """Return the sorted label indices of each."""
        return tuple(tuple(sorted(labels)) for labels in self._truth)

    def notes(self, source: str) -> tuple[str, ...]:
        """Say how many videos are missing, if any.

        Raises:
            InputError: all of them are.
        """
        if not self._missing:
            return ()
        total, first = len(self._missing) + len(self._index), _shown(next(iter(self._missing)))
        if not self._index:
            root = self._tree.root
            raise InputError(
                f"{root} has none of the {total} videos of {source}: looked below it for {first} and so on, "
                f"{self._tree.found()}; put the videos there"
            )
        return (f"{len(self._missing)} of {total} videos of {source} missing and left out (first: {first})",)


def read_lines(path: Path) -> list[str]:
    """Read the lines of a list, stripped, without blank ones. A `#` is part of a name: HMDB51 has such files.

    Raises:
        InputError: it cannot be read, is not UTF-8, or holds nothing.
    """
    lines = [line for line in map(str.strip, read_text(path, error=InputError).split("\n")) if line]
    if not lines:
        raise InputError(f"{path} is empty; get it again")
    return lines


def list_entry(line: str) -> tuple[str, int | None]:
    """Read a line 'path 3' or 'path,3' as path and number; the number may be missing, the path may have spaces."""
    match = re.fullmatch(r"(.+?)[\s,]+(\d{1,9})", line)
    return (match[1], int(match[2])) if match else (line, None)


def csv_rows(path: Path, *columns: str) -> list[dict[str, str]]:
    """Read the rows of a csv with a header; cells that are missing are empty.

    Raises:
        InputError: it cannot be read, is not UTF-8, holds no rows, or lacks one of the columns.
    """
    reader = csv.DictReader(io.StringIO(read_text(path, error=InputError), newline=""))
    try:
        names = list(reader.fieldnames or ())
        for column in columns:
            if column not in names:
                raise InputError(f"{path} has no column {column!r} (columns: {some(names, most=6)}); name it so")
        rows = [{name: row.get(name) or "" for name in names} for row in reader]
    except csv.Error as failure:
        raise InputError(f"{path} line {reader.line_num + 1} is not csv ({failure}); get the file again") from None
    if not rows:
        raise InputError(f"{path} has no rows; get the file again")
    return rows


def read_json(path: Path) -> Any:
    """Read what a JSON file holds.

    Raises:
        InputError: it cannot be read, is not UTF-8, or is not JSON.
    """
    try:
        return json.loads(read_text(path, error=InputError))
    except (ValueError, RecursionError) as failure:
        raise InputError(f"{path} is not JSON ({failure}); get the file again") from None


@lru_cache(maxsize=4096)
def loose(name: str) -> str:
    """Write a name without case, spaces, underscores and hyphens."""
    return re.sub(r"[\s_-]+", "", name).casefold()


def some(names: Collection[str], *, most: int = 3) -> str:
    """Write the first few names, fit for one line."""
    shown = ", ".join(_shown(name) for name in list(names)[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def count(number: int, noun: str) -> str:
    """Return a number with its noun: '1 row', '2 rows'."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _shown(name: str) -> str:
    """Write a name that others chose, fit for one line."""
    name = "".join(letter if letter.isprintable() else "?" for letter in name)
    return name if len(name) <= MAX_SHOWN_CHARS else name[: MAX_SHOWN_CHARS - 3] + "..."


def _nearest(path: str) -> tuple[int, str]:
    return path.count("/"), path


def _ends(path: str, target: PurePosixPath) -> bool:
    """Tell whether a path ends with all the folders of an entry."""
    folders = PurePosixPath(path).parent.parts
    ending = target.parent.parts
    return not ending or folders[-len(ending) :] == ending
