"""The benchmark of libraries, on a few windows."""

import queue
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.benchmarks import index_engines, index_vectors
from scripts.benchmarks.bench_index import figures_of
from scripts.benchmarks.index_engines import Data
from scripts.benchmarks.index_library import World, made_library
from scripts.benchmarks.index_tables import index_engines_table, index_retrieval_table, index_table
from scripts.benchmarks.scale_plan import scale_fill_table, scale_index_table, scale_query_table


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made_library(tmp_path / "made-4000", 4000, world=World())
    return tmp_path


def test_made_windows(folder: Path) -> None:
    library = made_library(folder / "made-4000", 4000, world=World())
    vectors = library.embeddings.astype(np.float32)
    assert vectors.shape == (4000, 512)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=2e-3)
    videos = vectors.reshape(-1, 20, 512)
    within = np.einsum("vd,vd->v", videos[:, 0], videos[:, 1]).mean()
    across = np.einsum("vd,vd->v", videos[:-1, 0], videos[1:, 0]).mean()
    assert within > across + 0.1
    deviation = library.fragments[0].window_table.background_deviation
    assert np.isfinite(deviation).all()
    assert (deviation > 0).all()


def test_vectors(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def here(library: Path, labels: int = 0) -> dict[str, float]:
        own: queue.Queue[Any] = queue.Queue()
        index_vectors._alone(library, labels, own)
        values: dict[str, float] = own.get()
        return values

    monkeypatch.setattr(index_vectors, "_in_a_process", here)
    monkeypatch.setattr(index_vectors, "LABELS", 7)
    figures = index_vectors.measure(folder, windows=4000, rounds=1)
    assert figures["windows"] == 4000
    assert figures["vectors_mb"] == pytest.approx(4000 * 1068 / 2**20, rel=0.3)
    assert all(value > 0 for value in figures.values())
    many = index_vectors.measure_many(folder, windows=4000, many=8000)
    assert many["many/windows"] == 8000
    table = index_table({"figures": {f"vectors/{name}": value for name, value in figures.items()}})
    assert "| windows of 512, made | 4,000 |" in table


def test_engines(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def absent(data: Data, scratch: Path, library: object) -> index_engines.Engine:
        raise ImportError("No module named 'absent'")

    monkeypatch.setattr(index_engines, "FLAT", {"olmv": index_engines.FLAT["olmv"], "absent": absent})
    monkeypatch.setattr(index_engines, "INDEXES", {})
    figures = index_engines.measure(folder, windows=4000, index_windows=4000, queries=3)
    assert figures["olmv/recall"] == figures["olmv/filtered_recall"] == 1.0
    assert figures["olmv/windows"] == 4000
    assert "absent: No module named 'absent'; it is left out" in capsys.readouterr().out
    table = index_engines_table({"figures": {f"engines/{name}": value for name, value in figures.items()}})
    assert table.splitlines()[2].startswith("| olmv | 4,000 |")


def test_figures_of_a_part() -> None:
    values = {"model": "olmv-lite", "costs/ratio": 2, "deep": {"videos": 18, "r1": [0.5, 0.25, 0.75]}}
    ratio, videos, r1 = figures_of(values, "costs")
    assert (ratio.name, ratio.value, ratio.low, ratio.n) == ("costs/ratio", 2.0, None, 1)
    assert videos.name == "costs/deep/videos"
    assert (r1.name, r1.value, r1.low, r1.high, r1.n) == ("costs/deep/r1", 0.5, 0.25, 0.75, 18)


def test_plan() -> None:
    figures = {
        "vectors/windows": 1e6,
        "vectors/vectors_mb": 1e9 / 2**20,
        "vectors/query_s": 0.05,
        "vectors/labels_s": 10,
        "engines/olmv, fewer/query_ms": 11.0,
        "engines/olmv, fewer/bytes_a_window": 1000,
        "engines/faiss HNSW/query_ms": 1.0,
        "engines/faiss HNSW/recall": 0.9,
        "engines/faiss HNSW/filtered_recall": 0.5,
        "engines/faiss HNSW/build_s": 36.0,
        "engines/faiss HNSW/bytes_a_window": 2000,
        "engines/faiss HNSW/windows": 1e5,
    }
    data = {"figures": figures, "settings": {"cpus": 2}}
    index = scale_index_table(data).splitlines()
    assert index[2] == "| faiss HNSW | 0.90 | 0.50 | 3,600 | 2.0 | 200 |"
    query = scale_query_table(data).splitlines()
    assert len(query) == 6
    assert query[3].startswith("| 8 | 125 | memory | 6.25 | 0.833 |")
    assert query[2].startswith("| 1 | 1,000 | disk |  | 333 |")
    # a million videos of 0.5 core-seconds are about 160 core-hours
    assert "| 320x240, 10 s |" in scale_fill_table(data)


def test_what_a_search_finds() -> None:
    figures = {"retrieval/described/r1": 0.5, "retrieval/copies/recall/mirrored": 0.9}
    table = index_retrieval_table({"figures": figures, "intervals": {"retrieval/described/r1": (0.25, 0.75)}})
    assert "| the caption finds its clip first (described) | 0.500 (0.25 to 0.75) |" in table
    assert "| copies found: mirrored | 0.900 |" in table
