"""Videos that are copies of each other."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olmv.errors import InputError, UsageError
from olmv.library.query import duplicates
from olmv.library.query.duplicates import COPIES, DuplicateQuery
from tests.support.libraries import vector_library

DIMENSION = 8


def at(cosine: float, other: int) -> np.ndarray:
    """A window [1, D] of this cosine with the first axis."""
    vector = np.zeros((1, DIMENSION))
    vector[0, 0], vector[0, other] = cosine, math.sqrt(1 - cosine**2)
    return vector


def test_groups(tmp_path: Path) -> None:
    unit = np.eye(DIMENSION)
    videos = {
        "one.mp4": unit[:1],
        "copy.mp4": at(0.97, 3),
        "other.mp4": unit[1:2],
        "far.mp4": at(0.8, 5),
        "both.mp4": unit[5:7],  # two windows: the mean of both counts
        "both-again.mp4": unit[[6, 5]],
    }
    library = vector_library(tmp_path / "library", videos)
    groups = library.duplicates()
    assert [[copy.video for copy in group.copies] for group in groups] == [
        ["one.mp4", "copy.mp4"],
        ["both.mp4", "both-again.mp4"],
    ]
    copy = groups[0].copies[1]
    assert copy.similarity == pytest.approx(0.97, abs=1e-3)
    assert copy.probability == pytest.approx(1 / (1 + math.exp(-COPIES.slope * (0.97 - COPIES.half))), abs=1e-2)
    assert copy.to_row()["path"] == "/films/copy.mp4"
    assert len(library.duplicates(threshold=0.999)) == 1
    assert library.duplicates(path="both*.mp4") == groups[1:]
    with pytest.raises(InputError, match=r"no video of .* matches"):
        library.duplicates(path="*.avi")
    with pytest.raises(UsageError, match="threshold is 1; give a number between 0 and 1"):
        library.duplicates(threshold=1)


def test_a_cosine_is_never_above_one(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(20, DIMENSION))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    videos = {f"{place}-{copy}.mp4": vectors[[place]] for place in range(20) for copy in range(2)}
    groups = vector_library(tmp_path / "library", videos).duplicates(threshold=0.999)
    similarities = [copy.similarity for group in groups for copy in group.copies]
    assert (len(similarities), max(similarities)) == (40, 1)  # half precision alone gives some 1.0003


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.integers(1, 4), st.integers(1, 7))
def test_blocks_do_not_matter(kinds: list[int], block: int, together: int) -> None:
    import tempfile

    unit = np.eye(DIMENSION)
    videos = {f"{place}.mp4": unit[[kind]] for place, kind in enumerate(kinds)}
    expected = [
        [f"{place}.mp4" for place, kind in enumerate(kinds) if kind == own]
        for own in dict.fromkeys(kinds)
        if kinds.count(own) > 1
    ]
    blocks: list[tuple[int, int]] = []
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_BLOCK", block)
        patch.setattr(duplicates, "_WINDOWS", together)
        library = vector_library(Path(folder) / "library", videos)
        groups = duplicates.find_duplicates(
            library, DuplicateQuery(), advanced=lambda done, total, *, stage: blocks.append((done, total))
        )
    assert [[copy.video for copy in group.copies] for group in groups] == expected
    assert blocks[-1][0] == blocks[-1][1] == len(blocks)
