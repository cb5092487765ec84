"""Calibration error against scikit-learn, a plain loop, and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from olmv.metrics.calibration_error import BINS, EASY, calibration_figures, reliability
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
    found = calibration_figures(probability, truth)
    assert found.ece == pytest.approx(float((np.abs(share - mean) * count).sum() / 1000))
    loss = brier_score_loss(truth.ravel(), probability.ravel())
    shares = np.broadcast_to(truth.mean(axis=0), truth.shape)
    assert found.brier_skill == pytest.approx(1 - loss / brier_score_loss(truth.ravel(), shares.ravel()))


@given(worlds)
@settings(deadline=None)
def test_calibration_errors_equal_a_plain_loop(world: tuple[Array, Array]) -> None:
    probability, truth = world
    edges = np.linspace(0, 1, BINS + 1)
    found = calibration_figures(probability, truth)
    for least, ece in ((-1.0, found.ece), (EASY, found.ece_above)):
        members: list[list[tuple[float, bool]]] = [[] for _ in range(BINS)]
        for p, true in zip(probability.ravel().tolist(), truth.ravel().tolist(), strict=True):
            place = max(number for number in range(BINS) if edges[number] <= p)
            if p > least:
                members[place].append((p, true))
        gaps = [abs(sum(p for p, _ in pairs) - sum(true for _, true in pairs)) for pairs in members]
        count = sum(map(len, members))
        assert ece == pytest.approx(sum(gaps) / count if count else np.nan, nan_ok=True)
        if least < 0:
            means = [gap / len(pairs) for gap, pairs in zip(gaps, members, strict=True) if pairs]
            assert found.bin_error == pytest.approx(sum(means) / len(means))


def test_easy_negatives_hide_an_error_that_shows_above_them() -> None:
    """Ten labels of 1,000 are told with 0.9 and true half the time: off by 0.4 where it matters."""
    probability, truth = np.full((40, 1000), 1e-4), np.zeros((40, 1000), dtype=bool)
    probability[:, :10], truth[::2, :10] = 0.9, True
    found = calibration_figures(probability, truth)
    assert found.ece == pytest.approx(0.004, abs=2e-4)
    assert found.ece_above == pytest.approx(0.4)
    # the squared error is 0.41 where it matters, that of the labels' own shares 0.25
    assert found.brier_skill == pytest.approx(1 - 0.41 / 0.25, abs=1e-4)


def test_the_skill_of_the_shares_themselves_is_zero_and_of_the_truth_one() -> None:
    truth = np.random.default_rng(0).random((50, 4)) < (0.1, 0.3, 0.5, 0.0)
    shares = np.broadcast_to(truth.mean(axis=0), truth.shape)
    assert calibration_figures(shares, truth).brier_skill == pytest.approx(0)
    assert calibration_figures(truth.astype(float), truth).brier_skill == 1
    # a label that is true of no video adds nothing to the reference, and its error counts
    told = shares + np.array([0, 0, 0, 0.5])
    assert calibration_figures(told, truth).brier_skill < -0.2
    assert np.isnan(calibration_figures(told, np.zeros_like(truth)).brier_skill)
    assert np.isnan(calibration_figures(np.full((3, 1), EASY), np.ones((3, 1), dtype=bool)).ece_above)


def test_reliability_bins_by_hand() -> None:
    bins = reliability(np.array([[0.9], [0.9], [0.1], [1.0]]), np.array([[True], [False], [False], [True]]))
    assert bins.count.tolist() == [0, 1, *[0] * 11, 2, 1]
    assert bins.share[[1, 13, 14]].tolist() == [0, 0.5, 1]
    assert bins.probability[13] == pytest.approx(0.9)
    assert np.isnan(bins.share[0])
    found = calibration_figures(np.array([[0.9], [0.9], [0.1], [1.0]]), np.array([[1], [0], [0], [1]], dtype=bool))
    assert found.ece == pytest.approx((0.1 + 2 * 0.4 + 0) / 4)
    assert found.bin_error == pytest.approx((0.1 + 0.4 + 0) / 3)
