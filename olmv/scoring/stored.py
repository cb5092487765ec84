"""Scoring stored video embeddings: any number of them, at about the price of the matrix product.

Videos meet the texts in tiles of `ROWS` videos and about `COLUMNS` texts. The product goes into a buffer that is
reused and stays in the processor's cache, and the texts of a label are pooled there, before the next tile. Each thread
works on tiles of its own, so that threads need not wait for each other at every step of the pooling: on a busy machine
these waits took longer than the product. Only one chunk and one tile a thread are in memory, however many videos.
"""

import mmap
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from olmv.devices import one_thread
from olmv.scoring.bank import TextBank
from olmv.scoring.options import Pooling
from olmv.scoring.pooling import TEMPERATURE, TOP_K, check_pooling

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["as_tensor", "give_back", "score_stored", "write_scores"]

ROWS = 1024
"""Videos a tile: enough that the product is as fast as a larger one."""

_TILES_PER_THREAD = 2  # in a chunk: a thread that is held up leaves the next tile to others

COLUMNS = 576
"""Texts a tile, about: a tile of 1024 x 576 float32 is 2.25 MiB, and pooling reads it several times."""

_ALIGNED = 16
# labels a tile come in multiples of this: products with unaligned rows were measured 1.2 to 1.5 times slower


def score_stored(
    embeddings: "Tensor | NDArray[np.floating[Any]]",
    bank: TextBank,
    *,
    pooling: Pooling = "mean",
    top_k: int = TOP_K,
    temperature: float = TEMPERATURE,
) -> Iterator[tuple[slice, Tensor]]:
    """Yield the similarity of stored video embeddings to labels, chunk by chunk: see `pool_attributes` for what it is.

    Take the best labels of a chunk, or `write_scores`; all similarities together are `N * C` numbers.

    Args:
        embeddings: `[N, D]`, L2-normalised, one a video, in any floating point type: a tensor, an array, or an array
            mapped from disk (`np.load(file, mmap_mode="r")`), whose pages are given back after each chunk.
        bank: the texts. Products and results are of its dtype, on its device.
        pooling, top_k, temperature: over the texts of a label, see `pool_attributes`.

    Returns:
        An iterator of (which videos, their similarities `[n, C]`), in order; it carries no gradient.

    Raises:
        ValueError: as `pool_attributes`, or embeddings that do not fit the bank. Raised by the call itself.
    """
    check_pooling(pooling, top_k, temperature)
    shape = list(embeddings.shape)
    if len(shape) != 2 or shape[1] != bank.embeddings.shape[1]:
        raise ValueError(f"embeddings {shape} do not fit a bank of {list(bank.embeddings.shape)}")
    return _scored(embeddings, bank, pooling, top_k, temperature)


def write_scores(
    embeddings: "Tensor | NDArray[np.floating[Any]]",
    bank: TextBank,
    out: "NDArray[np.floating[Any]]",
    *,
    pooling: Pooling = "mean",
    top_k: int = TOP_K,
    temperature: float = TEMPERATURE,
) -> None:
    """Write the similarities of `score_stored` to an array, which may be mapped from disk.

    Args:
        embeddings, bank, pooling, top_k, temperature: see `score_stored`.
        out: `[N, C]`, written; converted to its dtype.

    Raises:
        ValueError: as `score_stored`, or an `out` of another shape.
    """
    if list(out.shape) != [len(embeddings), len(bank.labels)]:
        raise ValueError(f"out {list(out.shape)} does not fit {len(embeddings)} videos and {len(bank.labels)} labels")
    for rows, similarity in score_stored(embeddings, bank, pooling=pooling, top_k=top_k, temperature=temperature):
        out[rows] = similarity.float().cpu().numpy()
        give_back(out)


def _scored(
    embeddings: "Tensor | NDArray[np.floating[Any]]", bank: TextBank, pooling: Pooling, top_k: int, temperature: float
) -> Iterator[tuple[slice, Tensor]]:
    tiles = _Tiles(bank, pooling, top_k, temperature)
    threads = torch.get_num_threads() if bank.embeddings.device.type == "cpu" else 1  # a GPU does not need us
    step = ROWS * _TILES_PER_THREAD * threads
    tile = ROWS if threads > 1 or pooling != "mean" else step  # nothing is pooled that has to stay in the cache
    turned = bank.embeddings.new_empty(0)
    with ThreadPoolExecutor(threads, thread_name_prefix="score-stored") as pool:
        for first in range(0, len(embeddings), step):
            rows = slice(first, min(first + step, len(embeddings)))
            # both end before the yield: the caller's own code is not meant. In a caller's inference mode other threads
            # could not write to the result
            with torch.inference_mode(False), torch.no_grad():
                read = embeddings[rows] if isinstance(embeddings, Tensor) else as_tensor(embeddings[rows])
                if (read.dtype, read.device) != (bank.embeddings.dtype, bank.embeddings.device):
                    if not len(turned):  # one buffer for all chunks: fresh memory each time costs as much as turning
                        turned = bank.embeddings.new_empty(step, read.shape[1])
                    read = turned[: len(read)].copy_(read)
                parts = read.split_with_sizes(_sizes(len(read), tile))
                similarity = bank.embeddings.new_empty(rows.stop - rows.start, len(bank.labels))
                into = similarity.split_with_sizes([len(part) for part in parts])
                if threads == 1:
                    for part, out in zip(parts, into, strict=True):
                        tiles.pool(part, out)
                else:
                    with one_thread():
                        list(pool.map(tiles.pool, parts, into))
            give_back(embeddings)
            yield rows, similarity


