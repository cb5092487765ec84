"""Average precision and its curve against scikit-learn, ties and weights included."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from olmv.metrics.ranked import RankedColumns, average_precision, precision_recall_curve
from tests.metrics.worlds import Array, worlds


@given(worlds, st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_a_weight_counts_a_video_that_often(world: tuple[Array, Array], seed: int) -> None:
    probability, truth = world
    weight = np.random.default_rng(seed).integers(0, 4, len(truth))
    repeated = np.repeat(np.arange(len(truth)), weight)
    for ranked in (RankedColumns, RankedColumns.pooled):
        got = ranked(probability, truth).average_precision(weight)
        if len(repeated):
            np.testing.assert_allclose(got, ranked(probability[repeated], truth[repeated]).average_precision())
        else:
            assert np.isnan(got).all()


@given(worlds)
@settings(deadline=None)
def test_average_precision_and_its_curve_equal_scikit_learn(world: tuple[Array, Array]) -> None:
    score, truth = world
    ap = average_precision(score.astype(np.float32) * 40 - 20, truth)
    for label in range(truth.shape[1]):
        if not truth[:, label].any():
            assert np.isnan(ap[label])
            continue
        np.testing.assert_allclose(ap[label], reference.average_precision_score(truth[:, label], score[:, label]))
        precision, recall = precision_recall_curve(score[:, label], truth[:, label])
        expected = reference.precision_recall_curve(truth[:, label], score[:, label])
        np.testing.assert_allclose(precision, expected[0][-2::-1])
        np.testing.assert_allclose(recall, expected[1][-2::-1])


def test_without_videos_there_is_no_average_precision() -> None:
    assert np.isnan(average_precision(np.zeros((0, 3)), np.zeros((0, 3), dtype=bool))).tolist() == [True] * 3
