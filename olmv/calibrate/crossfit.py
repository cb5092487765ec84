"""Figures for videos that the thresholds were not fitted to: every video is judged by what the others taught."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olmv.errors import UsageError
from olmv.scoring.scaling import Scaler

__all__ = ["Figures", "cross_fit", "figures_of", "stratified_folds"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Figures:
    """Of decisions on N videos and C labels. Micro figures are over all pairs of video and label, macro figures
    means over the labels with a positive among the decided videos. NaN where there is nothing to count.

    Attributes:
        precision, recall, f1: [C]; a label that is never predicted has precision 0.
        predicted, support, decided: [C], videos predicted, true, and decided at all.
        false_alarms: decided videos that a label is predicted for without being true; never_true, of them those of
            labels that are true of none.
        macro_precision, macro_recall, macro_f1, micro_precision, micro_recall, micro_f1: 0..1.
    """

    precision: Floats
    recall: Floats
    f1: Floats
    predicted: Ints
    support: Ints
    decided: Ints
    false_alarms: int
    never_true: int
    macro_precision: float
    macro_recall: float
    macro_f1: float
    micro_precision: float
    micro_recall: float
    micro_f1: float


def stratified_folds(truth: Bools, folds: int, *, seed: int = 0) -> Ints:
    """[N]: the fold of every video, each label spread over the folds as evenly as can be.

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
    """[N, C]: for every video and label what was fitted without this video.

    Args:
        probability: [N, C].
        truth: [N, C].
        fold: [N], as `stratified_folds` makes it.
        fit: from the other folds' probability and truth to a threshold per label [C], NaN for none; or to a scaler,
            and then what is found are the scaled probabilities.
    """
    found = np.full(probability.shape, np.nan)
    for number in np.unique(fold):
        out = fold == number
        fitted = fit(probability[~out], truth[~out])
        found[out] = fitted(probability[out]) if isinstance(fitted, Scaler) else fitted
    return found


def figures_of(positive: Bools, truth: Bools, decided: Bools | None = None) -> Figures:
    """Precision, recall and F1 of decisions.

    Args:
        positive: [N, C], the decisions.
        truth: [N, C].
        decided: [N, C], which of them count; all by default.
    """
    decided = np.ones(truth.shape, dtype=bool) if decided is None else decided
    positive, truth = positive & decided, truth & decided
    hits, predicted, support = (part.sum(axis=0) for part in (positive & truth, positive, truth))
    counted = support > 0
    precision = np.where(counted, hits / np.maximum(predicted, 1), np.nan)
    recall = np.where(counted, hits / np.maximum(support, 1), np.nan)
    f1 = np.where(counted, 2 * hits / np.maximum(predicted + support, 1), np.nan)
    return Figures(
        precision=precision,
        recall=recall,
        f1=f1,
        predicted=predicted,
        support=support,
        decided=decided.sum(axis=0),
        false_alarms=int((predicted - hits).sum()),
        never_true=int(predicted[~counted].sum()),
        macro_precision=_mean(precision[counted]),
        macro_recall=_mean(recall[counted]),
        macro_f1=_mean(f1[counted]),
        micro_precision=_ratio(hits.sum(), predicted.sum()),
        micro_recall=_ratio(hits.sum(), support.sum()),
        micro_f1=_ratio(2 * hits.sum(), predicted.sum() + support.sum()),
    )


def _fullest(keys: tuple[Floats, ...], random: np.random.Generator) -> int:
    """The index with the largest first key, then the largest second, then by lot."""
    best = np.arange(len(keys[0]))
    for key in keys:
        best = best[key[best] >= key[best].max() - 1e-9]
    return int(random.choice(best))


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _ratio(part: int, whole: int) -> float:
    return float(part / whole) if whole else float("nan")
