"""The tables of `tables.py` that show what a library costs."""

from collections.abc import Mapping
from typing import Any

from scripts.benchmarks.md_table import markdown

__all__ = ["index_engines_table", "index_table", "number"]

Data = Mapping[str, Any]

ENGINES = (
    "olmv", "faiss flat", "faiss flat float16", "usearch exact", "LanceDB exact", "DuckDB",
    "olmv, fewer", "faiss HNSW", "usearch HNSW", "LanceDB IVF_PQ",
)  # fmt: skip
COLUMNS = {
    "windows": "windows", "query_ms": "a query, ms", "recall": "recall@10", "filtered_ms": "filtered to 1 %, ms",
    "filtered_recall": "recall@10", "open_ms": "open, ms", "build_s": "build, s", "bytes_a_window": "bytes a window",
}  # fmt: skip
VECTORS = {
    "vectors/windows": "windows of 512, made",
    "vectors/fragments": "fragments",
    "vectors/open_s": "open, s",
    "vectors/first_query_s": "the first query of a process, s",
    "vectors/query_s": "the next ones, s",
    "vectors/product_s": "the fastest bare product of the same numbers at rest in memory, s",
    "vectors/over_product": "a query over it",
    "vectors/queries_over_product": "16 queries at once over the float32 product",
    "vectors/labels_s": "1,000 labels of four texts each over all windows, s",
    "vectors/labels_over_product": "that over the float32 product",
    "vectors/probabilities_over_product": "with probabilities",
    "vectors/vectors_mb": "fragments, MB",
    "vectors/memory_mb": "memory of a process that does all of it, MB",
    "vectors/over_memory": "that over 1.3 times the fragments plus 500 MB",
    "many/windows": "windows of a larger library",
    "many/open_s": "open, s",
    "many/query_s": "a query, s",
    "many/over_linear": "time a window over that of the smaller one",
    "many/memory_mb": "memory, MB",
    "many/vectors_mb": "fragments, MB",
    "costs/index/over_predict": "`olmv index` over `olmv predict` of the same videos",
    "costs/index/bytes_a_video": "bytes a video",
    "costs/index/thumbnails_share": "share of thumbnails",
}


def index_table(data: Data) -> str:
    """Show what a made library costs, and filling a real one."""
    figures = data["figures"]
    return markdown(["", ""], [[told, number(figures[name])] for name, told in VECTORS.items() if name in figures])


def index_engines_table(data: Data) -> str:
    """Show a query to each engine."""
    figures = data["figures"]
    rows = []
    for name in ENGINES:
        values = [figures.get(f"engines/{name}/{column}") for column in COLUMNS]
        if any(value is not None for value in values):
            rows.append([name, *("" if value is None else number(value) for value in values)])
    return markdown(["", *COLUMNS.values()], rows)


def number(value: float) -> str:
    """Write a figure with three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
