"""Figures for videos that the thresholds were not fitted to: every video is judged by what the others taught."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from olmv.errors import UsageError
from olmv.scoring.scaling import Scaler

__all__ = ["cross_fit", "cross_fit_rows", "stratified_folds"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


def stratified_folds(truth: Bools, folds: int, *, groups: Ints | None = None, seed: int = 0) -> Ints:
    """Deal videos into folds [N], each label spread over them as evenly as can be; groups of videos stay whole.

    Iterative stratification (Sechidis, Tsoumakas & Vlahavas 2011, algorithm 1): the rarest label that is left is
    dealt out first, each of its videos to the fold that lacks most of this label. Groups are dealt as one, those with
    many videos first.

    Args:
        truth: [N, C].
        folds: at most as many as videos or groups are made.
        groups: [N], the number of each video's group; None where each is dealt by itself.
        seed: of the order in which equals are dealt.

    Raises:
        UsageError: fewer than 2 folds, 2 videos or 2 groups.
    """
    if folds < 2:
        raise UsageError(f"folds is {folds}; give at least 2")
    if len(truth) < 2:
        raise UsageError(f"there is {len(truth)} video with predictions and truth; calibrating takes at least 2")
    _, unit = np.unique(np.arange(len(truth)) if groups is None else groups, return_inverse=True)
    size = np.bincount(unit)  # a unit is a group, or a video
    if len(size) < 2:
        raise UsageError(
            f"all {len(truth)} videos are of one group, which tells nothing of others; "
            "calibrate with videos of several groups, or leave the group column out"
        )
    amount = np.zeros((len(size), truth.shape[1]), dtype=np.int64)
    np.add.at(amount, unit, truth)
    folds = min(folds, len(size))
    random = np.random.default_rng(seed)
    fold = np.full(len(size), -1)
    room = np.full(folds, len(truth) / folds)
    lacking = np.tile(truth.sum(axis=0) / folds, (folds, 1))  # [folds, C]
    left = truth.sum(axis=0)
    while (left > 0).any():
        label = int(np.where(left > 0, left, len(truth) + 1).argmin())
        for dealt in _by_size(np.flatnonzero((amount[:, label] > 0) & (fold < 0)), size, random):
            chosen = _fullest((lacking[:, label], room), random)
            fold[dealt] = chosen
            room[chosen] -= size[dealt]
            lacking[chosen] -= amount[dealt]
            left = left - amount[dealt]
    for dealt in _by_size(np.flatnonzero(fold < 0), size, random):  # nothing is true of these
        fold[dealt] = chosen = _fullest((room,), random)
        room[chosen] -= size[dealt]
    return np.asarray(fold[unit], dtype=np.int64)


def cross_fit(probability: Floats, truth: Bools, fold: Ints, fit: Callable[[Floats, Bools], Floats | Scaler]) -> Floats:
    """Return [N, C], for every video and label what was fitted without this video.

    Args:
        probability: [N, C].
        truth: [N, C].
        fold: [N], as `stratified_folds` makes it.
        fit: from the other folds' probability and truth to a threshold per label [C], NaN for none; or to a scaler,
            and then the result are the scaled probabilities.
    """
    return cross_fit_rows(probability, fold, lambda rows: fit(probability[rows], truth[rows]))


def cross_fit_rows(probability: Floats, fold: Ints, fit: Callable[[Bools], Floats | Scaler]) -> Floats:
    """Return what `cross_fit` does, `fit` being given which videos [N] it may look at."""
    crossed = np.full(probability.shape, np.nan)
    for number in np.unique(fold):
        out = fold == number
        fitted = fit(~out)
        crossed[out] = fitted(probability[out]) if isinstance(fitted, Scaler) else fitted
    return crossed


def _by_size(units: Ints, size: Ints, random: np.random.Generator) -> Ints:
    """Return the units in random order, the largest first."""
    shuffled = random.permutation(units)
    return np.asarray(shuffled[np.argsort(-size[shuffled], kind="stable")], dtype=np.int64)


def _fullest(keys: tuple[Floats, ...], random: np.random.Generator) -> int:
    """Return the index with the largest first key, then the largest second, then by lot."""
    best = np.arange(len(keys[0]))
    for key in keys:
        best = best[key[best] >= key[best].max() - 1e-9]
    return int(random.choice(best))
