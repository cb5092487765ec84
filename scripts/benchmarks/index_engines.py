"""A query to a library beside what people would use for it, on the same vectors in one run.

Figures of each engine, under its name:
    query_ms        one query after the other, median
    recall          of the ten best by the exact product
    filtered_ms, filtered_recall
                    only among the windows of one video in a hundred
    open_ms         from the disk until it can be asked; build_s, from the vectors on; bytes_a_window, on the disk
    windows         those with an index have fewer, see `--index-windows`: a million take long to build on two cores

olmv is the scan in half precision, its best 64 then computed again in float32; filtered: of the windows that pass
only. All others are asked as their documentation says, with as many threads as they take by themselves; graphs
with 32 links and 64 candidates, IVF with 20 cells. DuckDB has no index for vectors without an extension.
"""

import gc
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from olmv.library.library import Library
from olmv.library.scan import similarities
from scripts.benchmarks.index_library import OF_A_VIDEO, World, made_library

__all__ = ["measure"]

BEST, AGAIN, QUERIES, SECONDS = 10, 64, 40, 20.0
ONE_IN, CHOSEN = 100, 7
LINKS, BUILD_CANDIDATES, CANDIDATES, CELLS = 32, 64, 64, 20
ITERATIONS, SAMPLES = 10, 64  # of LanceDB's training; with its own, two cores are busy for minutes

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]
Ask = Callable[[Floats], Ids]


@dataclass(frozen=True)
class Data:
    """What engines are filled with: N windows, of which those of one video in a hundred are `chosen`."""

    vectors: Floats
    chosen: NDArray[np.bool_]

    def best(self, queries: Floats, *, filtered: bool) -> Ids:
        """Return the exact answers [Q, BEST]."""
        places = np.flatnonzero(self.chosen) if filtered else np.arange(len(self.vectors))
        cosines = torch.from_numpy(queries) @ torch.from_numpy(self.vectors[places] if filtered else self.vectors).T
        return np.asarray(places[cosines.topk(min(BEST, len(places)), dim=1).indices.numpy()])


@dataclass(frozen=True)
class Engine:
    """One that is filled: how it is asked, and what it took.

    Attributes:
        ask: the ten best of all.
        ask_chosen: of the chosen; None where it cannot be told.
        open_s, build_s, size: seconds, seconds, bytes.
    """

    ask: Ask
    ask_chosen: Ask | None
    open_s: float
    build_s: float
    size: int


