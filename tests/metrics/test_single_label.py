"""Top-k accuracy against scikit-learn, ties included."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from olmv.errors import UsageError
from olmv.metrics.single_label import single_label_table, top_k_accuracy, top_k_hits


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(3, 9), st.sampled_from([1, 4, 1000]))
@settings(deadline=None)
def test_top_k_equals_scikit_learn_and_argmax(seed: int, videos: int, labels: int, steps: int) -> None:
    generator = np.random.default_rng(seed)
    logits = generator.integers(-steps, steps, (videos, labels)) / 7
    truth = generator.integers(labels, size=videos)
    found = top_k_accuracy(logits, truth, (1, 2, labels))
    assert found["top1"] == reference.accuracy_score(truth, logits.argmax(axis=1))
    assert found[f"top{labels}"] == 1
    # Of equal scores scikit-learn takes the last, as we take the first: turned around, they agree.
    expected = reference.top_k_accuracy_score(labels - 1 - truth, logits[:, ::-1], k=2, labels=range(labels))
    assert found["top2"] == pytest.approx(expected)


def test_top_k_hits_are_per_video() -> None:
    hits = top_k_hits(np.array([[3.0, 2, 1], [3, 2, 1], [3, 2, 1]]), np.array([0, 1, 2]), (1, 2))
    assert {name: values.tolist() for name, values in hits.items()} == {
        "top1": [True, False, False],
        "top2": [True, True, False],
    }


def test_single_label_table() -> None:
    logits = np.eye(4)[[0, 1, 1, 2, 0, 2]]
    table = single_label_table(logits, np.array([0, 0, 0, 0, 1, 2]))
    assert table.support.tolist() == [4, 1, 1, 0]
    np.testing.assert_allclose(table.accuracy, [0.25, 0, 1, np.nan])
    assert table.confused_with.tolist() == [1, 0, -1, -1]
    assert table.confused.tolist() == [2, 1, 0, 0]


def test_equal_scores_get_what_chance_gives() -> None:
    assert top_k_accuracy(np.zeros((20, 20)), np.arange(20)) == {"top1": 0.05, "top5": 0.25}


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(UsageError, match=r"score \[0, 1\] is not a number"):
        top_k_accuracy(np.array([[0, np.nan]]), np.array([0]))
    with pytest.raises(UsageError, match="label index below 2 for each of 1 videos"):
        top_k_accuracy(np.array([[0.0, 1]]), np.array([2]))
