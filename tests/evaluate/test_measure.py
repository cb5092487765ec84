"""Benchmarks and scores to figures, worked out by hand or by scikit-learn."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.metrics import average_precision_score

from olmv.datasets.benchmarks.registry import Benchmark, Split
from olmv.errors import UsageError
from olmv.evaluate.measure import combined, measure

NAN = float("nan")


def benchmark(kind: str, truth: list[tuple[int, ...]], labels: int, *splits: Split) -> Benchmark:
    names = tuple(f"label {index}" for index in range(labels))
    everything = Split("all", tuple(range(len(truth))), tuple(range(labels)))
    return Benchmark(
        name="made up",
        kind=kind,  # type: ignore[arg-type]
        labels=names,
        classes=names,
        videos=tuple(f"{index}.mp4" for index in range(len(truth))),
        truth=tuple(truth),
        splits=splits or (everything,),
    )


def one_view(rows: list[list[float]]) -> np.ndarray:
    return np.array(rows, np.float32)[:, None]


def test_top1_of_one_split() -> None:
    scores = one_view([[3, 1, 0], [1, 2, 0], [5, 2, 1], [0, 0, 9]])
    found = measure(benchmark("single-label", [(0,), (1,), (2,), (2,)], 3), scores, "logits")
    assert found.metrics == {"top1": 0.75}  # the five best of three labels tell nothing
    six = measure(
        benchmark("single-label", [(0,), (5,)], 6), one_view([[3, 1, 0, 0, 0, 0], [5, 4, 3, 2, 1, 0]]), "logits"
    )
    assert six.metrics == {"top1": 0.5, "top5": 0.5}
    low, high = found.intervals["top1"]
    assert 0 <= low < 0.75 < high <= 1
    assert found.never == ()


def test_a_split_sees_its_own_labels_only() -> None:
    # label 0 is the best of all for video 0, but it is no class of the second split
    scores = one_view([[9, 3, 1], [0, 1, 2], [5, 4, 1]])
    splits = Split("a", (2,), (0, 1)), Split("b", (0, 1), (1, 2))
    found = measure(benchmark("single-label", [(1,), (2,), (1,)], 3, *splits), scores, "logits")
    assert [split["metrics"]["top1"] for split in found.splits] == [0.0, 1.0]
    assert [(split["videos"], split["labels"]) for split in found.splits] == [([2], [0, 1]), ([0, 1], [1, 2])]
    assert found.metrics["top1"] == 0.5
    assert found.metrics["top1_std"] == pytest.approx(np.std([0, 1], ddof=1))


def test_a_label_without_videos_is_named_and_a_failed_video_left_out() -> None:
    scores = one_view([[3, 1, 0], [NAN, NAN, NAN]])
    found = measure(benchmark("single-label", [(0,), (1,)], 3), scores, "logits")
    assert found.metrics["top1"] == 1.0
    assert found.splits[0]["videos"] == [0]
    assert found.never == ("label 1", "label 2")


def test_views_add_up_as_logits_or_probabilities() -> None:
    scores = np.array([[[4.0, 0.0], [-1.0, 1.0]]], np.float32)
    assert np.allclose(combined(scores), [[1.5, 0.5]])
    expected = softmax([4.0, 0.0]) / 2 + softmax([-1.0, 1.0]) / 2
    assert np.allclose(np.exp(combined(scores, "probabilities")), [expected])


def test_the_softmax_of_views_is_over_the_labels_of_the_split() -> None:
    scores = np.array([[[9.0, 1.0, 0.0], [0.0, 0.0, 0.7]]], np.float32)
    found = measure(benchmark("single-label", [(1,)], 3, Split("two", (0,), (1, 2))), scores, "probabilities")
    expected = softmax([1.0, 0.0]) + softmax([0.0, 0.7])
    assert found.metrics["top1"] == float(expected[0] > expected[1])


def test_multi_label_equals_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((40, 5)) < 0.3
    truth[:, 3] = False
    scores = rng.normal(size=(40, 2, 5)).astype(np.float32) + 1.5 * truth[:, None]
    rows = [tuple(np.flatnonzero(row).tolist()) for row in truth]
    groups = {"seen": (0, 1), "unseen": (2, 4)}
    made = replace(benchmark("multi-label", rows, 5), groups=groups)
    found = measure(made, scores.astype(np.float32), "logits")
    probability = expit(scores.mean(1, dtype=np.float64))
    expected = [average_precision_score(truth[:, c], probability[:, c]) for c in (0, 1, 2, 4)]
    assert found.metrics["macro_map"] == pytest.approx(np.mean(expected), abs=1e-6)
    assert found.never == ("label 3",)
    assert found.groups["seen"]["macro_map"] == pytest.approx(np.mean(expected[:2]), abs=1e-6)
    seen, unseen = np.mean(expected[:2]), np.mean(expected[2:])
    assert found.metrics["harmonic_map"] == pytest.approx(2 * seen * unseen / (seen + unseen), abs=1e-6)


def test_thresholds_decide_what_is_predicted() -> None:
    scores = one_view([[2.0], [0.0], [-2.0]])
    made = benchmark("multi-label", [(0,), (0,), ()], 1)
    assert measure(made, scores, "logits").metrics["macro_f1"] == 1.0
    assert measure(made, scores, "logits", [0.6]).metrics["macro_f1"] == pytest.approx(2 / 3)


def test_multi_label_splits_have_figures_of_their_own() -> None:
    scores = one_view([[2.0, 1.0], [0.0, 3.0], [-2.0, 0.5]])
    splits = Split("first", (0, 1), (0, 1)), Split("second", (0, 2), (1,))
    found = measure(benchmark("multi-label", [(0,), (1,), (1,)], 2, *splits), scores, "logits")
    assert [(split["name"], split["videos"], split["labels"]) for split in found.splits] == [
        ("first", [0, 1], [0, 1]),
        ("second", [0, 2], [1]),
    ]
    assert found.splits[1]["metrics"]["macro_map"] == 0.5


def test_retrieval_leaves_out_the_sentence_of_a_failed_video() -> None:
    scores = one_view([[5, 1, 9], [2, 4, 9], [NAN, NAN, NAN]])
    found = measure(benchmark("retrieval", [(0,), (1,), (2,)], 3), scores, "logits")
    assert found.metrics["t2v_r1"] == 1.0
    assert found.metrics["v2t_r1"] == 1.0
    assert found.intervals["t2v_r1"] == (1.0, 1.0)


def test_nothing_scored() -> None:
    scores = one_view([[NAN], [NAN]])
    with pytest.raises(UsageError, match=r"no video could be scored; see videos\.jsonl"):
        measure(benchmark("multi-label", [(0,), ()], 1), scores, "logits")
    made = benchmark("single-label", [(0,), (0,)], 1, Split("a", (0,), (0,)), Split("b", (1,), (0,)))
    with pytest.raises(UsageError, match="no video of split 'b' could be scored"):
        measure(made, one_view([[1.0], [NAN]]), "logits")
