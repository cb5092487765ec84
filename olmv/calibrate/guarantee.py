"""Thresholds that keep a promise on new videos.

For each label by itself: with probability `confidence` over the draw of the calibration videos, the label's recall
(precision, false discovery rate) over all videos of that kind keeps to the target, or the label is refused, which
breaks no promise. It supposes that calibration
videos and later ones are drawn alike (exchangeable), and independently; what else precision needs is said below.

Each or all. A promise for each label by itself is none for all labels at once: of 100 labels at 0.95, expect up to 5
that miss. For all of them the risk 1 - confidence is shared out in equal parts over all labels that were predicted,
refused ones too (Bonferroni): then no promise at all is broken with probability `confidence`, however labels depend on
each other. Between the two would lie a bound on the expected share of broken promises among those made (Benjamini &
Hochberg 1995; Benjamini & Yekutieli 2005 for selected bounds). It is not offered: for recall, where the number of
positives alone decides which promises are made, 1 - confidence is such a bound already; for precision their proof asks
for labels that are independent or positively dependent, which labels scored on the same videos need not be.

Groups. Five copies of one video are one draw, not five. Where videos belong to groups, one of each group counts, by
lot: for recall one that has the label of each group with such, for precision one of all of each group. These are
independent draws of "a random video of a random group", and of such the promise speaks; a group with many videos counts
no more than one with few. The lot is the same for the same seed and does not look at the scores.

Recall. Only the n videos that have the label matter. At the j-th lowest of their scores the share of misses is at
most a Beta(j, n - j + 1) variable, so P(recall < target) <= P(Binomial(n, 1 - target) < j), whatever the distribution
(tolerance limits, Wilks 1941; the "learn then test" of Angelopoulos et al. 2021, arXiv 2110.01052, for a risk that
rises with the threshold). The largest j with that probability <= 1 - confidence is taken.

Precision and false discovery rate (counted as 1 - precision of what is predicted). Fixed sequence testing with two
starts (2110.01052, section 2.3): from the highest threshold down, the hypothesis "too many here are false" is tested by
the exact binomial p-value, P(Binomial(m, 1 - precision) <= false ones among the m videos above), which is valid because
given a score the m videos above it are an independent sample of all such videos. A start brings half of
1 - confidence, what passes hands on what it has to the next threshold, and at a failure it is lost. The first start is
where no false one may be among the m, the second where five may: one mistake at the very top is not the end. Sequence
and starts do not depend on the truth. The promise is exact for a label whose precision does not fall as the threshold
rises. Where the precision dips below the target in several separate ranges of scores, the chance of a broken promise
is at most 1 - confidence for each of those ranges.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from olmv.calibrate.objectives import Cuts, Objective
from olmv.errors import UsageError

__all__ = [
    "Promise",
    "Scope",
    "check_guarantee",
    "label_confidence",
    "one_per_group",
    "positives_needed",
    "promise_threshold",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

Scope = Literal["each", "all"]
"""A promise for each label by itself, or for all labels at once."""

# False ones that may be among the first videos that are tested, one for each start.
_STARTS = (0, 5)


@dataclass(frozen=True)
class Promise:
    """A threshold that keeps to the target with the confidence asked for, or why there is none.

    Attributes:
        threshold: 0..1, or None.
        value: recall, precision or false discovery rate on the calibration videos, of groups on the one video that
            counts; NaN without a threshold.
        refusal: why there is no threshold, a clause ("12 videos have it, 59 are needed"); empty if there is one.
    """

    threshold: float | None
    value: float = math.nan
    refusal: str = ""


def check_guarantee(objective: Objective, confidence: float, scope: str = "each") -> None:
    """Check that such a thing can be promised.

    Raises:
        UsageError: the objective is an F-beta, the confidence is not between 0 and 1, or there is no such scope.
    """
    if scope not in get_args(Scope):
        raise UsageError(
            f"unknown scope of a guarantee '{scope}'; choose each (label by itself) or all (labels at once)",
            option="guarantee_scope",
        )
    if objective.kind == "f":
        raise UsageError(
            f"{objective.name} cannot be promised; choose the objective recall=R, precision=P or fdr=A",
            option=("objective", "guarantee"),
        )
    if not 0 < confidence < 1:
        raise UsageError(
            f"the guarantee is {confidence:g}; give a confidence between 0 and 1, such as 0.95", option="guarantee"
        )


def label_confidence(confidence: float, scope: Scope, labels: int) -> float:
    """Return the confidence that each label's own promise takes: with "all", of `labels` labels, 1 - risk / labels."""
    return confidence if scope == "each" else 1 - (1 - confidence) / labels


