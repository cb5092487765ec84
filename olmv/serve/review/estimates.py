"""Precision and recall at a threshold from the verdicts of a review, each with an interval.

How many videos are positive at a threshold is known; unknown is how many of these, and of the others, are true. Both
are estimated from the videos that came in the order of review, each counting 1 / its probability to have come; videos
that were judged out of order count for themselves. Beside the threshold the videos were all judged, far away a few
stand for many. So each side of the threshold is cut into strata of videos with like probabilities, and in each the
share of true ones is known by itself: the weighted share (Hajek), with Wilson's interval on Kish's effective size of
what the stratum has, without the part of the stratum that was judged, which is certain. The strata's intervals become
those of the sums, and these the one of the recall, by MOVER (Zou & Donner 2008; Donner & Zou 2012 for ratios), which
keeps intervals lopsided as they are near 0 and 1.

Videos that were skipped count as the judged ones of their stratum do.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olmv.calibrate.objectives import Objective

__all__ = ["CONFIDENCE", "LEAST", "Estimate", "Judged", "Quality", "effective_size", "measure", "suggest", "wilson"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

CONFIDENCE = 0.9
"""Of the intervals: two-sided."""
LEAST = 8.0
"""No figure is told before as much was reviewed, as an effective number of videos."""
_Z = 1.6448536269514722  # the normal quantile of CONFIDENCE
_STRATA = 3  # at most, of videos that may have been missed, on each side
_WHOLE = 1e-6
_STRATUM = 8  # judged videos that one should have


@dataclass(frozen=True)
class Estimate:
    """A share, 0..1, and its interval of confidence 0.9."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Judged:
    """What is known of one label, in N videos.

    Attributes:
        logit: [N].
        verdict: [N], whether it is true, where `sampled` or `census`.
        sampled: [N], judged, and come in the order of review.
        census: [N], judged out of order.
        inclusion: [N], above 0, the probability of having come in the order by now.
    """

    logit: Floats
    verdict: Bools
    sampled: Bools
    census: Bools
    inclusion: Floats


@dataclass(frozen=True)
class Quality:
    """What decisions at a threshold are worth; None where not enough was reviewed.

    Attributes:
        positives: videos at or above the threshold.
        precision, recall: with their intervals; without positives there is no precision.
        f1: the estimate alone.
    """

    positives: int
    precision: Estimate | None
    recall: Estimate | None
    f1: float | None


def effective_size(weight: Floats) -> float:
    """Return how many equally weighted videos tell as much (Kish 1965): (sum w)^2 / sum w^2; 0 for none."""
    return float(weight.sum() ** 2 / (weight**2).sum()) if len(weight) else 0.0


def measure(judged: Judged, threshold: float) -> Quality:
    """Measure the decisions of a label at a threshold, a logit."""
    above = judged.logit >= threshold
    positives = int(above.sum())
    hits, misses = _total(judged, above), _total(judged, ~above)
    if hits is None:
        return Quality(positives, None, None, None)
    precision = None
    if positives:
        precision = Estimate(hits.value / positives, hits.low / positives, min(1.0, hits.high / positives))
    recall = None if misses is None else _share(hits, misses)
    f1 = None
    if recall is not None and misses is not None:
        f1 = 2 * hits.value / (positives + hits.value + misses.value)
    return Quality(positives, precision, recall, f1)


def _total(judged: Judged, side: Bools) -> Estimate | None:
    """Estimate how many videos of a side are true; None where too few of them were judged."""
    certain = side & judged.census
    count = float((judged.verdict & certain).sum())
    rest = side & ~judged.census
    sampled = rest & judged.sampled
    videos, judged_videos = int(rest.sum()), int(sampled.sum())
    if judged_videos == videos:
        count += float((judged.verdict & sampled).sum())
        return Estimate(count, count, count)
    value, below, over, size = count, 0.0, 0.0, float(certain.sum())
    if not judged_videos:
        return None
    for stratum in _strata(judged.inclusion, rest, sampled):
        size += effective_size(1 / judged.inclusion[stratum & sampled])
        part = _stratum_total(judged, stratum, stratum & sampled)
        value += part.value
        below += (part.value - part.low) ** 2
        over += (part.high - part.value) ** 2
    if size < LEAST:
        return None
    # counts are whole
    low, high = math.floor(value - math.sqrt(below) + _WHOLE), math.ceil(value + math.sqrt(over) - _WHOLE)
    seen = count + float((judged.verdict & sampled).sum())
    unseen = float(videos - judged_videos)
    return Estimate(value, min(value, max(low, seen)), max(value, min(high, seen + unseen)))


