"""What a threshold is to reach, and the threshold that reaches it.

Every cut that tells scores apart is tried, so the answer is exact on the videos given. A threshold lies midway (in
logits, the model's own scale) between the lowest score that it takes and the highest that it leaves.
"""

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from olmv.errors import UsageError
from olmv.io.clock import parse_seconds
from olmv.scoring.logits import logit_of, sigmoid

__all__ = ["Cuts", "Fitted", "Objective", "fit_shared", "fit_threshold"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

Kind = Literal["f", "precision", "recall", "fdr", "events"]

_EXAMPLES = "give f1, f0.5, precision=0.9, recall=0.9, fdr=0.1 or event-f1"
_EVENTS = re.compile(r"\s*event-f1(?:\s*=\s*(.+?))?\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Objective:
    """What a threshold is to reach.

    Attributes:
        kind: "f" for the best F-beta, "events" for the best F1 of events over time, else what is to be at least
            (precision, recall) or at most (fdr) `value`.
        value: beta, the target, or the tolerance of events in seconds.
        name: as it was written ("f1", "precision=0.9").
    """

    kind: Kind
    value: float
    name: str

    @classmethod
    def parse(cls, text: str) -> "Objective":
        """Read "f1", "f0.5", "precision=0.9", "recall=0.9", "fdr=0.1", "event-f1", "event-f1=2" (seconds).

        Raises:
            UsageError: none of these, or its number is out of range.
        """
        if events := _EVENTS.fullmatch(text):
            return cls._of_events(events[1])
        match = re.fullmatch(r"\s*(?:(f)|(precision|recall|fdr)\s*=)\s*([0-9]*\.?[0-9]+)\s*", text, re.IGNORECASE)
        if match is None:
            raise UsageError(f"unknown objective '{text}'; {_EXAMPLES}")
        kind, value = (match[1] or match[2]).lower(), float(match[3])
        if kind == "f":
            if not 0 < value <= 100:
                raise UsageError(f"the beta of objective '{text}' is not above 0 and at most 100; {_EXAMPLES}")
            return cls("f", value, f"f{value:g}")
        if not 0 < value < 1:
            raise UsageError(f"the target of objective '{text}' is not between 0 and 1; {_EXAMPLES}")
        return cls(kind, value, f"{kind}={value:g}")  # type: ignore[arg-type]  # the expression allows these only

    @classmethod
    def _of_events(cls, tolerance: str | None) -> "Objective":
        if tolerance is None:
            return cls("events", 1.0, "event-f1")
        try:
            value = parse_seconds(tolerance)
        except UsageError as error:
            raise UsageError(f"the tolerance of event-f1: {error}") from None
        return cls("events", value, f"event-f1={value:g}")

    @property
    def least_precision(self) -> float:
        """Return the target of "precision" and "fdr" as a precision; a false discovery rate is 1 - precision."""
        return 1 - self.value if self.kind == "fdr" else self.value


MOST_CUTS = 2000
"""Thresholds that are tried for all labels together."""


@dataclass(frozen=True)
class Cuts:
    """Every way to cut one label's N scores in two, highest threshold first; K of them, one per distinct score.

    Attributes:
        threshold: [K], the lowest is the lowest score itself.
        predicted: [K], videos at or above it.
        hits: [K], those of them that have the label.
        positives: videos that have the label.
        videos: N.
    """

    threshold: Floats
    predicted: Ints
    hits: Ints
    positives: int
    videos: int

    @classmethod
    def of(cls, probability: Floats, truth: Bools) -> "Cuts":
        """Cut the scores of one label, from probabilities [N] and truth [N]."""
        order = np.argsort(-probability, kind="stable")
        ranked = probability[order]
        # equal scores fall together
        last = np.append(np.flatnonzero(ranked[1:] < ranked[:-1]), len(ranked) - 1)
        levels = ranked[last]
        return cls(
            threshold=np.append(midway(levels[1:], levels[:-1]), levels[-1:]),
            predicted=last + 1,
            hits=np.cumsum(truth[order])[last],
            positives=int(truth.sum()),
            videos=len(ranked),
        )


@dataclass(frozen=True)
class Fitted:
    """A threshold and what it reaches on the videos it was fitted to.

    Attributes:
        threshold: 0..1.
        value: F-beta, precision, recall or false discovery rate, as the objective says.
        reached: False where no threshold reaches the target; then it is the one that comes nearest.
    """

    threshold: float
    value: float
    reached: bool = True


def fit_threshold(probability: Floats, truth: Bools, objective: Objective) -> Fitted:
    """Find the threshold of one label that serves the objective best.

    f-beta: the highest; of several equally good ones the highest threshold. precision, fdr: the lowest threshold that
    keeps to the target, so that recall is highest. recall: the highest threshold that keeps to the target.

    Args:
        probability: [N], 0..1, at least one.
        truth: [N], at least one of them true.
    """
    cuts = Cuts.of(probability, truth)
    precision, recall = cuts.hits / cuts.predicted, cuts.hits / cuts.positives
    if objective.kind == "f":
        squared = objective.value**2
        f = (1 + squared) * cuts.hits / (squared * cuts.positives + cuts.predicted)
        best = int(f.argmax())
        return Fitted(float(cuts.threshold[best]), float(f[best]))
    if objective.kind == "recall":
        best = int(np.argmax(_at_least(recall, objective.value)))
        return Fitted(float(cuts.threshold[best]), float(recall[best]))
    good = np.flatnonzero(_at_least(precision, objective.least_precision))
    # where none is good enough: the most precise, of equals the one that finds most
    best = int(good[-1]) if len(good) else int(np.lexsort((cuts.hits, precision))[-1])
    value = 1 - precision[best] if objective.kind == "fdr" else precision[best]
    return Fitted(float(cuts.threshold[best]), float(value), reached=bool(len(good)))


def midway(low: Floats, high: Floats) -> Floats:
    """Return a number in (low, high] for each pair of probabilities low < high: midway in logits."""
    middle = sigmoid((logit_of(low) + logit_of(high)) / 2)
    return np.where((middle > low) & (middle <= high), middle, high)


def _at_least(share: Floats, target: float) -> Bools:
    # 0.9 as a share of counts may come out a rounding error below 0.9
    return share >= target - 1e-12


def fit_shared(probability: Floats, truth: Bools, objective: Objective, known: Bools | None = None) -> float:
    """Find the one threshold for all labels that serves the objective best.

    f-beta: the mean over the labels that have a positive is highest; taken over all pairs instead, rare labels that the
    model cannot tell would decide for all others. precision, recall, fdr: over all pairs of video and label.

    Args:
        probability: [N, C], 0..1.
        truth: [N, C], at least one of them true.
        known: [N, C], the pairs that were judged, all true ones among them; None for all.
    """
    known = np.ones_like(truth) if known is None else known
    if objective.kind != "f":
        return fit_threshold(probability[known], truth[known], objective).threshold
    # lowered to anything but the score of a positive, a threshold only adds wrong videos
    cuts = np.unique(probability[truth])
    if len(cuts) > MOST_CUTS:
        cuts = cuts[np.linspace(0, len(cuts) - 1, MOST_CUTS).round().astype(np.int64)]
    squared, labels = objective.value**2, np.flatnonzero(truth.any(axis=0))
    total = np.zeros(len(cuts))
    for label in labels:
        scores, positive = (np.sort(probability[rows[:, label], label]) for rows in (known, truth))
        predicted = len(scores) - np.searchsorted(scores, cuts)
        hits = len(positive) - np.searchsorted(positive, cuts)
        total += (1 + squared) * hits / (squared * len(positive) + predicted)
    best = len(cuts) - 1 - int(total[::-1].argmax())
    return float(cuts[best])