def _sizes(rows: int, tile: int) -> list[int]:
    return [min(tile, rows - first) for first in range(0, rows, tile)]


class _Tiles:
    """The texts, laid out for the product, and the buffers that all tiles of a thread share."""

    def __init__(self, bank: TextBank, pooling: Pooling, top_k: int, temperature: float) -> None:
        self.pooling = pooling
        self.temperature = temperature
        self.top_k = top_k
        # the products take transposed views: with a contiguous [D, n * L], bfloat16 was measured 4 times slower
        self.means = bank.means.T if pooling == "mean" else None
        self.order = None if len(bank.groups) == 1 or pooling == "mean" else bank.group_rank
        self.parts: list[tuple[slice, int, Tensor]] = []  # columns, texts a label, texts [D, n * L]
        if pooling == "mean":
            return
        start = 0
        for texts in bank.groups:  # [n, L, D]
            count, labels, width = texts.shape
            step = max(_ALIGNED, COLUMNS // count // _ALIGNED * _ALIGNED)
            for column in range(0, labels, step):
                part = texts[:, column : column + step]
                columns = slice(start + column, start + column + part.shape[1])
                self.parts.append((columns, count, part.reshape(-1, width).T))
            start += labels
        largest = ROWS * max(part.shape[1] for _, _, part in self.parts)
        self.tile_size, self.work_size = largest, largest * {"topk": 2, "softmax": 1}.get(pooling, 0)
        self.own = threading.local()

    @torch.no_grad()  # each thread has its own
    def pool(self, videos: Tensor, out: Tensor) -> None:
        """Write the pooled similarity of videos `[n, D]`, up to `ROWS` of them, to out `[n, C]`."""
        if self.means is not None:
            torch.mm(videos, self.means, out=out)
            return
        if not hasattr(self.own, "tile"):
            self.own.tile, self.own.work = videos.new_empty(self.tile_size), videos.new_empty(self.work_size)
        rows = len(videos)
        grouped = out if self.order is None else torch.empty_like(out)
        # softmax: the temperature costs nothing as a factor of the product
        alpha = 1 / self.temperature if self.pooling == "softmax" else 1.0
        for columns, count, texts in self.parts:
            tile = self.own.tile[: rows * texts.shape[1]].view(rows, -1)
            torch.addmm(tile, videos, texts, beta=0, alpha=alpha, out=tile)
            self._reduce(tile.view(rows, count, -1), grouped[:, columns])
            if self.pooling == "softmax":
                grouped[:, columns].mul_(self.temperature)
        if self.order is not None:
            torch.index_select(grouped, 1, self.order, out=out)

    def _reduce(self, tile: Tensor, out: Tensor) -> None:
        """Pool a tile `[n, texts, L]` over its texts into out `[n, L]`; the tile is not kept."""
        count = tile.shape[1]
        if count == 1:
            out.copy_(tile[:, 0])
        elif self.pooling == "max":
            torch.amax(tile, dim=1, out=out)
        elif self.pooling == "softmax":
            weights = self.own.work[: tile.numel()].view(tile.shape)
            torch.softmax(tile, dim=1, out=weights)
            torch.sum(weights.mul_(tile), dim=1, out=out)
        elif self.top_k >= count:
            torch.mean(tile, dim=1, out=out)
        else:
            self._mean_of_best(tile, out)

    def _mean_of_best(self, tile: Tensor, out: Tensor) -> None:
        """Insert one text after the other into the best so far, for all pairs at once."""
        rows, count, labels = tile.shape
        room = self.own.work[: (self.top_k + 2) * rows * labels].view(self.top_k + 2, rows, labels)
        for index in range(count):
            falling = tile[:, index]
            for place in range(min(index, self.top_k)):
                if place < self.top_k - 1:  # what falls out of the last place is not needed
                    less = room[self.top_k + place % 2]
                    torch.minimum(room[place], falling, out=less)
                    torch.maximum(room[place], falling, out=room[place])
                    falling = less
                else:
                    torch.maximum(room[place], falling, out=room[place])
            if index < self.top_k:
                room[index].copy_(falling)
        torch.mean(room[: self.top_k], dim=0, out=out)


def as_tensor(array: "NDArray[np.floating[Any]]") -> Tensor:
    """Return an array as a tensor without a copy. One that is mapped read-only must not be written to."""
    import numpy as np

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(array))


def give_back(array: object) -> None:
    """Let go of the pages that were read or written: they are on disk, and would count as this process's memory."""
    mapped = getattr(array, "_mmap", None)
    # a private copy ("c") would lose what was written to it
    if isinstance(mapped, mmap.mmap) and getattr(array, "mode", "c") != "c" and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
