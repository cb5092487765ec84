"""Put libraries together: fragments are linked as they are, unless another part has newer states of their videos."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from olmv.errors import UsageError
from olmv.library.compact import join_contents
from olmv.library.files import LibraryFiles
from olmv.library.settings import is_library
from olmv.library.table import write_videos
from olmv.library.writer import LibraryWriter
from olmv.merge.summary import MergeSummary

__all__ = ["merge_libraries"]

_NAMED = 3


def merge_libraries(output: Path, parts: Sequence[Path], note: Callable[[str], None]) -> MergeSummary:
    """Put libraries together.

    Of a video that several parts have, what was made of the newest state of its file holds, of the same state what was
    decoded rather than an error. Killed in the middle, the same call goes on: what is in the output is not taken again.

    Args:
        output: the library. One that is there must have the same settings, and no video but those of the parts.
        parts: libraries of the same model and the same sampling.
        note: takes remarks.

    Raises:
        UsageError: parts of other settings, or an output that is something else; nothing was done.
        InputError: a part is damaged, which is told by its digests.
        OutputError: the output cannot be written.
    """
    libraries = [LibraryFiles.open(part) for part in parts]
    settings = libraries[0].settings
    for library in libraries[1:]:
        settings.check_same(library.settings, parts[0])
    for library in libraries:
        library.verify()
    with LibraryWriter(output, settings) as writer:
        there = LibraryFiles.open(output) if is_library(output) and writer.numbers else None
        everything = {path for library in libraries for path in library.entries}
        if there is not None and (others := [path for path in there.entries if path not in everything]):
            raise UsageError(
                f"{output} is there and has {len(others)} videos that no part has ({others[0]} is one); choose another "
                "output, or name it as a part too"
            )
        sources = libraries if there is None else [there, *libraries]
        winners, twice, differing = _winners(sources, first_part=len(sources) - len(libraries))
        if differing:
            named = ", ".join(sorted(differing)[:_NAMED]) + (", ..." if len(differing) > _NAMED else "")
            note(f"{len(differing)} videos are of different states of their files ({named}): the newest holds")
        for number in range(len(sources) - len(libraries), len(sources)):
            _take(writer, sources[number], {path for path, place in winners.items() if place == number})
        write_videos(LibraryFiles.open(output))
    return MergeSummary(videos=len(winners), twice=len(twice), differing=len(differing), written=[output])


def _winners(sources: Sequence[LibraryFiles], *, first_part: int) -> tuple[dict[str, int], set[str], set[str]]:
    """Return which source each video is taken of, those that several parts have, and those that differ there."""
    winners: dict[str, int] = {}
    twice: set[str] = set()
    differing: set[str] = set()
    states = [_States(source) for source in sources]
    for number, source in enumerate(sources):
        for path in source.entries:
            other = winners.setdefault(path, number)
            if other == number:
                continue
            own, theirs = states[number].of(path), states[other].of(path)
            if other >= first_part:
                twice.add(path)
                if own != theirs:
                    differing.add(path)
            if own > theirs:
                winners[path] = number
    return winners, twice, differing


@dataclass(frozen=True)
class _States:
    """What is compared of the videos of a library; what a fragment says is read when one of its videos is asked for."""

    library: LibraryFiles
    _columns: dict[int, tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]] = field(default_factory=dict)

    def of(self, path: str) -> tuple[int, bool, int]:
        """Return when the file of a video was changed, whether no part of it failed, and its size."""
        entry = self.library.entries[path]
        if entry.fragment not in self._columns:
            fragment = self.library.fragments[entry.fragment]
            times, sizes = (fragment.parts[name].to_numpy() for name in ("mtime_ns", "size"))
            self._columns[entry.fragment] = times, sizes, fragment.failed_parts[0]
        times, sizes, failed = self._columns[entry.fragment]
        return int(times[entry.first]), not failed[entry.first : entry.stop].any(), int(sizes[entry.first])


def _take(writer: LibraryWriter, library: LibraryFiles, paths: set[str]) -> None:
    """Take these videos of a library."""
    wanted = [np.zeros(len(fragment.window_bounds) - 1, bool) for fragment in library.fragments]
    for path in paths:
        entry = library.entries[path]
        wanted[entry.fragment][entry.first : entry.stop] = True
    for fragment, mask in zip(library.fragments, wanted, strict=True):
        if mask.all() and len(mask):
            writer.adopt(fragment)
        elif mask.any():
            contents = [fragment.content(first, stop) for first, stop in _runs(mask)]
            writer.write(join_contents(contents, library.settings.dimension))


def _runs(mask: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield where the true values of a mask begin and end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    yield from ((int(first), int(stop)) for first, stop in edges.reshape(-1, 2))
