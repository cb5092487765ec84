"""Windows that follow each other are one moment."""

import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olmv.library.query.moments import Passing, join_windows
from tests.support.libraries import vector_library

COUNT = 12  # windows of 4 s, side by side


@settings(deadline=None, max_examples=25)
@given(st.sets(st.integers(0, COUNT - 1), min_size=1), st.integers(0, 2**32 - 1))
def test_moments_are_the_runs_of_windows(passing: set[int], seed: int) -> None:
    windows = np.array(sorted(passing))
    random = np.random.default_rng(seed)
    probability = random.uniform(0.5, 1, len(windows)).round(3)
    with tempfile.TemporaryDirectory() as folder:
        library = vector_library(Path(folder) / "library", {"a.mp4": np.ones((3, 8)), "b.mp4": np.ones((COUNT, 8))})
        entry = library.get("b.mp4")
        assert entry is not None
        own = Passing(entry, windows + 3, probability, probability / 2)
        moments = list(join_windows(library, own, lambda fragment, window: 4 * (window - 3) + 2.0))
    covered = {int(second) // 4 for moment in moments for second in np.arange(moment.start_s, moment.end_s, 4)}
    assert covered == passing
    for one, other in pairwise(moments):
        assert other.start_s > one.end_s
    assert max(moment.probability for moment in moments) == own.peak
    for moment in moments:
        assert moment.start_s < moment.peak_s < moment.end_s
        assert moment.similarity == moment.probability / 2
        assert moment.duration_s == 4 * COUNT
        assert moment.thumbnail is None


def test_rows_are_rounded(tmp_path: Path) -> None:
    library = vector_library(tmp_path / "library", {"a.mp4": np.ones((1, 8))})
    entry = library.get("a.mp4")
    assert entry is not None
    [moment] = join_windows(
        library, Passing(entry, np.array([0]), np.array([0.123456789]), np.array([0.2])), lambda *_: 1.0
    )
    row = moment.to_row()
    assert (row["probability"], row["end_s"], row["path"]) == (0.123457, 4.0, "/films/a.mp4")
    assert moment.probability == pytest.approx(0.123457)
