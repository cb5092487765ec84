"""Ranks and recall of retrieval: sorted lists, ties, several captions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olmv.errors import UsageError
from olmv.metrics.retrieval import retrieval, retrieval_ranks


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(1, 12), st.sampled_from([2, 1000]))
@settings(deadline=None)
def test_ranks_are_those_of_a_sorted_list(seed: int, videos: int, captions: int, steps: int) -> None:
    generator = np.random.default_rng(seed)
    similarity = generator.integers(steps, size=(videos, captions)) / steps
    relevant = generator.random((videos, captions)) < 0.4
    t2v, v2t = retrieval_ranks(similarity, relevant)
    for ranks, scores, good in ((t2v, similarity.T, relevant.T), (v2t, similarity, relevant)):
        for rank, row, wanted in zip(ranks, scores, good, strict=True):
            order = np.argsort(-row, kind="stable")
            ahead = wanted[order]
            assert rank == (1 + int(ahead.argmax()) if wanted.any() else 0)


def test_the_best_of_several_captions_counts_and_a_video_without_one_is_left_out() -> None:
    similarity = np.array([[0.1, 0.9, 0.5], [0.3, 0.2, 0.6], [0.9, 0.9, 0.9]])
    relevant = np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=bool)
    t2v, v2t = retrieval_ranks(similarity, relevant)
    assert t2v.tolist() == [3, 1, 2]
    assert v2t.tolist() == [1, 1, 0]
    found = retrieval(similarity, relevant)
    assert found["v2t_r1"] == 1
    assert found["t2v_r1"] == pytest.approx(1 / 3)
    assert found["t2v_median_rank"] == 2


def test_equal_scores_get_what_chance_gives() -> None:
    figures = retrieval(np.zeros((20, 20)), np.eye(20, dtype=bool))
    chance = {"r1": 0.05, "r5": 0.25, "r10": 0.5, "median_rank": 10.5}
    assert figures == {f"{direction}_{name}": value for direction in ("t2v", "v2t") for name, value in chance.items()}


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(UsageError, match="give them the same shape"):
        retrieval(np.zeros((2, 2)), np.zeros((2, 3), dtype=bool))
    with pytest.raises(UsageError, match="no caption belongs to a video; check"):
        retrieval(np.zeros((2, 2)), np.zeros((2, 2), dtype=bool))
