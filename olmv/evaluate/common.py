"""Which videos and labels two results have in common."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olmv.datasets.groups import group_numbers
from olmv.errors import UsageError
from olmv.evaluate.measure import ONE_GROUP
from olmv.evaluate.results import Result
from olmv.io.path_matching import match_paths

__all__ = ["Common", "common_part"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Common:
    """The common part of results a and b: N videos, C labels.

    Attributes:
        rows: places of the videos in a and in b, [N] each.
        columns: places of the labels in a and in b, [C] each.
        truth: [N, C].
        notes: what was left out, one line each.
        groups: [N], numbers of the videos' groups as the first result that has groups tells them, or None.
    """

    rows: tuple[Ints, Ints]
    columns: tuple[Ints, Ints]
    truth: Bools
    notes: list[str]
    groups: Ints | None = None

    def logits(self, result: Result, side: int) -> Floats:
        """Return [N, C] of one side."""
        return result.logit()[np.ix_(self.rows[side], self.columns[side])]


def common_part(a: Result, b: Result) -> Common:
    """Find the videos and labels that both results have, without the videos that failed or whose truth differs.

    Raises:
        UsageError: no video or no label in common, or no video is left.
    """
    paths = [tuple(str(video["video"]) for video in result.videos) for result in (a, b)]
    matches, _ = match_paths(*paths)
    videos = [(i, j) for i, j in enumerate(matches) if j is not None]
    if not videos:
        raise UsageError(
            f"no video in common: '{_example(paths[0])}' and '{_example(paths[1])}' for example; "
            "compare results over the same videos"
        )
    labels = _common_labels(a, b)
    if not labels:
        raise UsageError(
            f"no label in common: '{_example(a.labels)}' and '{_example(b.labels)}' for example; "
            "compare results over the same labels"
        )
    notes = []
    for what, count, totals in (
        ("videos", len(videos), (len(a.videos), len(b.videos))),
        ("labels", len(labels), (len(a.labels), len(b.labels))),
    ):
        if count < max(totals):
            notes.append(f"{count} {what} are in both, of {totals[0]} in the first and {totals[1]} in the second")
    scored = [(i, j) for i, j in sorted(videos) if a.ok[i] and b.ok[j]]
    if len(scored) < len(videos):
        notes.append(f"{len(videos) - len(scored)} videos failed in one of them and are left out")
    rows, columns = _pairs(scored), _pairs(sorted(labels))
    truths = [result.truth[np.ix_(rows[side], columns[side])] for side, result in enumerate((a, b))]
    keep = (truths[0] == truths[1]).all(axis=1)
    if not keep.all():
        notes.append(f"{(~keep).sum()} videos have another truth in the second and are left out")
    has_label: Bools = np.asarray(truths[0].any(axis=1))
    if a.kind != "multi-label" and not has_label[keep].all():
        notes.append(f"{(keep & ~has_label).sum()} videos are of other labels and are left out")
        keep &= has_label
    if not keep.any():
        raise UsageError("of the videos that both have, none was scored with the same truth in both; evaluate again")
    rows = (rows[0][keep], rows[1][keep])
    groups = _groups((a, b), rows)
    if groups is not None and not groups.any():
        notes.append(ONE_GROUP)
    return Common(rows, columns, truths[0][keep], notes, groups)


def _groups(results: tuple[Result, Result], rows: tuple[Ints, Ints]) -> Ints | None:
    for result, places in zip(results, rows, strict=True):
        if names := result.groups_of_videos:
            return group_numbers([names[place] for place in places])
    return None


def _unique_matches(a: Sequence[Hashable], b: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Return places of the items that occur once in either."""
    counts_a, counts_b = Counter(a), Counter(b)
    places = {item: index for index, item in enumerate(b) if counts_b[item] == 1}
    return [(i, places[item]) for i, item in enumerate(a) if counts_a[item] == 1 and item in places]


def _common_labels(a: Result, b: Result) -> list[tuple[int, int]]:
    """Pair labels by class, else by text, else by both; the most matches win. A wording may be what is compared."""
    keys = [(result.classes or result.labels, result.labels) for result in (a, b)]
    tries = [_unique_matches(keys[0][which], keys[1][which]) for which in (0, 1)]
    tries.append(_unique_matches(list(zip(*keys[0], strict=True)), list(zip(*keys[1], strict=True))))
    return max(tries, key=len)


def _example(items: Sequence[str]) -> str:
    return items[0] if items else "none"


def _pairs(pairs: Sequence[tuple[int, int]]) -> tuple[Ints, Ints]:
    both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]
