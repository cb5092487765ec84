"""Thresholds that keep a promise on new videos.

For each label by itself: with probability `confidence` over the draw of the calibration videos, the label's recall
(precision, false discovery rate) over all videos of that kind keeps to the target, or the label is refused, which
breaks no promise. It supposes that calibration
videos and later ones are drawn alike (exchangeable); what else precision needs is said below. It is not a promise for
all labels at once: of 100 labels at 0.95, expect up to 5 that miss.

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

import numpy as np
from numpy.typing import NDArray

from olmv.calibrate.objectives import Cuts, Objective
from olmv.errors import UsageError

__all__ = ["Promise", "check_guarantee", "positives_needed", "promise_threshold"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# False ones that may be among the first videos that are tested, one for each start.
_STARTS = (0, 5)


@dataclass(frozen=True)
class Promise:
    """A threshold that keeps to the target with the confidence asked for, or why there is none.

    Attributes:
        threshold: 0..1, or None.
        value: recall, precision or false discovery rate on the calibration videos; NaN without a threshold.
        refusal: why there is no threshold, a clause ("12 videos have it, 59 are needed"); empty if there is one.
    """

    threshold: float | None
    value: float = math.nan
    refusal: str = ""


def check_guarantee(objective: Objective, confidence: float) -> None:
    """Check that such a thing can be promised.

    Raises:
        UsageError: the objective is an F-beta, or the confidence is not between 0 and 1.
    """
    if objective.kind == "f":
        raise UsageError(
            f"{objective.name} cannot be promised; choose the objective recall=R, precision=P or fdr=A",
            option=("objective", "guarantee"),
        )
    if not 0 < confidence < 1:
        raise UsageError(
            f"the guarantee is {confidence:g}; give a confidence between 0 and 1, such as 0.95", option="guarantee"
        )


def positives_needed(objective: Objective, confidence: float) -> int:
    """Count the videos that must have a label before anything can be promised of it: 59 for recall=0.95 with 0.95.

    Even without a single error, n of n is no proof unless target^n <= 1 - confidence; for precision, half of that.
    """
    recall = objective.kind == "recall"
    target, risk = (objective.value, 1 - confidence) if recall else (objective.least_precision, _budget(confidence))
    needed = math.ceil(math.log(risk) / math.log(target) - 1e-9)
    return max(1, needed)


def promise_threshold(probability: Floats, truth: Bools, objective: Objective, confidence: float) -> Promise:
    """Find the threshold of one label that keeps the promise and serves best: the highest for recall, else the lowest.

    Args:
        probability: [N], 0..1.
        truth: [N].
        objective: recall, precision or fdr.
        confidence: between 0 and 1.

    Raises:
        UsageError: as `check_guarantee`.
    """
    check_guarantee(objective, confidence)
    needed, positives = positives_needed(objective, confidence), int(truth.sum())
    if positives < needed:
        return Promise(None, refusal=f"{positives} videos have it, at least {needed} are needed")
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
