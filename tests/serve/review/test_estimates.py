import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest

from olmv.calibrate.objectives import Objective
from olmv.scoring.logits import sigmoid
from olmv.serve.review.estimates import CONFIDENCE, Judged, effective_size, measure, suggest, wilson
from olmv.serve.review.order import ReviewOrder

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

F1 = Objective.parse("f1")


def reviewed(logit: Floats, truth: Bools, count: int, *, number: int = 0, anchor: float = 0.0) -> Judged:
    """A review of the first `count` videos of an order."""
    keys = np.random.default_rng(number).integers(0, 2**63, len(logit)).astype(np.uint64)
    order = ReviewOrder.of(number, "dog", anchor, logit, keys)
    sampled = np.zeros(len(logit), dtype=bool)
    sampled[order.places[:count]] = True
    following = int(order.places[count]) if count < len(logit) else None
    return Judged(logit, truth & sampled, sampled, np.zeros(len(logit), dtype=bool), order.inclusion(following))


def world(seed: int = 7, videos: int = 3000) -> tuple[Floats, Bools]:
    """A model that is too sure of itself."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(-4, 5, videos)
    return logit, rng.random(videos) < sigmoid(logit / 3 - 0.5)


def at(logit: Floats, truth: Bools, threshold: float) -> tuple[float, float]:
    above = logit >= threshold
    return float(truth[above].mean()), float(truth[above].sum() / truth.sum())


@pytest.mark.parametrize("threshold", [0.0, 1.5])
@pytest.mark.parametrize("count", [100, 300])
def test_intervals_hold_as_often_as_they_say_and_unweighted_figures_would_mislead(count: int, threshold: float) -> None:
    logit, truth = world()
    true = at(logit, truth, threshold)
    held, values, naive, told = np.zeros(2), np.zeros(2), np.zeros(2), 0
    rounds = 150
    for number in range(rounds):
        judged = reviewed(logit, truth, count, number=number)
        quality = measure(judged, threshold)
        above, seen = logit >= threshold, judged.sampled
        hits = (truth & seen & above).sum()
        naive += (hits / (seen & above).sum(), hits / (truth & seen).sum())
        if quality.precision is None or quality.recall is None:
            continue
        told += 1
        for place, estimate in enumerate((quality.precision, quality.recall)):
            assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
            held[place] += estimate.low <= true[place] <= estimate.high
            values[place] += estimate.value
    assert told > rounds / 3
    # 0.9 within what so many rounds let one expect of a coverage of 0.87 or more
    assert (held / told > CONFIDENCE - 0.03 - 2.5 * np.sqrt(0.1 / told)).all()
    bias, naive_bias = values / told - true, naive / rounds - true
    assert np.abs(bias).max() < 0.05
    assert np.abs(naive_bias).max() > 2 * np.abs(bias).max()


def test_all_videos_judged_leave_nothing_to_estimate() -> None:
    logit, truth = world(videos=200)
    quality = measure(reviewed(logit, truth, 200), 0.0)
    precision, recall = at(logit, truth, 0.0)
    assert quality.precision is not None
    assert quality.recall is not None
    assert quality.precision.low == quality.precision.value == quality.precision.high == pytest.approx(precision)
    assert quality.recall.low == quality.recall.value == quality.recall.high == pytest.approx(recall)
    assert quality.f1 == pytest.approx(2 * precision * recall / (precision + recall))


def test_nothing_is_told_of_too_few() -> None:
    logit, truth = world()
    quality = measure(reviewed(logit, truth, 6), 0.0)
    assert (quality.precision, quality.recall, quality.f1) == (None, None, None)
    assert quality.positives == (logit >= 0).sum()


def test_videos_judged_out_of_order_count_for_themselves_alone() -> None:
    logit, truth = world()
    before = reviewed(logit, truth, 200)
    far = np.argsort(logit)[:400]  # a careful look at those that the model thinks least of
    census = before.census.copy()
    census[far] = ~before.sampled[far]
    verdict = before.verdict | (truth & census)
    after = Judged(logit, verdict, before.sampled, census, before.inclusion)
    quality, then = measure(after, 0.0), measure(before, 0.0)
    assert quality.precision == then.precision  # they lie on the other side
    assert quality.recall is not None
    assert then.recall is not None
    assert abs(quality.recall.value - at(logit, truth, 0.0)[1]) < 0.15
    assert quality.recall.high - quality.recall.low < then.recall.high - then.recall.low


def test_a_label_that_is_never_true_has_a_precision_and_no_recall() -> None:
    logit, _ = world()
    quality = measure(reviewed(logit, np.zeros(len(logit), dtype=bool), 300), 0.0)
    assert quality.precision is not None
    assert quality.precision.value == 0
    assert 0 < quality.precision.high < 0.1
    assert quality.recall is None


@pytest.mark.parametrize(("hits", "size"), [(3, 10), (0, 8), (8, 8)])
def test_the_interval_is_that_of_scipy(hits: int, size: int) -> None:
    theirs = binomtest(hits, size).proportion_ci(CONFIDENCE, method="wilson")
    assert wilson(hits / size, size) == pytest.approx((theirs.low, theirs.high))


def test_equal_weights_make_the_effective_size_the_count() -> None:
    assert effective_size(np.full(7, 3.0)) == pytest.approx(7)
    assert effective_size(np.array([100.0, 1, 1])) < 1.1
    assert effective_size(np.array([])) == 0


def test_the_suggested_threshold_is_nearly_the_best_there_is() -> None:
    logit, truth = world()

    def f1(threshold: float) -> float:
        above = logit >= threshold
        return float(2 * truth[above].sum() / (above.sum() + truth.sum()))

    best = max(map(f1, np.linspace(-8, 8, 200)))
    suggested = [suggest(reviewed(logit, truth, 300, number=number), F1) for number in range(30)]
    assert np.mean([f1(value) for value in suggested if value is not None]) > best - 0.06


def test_a_suggestion_keeps_to_the_precision_or_recall_that_was_asked_for() -> None:
    logit, truth = world()
    judged = reviewed(logit, truth, 900)
    precise = suggest(judged, Objective.parse("precision=0.7"))
    complete = suggest(judged, Objective.parse("recall=0.8"))
    assert precise is not None
    assert complete is not None
    assert at(logit, truth, precise)[0] == pytest.approx(0.7, abs=0.08)
    assert at(logit, truth, complete)[1] == pytest.approx(0.8, abs=0.12)
    assert suggest(judged, Objective.parse("precision=0.999")) is None


def test_there_is_no_suggestion_before_enough_was_reviewed_or_without_a_true_video() -> None:
    logit, truth = world()
    assert suggest(reviewed(logit, truth, 10), F1) is None
    assert suggest(reviewed(logit, np.zeros(len(logit), dtype=bool), 100), F1) is None
