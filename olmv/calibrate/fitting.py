"""The thresholds of all labels: each its own where there are enough positives, else one that all labels share.

A label that is true of no video teaches nothing about what it looks like, only what is mistaken for it: its threshold
lies above all its scores, and above the shared one. Of N videos without a false alarm follows, with a confidence of
95 %, that fewer than 1 - 0.05^(1/N) of all such videos raise one (Clopper & Pearson 1934; about 3/N).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from olmv.calibrate.guarantee import promise_threshold
from olmv.calibrate.objectives import Objective, fit_shared, fit_threshold
from olmv.errors import UsageError

__all__ = ["Fit", "Source", "false_alarm_bound", "fit_all"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

Source = Literal["label", "pooled", "negatives", "refused"]

_ABOVE = 1e-6  # probabilities are written with six digits


@dataclass(frozen=True)
class Fit:
    """Thresholds of C labels.

    Attributes:
        threshold: [C]; NaN where it was refused.
        value: [C], what the objective reached on these videos; NaN where it was refused or nothing is true.
        source: per label, whether the threshold is its own, the shared one, one above its negatives, or refused.
        reached: per label, whether the target was reached on these videos; always so for F-beta.
        refusals: index of the label -> why it has no threshold.
        pooled: the shared threshold; NaN if no label needs it.
        false_alarms: [C], for a threshold above its negatives the share of videos that raises a false alarm at most,
            with a confidence of 95 %; else NaN.
        leave: [C], below which a label ends over time, NaN for the default; None where nothing is over time.
    """

    threshold: Floats
    value: Floats
    source: tuple[Source, ...]
    reached: tuple[bool, ...]
    refusals: dict[int, str]
    pooled: float
    false_alarms: Floats
    leave: Floats | None = None


def fit_all(
    probability: Floats,
    truth: Bools,
    objective: Objective,
    *,
    min_support: int = 10,
    confidence: float | None = None,
    groups: Ints | None = None,
    known: Bools | None = None,
) -> Fit:
    """Fit a threshold for every label; with `confidence`, promise every label or refuse it.

    A label without a positive gets the lowest threshold without a false alarm on these videos, or the shared one if
    that is higher. One with fewer than `min_support` positives gets the one that serves the objective best for all
    labels together, see `fit_shared`. A promise is never made for such a pool: pairs of one video are not independent.

    Args:
        probability: [N, C], 0..1.
        truth: [N, C].
        objective: what to reach.
        min_support: with `confidence` the number of positives that a promise needs counts instead.
        confidence: of each label's own promise, see `label_confidence`; None for the best fit, without a promise.
        groups: [N], the number of each video's group, for promises; a best fit looks at all videos.
        known: [N, C], the pairs that were judged, all true ones among them; None for all. A label that no video was
            judged for is refused.

    Raises:
        UsageError: nothing is true of any video, or something is promised that cannot be.
    """
    if not truth.any():
        raise UsageError("no label is true of any of these videos; give a truth with positives")
    count = truth.shape[1]
    threshold, value, alarms = (np.full(count, np.nan) for _ in range(3))
    sources: list[Source] = []
    reached = [True] * count
    refusals: dict[int, str] = {}
    support = truth.sum(axis=0)
    small = support < max(min_support, 1)
    pooled = float("nan")
    if confidence is None and small.any():
        pooled = fit_shared(probability, truth, objective, known)
    for label in range(count):
        rows = slice(None) if known is None else known[:, label]
        scores, true = probability[rows, label], truth[rows, label]
        if not len(scores):
            sources.append("refused")
            refusals[label] = "no video was judged for it"
        elif confidence is not None:
            promise = promise_threshold(scores, true, objective, confidence, groups)
            sources.append("refused" if promise.threshold is None else "label")
            if promise.threshold is None:
                refusals[label] = promise.refusal
                continue
            threshold[label], value[label] = promise.threshold, promise.value
        elif not support[label]:
            sources.append("negatives")
            threshold[label] = max(pooled, min(1.0, float(scores.max()) + _ABOVE))
            alarms[label] = false_alarm_bound(int((scores >= threshold[label]).sum()), len(scores))
        elif small[label]:
            sources.append("pooled")
            threshold[label] = pooled
            value[label] = _value(scores >= pooled, true, objective)
            reached[label] = _reaches(value[label], objective)
        else:
            sources.append("label")
            fitted = fit_threshold(scores, true, objective)
            threshold[label], value[label], reached[label] = fitted.threshold, fitted.value, fitted.reached
    return Fit(threshold, value, tuple(sources), tuple(reached), refusals, pooled, alarms)


def false_alarm_bound(alarms: int, videos: int, confidence: float = 0.95) -> float:
    """Bound the share of videos that raises a false alarm, where `alarms` of `videos` without the label did."""
    from scipy.stats import beta

    return float(beta.ppf(confidence, alarms + 1, videos - alarms)) if alarms < videos else 1.0


def _value(positive: Bools, truth: Bools, objective: Objective) -> float:
    """Return F-beta, precision, recall or false discovery rate of a label's decisions; NaN where it does not exist."""
    hits, predicted, support = int((positive & truth).sum()), int(positive.sum()), int(truth.sum())
    if objective.kind == "f":
        squared = objective.value**2
        return (1 + squared) * hits / (squared * support + predicted) if support + predicted else float("nan")
    if objective.kind == "recall":
        return hits / support if support else float("nan")
    if not predicted:
        return float("nan")
    return 1 - hits / predicted if objective.kind == "fdr" else hits / predicted


def _reaches(value: float, objective: Objective) -> bool:
    if objective.kind == "f" or np.isnan(value):
        return True
    return value <= objective.value + 1e-12 if objective.kind == "fdr" else value >= objective.value - 1e-12
