"""Figures over time: worked by hand, equal to the slow way, unmoved by what must not move them."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from olmv.errors import UsageError
from olmv.metrics.temporal import (
    Timeline,
    detection_hits,
    event_hits,
    interpolated_average_precision,
    temporal_iou,
    time_pieces,
)
from olmv.metrics.temporal_figures import event_counts, temporal_figures, temporal_intervals

Spans = Sequence[tuple[float, float]]


def spans(pairs: Spans) -> NDArray[np.float64]:
    return np.array(pairs, dtype=np.float64).reshape(-1, 2)


def timeline(
    truth: Sequence[Spans],
    predicted: Sequence[Spans],
    score: Sequence[Any],
    *,
    edges: Sequence[float] = (0, 10),
    probability: Any = None,
) -> Timeline:
    return Timeline(
        truth=tuple(spans(pairs) for pairs in truth),
        predicted=tuple(spans(pairs) for pairs in predicted),
        score=tuple(np.array(values, dtype=np.float64) for values in score),
        edges_s=np.array(edges, dtype=np.float64),
        probability=np.array(
            [[0.5] * len(truth)] * (len(edges) - 1) if probability is None else probability, np.float32
        ),
    )


# disjoint spans in whole half seconds, in order
half_seconds = st.lists(st.integers(0, 60), unique=True, max_size=10).map(
    lambda cuts: [(a / 2, b / 2) for a, b in zip(sorted(cuts)[::2], sorted(cuts)[1::2], strict=False)]
)


def test_temporal_iou_by_hand() -> None:
    got = temporal_iou(spans([(0, 4), (10, 12)]), spans([(2, 6), (4, 5), (10, 12)]))
    assert got.tolist() == [[pytest.approx(2 / 6), 0, 0], [0, 0, 1]]
    assert temporal_iou(spans([(3, 3)]), spans([(3, 3)])).tolist() == [[0]]  # of no length: no overlap, no division


def test_the_best_ranked_takes_the_truth_it_overlaps_most_and_none_is_taken_twice() -> None:
    truth = spans([(0, 10), (10, 20)])
    detections, score = spans([(0, 9), (0, 10), (9, 20), (40, 50)]), np.array([0.5, 0.9, 0.8, 0.99])
    assert detection_hits(detections, score, truth, (0.3, 0.5)).tolist() == [[False, True, True, False]] * 2
    # at the lowest IoU the second finds the first truth taken and takes the other
    shifted = spans([(0, 10), (2, 15)])
    assert detection_hits(shifted, np.array([0.9, 0.8]), truth, (0.2, 0.5)).tolist() == [[True, True], [True, False]]
    assert detection_hits(detections, score, spans([]), (0.3,)).tolist() == [[False] * 4]


def test_average_precision_by_hand() -> None:
    """Right, wrong, right of 3: precision 1 up to a recall of 1/3, 2/3 up to 2/3, nothing beyond."""
    hits, once = np.array([True, False, True]), np.ones((1, 3), np.int64)
    assert interpolated_average_precision(hits, once, np.array([3]))[0] == pytest.approx(1 / 3 + 2 / 9)
    # precision is the best at that recall or more: wrong, right, right has 2/3 all the way
    late = interpolated_average_precision(np.array([False, True, True]), once, np.array([2]))
    assert late[0] == pytest.approx(2 / 3)
    none = interpolated_average_precision(np.zeros(0, bool), np.ones((2, 0), np.int64), np.array([3, 0]))
    assert none[0] == 0
    assert np.isnan(none[1])


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=1, max_size=12), st.integers(1, 9))
def test_a_weight_is_as_many_copies(ranked: list[tuple[bool, int]], spare: int) -> None:
    hits, weights = (np.array(column) for column in zip(*ranked, strict=True))
    copies = np.repeat(hits, weights)
    support = np.array([int(copies.sum()) + spare])
    once = np.ones((1, len(copies)), np.int64)
    weighted = interpolated_average_precision(hits, weights[None], support)
    assert weighted == pytest.approx(interpolated_average_precision(copies, once, support))
    assert weighted[0] == pytest.approx(activitynet_ap(copies.tolist(), int(support[0])))


def activitynet_ap(hits: Sequence[bool], support: int) -> float:
    """Its evaluation, word for word: cumulative sums, sentinels, the envelope from behind."""
    if not hits:
        return 0.0
    true = np.cumsum(hits)
    false = np.cumsum(~np.array(hits))
    precision = np.hstack([[0], true / (true + false), [0]])
    recall = np.hstack([[0], true / support, [1]])
    for i in range(len(precision) - 1)[::-1]:
        precision[i] = max(precision[i], precision[i + 1])
    steps = np.where(recall[1:] != recall[:-1])[0] + 1
    return float(np.sum((recall[steps] - recall[steps - 1]) * precision[steps]))


@settings(deadline=None)
@given(half_seconds, half_seconds, st.sampled_from([0, 0.5, 1, 2.5]))
def test_as_many_events_match_as_can(predicted: Spans, truth: Spans, tolerance: float) -> None:
    fits = [
        [j for j, b in enumerate(truth) if abs(a[0] - b[0]) <= tolerance and abs(a[1] - b[1]) <= tolerance]
        for a in predicted
    ]
    best = max(
        sum(place is not None for place in choice)
        for choice in itertools.product(*([*row, None] for row in fits))
        if len({place for place in choice if place is not None}) == sum(place is not None for place in choice)
    )
    assert event_hits(spans(predicted), spans(truth), tolerance) == best


def test_begin_and_end_must_both_lie_within_the_tolerance() -> None:
    truth = spans([(10, 20)])
    assert [event_hits(spans([pair]), truth, 1.0) for pair in [(11, 19), (9, 21.1), (11.1, 20)]] == [1, 0, 0]
    assert event_hits(spans([(0.1 + 10, 21.1 - 0.1)]), spans([(9.1, 20)]), 1.0) == 1  # a rounding error is none


def test_figures_by_hand() -> None:
    """Two films, label a found in one and invented in the other, label b true of nothing."""
    lines = [
        timeline([[(0, 10)], []], [[(0, 10.5)], []], [[0.9], []], edges=(0, 10, 20), probability=[[0.9, 0], [0.2, 0]]),
        timeline([[(5, 10)], []], [[(0, 5)], [(1, 2)]], [[0.95], [0.8]], edges=(0, 5, 10), probability=[[0.95, 1]] * 2),
    ]
    figures = temporal_figures(lines)
    # ranked: the wrong one of film 2, then the right one of film 1, of 2 true: 1/2 x 1/2
    assert figures.ap[:, 0].tolist() == [0.25] * 3
    assert figures.metrics["map_iou50"] == figures.metrics["mean_map"] == 0.25  # b is in no mean
    assert (figures.support.tolist(), figures.predicted.tolist()) == ([2, 0], [2, 1])
    assert figures.seconds.tolist() == [15, 0]
    assert (figures.precision[0], figures.recall[0], figures.f1[0]) == (0.5, 0.5, 0.5)
    assert figures.metrics["event_precision"] == pytest.approx(1 / 3)  # the invented b counts where all are counted
    assert figures.metrics["macro_event_precision"] == 0.5
    # by time: 10 s of 0.95, of which 5 s are true; then 10 s of 0.9, all true
    assert figures.frame_ap[0] == pytest.approx((5 * 0.5 + 10 * 0.75) / 15)
    assert figures.metrics["frame_map"] == pytest.approx(2 / 3)
    assert np.isnan(figures.frame_ap[1])
    wide = temporal_figures(lines, tolerance_s=5)
    assert wide.metrics["event_recall"] == 1


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_frame_level_average_precision_is_that_of_a_fine_grid(data: st.DataObject) -> None:
    lines = []
    for _ in range(data.draw(st.integers(1, 3))):
        steps = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=6))
        edges = np.concatenate([[0], np.cumsum(steps)]) / 2
        levels = st.lists(st.sampled_from([0.1, 0.25, 0.5, 0.875]), min_size=len(steps), max_size=len(steps))
        truth = [(a, min(b, edges[-1])) for a, b in data.draw(half_seconds) if a < edges[-1]]
        probability = np.array(data.draw(levels))[:, None]
        lines.append(timeline([truth], [[]], [[]], edges=edges.tolist(), probability=probability))
    true, score = [], []
    for line in lines:
        for time in np.arange(0.125, line.edges_s[-1], 0.25):  # no edge lies between
            true.append(any(a <= time < b for a, b in line.truth[0]))
            score.append(line.probability[np.searchsorted(line.edges_s, time) - 1, 0])
    figures = temporal_figures(lines)
    if any(true):
        assert figures.frame_ap[0] == pytest.approx(average_precision_score(true, score))
    else:
        assert np.isnan(figures.frame_ap[0])
    assert figures.seconds[0] == pytest.approx(sum(true) / 4)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(half_seconds, half_seconds), min_size=1, max_size=4), st.integers(0, 2**20))
def test_map_is_that_of_activitynets_evaluation(films: list[tuple[Spans, Spans]], seed: int) -> None:
    random = np.random.default_rng(seed)
    lines = [
        timeline([truth], [predicted], [random.permutation(len(predicted)) / 10 + i / 1000], edges=(0, 31))
        for i, (truth, predicted) in enumerate(films)
    ]
    support = sum(len(truth) for truth, _ in films)
    figures = temporal_figures(lines)
    for iou, ap in zip((0.3, 0.5, 0.7), figures.ap[:, 0], strict=True):
        ranked = sorted(
            (-line.score[0][k], i, tuple(line.predicted[0][k])) for i, line in enumerate(lines)
            for k in range(len(line.score[0]))
        )  # fmt: skip
        taken, hits = set(), []
        for _, film, (start, end) in ranked:
            overlaps = []
            for place, (a, b) in enumerate(films[film][0]):
                shared = max(0.0, min(end, b) - max(start, a))
                overlaps.append((shared / (end - start + b - a - shared), place))
            free = [(o, p) for o, p in overlaps if o >= iou and (film, p) not in taken]
            hits.append(bool(free))
            if free:
                taken.add((film, max(free, key=lambda pair: (pair[0], -pair[1]))[1]))
        if support:
            assert ap == pytest.approx(activitynet_ap(hits, support))
        else:
            assert np.isnan(ap)


def many(count: int, seed: int = 0) -> list[Timeline]:
    """Films with two labels, found well and badly."""
    random = np.random.default_rng(seed)
    lines = []
    for _ in range(count):
        edges = np.arange(0, 41.0, 2)
        truth, predicted, score = [], [], []
        active = np.zeros((20, 2), bool)
        for label, noise in enumerate((0.3, 3.0)):
            start = random.integers(0, 12) * 2.0
            truth.append([(start, start + 10)])
            predicted.append([(max(0.0, start + random.normal(0, noise)), start + 10 + abs(random.normal(0, noise)))])
            score.append([random.random()])
            active[int(start) // 2 : int(start) // 2 + 5, label] = True
        probability = 1 / (1 + np.exp(-(3 * active - 1.5 + random.normal(0, 1, active.shape))))
        lines.append(timeline(truth, predicted, score, edges=edges.tolist(), probability=probability))
    return lines


def test_a_draw_is_measuring_the_drawn_films() -> None:
    from olmv.metrics.temporal_figures import _Sums

    lines = many(8)
    drawn = np.random.default_rng(3).integers(8, size=(5, 8))
    weights = np.stack([np.bincount(row, minlength=8) for row in drawn])
    figures = _Sums(lines, 1.0).figures(weights)
    for row, indices in enumerate(drawn):
        # sorted, since of equal scores the first comes first
        one = temporal_figures([lines[i] for i in sorted(indices)]).metrics
        assert {name: values[row] for name, values in figures.items()} == pytest.approx(one, nan_ok=True)


def test_intervals_hold_the_figure_and_narrow_with_more_films() -> None:
    few, lots = (temporal_intervals(many(count), resamples=200) for count in (8, 60))
    figures = temporal_figures(many(60)).metrics
    assert lots.keys() == figures.keys()
    for name, interval in lots.items():
        assert interval.value == pytest.approx(figures[name])
        assert 0 <= interval.low <= interval.value <= interval.high <= 1
    assert lots["frame_map"].high - lots["frame_map"].low < few["frame_map"].high - few["frame_map"].low
    assert temporal_intervals(many(8), resamples=50) == temporal_intervals(many(8), resamples=50)
    alone = temporal_intervals(many(8), groups=np.zeros(8, np.int64))["event_f1"]
    assert alone.resamples == 0


def test_pieces_add_up_to_the_video() -> None:
    line = timeline([[(1.0004, 2)], [(-1, 99)]], [[], []], [[], []], edges=(0, 1.0001, 3.3334))
    pieces = time_pieces([line, line])
    assert np.bincount(pieces.video, pieces.length_ms).tolist() == [3333, 3333]
    assert pieces.truth[:, 1].all()


def test_what_cannot_be_measured() -> None:
    with pytest.raises(UsageError, match="nothing to measure; give at least one video and label"):
        temporal_figures([])
    with pytest.raises(UsageError, match=r"the tolerance is -1 s; give 0 or more seconds"):
        event_counts(many(1), -1)
