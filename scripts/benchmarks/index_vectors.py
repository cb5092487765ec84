"""What scanning and scoring a library cost over the bare products, and whether ten times as many cost ten times.

Figures, of a made library (see index_library.py), all arms taking turns in one process:
    open_s, first_query_s       of a process that begins: until the library can be searched, and of its first query
    query_s, product_s          a query, and the fastest bare product of the matrix at rest in memory, in float16,
                                bfloat16 or float32 (`product_bits`: 16, 17 for bfloat16, 32)
    over_product                the one over the other, median of rounds
    queries_over_product        of 16 queries at once, over their float32 product
    labels_s, labels_over_product, probabilities_over_product
                                1,000 labels of four texts each over all windows: the similarities, and probabilities
                                too, over the float32 product with one vector a label, all that pooling `mean` needs
    memory_mb, vectors_mb       the most of a process that opens, queries and scores; bytes of the fragments
    over_memory                 its memory over 1.3 times the fragments plus 500 MB
    many/...                    of a larger library; many/over_linear is the time of a query a window over that of the
                                smaller one, both in processes of their own
"""

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from olmv.library.library import Library
from olmv.library.query.score import score_windows
from olmv.library.scan import similarities
from scripts.benchmarks.common import peak_rss_mb
from scripts.benchmarks.index_library import World, made_library
from scripts.benchmarks.turns import ratio, time_in_turns

__all__ = ["MadeModel", "measure", "measure_many"]

LABELS, TEXTS, QUERIES, BEST = 1000, 4, 16, 5
CHUNK = 4096  # of the bare product of many columns: the fastest for it
BITS = {"float16": 16, "bfloat16": 17, "float32": 32}


class MadeModel:
    """Stands for a softmax-trained model, of which scores need only these."""

    logit_scale, logit_bias = 100.0, None


def measure(folder: Path, *, windows: int, rounds: int = 9) -> dict[str, float]:
    """Measure what the module's docstring names, but for `many`.

    Args:
        folder: has the made library, or gets it.
        windows: how many.
        rounds: of queries; labels take a third of them.
    """
    world = World()
    library = made_library(folder / f"made-{windows}", windows, world=world)
    alone = _in_a_process(library.folder, labels=LABELS)
    vectors_mb = sum(fragment.size for fragment in library.fragments) / 2**20
    return {
        "windows": windows,
        "fragments": len(library.fragments),
        **{name: alone[name] for name in ("open_s", "first_query_s", "memory_mb")},
        "vectors_mb": vectors_mb,
        "over_memory": alone["memory_mb"] / (1.3 * vectors_mb + 500),
        **_queries(library, world, rounds),
        **_labels(library, world, max(rounds // 3, 1)),
    }


def measure_many(folder: Path, *, windows: int, many: int) -> dict[str, float]:
    """Measure a query of a larger library beside a smaller one."""
    made_library(folder / f"made-{windows}", windows, world=World())
    library = made_library(folder / f"made-{many}", many, world=World(), of_a_video=100)
    few, all_ = (_in_a_process(folder / f"made-{count}") for count in (windows, many))
    mebibytes = sum(fragment.size for fragment in library.fragments) / 2**20
    return {
        "many/windows": many,
        "many/open_s": all_["open_s"],
        "many/query_s": all_["query_s"],
        "many/memory_mb": all_["memory_mb"],
        "many/vectors_mb": mebibytes,
        "many/over_linear": all_["query_s"] / few["query_s"] * windows / many,
    }


def _queries(library: Library, world: World, rounds: int) -> dict[str, float]:
    vectors = torch.from_numpy(np.array(library.embeddings))
    one, several = world.texts(1), world.texts(QUERIES)
    arms: dict[str, Callable[[], object]] = {"scan": lambda: list(similarities(library, one))}
    for name in BITS:
        dtype = getattr(torch, name)
        arms[name] = _product(vectors.to(dtype), one[0].to(dtype))
    wide, columns = vectors.float(), several.T.contiguous()
    del vectors
    with torch.inference_mode():
        took = _timed(arms, rounds)
        fastest = min(BITS, key=lambda name: median(took[name]))
        del arms
        out = torch.empty(len(wide), QUERIES)
        some = {
            "scan": lambda: list(similarities(library, several)),
            "product": lambda: torch.mm(wide, columns, out=out),
        }
        together = _timed(some, max(rounds // 3, 1))
    return {
        "query_s": median(took["scan"]),
        "product_s": median(took[fastest]),
        "product_bits": BITS[fastest],
        "over_product": ratio(took, "scan", fastest),
        "queries_over_product": ratio(together, "scan", "product"),
    }


def _labels(library: Library, world: World, rounds: int) -> dict[str, float]:
    bank, model = world.bank(LABELS, TEXTS), MadeModel()
    wide, columns = torch.from_numpy(library.embeddings.astype(np.float32)), bank.means.T
    buffer = torch.empty(CHUNK, LABELS)

    def score(*, probabilities: bool) -> None:
        for block in score_windows(library, bank, model):  # type: ignore[arg-type]
            if probabilities:
                assert block.probability is not None

    def product() -> None:
        for first in range(0, len(wide), CHUNK):
            chunk = wide[first : first + CHUNK]
            torch.mm(chunk, columns, out=buffer[: len(chunk)])

    arms = {
        "similarities": lambda: score(probabilities=False),
        "product": product,
        "probabilities": lambda: score(probabilities=True),
    }
    with torch.inference_mode():
        took = time_in_turns(arms, rounds)
    return {
        "labels_s": median(took["similarities"]),
        "labels_over_product": ratio(took, "similarities", "product"),
        "probabilities_over_product": ratio(took, "probabilities", "product"),
    }


def _product(matrix: Tensor, vector: Tensor) -> Callable[[], object]:
    return lambda: torch.mv(matrix, vector)


def _timed(arms: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    time_in_turns(arms, 1)
    return time_in_turns(arms, rounds)


def _in_a_process(folder: Path, *, labels: int = 0) -> dict[str, float]:
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_alone, args=(folder, labels, queue))
    process.start()
    values: dict[str, float] = queue.get()
    process.join()
    return values


def _alone(folder: Path, labels: int, queue: Any) -> None:
    world = World()
    query = world.texts(1)
    started = time.perf_counter()
    library = Library.open(folder)
    assert library.live is not None
    opened = time.perf_counter()
    times = []
    for _ in range(6):
        began = time.perf_counter()
        for _, cosines in similarities(library, query):
            cosines[:, 0].max()
        times.append(time.perf_counter() - began)
    if labels:
        for block in score_windows(library, world.bank(labels, TEXTS), MadeModel()):  # type: ignore[arg-type]
            np.argpartition(block.similarity, -BEST, axis=1)[:, -BEST:]
    queue.put(
        {
            "open_s": opened - started,
            "first_query_s": times[0],
            "query_s": median(times[1:]),
            "memory_mb": peak_rss_mb(),
        }
    )
