"""Compare every window of a library with some vectors, fragment by fragment, in bounded memory.

A few vectors meet the windows as they lie on the disk, in half precision: it costs one reading of memory, as the bare
product does, where turning windows into float32 first costs twice as much. Many vectors are one float32 product a
piece, which is turned in the processor's cache. Each thread has pieces of its own, see `olmv.scoring.stored`.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from olmv.devices import one_thread
from olmv.library.files import LibraryFiles
from olmv.scoring.stored import as_tensor, give_back

__all__ = ["similarities"]

FEW = 4
"""So many vectors at most are compared in half precision: each of them reads a piece once, a product does not."""

_SPARSE = 0.2
"""Of less than this share of the windows, a copy costs less than comparing all of them."""

_STEP = 131072
"""Windows whose pages are read at a time: 128 MB at a width of 512."""

_KEPT_BYTES = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
"""Half of the memory: pages of so many vectors stay with the process, so that the next query need not ask for them. The
system takes them back where it needs them."""

_FEW_ROWS, _MANY_ROWS = 16384, 1024  # a piece: large enough that Python does not count; small enough for the cache

Floats = NDArray[np.float32]
Compare = Callable[[Tensor, Floats], None]


def similarities(
    library: LibraryFiles, queries: Tensor, *, masks: Sequence[NDArray[np.bool_]] | None = None
) -> Iterator[tuple[int, Floats]]:
    """Yield the cosines of windows and queries, a fragment at a time.

    Cosines of more than four queries are those of float32; of fewer they may be off by 4e-4, which is for choosing what
    is looked at again.

    Args:
        library: its windows; those of videos that were replaced or removed are among them, see `Library.live`.
        queries: [Q, D], L2-normalised.
        masks: for each fragment, which of its windows [N] are of interest; the cosines of others are NaN, or right.

    Returns:
        An iterator of (place of the fragment, cosines [N, Q]).

    Raises:
        ValueError: queries that do not fit. Raised by the call itself.
    """
    if queries.ndim != 2 or queries.shape[1] != library.settings.dimension:
        raise ValueError(f"queries {list(queries.shape)} do not fit vectors of {library.settings.dimension}")
    queries = queries.detach().float().cpu()
    if masks is not None and sum(int(mask.sum()) for mask in masks) < _SPARSE * sum(len(mask) for mask in masks):
        return _gathered(library, queries, masks)
    return _scanned(library, queries)


def _gathered(
    library: LibraryFiles, queries: Tensor, masks: Sequence[NDArray[np.bool_]]
) -> Iterator[tuple[int, Floats]]:
    """Compare some windows only, which are copied together."""
    columns = queries.T.contiguous()
    for place, (fragment, mask) in enumerate(zip(library.fragments, masks, strict=True)):
        cosines = np.full((fragment.windows, len(queries)), np.nan, np.float32)
        chosen = np.flatnonzero(mask)
        for first in range(0, len(chosen), _FEW_ROWS):
            windows = chosen[first : first + _FEW_ROWS]
            rows = torch.from_numpy(fragment.window_vectors[windows]).float()
            cosines[windows] = (rows @ columns).numpy()
        yield place, cosines


def _scanned(library: LibraryFiles, queries: Tensor) -> Iterator[tuple[int, Floats]]:
    few = len(queries) <= FEW
    rows, compare = (_FEW_ROWS, _by_halves(queries)) if few else (_MANY_ROWS, _by_products(queries))
    threads = torch.get_num_threads()
    kept = 2 * library.settings.dimension * sum(fragment.windows for fragment in library.fragments) <= _KEPT_BYTES
    with ThreadPoolExecutor(threads, thread_name_prefix="scan") as pool:
        for group in _groups([fragment.windows for fragment in library.fragments]):
            mapped = [library.fragments[place].window_vectors for place in group]
            vectors = [as_tensor(halves) for halves in mapped]
            cosines = [np.empty((len(halves), len(queries)), np.float32) for halves in mapped]
            for step in _steps([len(halves) for halves in mapped], rows, threads):
                own = [(vectors[place][piece], cosines[place][piece]) for place, piece in step]
                # it ends before the yield: the caller's own code is not meant
                with one_thread():
                    list(pool.map(compare, *zip(*own, strict=True)))
                for place in () if kept else {place for place, _ in step}:
                    give_back(mapped[place])
            yield from zip(group, cosines, strict=True)


def _groups(counts: Sequence[int]) -> Iterator[list[int]]:
    """Yield places of fragments; small ones go together, so that threads need not wait for each of them."""
    group: list[int] = []
    for place, count in enumerate(counts):
        if group and sum(counts[other] for other in group) + count > _STEP:
            yield group
            group = []
        group.append(place)
    if group:
        yield group


def _steps(counts: Sequence[int], rows: int, threads: int) -> Iterator[list[tuple[int, slice]]]:
    """Yield (fragment of the group, its windows) in pieces of at most `rows`, up to `_STEP` windows at a time."""
    pieces = [
        (place, slice(first, stop))
        for place, count in enumerate(counts)
        for first, stop in pairwise(np.linspace(0, count, 1 + _parts(count, rows, threads)).astype(int).tolist())
    ]
    together = max(_STEP // rows, threads)
    for first in range(0, len(pieces), together):
        yield pieces[first : first + together]


def _parts(count: int, rows: int, threads: int) -> int:
    """Return into how many pieces a fragment is cut, so that all threads have as many."""
    return -(-count // rows // threads) * threads if count > rows else min(count, 1)


def _by_halves(queries: Tensor) -> Compare:
    halves = queries.half()

    @torch.no_grad()
    def compare(vectors: Tensor, cosines: Floats) -> None:
        for place, half in enumerate(halves):
            cosines[:, place] = torch.mv(vectors, half).numpy()

    return compare


def _by_products(queries: Tensor) -> Compare:
    columns, own = queries.T.contiguous(), threading.local()

    @torch.no_grad()
    def compare(vectors: Tensor, cosines: Floats) -> None:
        if not hasattr(own, "buffer"):
            own.buffer = torch.empty(_MANY_ROWS, len(columns))
        rows = own.buffer[: len(vectors)]
        rows.copy_(vectors)
        torch.mm(rows, columns, out=torch.from_numpy(cosines))

    return compare
