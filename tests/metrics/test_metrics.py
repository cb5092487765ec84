"""Figures against scikit-learn, at the edges, and against chance."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve

from olmv.errors import UsageError
from olmv.metrics.multilabel import (
    groups,
    harmonic_mean,
    multi_label,
    retrieval,
    retrieval_ranks,
    single_label_table,
    top_k_accuracy,
    top_k_hits,
)
from olmv.metrics.ranked import RankedColumns

Array = NDArray[Any]


def random_pairs(seed: int, *, videos: int, labels: int, steps: int, share: float) -> tuple[Array, Array]:
    """Probability [N, C] with many equal values and truth [N, C]."""
    generator = np.random.default_rng(seed)
    truth = generator.random((videos, labels)) < share
    return np.round(generator.random((videos, labels)) * 0.6 + 0.4 * truth, 6) // (1 / steps) / steps, truth


worlds = st.builds(
    random_pairs,
    st.integers(0, 2**32 - 1),
    videos=st.integers(1, 40),
    labels=st.integers(1, 6),
    steps=st.sampled_from([1, 3, 10, 10_000]),
    share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)


@given(worlds, st.floats(0, 1))
@settings(deadline=None)
def test_multi_label_equals_scikit_learn(world: tuple[Array, Array], threshold: float) -> None:
    probability, truth = world
    found = multi_label(probability, truth, np.full(truth.shape[1], threshold))
    has = truth.any(axis=0)
    assert found.never == tuple(np.flatnonzero(~has))
    assert found.always == tuple(np.flatnonzero(truth.all(axis=0)))
    if not has.any():
        assert all(math.isnan(value) for name, value in found.figures().items() if name not in ("ece", "bin_error"))
        return
    predicted = probability >= threshold
    with np.errstate(invalid="ignore"):
        ap = [reference.average_precision_score(truth[:, c], probability[:, c]) for c in np.flatnonzero(has)]
    np.testing.assert_allclose(found.per_label.ap[has], ap, atol=1e-9)
    assert found.macro_map == pytest.approx(np.mean(ap), abs=1e-9)
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


@given(worlds, st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_a_weight_counts_a_video_that_often(world: tuple[Array, Array], seed: int) -> None:
    probability, truth = world
    weight = np.random.default_rng(seed).integers(0, 4, len(truth))
    repeated = np.repeat(np.arange(len(truth)), weight)
    for ranked in (RankedColumns, RankedColumns.pooled):
        got = ranked(probability, truth).average_precision(weight)
        if len(repeated):
            np.testing.assert_allclose(got, ranked(probability[repeated], truth[repeated]).average_precision())
        else:
            assert np.isnan(got).all()


def test_reliability_equals_scikit_learn() -> None:
    generator = np.random.default_rng(1)
    probability = generator.random((200, 5)) ** 2
    truth = generator.random((200, 5)) < 0.3
    found = multi_label(probability, truth, np.full(5, 0.5))
    share, mean = calibration_curve(truth.ravel(), probability.ravel(), n_bins=15)
    np.testing.assert_allclose(found.reliability.share, share)
    np.testing.assert_allclose(found.reliability.probability, mean)
    count = np.histogram(probability, bins=15, range=(0, 1))[0]
    assert found.reliability.count.tolist() == count.tolist()
    assert found.ece == pytest.approx(float((np.abs(share - mean) * count).sum() / 1000))


def test_reliability_bins_by_hand() -> None:
    found = multi_label(np.array([[0.9], [0.9], [0.1], [1.0]]), np.array([[1], [0], [0], [1]]), np.array([0.5]))
    bins = found.reliability
    assert bins.count.tolist() == [0, 1, *[0] * 11, 2, 1]
    assert bins.share[[1, 13, 14]].tolist() == [0, 0.5, 1]
    assert bins.probability[13] == pytest.approx(0.9)
    assert np.isnan(bins.share[0])
    assert found.ece == pytest.approx((0.1 + 2 * 0.4 + 0) / 4)
    assert found.bin_error == pytest.approx((0.1 + 0.4 + 0) / 3)


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


def test_figures_are_the_numbers_by_name() -> None:
    found = multi_label(*random_pairs(0, videos=9, labels=3, steps=9, share=0.5), np.full(3, 0.5))
    assert set(found.figures()) == {
        *("macro_map", "micro_ap", "macro_f1", "micro_f1", "macro_precision", "macro_recall", "micro_precision"),
        *("micro_recall", "peak_f1", "peak_threshold", "peak_macro_f1", "peak_macro_threshold", "ece", "bin_error"),
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
    assert "ece" not in found["harmonic"]
    assert set(groups(probability, truth, thresholds, {"brief": (1,)})) == {"brief"}


def test_harmonic_mean() -> None:
    assert harmonic_mean(0.5, 0.25) == pytest.approx(1 / 3)
    assert harmonic_mean(0, 0.7) == 0
    assert harmonic_mean(0, 0) == 0
    assert math.isnan(harmonic_mean(math.nan, 0.5))


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(3, 9), st.sampled_from([1, 4, 1000]))
@settings(deadline=None)
def test_top_k_equals_scikit_learn_and_argmax(seed: int, videos: int, labels: int, steps: int) -> None:
    generator = np.random.default_rng(seed)
    logits = generator.integers(-steps, steps, (videos, labels)) / 7
    truth = generator.integers(labels, size=videos)
    found = top_k_accuracy(logits, truth, (1, 2, labels))
    assert found["top1"] == reference.accuracy_score(truth, logits.argmax(axis=1))
    assert found[f"top{labels}"] == 1
    # Of equal scores scikit-learn takes the last, as we take the first: turned around, they agree.
    expected = reference.top_k_accuracy_score(labels - 1 - truth, logits[:, ::-1], k=2, labels=range(labels))
    assert found["top2"] == pytest.approx(expected)


def test_equal_scores_get_what_chance_gives() -> None:
    truth = np.arange(20)
    assert top_k_accuracy(np.zeros((20, 20)), truth) == {"top1": 0.05, "top5": 0.25}
    found = retrieval(np.zeros((20, 20)), np.eye(20, dtype=bool))
    chance = {"r1": 0.05, "r5": 0.25, "r10": 0.5, "median_rank": 10.5}
    assert found == {f"{direction}_{name}": value for direction in ("t2v", "v2t") for name, value in chance.items()}


def test_top_k_hits_are_per_video() -> None:
    hits = top_k_hits(np.array([[3.0, 2, 1], [3, 2, 1], [3, 2, 1]]), np.array([0, 1, 2]), (1, 2))
    assert {name: values.tolist() for name, values in hits.items()} == {
        "top1": [True, False, False],
        "top2": [True, True, False],
    }


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(1, 12), st.sampled_from([2, 1000]))
@settings(deadline=None)
def test_ranks_are_those_of_a_sorted_list(seed: int, videos: int, captions: int, steps: int) -> None:
    generator = np.random.default_rng(seed)
    similarity = generator.integers(steps, size=(videos, captions)) / steps
    relevant = generator.random((videos, captions)) < 0.4
    t2v, v2t = retrieval_ranks(similarity, relevant)
    for ranks, scores, good in ((t2v, similarity.T, relevant.T), (v2t, similarity, relevant)):
        for rank, row, wanted in zip(ranks, scores, good, strict=True):
            order = np.argsort(-row, kind="stable")
            ahead = wanted[order]
            assert rank == (1 + int(ahead.argmax()) if wanted.any() else 0)


def test_the_best_of_several_captions_counts_and_a_video_without_one_is_left_out() -> None:
    similarity = np.array([[0.1, 0.9, 0.5], [0.3, 0.2, 0.6], [0.9, 0.9, 0.9]])
    relevant = np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=bool)
    t2v, v2t = retrieval_ranks(similarity, relevant)
    assert t2v.tolist() == [3, 1, 2]
    assert v2t.tolist() == [1, 1, 0]
    found = retrieval(similarity, relevant)
    assert found["v2t_r1"] == 1
    assert found["t2v_r1"] == pytest.approx(1 / 3)
    assert found["t2v_median_rank"] == 2


def test_single_label_table() -> None:
    logits = np.eye(4)[[0, 1, 1, 2, 0, 2]]
    table = single_label_table(logits, np.array([0, 0, 0, 0, 1, 2]))
    assert table.support.tolist() == [4, 1, 1, 0]
    np.testing.assert_allclose(table.accuracy, [0.25, 0, 1, np.nan])
    assert table.confused_with.tolist() == [1, 0, -1, -1]
    assert table.confused.tolist() == [2, 1, 0, 0]


def test_what_cannot_be_measured_is_refused() -> None:
    half, none = np.array([0.5, 0.5]), np.zeros((2, 2), dtype=bool)
    with pytest.raises(UsageError, match=r"probability \[1, 0\] is not a number; leave out"):
        multi_label(np.array([[0.1, 0.2], [np.nan, 0.1]]), none, half)
    with pytest.raises(UsageError, match="nothing to measure: probability has the shape"):
        multi_label(np.empty((0, 2)), np.empty((0, 2)), half)
    with pytest.raises(UsageError, match=r"give \[N, C\], \[N, C\] and \[C\]"):
        multi_label(np.zeros((2, 2)), none, np.array([0.5]))
    with pytest.raises(UsageError, match=r"beyond 0..1; give probabilities, not logits"):
        multi_label(np.array([[1.1, 0], [0, 0]]), none, half)
    with pytest.raises(UsageError, match=r"score \[0, 1\] is not a number"):
        top_k_accuracy(np.array([[0, np.nan]]), np.array([0]))
    with pytest.raises(UsageError, match="label index below 2 for each of 1 videos"):
        top_k_accuracy(np.array([[0.0, 1]]), np.array([2]))
    with pytest.raises(UsageError, match="give them the same shape"):
        retrieval(np.zeros((2, 2)), np.zeros((2, 3)))
    with pytest.raises(UsageError, match="no caption belongs to a video; check"):
        retrieval(np.zeros((2, 2)), none)
