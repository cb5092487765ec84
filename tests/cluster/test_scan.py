"""A library that is scored in pieces gives what it gives here."""

from pathlib import Path

import numpy as np
import pytest
import torch

from olmv.cluster.engine import RayEngine
from olmv.cluster.scan import count_windows, search_fragments
from olmv.errors import InputError
from olmv.library.library import Library
from olmv.library.scan import similarities
from olmv.library.writer import LibraryWriter
from tests.support.libraries import SETTINGS, vector_part

pytestmark = pytest.mark.slow


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Four fragments; of the videos of the first one, one was indexed again and one was removed."""
    rng = np.random.default_rng(5)
    with LibraryWriter(tmp_path / "library", SETTINGS) as writer:
        for names in ("abc", "de", "b", "f"):
            for name in names:
                writer.add(vector_part(f"{name}.mp4", rng.normal(size=(7, 8))))
            writer.flush(removed=["/films/c.mp4"] if names == "de" else [])
    return Library.open(tmp_path / "library")


def queries(count: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(count, 8, generator=torch.Generator().manual_seed(1)), dim=1)


def here(library: Library, vectors: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All cosines [N, Q] of windows that count, with their fragments and windows."""
    cosines, fragments, windows = [], [], []
    for (place, values), mask in zip(similarities(library, vectors), library.live, strict=True):
        numbers = np.arange(len(values)) if mask is None else np.flatnonzero(mask)
        cosines.append(values[numbers])
        fragments.append(np.full(len(numbers), place))
        windows.append(numbers)
    return np.concatenate(cosines), np.concatenate(fragments), np.concatenate(windows)


def test_as_it_is_here(engine: RayEngine, library: Library) -> None:
    vectors = queries(70)  # more than are scored at once
    cosines, fragments, windows = here(library, vectors)
    assert len(cosines) == library.windows == 35
    for top in (3, 100):
        order = np.argsort(-cosines, axis=0, kind="stable")[:top].T
        nearest = search_fragments(engine, library, vectors, top)
        np.testing.assert_allclose(nearest.similarity, np.take_along_axis(cosines.T, order, axis=1), atol=1e-6)
        np.testing.assert_array_equal(nearest.fragment, fragments[order])
        np.testing.assert_array_equal(nearest.window, windows[order])
    limits = np.linspace(-0.5, 0.5, 70)
    counts = count_windows(engine, library, vectors, limits.tolist())
    np.testing.assert_array_equal(counts, (cosines >= limits.astype(np.float32)).sum(axis=0))


def test_of_an_empty_library(engine: RayEngine, tmp_path: Path) -> None:
    LibraryWriter(tmp_path, SETTINGS).close()
    library = Library.open(tmp_path)
    assert search_fragments(engine, library, queries(2), 3).window.shape == (2, 0)
    assert count_windows(engine, library, queries(2), [0, 0]).tolist() == [0, 0]


def test_a_fragment_that_goes_away(engine: RayEngine, library: Library) -> None:
    (library.fragments[1].folder / "windows.arrow").unlink()
    with pytest.raises(InputError, match=r"windows\.arrow is missing"):
        search_fragments(engine, library, queries(2), 3)