def measure(folder: Path, *, windows: int, index_windows: int, queries: int = QUERIES) -> dict[str, float]:
    """Measure what the module's docstring names.

    Args:
        folder: has the made library, or gets it; engines write beside it.
        windows: of all but the graphs.
        index_windows: of what builds an index, and of olmv once more.
        queries: how many are asked of each.
    """
    figures: dict[str, float] = {}
    asked = World().texts(queries, number=9).numpy()
    for count, engines in ((windows, FLAT), (index_windows, INDEXES)):
        library = made_library(folder / f"made-{count}", count, world=World())
        vectors = library.embeddings.astype(np.float32)
        data = Data(vectors, np.arange(len(vectors)) // OF_A_VIDEO % ONE_IN == CHOSEN)
        truth = {filtered: data.best(asked, filtered=filtered) for filtered in (False, True)}
        for name, fill in engines.items():
            scratch = folder / f"engine-{name}"
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(parents=True)
            try:
                engine = fill(data, scratch, library)
                values = dict(_asked(engine, asked, truth)) | {"windows": count}
                values |= {"open_ms": 1000 * engine.open_s, "build_s": engine.build_s}
                values |= {"bytes_a_window": engine.size / count}
            except ImportError as failure:
                print(f"{name}: {failure}; it is left out", flush=True)
                continue
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
            del engine
            gc.collect()
            print(name, {key: round(value, 3) for key, value in values.items()}, flush=True)
            figures |= {f"{name}/{key}": value for key, value in values.items()}
    return figures


def _asked(engine: Engine, queries: Floats, truth: dict[bool, Ids]) -> Iterator[tuple[str, float]]:
    for prefix, ask, filtered in (("", engine.ask, False), ("filtered_", engine.ask_chosen, True)):
        if ask is None:
            continue
        ask(queries[0])
        times, hits, began = [], 0, time.perf_counter()
        for query, expected in zip(queries, truth[filtered], strict=True):
            started = time.perf_counter()
            answer = ask(query)
            times.append(time.perf_counter() - started)
            hits += len(np.intersect1d(answer, expected))
            if time.perf_counter() - began > SECONDS:
                break
        yield f"{prefix}query_ms" if not prefix else f"{prefix}ms", 1000 * median(times)
        yield f"{prefix}recall", hits / (len(times) * BEST)


def _olmv(data: Data, scratch: Path, library: Library) -> Engine:
    started = time.perf_counter()
    opened = Library.open(library.folder)
    assert opened.live is not None
    seconds = time.perf_counter() - started
    bounds = np.cumsum([0, *(fragment.windows for fragment in opened.fragments)])

    def ask(query: Floats, chosen: NDArray[np.bool_] | None = None) -> Ids:
        masks = None if chosen is None else np.split(chosen, bounds[1:-1])
        parts = similarities(opened, torch.from_numpy(query)[None], masks=masks)
        cosines = np.concatenate([part[:, 0] for _, part in parts])
        places = np.arange(len(cosines)) if chosen is None else np.flatnonzero(chosen)
        if len(places) > AGAIN:
            places = places[np.argpartition(cosines[places], -AGAIN)[-AGAIN:]]
        owners = np.searchsorted(bounds, places, side="right") - 1
        rows = [opened.fragments[o].window_vectors[p - bounds[o]] for p, o in zip(places, owners, strict=True)]
        exact = np.stack(rows).astype(np.float32) @ query
        return np.asarray(places[np.argsort(-exact)[:BEST]])

    size = sum((fragment.folder / "windows.arrow").stat().st_size for fragment in opened.fragments)
    return Engine(ask, lambda query: ask(query, data.chosen), seconds, 0.0, size)


def _faiss(index: Any, data: Data, scratch: Path, **search: Any) -> Engine:
    import faiss

    started = time.perf_counter()
    index.train(data.vectors[:100_000])
    index.add(data.vectors)
    built = time.perf_counter() - started
    faiss.write_index(index, str(scratch / "index"))
    started = time.perf_counter()
    opened = faiss.read_index(str(scratch / "index"))
    seconds = time.perf_counter() - started
    kind = faiss.SearchParametersHNSW if search else faiss.SearchParameters
    places = np.flatnonzero(data.chosen)
    plain, filtered = kind(**search), kind(sel=faiss.IDSelectorBatch(places), **search)

    def ask(query: Floats, params: Any) -> Ids:
        return np.asarray(opened.search(query[None], BEST, params=params)[1][0])

    size = (scratch / "index").stat().st_size
    return Engine(lambda q: ask(q, plain), lambda q: ask(q, filtered), seconds, built, size)


def _faiss_flat(data: Data, scratch: Path, library: Library) -> Engine:
    import faiss

    return _faiss(faiss.IndexFlatIP(data.vectors.shape[1]), data, scratch)


def _faiss_half(data: Data, scratch: Path, library: Library) -> Engine:
    import faiss

    kind = faiss.ScalarQuantizer.QT_fp16
    return _faiss(faiss.IndexScalarQuantizer(data.vectors.shape[1], kind, faiss.METRIC_INNER_PRODUCT), data, scratch)


def _faiss_graph(data: Data, scratch: Path, library: Library) -> Engine:
    import faiss

    index = faiss.IndexHNSWFlat(data.vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = BUILD_CANDIDATES
    return _faiss(index, data, scratch, efSearch=CANDIDATES)


def _usearch_exact(data: Data, scratch: Path, library: Library) -> Engine:
    from usearch.index import MetricKind, search

    started = time.perf_counter()
    np.save(scratch / "vectors.npy", data.vectors.astype(np.float16))
    built = time.perf_counter() - started
    started = time.perf_counter()
    halves = np.load(scratch / "vectors.npy", mmap_mode="r")
    seconds = time.perf_counter() - started
    places = np.flatnonzero(data.chosen)

    def ask(query: Floats, rows: Any, own: Ids | None = None) -> Ids:
        keys = search(rows, query.astype(np.float16), BEST, MetricKind.IP, exact=True).keys.astype(np.int64)
        return np.asarray(keys if own is None else own[keys])

    size = (scratch / "vectors.npy").stat().st_size
    return Engine(lambda q: ask(q, halves), lambda q: ask(q, halves[places], places), seconds, built, size)


def _usearch_graph(data: Data, scratch: Path, library: Library) -> Engine:
    from usearch.index import Index, MetricKind

    index = Index(
        ndim=data.vectors.shape[1],
        metric=MetricKind.IP,
        dtype="f16",
        connectivity=LINKS,
        expansion_add=BUILD_CANDIDATES,
        expansion_search=CANDIDATES,
    )
    started = time.perf_counter()
    index.add(np.arange(len(data.vectors)), data.vectors)
    built = time.perf_counter() - started
    index.save(str(scratch / "index"))
    started = time.perf_counter()
    opened = Index.restore(str(scratch / "index"), view=True)
    assert opened is not None
    opened.expansion_search = CANDIDATES
    seconds = time.perf_counter() - started
    size = (scratch / "index").stat().st_size

    # its Python interface has no filter
    return Engine(lambda query: opened.search(query, BEST).keys.astype(np.int64), None, seconds, built, size)


def _lance(data: Data, scratch: Path, index: str | None) -> Engine:
    os.environ.setdefault("LANCE_LOG", "error")
    import lancedb
    import pyarrow as pa

    # its index of float16 was still being built after minutes, where that of float32 took half of one
    numbers = data.vectors.astype(np.float16 if index is None else np.float32)
    columns = {
        "id": np.arange(len(data.vectors)),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(numbers.reshape(-1)), data.vectors.shape[1]),
        "chosen": data.chosen,
    }
    started = time.perf_counter()
    table = lancedb.connect(str(scratch)).create_table("windows", pa.table(columns))
    if index is not None:
        table.create_index(metric="dot", index_type=index, max_iterations=ITERATIONS, sample_rate=SAMPLES)
    built = time.perf_counter() - started
    started = time.perf_counter()
    opened = lancedb.connect(str(scratch)).open_table("windows")
    seconds = time.perf_counter() - started

    def ask(query: Floats, filtered: bool) -> Ids:
        found = opened.search(query).distance_type("dot").limit(BEST)
        if index is not None:
            found = found.nprobes(CELLS).refine_factor(AGAIN // BEST)
        if filtered:
            found = found.where("chosen", prefilter=True)
        return np.asarray(found.select(["id", "_distance"]).to_arrow()["id"].to_numpy())

    size = sum(path.stat().st_size for path in scratch.rglob("*") if path.is_file())
    return Engine(lambda q: ask(q, False), lambda q: ask(q, True), seconds, built, size)


def _lance_exact(data: Data, scratch: Path, library: Library) -> Engine:
    return _lance(data, scratch, None)


def _lance_index(data: Data, scratch: Path, library: Library) -> Engine:
    return _lance(data, scratch, "IVF_PQ")


def _duckdb(data: Data, scratch: Path, library: Library) -> Engine:
    import duckdb
    import pyarrow as pa

    width = data.vectors.shape[1]
    flat = pa.FixedSizeListArray.from_arrays(pa.array(data.vectors.reshape(-1)), width)
    rows = pa.table({"id": np.arange(len(data.vectors)), "vector": flat, "chosen": data.chosen})
    started = time.perf_counter()
    with duckdb.connect(str(scratch / "windows.db")) as filling:
        filling.register("rows", rows)
        filling.execute("create table windows as select * from rows")
    built = time.perf_counter() - started
    del rows, flat
    started = time.perf_counter()
    opened = duckdb.connect(str(scratch / "windows.db"), read_only=True)
    seconds = time.perf_counter() - started

    def ask(query: Floats, where: str) -> Ids:
        order = f"array_inner_product(vector, $1::float[{width}]) desc"
        found = opened.execute(f"select id from windows {where} order by {order} limit {BEST}", [query.tolist()])
        return np.array([row[0] for row in found.fetchall()])

    size = (scratch / "windows.db").stat().st_size
    return Engine(lambda q: ask(q, ""), lambda q: ask(q, "where chosen"), seconds, built, size)


Fill = Callable[[Data, Path, Library], Engine]
FLAT: dict[str, Fill] = {
    "olmv": _olmv,
    "faiss flat": _faiss_flat,
    "faiss flat float16": _faiss_half,
    "usearch exact": _usearch_exact,
    "LanceDB exact": _lance_exact,
    "DuckDB": _duckdb,
}
INDEXES: dict[str, Fill] = {
    "olmv, fewer": _olmv,
    "faiss HNSW": _faiss_graph,
    "usearch HNSW": _usearch_graph,
    "LanceDB IVF_PQ": _lance_index,
}
