"""The tables of `tables.py` that show what a library costs."""

from collections.abc import Mapping
from typing import Any

from scripts.benchmarks.md_table import markdown

__all__ = ["index_engines_table", "index_retrieval_table", "index_table", "number"]

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
    "costs/index/over_predict_processor": "the same, processor seconds",
    "costs/index/bytes_a_video": "bytes a video",
    "costs/index/thumbnails_share": "share of thumbnails",
    "ray/index/ray/over_plain": "`olmv index --engine ray`, two actors, over the plain command on the same machine",
    "ray/index/ray/extra_s": "seconds more",
}
RETRIEVAL = {
    "described/r1": "the caption finds its clip first (described)",
    "described/r5": "among the first five",
    "described/found_at_the_cut": "at the cut",
    "described/others_at_the_cut": "other clips at the cut, a caption",
    "actions/map": "10 actions by label: mAP",
    "actions/cut_precision": "precision at the cut",
    "actions/cut_recall": "recall at the cut",
    "absent/nothing_found": "words that are in no clip: nothing found",
    "absent/false_moments_a_word": "clips found all the same, a word",
    "like/cut_precision": "a clip as the query, for others of its action: precision at the cut",
    "like/cut_recall": "recall at the cut",
}
COPIES = "retrieval/copies/recall/"


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


def index_retrieval_table(data: Data) -> str:
    """Show what a search finds in real clips."""
    figures = data["figures"]
    names = {f"retrieval/{name}": told for name, told in RETRIEVAL.items()}
    names |= {name: f"copies found: {name.removeprefix(COPIES)}" for name in figures if name.startswith(COPIES)}
    rows = []
    for name, told in names.items():
        if name in figures:
            low, high = data["intervals"].get(name, (None, None))
            rows.append([told, f"{figures[name]:.3f}" + ("" if low is None else f" ({low:.2f} to {high:.2f})")])
    return markdown(["", "figure (95 % interval)"], rows)


def number(value: float) -> str:
    """Write a figure with three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
