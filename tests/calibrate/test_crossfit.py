"""Folds, and that no video is judged by what was fitted with it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olmv.calibrate.crossfit import cross_fit, stratified_folds
from olmv.errors import UsageError
from olmv.scoring.scaling import Platt, Scaler


@given(st.integers(0, 1000), st.integers(2, 60), st.integers(1, 6), st.integers(2, 7))
@settings(deadline=None, max_examples=40)
def test_folds_are_even(seed: int, videos: int, labels: int, folds: int) -> None:
    random = np.random.default_rng(seed)
    truth = random.random((videos, labels)) < random.uniform(0, 0.6, labels)
    fold = stratified_folds(truth, folds)
    used = min(folds, videos)
    assert set(fold.tolist()) <= set(range(used))
    counted = truth.sum(axis=0)
    rarest = np.where(counted > 0, counted, videos + 1).argmin()
    if counted[rarest]:  # dealt out first, so exactly even
        per_fold = np.bincount(fold[truth[:, rarest]], minlength=used)
        assert per_fold.max() - per_fold.min() <= 1
    assert (stratified_folds(truth, folds) == fold).all()


def test_common_labels_are_spread() -> None:
    random = np.random.default_rng(0)
    truth = random.random((500, 20)) < 0.05
    fold = stratified_folds(truth, 5)
    assert np.bincount(fold).max() - np.bincount(fold).min() < 15
    counts = np.stack([truth[fold == k].sum(axis=0) for k in range(5)])
    assert (np.ptp(counts, axis=0) <= 3).all()


def test_bad_numbers() -> None:
    with pytest.raises(UsageError, match="folds is 1; give at least 2"):
        stratified_folds(np.ones((5, 1), dtype=bool), 1)
    with pytest.raises(UsageError, match="there is 1 video with predictions and truth; calibrating takes at least 2"):
        stratified_folds(np.ones((1, 1), dtype=bool), 5)


def test_no_video_is_judged_by_itself() -> None:
    probability = np.arange(12, dtype=float).reshape(6, 2) / 12
    fold = np.array([0, 1, 2, 0, 1, 2])
    found = cross_fit(probability, probability > 0.5, fold, lambda p, t: p.sum(axis=0))
    for video in range(6):
        others = fold != fold[video]
        assert found[video] == pytest.approx(probability[others].sum(axis=0))
    scaled = cross_fit(probability, probability > 0.5, fold, lambda p, t: Scaler([Platt(slope=1, offset=0), None]))
    assert scaled == pytest.approx(probability)
