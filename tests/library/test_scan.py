"""Cosines of a library's windows are those of its vectors, however it is cut into fragments and pieces."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from olmv.library import scan
from olmv.library.library import Library
from olmv.library.scan import similarities
from tests.support.libraries import vector_library


def make_library(folder: Path, counts: list[int]) -> Library:
    rng = np.random.default_rng(0)
    for fragment, count in enumerate(counts):
        vector_library(folder, {f"{fragment}.mp4": rng.standard_normal((count, 8))} if count else {})
    return Library.open(folder)


@pytest.mark.parametrize("queries", [1, scan.FEW, scan.FEW + 1])
@pytest.mark.parametrize("kept", [True, False])
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=4), rows=st.integers(1, 30), step=st.integers(1, 60))
def test_all_cosines(
    counts: list[int],
    rows: int,
    step: int,
    queries: int,
    kept: bool,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scan, "_FEW_ROWS", rows)
    monkeypatch.setattr(scan, "_MANY_ROWS", rows)
    monkeypatch.setattr(scan, "_STEP", step)
    monkeypatch.setattr(scan, "_KEPT_BYTES", 2**32 if kept else 0)
    library = make_library(tmp_path_factory.mktemp("library"), counts)
    vectors = normalize(torch.randn(queries, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    found = list(similarities(library, vectors))
    assert [place for place, _ in found] == list(range(len(counts)))
    for (place, cosines), count in zip(found, counts, strict=True):
        expected = np.asarray(library.fragments[place].window_vectors, np.float32) @ vectors.numpy().T
        assert cosines.shape == (count, queries)
        assert cosines.dtype == np.float32
        np.testing.assert_allclose(cosines, expected, atol=1e-3 if queries <= scan.FEW else 1e-6)


@pytest.mark.parametrize("share", [0.05, 0.9])
def test_windows_of_interest(share: float, tmp_path: Path) -> None:
    library = make_library(tmp_path / "library", [300, 200])
    rng = np.random.default_rng(1)
    masks = [rng.random(fragment.windows) < share for fragment in library.fragments]
    query = normalize(torch.ones(1, 8), dim=1)
    for (place, cosines), mask in zip(similarities(library, query, masks=masks), masks, strict=True):
        expected = np.asarray(library.fragments[place].window_vectors, np.float32) @ query.numpy().T
        np.testing.assert_allclose(cosines[mask], expected[mask], atol=1e-3)
        if share < scan._SPARSE:
            assert np.isnan(cosines[~mask]).all()


def test_nothing_there(tmp_path: Path) -> None:
    library = vector_library(tmp_path / "library", {})
    assert list(similarities(library, torch.ones(1, 8))) == []


def test_bounded_error(tmp_path: Path) -> None:
    library = make_library(tmp_path / "library", [500])
    query = normalize(torch.from_numpy(np.asarray(library.embeddings[:1], np.float32)), dim=1)
    [(_, cosines)] = similarities(library, query)
    exact = np.asarray(library.embeddings, np.float64) @ query.double().numpy().T
    assert np.abs(cosines - exact).max() < 1e-3
    assert cosines[:, 0].argmax() == 0


@pytest.mark.parametrize("shape", [(8,), (1, 7)])
def test_queries_that_do_not_fit(shape: tuple[int, ...], tmp_path: Path) -> None:
    library = make_library(tmp_path / "library", [1])
    with pytest.raises(ValueError, match=r"queries \[.*\] do not fit vectors of 8"):
        similarities(library, torch.ones(shape))
