"""Find videos of a library that are copies of each other: encoded again, scaled, cropped, with other colours.

A video is one vector, the mean of those of its windows, and two videos are copies where the cosine of theirs is nearly
1. Every pair is compared, a block of videos with a block of others at a time; copies of copies are one group. What is
kept are the vectors, 2 bytes a number, and for each video its nearest one: not the pairs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from olmv.errors import UsageError
from olmv.library.files import LibraryFiles, VideoEntry
from olmv.library.fragment import Halves
from olmv.library.query.filters import VideoFilter
from olmv.library.query.queries import Alike
from olmv.predictions import round_significant
from olmv.scoring.logits import logit_of, sigmoid

__all__ = ["COPIES", "Copy", "DuplicateGroup", "DuplicateQuery", "find_duplicates"]

COPIES = Alike(slope=80.0, half=0.9)
"""Measured with olmv-lite on clips of ten actions (`scripts/benchmarks/index_retrieval.py`): different clips of one
action are not as alike, pieces of one take mostly are, and few copies that were cropped by a fifth on each side."""

_BLOCK = 2048  # videos, by as many others
_WINDOWS = 65536  # read at a time


@dataclass(frozen=True, kw_only=True)
class DuplicateQuery:
    """Which videos are compared with each other.

    Attributes:
        videos: those.
        threshold: the probability from which two are copies.
    """

    videos: VideoFilter = VideoFilter()
    threshold: float = 0.5

    def check(self) -> None:
        """Raise UsageError where a number is out of range."""
        if not 0 < self.threshold < 1:
            raise UsageError(f"threshold is {self.threshold:g}; give a number between 0 and 1", option="threshold")
        self.videos.check()

    @property
    def shown(self) -> str:
        """Return it in words."""
        return "copies of each other"

    @property
    def filters(self) -> list[str]:
        """Return in words which videos are compared."""
        return self.videos.shown


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A video of a group.

    Attributes:
        video: as the user named it when it was indexed.
        path: absolute, or an address.
        duration_s: its length; None where nobody knows.
        probability: that it is a copy of the video of the group that it is most like.
        similarity: the cosine of the two.
        thumbnail: a JPEG from its middle; None where the library has no pictures.
    """

    video: str
    path: str
    duration_s: float | None
    probability: float
    similarity: float
    thumbnail: bytes | None = field(default=None, repr=False)

    def to_row(self) -> dict[str, Any]:
        """Return the row of a `.jsonl` file, without the picture."""
        return {
            "video": self.video,
            "path": self.path,
            "duration_s": None if self.duration_s is None else round(self.duration_s, 3),
            "probability": round_significant(self.probability),
            "similarity": round_significant(self.similarity),
        }


@dataclass(frozen=True)
class DuplicateGroup:
    """Videos that are copies of each other, at least two, in the order in which they were indexed."""

    copies: list[Copy]


def find_duplicates(
    library: LibraryFiles,
    query: DuplicateQuery = DuplicateQuery(),
    *,
    advanced: Callable[..., None] = lambda done, total, *, stage: None,
) -> list[DuplicateGroup]:
    """Compare all videos with each other.

    Args:
        library: that has them.
        query: which of them, and how sure.
        advanced: called with (done, all, stage=...) blocks.

    Returns:
        The groups, in the order of their first videos.

    Raises:
        InputError: the path of the query matches no video.
    """
    query.check()
    entries, vectors = _video_vectors(library, query.videos)
    least = float(logit_of(np.array(query.threshold))) / COPIES.slope + COPIES.half
    nearest = np.full(len(entries), -1.0, np.float32)
    groups = _Groups(len(entries))
    blocks = [slice(first, first + _BLOCK) for first in range(0, len(entries), _BLOCK)]
    total, done = len(blocks) * (len(blocks) + 1) // 2, 0
    for number, rows in enumerate(blocks):
        block = torch.from_numpy(vectors[rows]).float()
        for columns in blocks[number:]:
            cosines = (block @ torch.from_numpy(vectors[columns]).float().T).numpy()
            if rows == columns:
                np.fill_diagonal(cosines, -1.0)
            here, there = np.nonzero(cosines >= least)
            values = cosines[here, there]
            here, there = here + rows.start, there + columns.start
            np.maximum.at(nearest, here, values)
            np.maximum.at(nearest, there, values)
            groups.join(here, there)
            done += 1
            advanced(done, total, stage="blocks compared")
    return [DuplicateGroup([_copy(library, entries[i], float(nearest[i])) for i in own]) for own in groups.several()]