def _strata(inclusion: Floats, rest: Bools, sampled: Bools) -> list[Bools]:
    """Cut the videos `rest` into those that have surely come, and strata of like probability with enough judged."""
    surely = inclusion >= 1
    strata = [rest & surely] if (sampled & surely).any() else []
    others = rest & ~surely if strata else rest
    came = np.sort(inclusion[others & sampled])
    if not others.any():
        return strata
    if not len(came):  # nothing of them was judged: they are as the others, for want of a better guess
        return [rest]
    parts = max(1, min(_STRATA, len(came) // _STRATUM))
    edges = [came[(len(came) * part) // parts] for part in range(1, parts)]
    place = np.searchsorted(np.asarray(edges), inclusion, side="right")
    return strata + [stratum for part in range(parts) if (stratum := others & (place == part)).any()]


def _stratum_total(judged: Judged, stratum: Bools, sampled: Bools) -> Estimate:
    weight, true = 1 / judged.inclusion[sampled], judged.verdict[sampled]
    videos, count = int(stratum.sum()), int(sampled.sum())
    known, unknown = float(true.sum()), videos - count
    share = float((weight * true).sum() / weight.sum())
    if not unknown:
        return Estimate(known, known, known)
    size = effective_size(weight)
    # the others are a draw themselves, of which the share among them is known no better than by as many more
    low, high = wilson(share, size * unknown / (size + unknown))
    value = known + unknown * share
    return Estimate(value, known + unknown * low, known + unknown * high)


def wilson(share: float, size: float) -> tuple[float, float]:
    """Return Wilson's interval of a share that was seen in `size` draws, which may be a fraction of one."""
    centre = (share + _Z**2 / (2 * size)) / (1 + _Z**2 / size)
    half = _Z / (1 + _Z**2 / size) * math.sqrt(share * (1 - share) / size + _Z**2 / (4 * size**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def _share(hits: Estimate, misses: Estimate) -> Estimate | None:
    """Estimate hits / (hits + misses); None where neither is."""
    if hits.value + misses.value <= 0:
        return None
    low, high = _ratio(misses, hits)
    return Estimate(hits.value / (hits.value + misses.value), 1 / (1 + high), 1 / (1 + low))


def _ratio(part: Estimate, other: Estimate) -> tuple[float, float]:
    """Return the interval of part / other, which are independent: MOVER for ratios."""
    product = part.value * other.value
    low = high = 0.0
    if other.high > 0:
        root = product**2 - part.low * other.high * (2 * part.value - part.low) * (2 * other.value - other.high)
        bottom = other.high * (2 * other.value - other.high)
        low = (product - math.sqrt(max(0.0, root))) / bottom if bottom else part.low / other.high
    root = product**2 - part.high * other.low * (2 * part.value - part.high) * (2 * other.value - other.low)
    bottom = other.low * (2 * other.value - other.low)
    high = (product + math.sqrt(max(0.0, root))) / bottom if bottom > 0 else math.inf
    return max(0.0, low), max(high, 0.0)


def suggest(judged: Judged, objective: Objective) -> float | None:
    """Return the threshold, a logit, that serves an objective best by plain weighted counts; None if too few tell.

    Candidates lie midway between the scores of judged videos, with `LEAST` judged ones or more on either side.

    Args:
        judged: what is known.
        objective: the best F-beta; the lowest threshold with the precision (or false discovery rate), the highest with
            the recall that was asked for.
    """
    told = judged.sampled | judged.census
    order = np.argsort(-judged.logit[told], kind="stable")
    score, true = judged.logit[told][order], judged.verdict[told][order]
    weight = np.where(judged.census[told], 1.0, 1 / judged.inclusion[told])[order]
    cuts = np.flatnonzero(score[:-1] > score[1:]) + 1  # so many judged ones lie above
    cuts = cuts[(cuts >= LEAST) & (len(score) - cuts >= LEAST)]
    total = float((weight * true).sum())
    if not len(cuts) or not total:
        return None
    threshold = (score[cuts - 1] + score[cuts]) / 2
    positives = len(judged.logit) - np.searchsorted(np.sort(judged.logit), threshold, side="left")
    hits = np.cumsum(weight * true)[cuts - 1]
    # of those above, the weights need not sum to how many there are, which is known
    share = hits / np.cumsum(weight)[cuts - 1]
    if objective.kind == "f":
        squared = objective.value**2
        quality = (1 + squared) * share * positives / (squared * np.maximum(total, share * positives) + positives)
        return float(threshold[int(quality.argmax())])
    reached = hits / total >= objective.value if objective.kind == "recall" else share >= objective.least_precision
    if not reached.any():
        return None
    places = np.flatnonzero(reached)
    return float(threshold[places[0] if objective.kind == "recall" else places[-1]])
