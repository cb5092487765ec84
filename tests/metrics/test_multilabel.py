"""Multi-label figures against scikit-learn, and at the edges."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from olmv.errors import UsageError
from olmv.metrics.multilabel import groups, harmonic_mean, multi_label
from tests.metrics.worlds import Array, random_pairs, worlds


@given(worlds, st.floats(0, 1))
@settings(deadline=None)
def test_multi_label_equals_scikit_learn(world: tuple[Array, Array], threshold: float) -> None:
    probability, truth = world
    found = multi_label(probability, truth, np.full(truth.shape[1], threshold))
    has = truth.any(axis=0)
    assert found.never == tuple(np.flatnonzero(~has))
    assert found.always == tuple(np.flatnonzero(truth.all(axis=0)))
    if not has.any():
        there = ("ece", "ece_above", "bin_error")
        assert all(math.isnan(value) for name, value in found.figures().items() if name not in there)
        return
    predicted = probability >= threshold
    varied = has & ~truth.all(axis=0)
    ap = [reference.average_precision_score(truth[:, c], probability[:, c]) for c in np.flatnonzero(varied)]
    np.testing.assert_allclose(found.per_label.ap[varied], ap, atol=1e-9)
    assert np.isnan(found.per_label.ap[~varied]).all()
    assert found.macro_map == pytest.approx(np.mean(ap) if ap else math.nan, abs=1e-9, nan_ok=True)
    assert found.micro_ap == pytest.approx(reference.average_precision_score(truth.ravel(), probability.ravel()))
    macro = [
        reference.precision_recall_fscore_support(truth[:, c], predicted[:, c], average="binary", zero_division=0)[:3]
        for c in np.flatnonzero(has)
    ]
    micro = reference.precision_recall_fscore_support(
        truth.ravel(), predicted.ravel(), average="binary", zero_division=0
    )
    for average, expected in (("macro", np.mean(macro, axis=0)), ("micro", micro[:3])):
        got = [getattr(found, f"{average}_{name}") for name in ("precision", "recall", "f1")]
        np.testing.assert_allclose(got, expected, atol=1e-9)


@given(worlds)
@settings(deadline=None)
def test_the_best_thresholds_are_best_and_reach_what_they_say(world: tuple[Array, Array]) -> None:
    probability, truth = world
    labels = truth.shape[1]
    found = multi_label(probability, truth, np.full(labels, 0.5))
    if len(found.never) == labels:
        return
    tried = {
        threshold: multi_label(probability, truth, np.full(labels, threshold)) for threshold in np.unique(probability)
    }
    assert found.peak_f1 == pytest.approx(max(other.micro_f1 for other in tried.values()))
    assert tried[found.peak_threshold].micro_f1 == pytest.approx(found.peak_f1)
    assert found.peak_macro_f1 == pytest.approx(max(other.macro_f1 for other in tried.values()))
    assert tried[found.peak_macro_threshold].macro_f1 == pytest.approx(found.peak_macro_f1)
    best = np.nan_to_num(found.per_label.best_threshold)
    np.testing.assert_allclose(multi_label(probability, truth, best).per_label.f1, found.per_label.best_f1)
    for other in tried.values():
        assert not (other.per_label.f1 > found.per_label.best_f1 + 1e-12).any()


def test_a_label_that_is_never_true_counts_in_micro_only() -> None:
    probability = np.array([[0.9, 0.8], [0.1, 0.8]])
    truth = np.array([[True, False], [False, False]])
    found = multi_label(probability, truth, np.array([0.5, 0.5]))
    assert (found.never, found.always) == ((1,), ())
    assert (found.macro_f1, found.macro_precision) == (1, 1)
    assert found.micro_precision == pytest.approx(1 / 3)
    assert found.per_label.support.tolist() == [1, 0]
    assert found.per_label.predicted.tolist() == [1, 2]
    assert np.isnan(found.per_label.f1[1])


def test_a_label_that_is_always_true_is_in_no_map() -> None:
    probability = np.array([[0.1, 0.8], [0.9, 0.1], [0.5, 0.9]])
    truth = np.array([[True, True], [False, True], [True, True]])
    found = multi_label(probability, truth, np.array([0.5, 0.5]))
    assert found.always == (1,)
    assert found.macro_map == pytest.approx((1 / 2 + 2 / 3) / 2)  # of the first label alone; the other's 1 is no merit
    assert np.isnan(found.per_label.ap[1])
    assert found.per_label.recall[1] == pytest.approx(2 / 3)
    assert found.macro_recall == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_figures_are_the_numbers_by_name() -> None:
    found = multi_label(*random_pairs(0, videos=9, labels=3, steps=9, share=0.5), np.full(3, 0.5))
    assert set(found.figures()) == {
        *("macro_map", "micro_ap", "macro_f1", "micro_f1", "macro_precision", "macro_recall", "micro_precision"),
        *("micro_recall", "peak_f1", "peak_threshold", "peak_macro_f1", "peak_macro_threshold"),
        *("ece", "ece_above", "bin_error", "brier_skill"),
    }


def test_groups_have_the_figures_of_their_columns_and_the_harmonic_mean() -> None:
    probability, truth = random_pairs(3, videos=60, labels=6, steps=100, share=0.4)
    thresholds = np.linspace(0.3, 0.6, 6)
    found = groups(probability, truth, thresholds, {"seen": (0, 1, 5), "unseen": (2, 3)})
    columns = [0, 1, 5]
    assert found["seen"] == multi_label(probability[:, columns], truth[:, columns], thresholds[columns]).figures()
    assert found["harmonic"]["macro_map"] == pytest.approx(
        harmonic_mean(found["seen"]["macro_map"], found["unseen"]["macro_map"])
    )
    assert not {"ece", "ece_above", "bin_error", "brier_skill"} & set(found["harmonic"])
    assert set(groups(probability, truth, thresholds, {"brief": (1,)})) == {"brief"}


def test_harmonic_mean() -> None:
    assert harmonic_mean(0.5, 0.25) == pytest.approx(1 / 3)
    assert harmonic_mean(0, 0.7) == 0
    assert harmonic_mean(0, 0) == 0
    assert math.isnan(harmonic_mean(math.nan, 0.5))


def test_what_cannot_be_measured_is_refused() -> None:
    half, none = np.array([0.5, 0.5]), np.zeros((2, 2), dtype=bool)
    with pytest.raises(UsageError, match=r"probability \[1, 0\] is not a number; leave out"):
        multi_label(np.array([[0.1, 0.2], [np.nan, 0.1]]), none, half)
    with pytest.raises(UsageError, match="nothing to measure: probability has the shape"):
        multi_label(np.empty((0, 2)), np.empty((0, 2), dtype=bool), half)
    with pytest.raises(UsageError, match=r"give \[N, C\], \[N, C\] and \[C\]"):
        multi_label(np.zeros((2, 2)), none, np.array([0.5]))
    with pytest.raises(UsageError, match=r"beyond 0..1; give probabilities, not logits"):
        multi_label(np.array([[1.1, 0], [0, 0]]), none, half)
