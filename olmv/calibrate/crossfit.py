"""Figures for videos that the thresholds were not fitted to: every video is judged by what the others taught."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from olmv.errors import UsageError
from olmv.scoring.scaling import Scaler

__all__ = ["cross_fit", "stratified_folds"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


def stratified_folds(truth: Bools, folds: int, *, seed: int = 0) -> Ints:
    """Deal videos into folds [N], each label spread over them as evenly as can be.

    Iterative stratification (Sechidis, Tsoumakas & Vlahavas 2011, algorithm 1): the rarest label that is left is
    dealt out first, each of its videos to the fold that lacks most of this label.

    Args:
        truth: [N, C].
        folds: at most N are made.
        seed: of the order in which equals are dealt.

    Raises:
        UsageError: fewer than 2 folds or 2 videos.
    """
    if folds < 2:
        raise UsageError(f"folds is {folds}; give at least 2")
    if len(truth) < 2:
        raise UsageError(f"there is {len(truth)} video with predictions and truth; calibrating takes at least 2")
    folds = min(folds, len(truth))
    random = np.random.default_rng(seed)
    fold = np.full(len(truth), -1)
    room = np.full(folds, len(truth) / folds)
    lacking = np.tile(truth.sum(axis=0) / folds, (folds, 1))  # [folds, C]
    left = truth.sum(axis=0)
    while (left > 0).any():
        label = int(np.where(left > 0, left, len(truth) + 1).argmin())
        for video in random.permutation(np.flatnonzero(truth[:, label] & (fold < 0))):
            chosen = _fullest((lacking[:, label], room), random)
            fold[video] = chosen
            room[chosen] -= 1
            lacking[chosen] -= truth[video]
            left = left - truth[video]
    for video in random.permutation(np.flatnonzero(fold < 0)):  # nothing is true of these
        fold[video] = chosen = _fullest((room,), random)
        room[chosen] -= 1
    return fold


def cross_fit(probability: Floats, truth: Bools, fold: Ints, fit: Callable[[Floats, Bools], Floats | Scaler]) -> Floats:
    """Return [N, C], for every video and label what was fitted without this video.

    Args:
        probability: [N, C].
        truth: [N, C].
        fold: [N], as `stratified_folds` makes it.
        fit: from the other folds' probability and truth to a threshold per label [C], NaN for none; or to a scaler,
            and then the result are the scaled probabilities.
    """
    crossed = np.full(probability.shape, np.nan)
    for number in np.unique(fold):
        out = fold == number
        fitted = fit(probability[~out], truth[~out])
        crossed[out] = fitted(probability[out]) if isinstance(fitted, Scaler) else fitted
    return crossed


def _fullest(keys: tuple[Floats, ...], random: np.random.Generator) -> int:
    """Return the index with the largest first key, then the largest second, then by lot."""
    best = np.arange(len(keys[0]))
    for key in keys:
        best = best[key[best] >= key[best].max() - 1e-9]
    return int(random.choice(best))
