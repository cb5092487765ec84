"""Calibration error against scikit-learn, a plain loop, and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from sklearn.calibration import calibration_curve

from olmv.metrics.calibration_error import BINS, reliability
from tests.metrics.worlds import Array, worlds


def test_reliability_equals_scikit_learn() -> None:
    generator = np.random.default_rng(1)
    probability = generator.random((200, 5)) ** 2
    truth = generator.random((200, 5)) < 0.3
    bins = reliability(probability, truth)
    share, mean = calibration_curve(truth.ravel(), probability.ravel(), n_bins=BINS)
    np.testing.assert_allclose(bins.share, share)
    np.testing.assert_allclose(bins.probability, mean)
    count = np.histogram(probability, bins=BINS, range=(0, 1))[0]
    assert bins.count.tolist() == count.tolist()
    assert bins.ece == pytest.approx(float((np.abs(share - mean) * count).sum() / 1000))


@given(worlds)
@settings(deadline=None)
def test_calibration_errors_equal_a_plain_loop(world: tuple[Array, Array]) -> None:
    probability, truth = world
    edges = np.linspace(0, 1, BINS + 1)
    members: list[list[tuple[float, bool]]] = [[] for _ in range(BINS)]
    for p, true in zip(probability.ravel().tolist(), truth.ravel().tolist(), strict=True):
        place = max(number for number in range(BINS) if edges[number] <= p)
        members[place].append((p, true))
    gaps = [abs(sum(p for p, _ in pairs) - sum(true for _, true in pairs)) for pairs in members]
    bins = reliability(probability, truth)
    assert bins.ece == pytest.approx(sum(gaps) / probability.size)
    means = [gap / len(pairs) for gap, pairs in zip(gaps, members, strict=True) if pairs]
    assert bins.bin_error == pytest.approx(sum(means) / len(means))


def test_reliability_bins_by_hand() -> None:
    bins = reliability(np.array([[0.9], [0.9], [0.1], [1.0]]), np.array([[True], [False], [False], [True]]))
    assert bins.count.tolist() == [0, 1, *[0] * 11, 2, 1]
    assert bins.share[[1, 13, 14]].tolist() == [0, 0.5, 1]
    assert bins.probability[13] == pytest.approx(0.9)
    assert np.isnan(bins.share[0])
    assert bins.ece == pytest.approx((0.1 + 2 * 0.4 + 0) / 4)
    assert bins.bin_error == pytest.approx((0.1 + 0.4 + 0) / 3)
