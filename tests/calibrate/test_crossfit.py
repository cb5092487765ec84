"""Folds, and that no video is judged by what was fitted with it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olmv.calibrate.crossfit import cross_fit, cross_fit_rows, stratified_folds
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


@given(st.integers(0, 1000), st.integers(2, 40), st.integers(1, 5), st.integers(2, 6))
@settings(deadline=None, max_examples=40)
def test_groups_stay_whole(seed: int, groups: int, labels: int, folds: int) -> None:
    random = np.random.default_rng(seed)
    group = np.concatenate([np.arange(groups), random.integers(0, groups, 60)]) * 11
    truth = random.random((len(group), labels)) < random.uniform(0, 0.6, labels)
    fold = stratified_folds(truth, folds, groups=group)
    assert all(len(set(fold[group == number])) == 1 for number in set(group.tolist()))
    assert len(set(fold.tolist())) >= 2
    assert fold.max() < min(folds, groups)
    assert (stratified_folds(truth, folds, groups=np.arange(len(group))) == stratified_folds(truth, folds)).all()


def test_groups_are_spread() -> None:
    random = np.random.default_rng(0)
    group = np.repeat(np.arange(60), random.integers(1, 9, 60))
    truth = random.random((60, 6))[group] < 0.3
    fold = stratified_folds(truth, 5, groups=group)
    videos = np.bincount(fold)
    assert videos.max() - videos.min() < 0.35 * len(group) / 5


def test_one_group_cannot_be_parted() -> None:
    with pytest.raises(UsageError, match=r"all 6 videos are of one group, .*; calibrate with videos of several groups"):
        stratified_folds(np.ones((6, 1), dtype=bool), 5, groups=np.zeros(6, dtype=np.int64))


def test_cross_fitting_is_told_which_videos_it_may_look_at() -> None:
    fold = np.array([0, 1, 2, 0, 1, 2])
    probability = np.zeros((6, 2))
    found = cross_fit_rows(probability, fold, lambda rows: np.full(2, np.flatnonzero(rows).sum(), dtype=float))
    assert found[:, 0].tolist() == [15 - (index + (index + 3) % 6) for index in range(6)]