def positives_needed(objective: Objective, confidence: float) -> int:
    """Count the videos (groups) that must have a label before anything can be promised of it: 59 for recall=0.95, 0.95.

    Even without a single error, n of n is no proof unless target^n <= 1 - confidence; for precision, half of that.
    """
    recall = objective.kind == "recall"
    target, risk = (objective.value, 1 - confidence) if recall else (objective.least_precision, _budget(confidence))
    needed = math.ceil(math.log(risk) / math.log(target) - 1e-9)
    return max(1, needed)


def one_per_group(groups: Ints, eligible: Bools, seed: int = 0) -> Ints:
    """Draw one eligible video of every group that has any, by lot; return their indices.

    Args:
        groups: [N], the number of each video's group.
        eligible: [N].
        seed: of the lot.
    """
    order = np.random.default_rng(seed).permutation(len(groups))
    order = order[eligible[order]]
    _, first = np.unique(groups[order], return_index=True)
    return np.asarray(order[first], dtype=np.int64)


def promise_threshold(
    probability: Floats, truth: Bools, objective: Objective, confidence: float, groups: Ints | None = None
) -> Promise:
    """Find the threshold of one label that keeps the promise and serves best: the highest for recall, else the lowest.

    Args:
        probability: [N], 0..1.
        truth: [N].
        objective: recall, precision or fdr.
        confidence: between 0 and 1.
        groups: [N], the number of each video's group; None where each video was drawn by itself.

    Raises:
        UsageError: as `check_guarantee`.
    """
    check_guarantee(objective, confidence)
    what = "videos"
    if groups is not None:
        recall = objective.kind == "recall"
        counted = one_per_group(groups, truth if recall else np.ones_like(truth))
        # what lies below the lowest positive that is taken moves the cut nearer to it, and is no part of the promise
        rows = np.concatenate([counted, np.flatnonzero(~truth)]) if recall else counted
        probability, truth = probability[rows], truth[rows]
        what = "groups" if recall else "videos, of one drawn from each group,"
    needed, positives = positives_needed(objective, confidence), int(truth.sum())
    if positives < needed:
        return Promise(None, refusal=f"{positives} {what} have it, at least {needed} are needed")
    cuts = Cuts.of(probability, truth)
    if objective.kind == "recall":
        return _recall(cuts, objective.value, 1 - confidence)
    return _precision(cuts, objective, confidence)


def _recall(cuts: Cuts, target: float, risk: float) -> Promise:
    from scipy.stats import binom

    # misses(cut) + 1 = j of the lowest positive that the cut takes; ties only make it lower
    misses = cuts.positives - cuts.hits
    allowed = binom.cdf(misses, cuts.positives, 1 - target) <= risk
    best = int(np.argmax(allowed))  # the first: the highest threshold; the last cut misses none and is allowed
    return Promise(float(cuts.threshold[best]), float(cuts.hits[best] / cuts.positives))


def _precision(cuts: Cuts, objective: Objective, confidence: float) -> Promise:
    from scipy.stats import binom

    share, budget = 1 - objective.least_precision, _budget(confidence)
    false = cuts.predicted - cuts.hits
    p_value = binom.cdf(false, cuts.predicted, share)
    # the first cut with enough videos; their number is known without the truth
    starts = [
        int(np.argmax(enough)) for e in _STARTS if (enough := binom.cdf(e, cuts.predicted, share) <= budget).any()
    ]
    held, best = 0.0, None
    for cut in range(starts[0], len(p_value)):  # there is a first: enough positives were asked for
        held += budget * starts.count(cut)
        if held and p_value[cut] <= held:
            best = cut
        elif cut >= starts[-1]:
            break
        else:
            held = 0.0
    if best is None:
        count, wrong = int(cuts.predicted[starts[-1]]), int(false[starts[-1]])
        return Promise(None, refusal=f"of the {count} videos with its highest scores {wrong} do not have it")
    precision = float(cuts.hits[best] / cuts.predicted[best])
    return Promise(float(cuts.threshold[best]), 1 - precision if objective.kind == "fdr" else precision)


def _budget(confidence: float) -> float:
    return (1 - confidence) / len(_STARTS)
