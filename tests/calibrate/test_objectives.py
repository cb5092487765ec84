"""Thresholds against brute force over every cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olmv.calibrate.fitting import false_alarm_bound, fit_all
from olmv.calibrate.objectives import Cuts, Objective, fit_shared, fit_threshold, midway
from olmv.errors import UsageError

SCORES = st.lists(st.tuples(st.sampled_from([0.0, 1e-9, 0.1, 0.2, 0.25, 0.5, 0.9, 1.0]), st.booleans()), min_size=1)


def arrays(pairs: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([p for p, _ in pairs]), np.array([t for _, t in pairs])


def measure(kind: str, beta: float, positive: np.ndarray, truth: np.ndarray) -> float:
    hits = float((positive & truth).sum())
    if kind == "f":
        return (1 + beta**2) * hits / float(beta**2 * truth.sum() + positive.sum())
    return hits / float((truth if kind == "recall" else positive).sum())


@given(pairs=SCORES.filter(lambda pairs: any(t for _, t in pairs)), name=st.sampled_from(["f1", "f0.5", "f2"]))
@settings(deadline=None)
def test_f_beta_is_the_best_there_is(pairs: list[tuple[float, bool]], name: str) -> None:
    probability, truth = arrays(pairs)
    objective = Objective.parse(name)
    fitted = fit_threshold(probability, truth, objective)
    every = [measure("f", objective.value, probability >= t, truth) for t in probability]
    assert fitted.value == pytest.approx(max(every))
    assert measure("f", objective.value, probability >= fitted.threshold, truth) == pytest.approx(fitted.value)


@given(
    pairs=SCORES.filter(lambda pairs: any(t for _, t in pairs)),
    name=st.sampled_from(["recall=0.5", "recall=0.9", "precision=0.5", "precision=0.8", "fdr=0.2"]),
)
@settings(deadline=None)
def test_targets(pairs: list[tuple[float, bool]], name: str) -> None:
    probability, truth = arrays(pairs)
    objective = Objective.parse(name)
    fitted = fit_threshold(probability, truth, objective)
    positive = probability >= fitted.threshold
    if objective.kind == "recall":
        assert fitted.value == measure("recall", 0, positive, truth) >= objective.value
        higher = [
            t for t in np.unique(probability) if t > fitted.threshold and (probability >= t).sum() < positive.sum()
        ]
        assert all(measure("recall", 0, probability >= t, truth) < objective.value for t in higher)
        return
    precision = measure("precision", 0, positive, truth)
    assert fitted.value == pytest.approx(1 - precision if objective.kind == "fdr" else precision)
    good = [t for t in probability if measure("precision", 0, probability >= t, truth) >= objective.least_precision]
    assert fitted.reached == bool(good)
    if good:
        assert positive.sum() == max((probability >= t).sum() for t in good)
    else:
        assert precision == pytest.approx(max(measure("precision", 0, probability >= t, truth) for t in probability))


def test_thresholds_lie_midway_in_logits() -> None:
    cuts = Cuts.of(np.array([0.9, 0.1, 0.9, 0.2]), np.array([True, False, False, True]))
    assert cuts.threshold == pytest.approx([0.6, 1 / 7, 0.1])
    assert cuts.predicted.tolist() == [2, 3, 4]
    assert cuts.hits.tolist() == [1, 2, 2]
    assert midway(np.array([0.5]), np.array([np.nextafter(0.5, 1)])) == np.nextafter(0.5, 1)  # nothing lies between
    assert midway(np.array([0.0]), np.array([1.0])) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("f", "unknown objective 'f'; give f1"),
        ("accuracy", "unknown objective 'accuracy'"),
        ("precision", "unknown objective 'precision'"),
        ("recall=90%", "unknown objective 'recall=90%'"),
        ("f0", r"beta of objective 'f0' is not above 0"),
        ("recall=1.5", "target of objective 'recall=1.5' is not between 0 and 1"),
        ("precision=1", "target of objective 'precision=1' is not between 0 and 1"),
        ("fdr=0", "target of objective 'fdr=0' is not between 0 and 1"),
    ],
)
def test_bad_objectives(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Objective.parse(text)


def test_names() -> None:
    assert [Objective.parse(text).name for text in ("F1", " f0.50", "Recall = .9", "fdr=0.10")] == [
        "f1",
        "f0.5",
        "recall=0.9",
        "fdr=0.1",
    ]


def test_labels_with_little_support_share_a_threshold() -> None:
    random = np.random.default_rng(0)
    truth = np.zeros((200, 4), dtype=bool)
    truth[:80, 0], truth[:3, 1], truth[:, 3] = True, True, True  # enough, few, never, always
    probability = np.clip(random.normal(0.2 + 0.3 * truth, 0.1), 0.001, 0.999)
    fit = fit_all(probability, truth, Objective.parse("f1"), min_support=10)
    assert fit.source == ("label", "pooled", "negatives", "label")
    assert fit.threshold[1] == fit.pooled
    assert fit.threshold[2] == pytest.approx(max(fit.pooled, probability[:, 2].max()), abs=2e-6)
    assert not (probability[:, 2] >= fit.threshold[2]).any()
    assert np.isnan(fit.false_alarms[[0, 1, 3]]).all()
    assert fit.false_alarms[2] == pytest.approx(1 - 0.05 ** (1 / 200))
    assert fit.pooled == fit_shared(probability, truth, Objective.parse("f1"))
    assert fit.value[3] == 1
    assert fit.threshold[3] == probability[:, 3].min()  # nothing is known below the lowest score
    everything = fit_all(probability[:, :1], truth[:, :1], Objective.parse("recall=0.9"))
    assert np.isnan(everything.pooled)
    assert fit_all(probability, truth, Objective.parse("recall=0.9")).value[2:].tolist() == pytest.approx(
        [np.nan, 0.9], nan_ok=True, abs=0.01
    )


def test_what_false_alarms_say_of_other_videos() -> None:
    assert false_alarm_bound(0, 59) == pytest.approx(0.0495, abs=1e-3)  # 59 without one: fewer than 1 in 20
    assert false_alarm_bound(1, 10) == pytest.approx(0.3942, abs=1e-4)
    assert false_alarm_bound(10, 10) == 1


def test_a_label_that_is_never_true_and_always_certain() -> None:
    probability, truth = np.array([[0.9, 1.0], [0.2, 0.1]]), np.array([[1, 0], [0, 0]], dtype=bool)
    fit = fit_all(probability, truth, Objective.parse("f1"))
    assert fit.threshold[1] == 1  # no threshold is higher
    assert fit.false_alarms[1] == pytest.approx(false_alarm_bound(1, 2))


@pytest.mark.parametrize("objective", ["f1", "recall=0.9", "precision=0.5", "fdr=0.4"])
def test_labels_without_positives_raise_no_false_alarms_where_thresholds_were_fitted(objective: str) -> None:
    random = np.random.default_rng(0)
    truth = np.zeros((80, 40), dtype=bool)
    truth[:, :8] = random.random((80, 8)) < 0.05
    probability = random.beta(2, 12, truth.shape)
    probability[truth] *= 0.9  # low scores, as positives of a foreign world have: a low threshold serves them best
    fit = fit_all(probability, truth, Objective.parse(objective))
    positive = probability >= fit.threshold
    never = ~truth.any(axis=0)
    assert positive[:, never].sum() == 0
    assert (probability[:, never] >= fit.pooled).sum() > 20  # what the shared threshold alone would have done


def test_a_target_out_of_reach_is_told() -> None:
    probability, truth = np.array([[0.9, 0.9], [0.8, 0.8], [0.1, 0.1]]), np.array([[0, 1], [1, 0], [0, 0]], dtype=bool)
    fit = fit_all(probability, truth, Objective.parse("precision=0.9"), min_support=1)
    assert fit.reached == (False, True)
    assert fit.value.tolist() == [0.5, 1.0]
    shared = fit_all(probability, truth, Objective.parse("fdr=0.1"), min_support=5)
    assert shared.source == ("pooled", "pooled")
    assert shared.reached == (False, False)
    with pytest.raises(UsageError, match="no label is true of any of these videos; give a truth with positives"):
        fit_all(probability, np.zeros_like(truth), Objective.parse("f1"))


@settings(deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["f1", "f0.5", "f2"]))
def test_the_shared_threshold_has_the_best_macro_f(seed: int, name: str) -> None:
    random = np.random.default_rng(seed)
    truth = random.random((12, 3)) < 0.3
    truth[0, 0] = True
    probability = random.integers(0, 8, truth.shape) / 8
    objective = Objective.parse(name)
    squared = objective.value**2

    def macro(threshold: float) -> float:
        values = []
        for label in np.flatnonzero(truth.any(axis=0)):
            positive, true = probability[:, label] >= threshold, truth[:, label]
            values.append((1 + squared) * (positive & true).sum() / (squared * true.sum() + positive.sum()))
        return float(np.mean(values))

    found = fit_shared(probability, truth, objective)
    assert macro(found) == pytest.approx(max(macro(cut) for cut in np.unique(probability)))


def test_the_shared_threshold_of_targets_is_over_all_pairs() -> None:
    random = np.random.default_rng(0)
    truth = random.random((40, 3)) < 0.4
    probability = random.random(truth.shape)
    for name in ("precision=0.5", "recall=0.8", "fdr=0.5"):
        objective = Objective.parse(name)
        pairs = fit_threshold(probability.ravel(), truth.ravel(), objective).threshold
        assert fit_shared(probability, truth, objective) == pairs
