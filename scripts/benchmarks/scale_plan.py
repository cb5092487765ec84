"""The tables of `docs/scale.md`: a billion windows on paper, from measured figures and from prices that are stated.

Figures come from docs/results/bench_index.json and bench_predict.json; `ASSUMED` is all that nobody has measured here.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.benchmarks.index_tables import number
from scripts.benchmarks.md_table import markdown

__all__ = ["ASSUMED", "scale_assumed_table", "scale_fill_table", "scale_index_table", "scale_query_table"]

Data = Mapping[str, Any]

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
BILLION, MILLION = 1e9, 1e6
ASSUMED = {
    "core_hour": ("a core for an hour, on demand, dollars", 0.04),
    "storage": ("a gigabyte of object storage for a month, dollars", 0.023),
    "memory_gb": ("memory of a machine that scans, for vectors, GB", 192),
    "cores": ("its cores", 32),
    "machine_hour": ("it for an hour, dollars", 1.6),
    "memory_rate": ("its memory, GB read a second", 150),
    "disk_rate": ("its disk, GB read a second", 3),
    "windows_a_video": ("windows a video, where a library has not said", 10),
}
KINDS = {
    "small": "320x240, 10 s",
    "720p": "1280x720, 20 s",
    "longgop": "1280x720, 60 s, few keyframes",
}
MACHINES = (1, 8, 32, 128)
INDEXES = ("faiss HNSW", "usearch HNSW", "LanceDB IVF_PQ")


def scale_assumed_table(data: Data) -> str:
    """Show what is assumed."""
    return markdown(["assumed", ""], [[told, number(value)] for told, value in ASSUMED.values()])


def scale_fill_table(data: Data) -> str:
    """Show what a million videos cost to index, by kind."""
    own, predicted = data["figures"], _figures("bench_predict")
    over = own.get("costs/index/over_predict", 1.0)
    windows = own.get("costs/index/windows_a_video", _assumed("windows_a_video"))
    size = own.get("costs/index/bytes_a_video", windows * _vector_bytes(own)) * MILLION / 1e9
    rows = []
    for kind, told in KINDS.items():
        seconds = predicted[f"parts/{kind}/olmv/processor_s_a_video"] * over
        hours = seconds * MILLION / 3600
        rows.append(
            [
                told,
                number(1 / seconds),
                number(hours),
                number(hours / 1000),
                number(hours * _assumed("core_hour")),
                number(size),
                number(size * _assumed("storage")),
            ]
        )
    head = ["a million videos, 8 frames each", "videos a core-second", "core-hours", "hours on 1,000 cores", "dollars"]
    return markdown([*head, "GB", "dollars a month to keep"], rows)


def scale_query_table(data: Data) -> str:
    """Show how long a query to a billion windows takes by scanning, on so many machines."""
    own = data["figures"]
    each = _vector_bytes(own)
    measured = own["vectors/windows"] / own["vectors/query_s"]
    rows = []
    for machines in MACHINES:
        share = BILLION / machines
        held = share * each / 1e9 <= _assumed("memory_gb")
        rate = (_assumed("memory_rate") if held else _assumed("disk_rate")) * 1e9 / each
        labels = own["vectors/labels_s"] / own["vectors/windows"] * share * own_cores(data) / _assumed("cores")
        rows.append(
            [
                machines,
                number(share * each / 1e9),
                "memory" if held else "disk",
                number(share / measured) if held else "",
                number(share / rate),
                number(labels / 60),
                number(machines * _assumed("machine_hour") * 24 * 30),
            ]
        )
    head = ["machines", "GB of vectors on each", "read from", "a query as fast as measured here, s"]
    return markdown([*head, "as fast as assumed, s", "1,000 new labels, minutes", "dollars a month"], rows)


def scale_index_table(data: Data) -> str:
    """Show when an index pays against the scan of as many windows, and what a billion would take to build."""
    return markdown(
        ["index", "recall@10", "filtered to 1 %", "queries until it has paid", "bytes over the scan's",
         "core-hours to build a billion"],
        list(_indexes(data)),
    )  # fmt: skip


def _indexes(data: Data) -> Iterator[list[Any]]:
    own = data["figures"]
    scan = own.get("engines/olmv, fewer/query_ms")
    for name in INDEXES:
        if scan is None or f"engines/{name}/query_ms" not in own:
            continue
        value = {key: own.get(f"engines/{name}/{key}") for key in ("query_ms", "recall", "filtered_recall", "build_s")}
        gained = (scan - value["query_ms"]) / 1000
        yield [
            name,
            f"{value['recall']:.2f}",
            "" if value["filtered_recall"] is None else f"{value['filtered_recall']:.2f}",
            number(value["build_s"] / gained) if gained > 0 else "never",
            f"{own[f'engines/{name}/bytes_a_window'] / own['engines/olmv, fewer/bytes_a_window']:.1f}",
            number(value["build_s"] * own_cores(data) / own[f"engines/{name}/windows"] * BILLION / 3600),
        ]


def own_cores(data: Data) -> float:
    """Return the cores of the machine that measured."""
    return float(data["settings"]["cpus"])


def _vector_bytes(figures: Mapping[str, float]) -> float:
    return figures["vectors/vectors_mb"] * 2**20 / figures["vectors/windows"]


def _assumed(name: str) -> float:
    return ASSUMED[name][1]


def _figures(name: str) -> Mapping[str, float]:
    figures: Mapping[str, float] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["figures"]
    return figures