def _copy(library: LibraryFiles, entry: VideoEntry, similarity: float) -> Copy:
    fragment = library.fragments[entry.fragment]
    duration = float(fragment.durations_s[entry.first])
    middle = (entry.first + entry.stop - 1) // 2
    half = 0.0 if np.isnan(duration) else duration / 2
    return Copy(
        video=entry.video,
        path=entry.path,
        duration_s=None if np.isnan(duration) else duration,
        probability=float(sigmoid(np.array(COPIES.slope * (similarity - COPIES.half)))),
        similarity=min(similarity, 1.0),  # of vectors in half precision it can be a bit more
        thumbnail=fragment.thumbnail(middle, half),
    )


def _video_vectors(library: LibraryFiles, videos: VideoFilter) -> tuple[list[VideoEntry], Halves]:
    """Return the videos that are compared, and a vector [V, D] of each."""
    masks = videos.masks(library)
    entries: list[VideoEntry] = []
    parts: list[Halves] = [np.zeros((0, library.settings.dimension), np.float16)]
    for place, (fragment, spans) in enumerate(zip(library.fragments, library.spans, strict=True)):
        chosen = np.arange(len(spans.entries)) if masks is None else np.flatnonzero(masks[place])
        entries += [spans.entries[index] for index in chosen]
        for some in _together(spans.stops[chosen] - spans.starts[chosen]):
            own = chosen[some]
            counts = spans.stops[own] - spans.starts[own]
            windows = np.concatenate(
                [np.arange(*bounds) for bounds in zip(spans.starts[own], spans.stops[own], strict=True)]
            )
            rows = fragment.window_vectors[windows].astype(np.float32)
            sums = np.add.reduceat(rows, np.cumsum(counts) - counts, axis=0)
            parts.append((sums / np.linalg.norm(sums, axis=1, keepdims=True).clip(1e-12)).astype(np.float16))
    return entries, np.concatenate(parts)


def _together(counts: NDArray[np.int64]) -> Iterator[slice]:
    """Yield slices of videos that have about `_WINDOWS` windows together."""
    first, total = 0, 0
    for place, count in enumerate(counts.tolist()):
        total += count
        if total >= _WINDOWS:
            yield slice(first, place + 1)
            first, total = place + 1, 0
    if first < len(counts):
        yield slice(first, len(counts))


class _Groups:
    """Which of N things are in one group: a forest in which every tree is one."""

    def __init__(self, count: int) -> None:
        self._parent = np.arange(count)

    def join(self, here: NDArray[np.int64], there: NDArray[np.int64]) -> None:
        """Put pairs into one group each."""
        for one, other in zip(here.tolist(), there.tolist(), strict=True):
            a, b = self._root(one), self._root(other)
            if a != b:
                self._parent[max(a, b)] = min(a, b)

    def several(self) -> Iterator[list[int]]:
        """Yield the groups of more than one, by their first members."""
        members: dict[int, list[int]] = {}
        for place in range(len(self._parent)):
            members.setdefault(self._root(place), []).append(place)
        yield from (own for own in members.values() if len(own) > 1)

    def _root(self, place: int) -> int:
        while self._parent[place] != place:
            self._parent[place] = self._parent[self._parent[place]]
            place = int(self._parent[place])
        return place
