"""The promise is kept in at least the promised share of draws, and refused where it cannot be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom

from olmv.calibrate.guarantee import (
    check_guarantee,
    label_confidence,
    one_per_group,
    positives_needed,
    promise_threshold,
)
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


@pytest.mark.parametrize("name", ["recall=0.8", "precision=0.6"])
def test_copies_break_a_promise_that_groups_keep(name: str) -> None:
    objective = Objective.parse(name)
    random = np.random.default_rng(5)
    group = np.repeat(np.arange(100), 5)
    kept: dict[bool, list[bool]] = {True: [], False: []}
    for _ in range(300):
        probability, truth = (np.repeat(part, 5) for part in draw(100, random))
        probability = np.clip(probability + random.normal(0, 1e-4, 500), 0, 1)
        for grouped in (True, False):
            found = promise_threshold(probability, truth, objective, 0.9, group if grouped else None).threshold
            if found is not None:
                kept[grouped].append(population(objective.kind, found) >= objective.value)
    assert len(kept[True]) > 200
    assert np.mean(kept[False]) < 0.8
    assert sum(kept[True]) >= binom.ppf(1e-4, len(kept[True]), 0.9)


def test_the_promise_speaks_of_a_random_video_of_a_random_group() -> None:
    """Groups of one to nine videos that differ: large ones are harder, and count no more than small ones."""
    objective, random = Objective.parse("recall=0.8"), np.random.default_rng(6)

    def groups(count: int) -> tuple[np.ndarray, np.ndarray]:
        size = random.integers(1, 10, count)
        group = np.repeat(np.arange(count), size)
        ease = random.normal(0, 1, count) - 0.2 * size
        return 1 / (1 + np.exp(-(ease[group] + random.normal(0, 1, len(group))))), group

    scores, group = groups(20_000)
    weight = 1 / np.bincount(group)[group]

    def recall(threshold: float) -> float:
        return float(weight[scores >= threshold].sum() / weight.sum())

    kept = []
    for _ in range(300):
        sample, own = groups(60)
        threshold = promise_threshold(sample, np.ones(len(sample), dtype=bool), objective, 0.9, own).threshold
        assert threshold is not None
        kept.append(recall(threshold) >= 0.8)
    assert sum(kept) >= binom.ppf(1e-4, len(kept), 0.9)


def test_one_video_of_each_group_counts() -> None:
    random = np.random.default_rng(0)
    group, eligible = random.integers(0, 30, 200), random.random(200) < 0.4
    drawn = one_per_group(group, eligible)
    assert sorted(group[drawn]) == sorted(set(group[eligible]))
    assert eligible[drawn].all()
    assert (one_per_group(group, eligible) == drawn).all()
    # by lot: each of a group comes about as often
    often = np.bincount(
        np.concatenate([one_per_group(np.zeros(4, dtype=int), np.ones(4, dtype=bool), s) for s in range(400)])
    )
    assert (np.abs(often - 100) < 45).all()


def test_groups_are_counted_not_videos() -> None:
    truth = np.arange(300) < 250
    probability = np.where(truth, 0.9, 0.1) + np.arange(300) / 1e4
    group = np.arange(300) // 5  # 50 groups have it
    recall = promise_threshold(probability, truth, Objective.parse("recall=0.95"), 0.95, group)
    assert recall.threshold is None
    assert recall.refusal == "50 groups have it, at least 59 are needed"
    precision = promise_threshold(probability, truth, Objective.parse("precision=0.95"), 0.95, group)
    assert precision.refusal == "50 videos, of one drawn from each group, have it, at least 72 are needed"
    alone = promise_threshold(probability, truth, Objective.parse("recall=0.95"), 0.95, np.arange(300))
    assert alone == promise_threshold(probability, truth, Objective.parse("recall=0.95"), 0.95)


def test_the_risk_is_shared_out_over_all_labels() -> None:
    assert label_confidence(0.95, "each", 100) == 0.95
    assert label_confidence(0.95, "all", 100) == pytest.approx(0.9995)
    objective = Objective.parse("recall=0.9")
    assert positives_needed(objective, label_confidence(0.95, "all", 20)) == 57
    random = np.random.default_rng(8)
    whole = {"each": 0, "all": 0}
    for _ in range(150):
        draws = [draw(400, random) for _ in range(20)]
        for scope in whole:
            own = label_confidence(0.9, scope, 20)  # type: ignore[arg-type]
            found = [promise_threshold(*one, objective, own).threshold for one in draws]
            whole[scope] += all(population("recall", t) >= 0.9 for t in found if t is not None)
    assert whole["each"] < 75
    assert whole["all"] >= binom.ppf(1e-4, 150, 0.9)


def test_an_unknown_scope() -> None:
    with pytest.raises(UsageError, match=r"unknown scope of a guarantee 'most'; choose each .* or all"):
        check_guarantee(Objective.parse("recall=0.9"), 0.95, "most")
