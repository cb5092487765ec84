"""Which path of one list is which of another, when the same videos lie in other folders."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

__all__ = ["match_paths"]

_DEEPEST = 8  # components of a path's end that are compared


def match_paths(paths: Sequence[str], others: Sequence[str]) -> tuple[list[int | None], int]:
    """Match every path to one of the others: by the whole path, else by as much of its end as is needed.

    `/old/train/a.mp4` is `/new/train/a.mp4` if no other path of either list ends in `train/a.mp4`, and `/new/a.mp4` if
    none has the name `a.mp4`.

    Args:
        paths: N paths.
        others: each of them once.

    Returns:
        Per path the index of the other, or None; and how many were found by a part of their path only.
    """
    here, there = ([os.path.abspath(path) for path in side] for side in (paths, others))  # noqa: PTH100 - links stay
    places = {path: index for index, path in enumerate(there)}
    matches = [places.get(path) for path in here]
    taken = {index for index in matches if index is not None}
    partly = 0
    for depth in range(_DEEPEST, 0, -1):
        if None not in matches:
            break
        mine, theirs = ([_end(path, depth) for path in side] for side in (here, there))
        counts, other_counts = Counter(mine), Counter(theirs)
        ends = {end: index for index, end in enumerate(theirs) if other_counts[end] == 1 and index not in taken}
        for index, end in enumerate(mine):
            if matches[index] is None and counts[end] == 1 and end in ends:
                matches[index] = ends[end]
                taken.add(ends[end])
                partly += 1
    return matches, partly


def _end(path: str, depth: int) -> str:
    return "/".join(PurePath(path).parts[-depth:])
