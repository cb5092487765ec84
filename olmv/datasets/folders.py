"""The videos and photos below a folder, and an account of the files that are none.

The ending of a name is believed where it is one of a video, of a photo, or of something else that the standard library
knows (.txt, .json, .mp3); every other file is looked into, its first bytes say what it is.
"""

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from mimetypes import MimeTypes
from pathlib import Path

from olmv.video.pictures.formats import HEAD_BYTES, PICTURE_EXTENSIONS, begins_as_picture, refused_format
from olmv.video.video_formats import AUDIO, VIDEO_EXTENSIONS, begins_as

__all__ = ["Found", "search", "walk"]

_KNOWN = VIDEO_EXTENSIONS | PICTURE_EXTENSIONS
_MOST_ENDINGS = 4  # that a sentence names


@dataclass
class Found:
    """What a search came to.

    Attributes:
        files: the videos and photos, sorted.
        others: how many files there are of each ending, `""` for none, that are no video or photo.
        unread: the same for pictures and documents of formats that are not read, by their names: `a HEIC photo`.
        closed: how many files could not be opened to look into.
    """

    files: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)
    closed: int = 0

    @property
    def left_out(self) -> int:
        """Say how many files were not taken."""
        return self.others.total() + self.unread.total() + self.closed

    def account(self) -> str:
        """Say what was left out and why: `3 files left out: 2 no video or photo (.txt), 1 a HEIC photo (...)`."""
        parts = []
        if self.others:
            most = sorted(self.others.items(), key=lambda item: (-item[1], item[0]))[:_MOST_ENDINGS]
            names = [f"{count} {ending}" if ending else f"{count} without an ending" for ending, count in most]
            more = self.others.total() - sum(count for _, count in most)
            names += [f"{more} others"] if more else []
            parts.append(f"{self.others.total()} no video or photo ({', '.join(names)})")
        parts += [f"{n} {what} (not read; convert to JPEG or PNG)" for what, n in self.unread.most_common()]
        parts += [f"{self.closed} that cannot be opened (check the permissions)"] if self.closed else []
        return f"{self.left_out} file{'s' if self.left_out != 1 else ''} left out: {', '.join(parts)}"


def search(paths: Iterable[str]) -> Found:
    """Sort files into those that are videos or photos, and the others; open only those with an unknown ending."""
    result = Found()
    for path in paths:
        ending = os.path.splitext(path)[1].lower()  # noqa: PTH122
        if ending in _KNOWN:
            result.files.append(path)
        elif _is_something_else(ending):
            result.others[ending] += 1
        else:
            _look_inside(path, ending, result)
    result.files.sort()
    return result


def walk(folder: str) -> Iterator[str]:
    """Yield files below `folder`, but hidden ones; follow linked folders, each real folder once."""
    visited: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        status = os.stat(parent)  # noqa: PTH116
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if not name.startswith("."):
                yield os.path.join(parent, name)  # noqa: PTH118 - keeps a leading ./ as written


def _look_inside(path: str, ending: str, result: Found) -> None:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - to open a pipe would wait for its other end
            result.others[ending] += 1
            return
        with Path(path).open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        result.closed += 1
        return
    refused = refused_format(head)
    if refused is not None:
        result.unread[refused] += 1
    elif begins_as_picture(head) is not None or begins_as(head) not in (None, AUDIO):
        result.files.append(path)
    else:
        result.others[ending] += 1


def _is_something_else(ending: str) -> bool:
    """Tell whether a file of this ending need not be opened: known, and no video, picture or unspecified bytes."""
    kind = _types().guess_type("a" + ending)[0] if ending else None
    return kind is not None and kind.split("/")[0] not in ("video", "image") and kind != "application/octet-stream"


@cache
def _types() -> MimeTypes:
    """Return the standard library's own table, not the machine's."""
    return MimeTypes()
