"""Rewrite what a library has of videos as they are now into few fragments, and move videos without decoding them."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from olmv.library.columns import column, numbers, values
from olmv.library.content import FragmentContent, WindowTable
from olmv.library.files import LibraryFiles, VideoEntry
from olmv.library.settings import TARGET_BYTES, VERSION

if TYPE_CHECKING:
    from olmv.library.writer import LibraryWriter

__all__ = ["compact", "moved_videos"]

_PIECE_BYTES = 32 * 2**20


class _Advanced(Protocol):
    def __call__(self, done: int, total: int, /) -> object: ...


def compact(library: LibraryFiles, writer: "LibraryWriter", advanced: _Advanced = lambda done, total: None) -> None:
    """Rewrite the fragments of a library that are small, or hold what counts no more; the others stay.

    Digests are compared before something is read. New fragments are written first; then the list of those that count
    changes, all at once. A run that is killed leaves the library as it was, or compacted.

    Args:
        library: as it is on disk.
        writer: of it.
        advanced: called with (done, all) fragments that are rewritten.

    Raises:
        InputError: a fragment is not as it was written.
        OutputError: the disk is full; the library is as it was.
    """
    writer.renew()
    live: list[list[VideoEntry]] = [[] for _ in library.fragments]
    for entry in library:
        live[entry.fragment].append(entry)
    stays = [
        mask is None and not fragment.removed and fragment.version == VERSION
        for fragment, mask in zip(library.fragments, library.live, strict=True)
    ]
    old = [
        place
        for place, fragment in enumerate(library.fragments)
        if not stays[place] or fragment.size < TARGET_BYTES // 2
    ]
    if len(old) == 1 and stays[old[0]]:
        return
    gone = {library.fragments[place].number for place in old}
    kept = [fragment.number for fragment in library.fragments if fragment.number not in gone]
    before = len(writer.numbers)
    waiting: list[FragmentContent] = []
    size = 0
    for done, place in enumerate(old, start=1):
        fragment = library.fragments[place]
        fragment.verify()
        each = fragment.size / max(len(fragment.window_bounds) - 1, 1)
        for first, stop in _runs(live[place], max(int(_PIECE_BYTES / max(each, 1)), 1)):
            if waiting and size + each * (stop - first) > TARGET_BYTES:
                writer.write(join_contents(waiting, library.settings.dimension))
                waiting, size = [], 0
            waiting.append(fragment.content(first, stop))
            size += int(each * (stop - first))
        advanced(done, len(old))
    if waiting:
        writer.write(join_contents(waiting, library.settings.dimension))
    writer.keep([*kept, *writer.numbers[before:]])


def moved_videos(library: LibraryFiles, moves: Sequence[tuple[VideoEntry, str, str]]) -> FragmentContent:
    """Return what a library has of videos, under other names.

    Args:
        library: that has them.
        moves: where each is, its name now, and its absolute path now.
    """
    import pyarrow as pa

    contents = []
    for entry, video, path in moves:
        content = library.fragments[entry.fragment].content(entry.first, entry.stop)
        parts = content.parts
        for name, value in (("video", video), ("path", path)):
            names = column([os.fsencode(value)] * len(parts), pa.binary())
            parts = parts.set_column(parts.schema.get_field_index(name), name, names)
        contents.append(replace(content, parts=parts))
    return replace(join_contents(contents, library.settings.dimension), removed=[entry.path for entry, _, _ in moves])


def join_contents(contents: Sequence[FragmentContent], dimension: int) -> FragmentContent:
    """Put contents of fragments behind each other.

    Args:
        contents: at least one.
        dimension: D.
    """
    import pyarrow as pa

    parts = [0, *accumulate(len(content.parts) for content in contents)]
    rows = [0, *accumulate(len(content.rows) for content in contents)]
    shifted: list[dict[str, Any]] = []
    pictures = []
    for content, part, row in zip(contents, parts, rows, strict=False):
        columns = vars(content.windows)
        shifted.append({**columns, "part": columns["part"] + np.int32(part), "first_row": columns["first_row"] + row})
        owners = values(content.thumbnails["part"]) + np.int32(part)
        pictures.append(content.thumbnails.set_column(0, "part", numbers(owners)))
    none = np.zeros((0, dimension), np.float16)
    return FragmentContent(
        parts=pa.concat_tables([content.parts for content in contents]),
        rows=np.concatenate([none, *(content.rows for content in contents)]),
        vectors=np.concatenate([none, *(content.vectors for content in contents)]),
        windows=WindowTable(**{name: np.concatenate([columns[name] for columns in shifted]) for name in shifted[0]}),
        thumbnails=pa.concat_tables(pictures),
    )


def _runs(entries: Iterable[VideoEntry], most: int) -> Iterator[tuple[int, int]]:
    """Yield stretches of parts without a gap, of whole videos, of about `most` parts at most."""
    first = stop = -1
    for entry in sorted(entries, key=lambda entry: entry.first):
        if entry.first != stop or stop - first >= most:
            if stop > first:
                yield first, stop
            first = entry.first
        stop = entry.stop
    if stop > first:
        yield first, stop
