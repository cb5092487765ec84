"""The promise is kept in at least the promised share of draws, and refused where it cannot be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom

from olmv.calibrate.guarantee import check_guarantee, positives_needed, promise_threshold
from olmv.calibrate.objectives import Objective
from olmv.errors import UsageError

HIGH, LOW, SHARE = (4.0, 2.0), (1.5, 4.0), 0.3


def draw(count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    truth = random.random(count) < SHARE
    return np.where(truth, random.beta(*HIGH, count), random.beta(*LOW, count)), truth


def population(kind: str, threshold: float) -> float:
    hits, false = float(SHARE * beta.sf(threshold, *HIGH)), float((1 - SHARE) * beta.sf(threshold, *LOW))
    return hits / SHARE if kind == "recall" else hits / (hits + false)


@pytest.mark.parametrize("name", ["recall=0.9", "precision=0.8", "fdr=0.2"])
@pytest.mark.parametrize("confidence", [0.9, 0.7])
def test_the_promise_is_kept(name: str, confidence: float) -> None:
    objective = Objective.parse(name)
    least = objective.value if objective.kind == "recall" else objective.least_precision
    random = np.random.default_rng(3)
    found = [promise_threshold(*draw(300, random), objective, confidence).threshold for _ in range(400)]
    kept = [population(objective.kind, threshold) >= least for threshold in found if threshold is not None]
    assert len(kept) > 340
    # a procedure that keeps it in exactly the promised share fails this once in 10,000 runs
    assert sum(kept) >= binom.ppf(1e-4, len(kept), confidence)
    # and it is no empty promise: neither everything nor nothing is positive
    assert 0.2 < np.median([threshold for threshold in found if threshold is not None]) < 0.8


def test_the_recall_threshold_is_the_highest_that_can_be_promised() -> None:
    truth = np.ones(59, dtype=bool)
    probability = np.linspace(0.2, 0.9, 59)
    promise = promise_threshold(probability, truth, Objective.parse("recall=0.95"), 0.95)
    assert promise.threshold == probability[0]
    # 0.95^92 + 92 * 0.95^91 * 0.05 > 0.05 > the same with 93: then one may be missed
    for count, misses in ((92, 0), (93, 1)):
        promise = promise_threshold(
            np.linspace(0.2, 0.9, count), truth[:1].repeat(count), Objective.parse("recall=0.95"), 0.95
        )
        assert promise.value == pytest.approx(1 - misses / count)


@pytest.mark.parametrize(
    ("name", "confidence", "needed"),
    [
        ("recall=0.95", 0.95, 59),
        ("recall=0.9", 0.9, 22),
        ("precision=0.8", 0.95, 17),
        ("fdr=0.2", 0.95, 17),
        ("recall=0.5", 0.5, 1),
    ],
)
def test_how_many_are_needed(name: str, confidence: float, needed: int) -> None:
    objective = Objective.parse(name)
    assert positives_needed(objective, confidence) == needed
    for positives in (needed - 1, needed):
        truth = np.arange(200) < positives
        promise = promise_threshold(np.where(truth, 0.9, 0.1) + np.arange(200) / 1e4, truth, objective, confidence)
        if positives < needed:
            assert promise.threshold is None
            assert promise.refusal == f"{positives} videos have it, at least {needed} are needed"
        else:
            assert promise.threshold is not None
            assert promise.threshold <= 0.9


def test_precision_is_refused_where_the_best_are_wrong() -> None:
    truth = np.arange(100) % 2 == 0
    promise = promise_threshold(np.linspace(0, 1, 100), truth, Objective.parse("precision=0.8"), 0.95)
    assert promise.threshold is None
    assert promise.refusal == "of the 55 videos with its highest scores 28 do not have it"
    assert np.isnan(promise.value)


@given(
    st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=40, max_size=120),
    st.sampled_from(["recall=0.6", "fdr=0.3"]),
)
@settings(deadline=None)
def test_no_promise_beyond_what_the_videos_show(pairs: list[tuple[int, bool]], name: str) -> None:
    probability, truth = np.array([p / 6 for p, _ in pairs]), np.array([t for _, t in pairs])
    objective = Objective.parse(name)
    promise = promise_threshold(probability, truth, objective, 0.9)
    if promise.threshold is None:
        assert promise.refusal
        return
    positive = probability >= promise.threshold
    recall = (positive & truth).sum() / truth.sum()
    discovery = 1 - (positive & truth).sum() / positive.sum()
    assert promise.value == pytest.approx(recall if objective.kind == "recall" else discovery)
    assert promise.value >= 0.6 if objective.kind == "recall" else promise.value <= 0.3


def test_what_cannot_be_promised() -> None:
    with pytest.raises(UsageError, match="f1 cannot be promised; choose the objective recall=R"):
        check_guarantee(Objective.parse("f1"), 0.95)
    for confidence in (0.0, 1.0, 95.0, float("nan")):
        with pytest.raises(UsageError, match=r"the guarantee is .*; give a confidence between 0 and 1"):
            promise_threshold(np.array([0.5]), np.array([True]), Objective.parse("recall=0.9"), confidence)
