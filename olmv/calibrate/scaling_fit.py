"""Fitting what makes calibrated probabilities of a model's; see `olmv.scoring.scaling` for what it does then."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from olmv.scoring.logits import logit_of
from olmv.scoring.scaling import Isotonic, Platt

__all__ = ["KINDS", "Kind", "fit_scaling", "fit_scalings"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

Kind = Literal["platt", "isotonic"]
KINDS: tuple[Kind, ...] = ("platt", "isotonic")

# Isotonic: at most so many steps are kept, and each is tilted by this part of the way to its neighbours.
_STEPS = 50
_TILT = 0.002


def fit_scalings(
    probability: Floats, truth: Bools, kind: Kind, *, min_support: int = 10, known: Bools | None = None
) -> list[Platt | Isotonic | None]:
    """Fit one scaling a label; labels with fewer than `min_support` positives or negatives share one of all pairs.

    Args:
        probability: [N, C], 0..1.
        truth: [N, C].
        kind: "platt" or "isotonic".
        min_support: at least 1 is meant.
        known: [N, C], the pairs that were judged, all true ones among them; None for all.

    Returns:
        None for a label whose probability does not rise with how often it is true: it keeps its probability.
    """
    support = truth.sum(axis=0)
    known = np.ones_like(truth) if known is None else known
    small = np.minimum(support, known.sum(axis=0) - support) < max(min_support, 1)
    pooled = fit_scaling(probability[known], truth[known], kind) if small.any() else None
    return [
        pooled
        if small[label]
        else fit_scaling(probability[known[:, label], label], truth[known[:, label], label], kind)
        for label in range(truth.shape[1])
    ]


def fit_scaling(probability: Floats, truth: Bools, kind: Kind) -> Platt | Isotonic | None:
    """Fit one label's scaling to probabilities [N] and truth [N]; None where more of one is not more of the other.

    platt: logistic regression on the logit, towards Platt's smoothed targets (N+ + 1)/(N+ + 2) and 1/(N- + 2) instead
    of 1 and 0 (Platt 1999, section 2.2), so that it exists also where the label is told without error.

    isotonic: the best rising steps (pool adjacent violators, Zadrozny & Elkan 2002), joined by lines. Each step is
    tilted a little towards its neighbours: level, it would make ties of what the model tells apart.
    """
    if truth.all() or not truth.any():
        return None
    logit = logit_of(probability)
    return _platt(logit, truth) if kind == "platt" else _isotonic(logit, truth)


def _platt(logit: Floats, truth: Bools) -> Platt | None:
    from sklearn.linear_model import LogisticRegression

    positives = int(truth.sum())
    high, low = (positives + 1) / (positives + 2), 1 / (len(truth) - positives + 2)
    target = np.where(truth, high, low)
    # a target between 0 and 1 is one video of each kind, in that proportion; in units of its spread, for the solver
    centre, spread = float(logit.mean()), float(logit.std())
    if logit.min() == logit.max():
        return None
    unit = (logit - centre) / spread
    model = LogisticRegression(C=np.inf, solver="newton-cholesky")
    model.fit(
        np.concatenate([unit, unit])[:, None],
        np.repeat([1, 0], len(unit)),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    slope = float(model.coef_[0, 0]) / spread
    offset = float(model.intercept_[0]) - slope * centre
    return Platt(slope=slope, offset=offset) if slope > 0 else None


def _isotonic(logit: Floats, truth: Bools) -> Isotonic | None:
    from sklearn.isotonic import IsotonicRegression

    steps = IsotonicRegression().fit_transform(logit, truth.astype(np.float64))
    level, where, count = np.unique(steps, return_inverse=True, return_counts=True)
    if len(level) == 1:
        return None
    # 0 and 1 would be certainty from few videos: half a video is taken for the other kind
    if level[0] == 0:
        level[0] = min(0.5 / (count[0] + 1), level[1] / 2)
    if level[-1] == 1:
        level[-1] = max(1 - 0.5 / (count[-1] + 1), (1 + level[-2]) / 2)
    if len(level) > _STEPS:
        places = np.unique(np.linspace(0, len(level) - 1, _STEPS).round().astype(int))
    else:
        places = np.arange(len(level))
    left, right = np.full(len(level), np.inf), np.full(len(level), -np.inf)
    np.minimum.at(left, where, logit)
    np.maximum.at(right, where, logit)
    gaps = np.diff(level[places], prepend=0.0, append=1.0)
    low, high = level[places] - _TILT * gaps[:-1], level[places] + _TILT * gaps[1:]
    knots = np.stack([left[places], right[places]], axis=1).ravel()
    heights = np.stack([low, high], axis=1).ravel()
    rising = np.append(True, knots[1:] > knots[:-1])  # a step of one score is one knot
    return Isotonic(logit=tuple(knots[rising].tolist()), probability=tuple(heights[rising].tolist()))
