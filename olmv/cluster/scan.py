"""Score the fragments of a library on many machines: the nearest windows of some queries, and how many have a label.

The folder of the library must be one that all machines see under the same name. A fragment is scored where Ray reads
its file; what comes back is short, however large the library.
"""

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, from_numpy

from olmv.cluster.engine import RayEngine
from olmv.errors import UsageError
from olmv.library.files import LibraryFiles
from olmv.library.fragment import Fragment
from olmv.library.scan import similarities
from olmv.library.settings import LibrarySettings

__all__ = ["NearestWindows", "count_windows", "search_fragments"]

_QUERIES = 64  # at once: the cosines of a fragment are held


@dataclass(frozen=True, eq=False)
class NearestWindows:
    """The windows of a library that are nearest to some queries, best first; of equals the first in the library.

    Attributes:
        similarity: [Q, K] cosines.
        fragment: [Q, K] places of their fragments in `Library.fragments`.
        window: [Q, K] which window of the fragment.
    """

    similarity: NDArray[np.float32]
    fragment: NDArray[np.int64]
    window: NDArray[np.int64]


def search_fragments(engine: RayEngine, library: LibraryFiles, queries: Tensor, top: int) -> NearestWindows:
    """Find the nearest windows, of videos as they are now.

    Args:
        engine: open.
        library: in a folder that all machines share.
        queries: [Q, D], L2-normalised.
        top: K, how many of each; less where there are fewer windows.

    Raises:
        UsageError: there is no cluster, or no query.
        InputError: a fragment is damaged.
    """
    if len(queries) == 0:
        raise UsageError("there are no queries; give at least one vector")
    none = np.zeros((len(queries), 0))
    cosines, fragments, windows = [none.astype(np.float32)], [none.astype(np.int64)], [none.astype(np.int64)]
    for place, found in sorted(_scored(engine, library, queries, _Nearest(top)), key=lambda item: item[0]):
        cosines.append(np.concatenate([values for values, _ in found]))
        windows.append(np.concatenate([numbers for _, numbers in found]))
        fragments.append(np.full_like(windows[-1], place))
    values = np.concatenate(cosines, axis=1)
    chosen = np.argsort(-values, axis=1, kind="stable")[:, :top]
    return NearestWindows(
        np.take_along_axis(values, chosen, axis=1),
        np.take_along_axis(np.concatenate(fragments, axis=1), chosen, axis=1),
        np.take_along_axis(np.concatenate(windows, axis=1), chosen, axis=1),
    )


def count_windows(
    engine: RayEngine, library: LibraryFiles, queries: Tensor, thresholds: Sequence[float]
) -> NDArray[np.int64]:
    """Count the windows [Q], of videos as they are now, whose cosine with a query reaches its threshold.

    Args:
        engine: open.
        library: in a folder that all machines share.
        queries: [Q, D], L2-normalised, such as labels by the means of their texts.
        thresholds: [Q] least cosines.

    Raises:
        UsageError: there is no cluster.
        InputError: a fragment is damaged.
    """
    if len(queries) == 0:
        return np.zeros(0, np.int64)
    counts = np.zeros(len(queries), np.int64)
    for _, found in _scored(engine, library, queries, _Count(np.asarray(thresholds, np.float32))):
        counts += np.concatenate(found)
    return counts


@dataclass(frozen=True)
class _Nearest:
    """Takes of cosines [N, Q] the highest: values and windows, [Q, K]."""

    top: int

    def __call__(self, cosines: NDArray[np.float32], queries: slice) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        by_query = cosines.T
        order = np.argsort(-by_query, axis=1, kind="stable")[:, : self.top]
        return np.take_along_axis(by_query, order, axis=1), order


@dataclass(frozen=True, eq=False)
class _Count:
    """Counts in cosines [N, Q] those that reach their thresholds, [Q]."""

    thresholds: NDArray[np.float32]

    def __call__(self, cosines: NDArray[np.float32], queries: slice) -> NDArray[np.int64]:
        counts: NDArray[np.int64] = np.count_nonzero(cosines >= self.thresholds[queries], axis=0)
        return counts


def _scored(engine: RayEngine, library: LibraryFiles, queries: Tensor, score: Any) -> Iterator[tuple[int, list[Any]]]:
    """Yield for each fragment its place and what `score` makes of the cosines of some queries after the other."""
    rows = [
        {"task": pickle.dumps((place, fragment.folder.absolute(), mask))}
        for place, (fragment, mask) in enumerate(zip(library.fragments, library.live, strict=True))
        if fragment.windows and (mask is None or mask.any())
    ]
    arguments = {"settings": library.settings, "queries": queries.float().cpu().numpy(), "score": score}
    yield from engine.map_batches(rows, _score_fragments, arguments)


def _score_fragments(
    batch: dict[str, NDArray[Any]], *, settings: LibrarySettings, queries: NDArray[np.float32], score: Any
) -> dict[str, list[Any]]:
    results = []
    for task in batch["task"]:
        place, folder, mask = pickle.loads(task)
        alone = LibraryFiles(folder.parent.parent, settings, [Fragment(folder, settings.dimension)])
        windows = None if mask is None else np.flatnonzero(mask)
        found = []
        # about equal: few queries alone are compared less exactly than many
        for some in np.array_split(np.arange(len(queries)), max(-(-len(queries) // _QUERIES), 1)):
            part = slice(int(some[0]), int(some[-1]) + 1)
            [(_, cosines)] = similarities(alone, from_numpy(queries[part]))
            made = score(cosines if mask is None else cosines[mask], part)
            if windows is not None and isinstance(made, tuple):
                made = made[0], windows[made[1]]
            found.append(made)
        results.append(pickle.dumps((place, found)))
    return {"result": results}
