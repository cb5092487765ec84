"""From a curve to segments, held against a slow and plain state machine."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.errors import UsageError
from olmv.scoring.segments import LEAVE_LOGIT, Segment, SegmentOptions, default_leave, find_segments, is_on

shares = st.floats(0, 1, width=32)
levels = st.sampled_from([0.0, 0.1, 0.27, 0.3, 0.49, 0.5, 0.7, 1.0]) | shares
NO_CARE = SegmentOptions(join_s=0.0, least_s=0.0)


@st.composite
def curves(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Edges [N + 1] and probabilities [N]."""
    probability = np.array(draw(st.lists(levels, min_size=1, max_size=40)), np.float32)
    lengths = draw(
        st.lists(st.sampled_from([0.25, 0.5, 1.0, 2.0]), min_size=len(probability), max_size=len(probability))
    )
    return np.concatenate([[0.0], np.cumsum(lengths)]), probability


def naive_on(probability: Any, enter: float, leave: float) -> list[bool]:
    state, states = False, []
    for value in probability:
        if value >= np.float32(enter):
            state = True
        elif value < np.float32(min(leave, enter)):
            state = False
        states.append(state)
    return states


def naive_segments(edges: Any, states: list[bool], join: float, least: float) -> list[tuple[float, float]]:
    spans: list[list[float]] = []
    for place, on in enumerate(states):
        if on and place and states[place - 1]:
            spans[-1][1] = edges[place + 1]
        elif on:
            spans.append([edges[place], edges[place + 1]])
    joined: list[list[float]] = []
    for begin, end in spans:
        if joined and begin - joined[-1][1] < join:
            joined[-1][1] = end
        else:
            joined.append([begin, end])
    return [(begin, end) for begin, end in joined if end - begin >= least]


@given(curve=curves(), enter=levels, leave=levels)
def test_hysteresis(curve: Any, enter: float, leave: float) -> None:
    assert is_on(curve[1], enter, leave).tolist() == naive_on(curve[1], enter, leave)


@given(curve=curves(), enter=levels, leave=st.none() | levels, join=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
       least=st.sampled_from([0.0, 0.5, 1.0, 3.0]))  # fmt: skip
def test_segments(curve: Any, enter: float, leave: float | None, join: float, least: float) -> None:
    edges, probability = curve
    options = SegmentOptions(join_s=join, least_s=least)
    segments = find_segments("dog", edges[:-1], edges[-1], probability, enter=enter, leave=leave, options=options)
    states = naive_on(probability, enter, default_leave(enter) if leave is None else leave)
    assert [(segment.start_s, segment.end_s) for segment in segments] == naive_segments(edges, states, join, least)
    for segment in segments:
        inside = (edges[:-1] >= segment.start_s) & (edges[1:] <= segment.end_s)
        assert segment.label == "dog"
        assert segment.start_s < segment.end_s
        assert segment.peak == probability[inside].max()
        assert segment.peak >= np.float32(enter)
        place = int(np.flatnonzero(inside & (probability == probability[inside].max()))[0])
        assert segment.peak_s == (edges[place] + edges[place + 1]) / 2
        assert segment.mean == pytest.approx(np.average(probability[inside], weights=np.diff(edges)[inside]), abs=1e-6)
        assert 0 <= segment.mean <= segment.peak + 1e-6
        assert all(math.isfinite(value) for value in (segment.mean, segment.peak_s))


def test_a_curve_that_wavers_makes_one_segment() -> None:
    probability = np.array([0.1, 0.6, 0.45, 0.55, 0.3, 0.28, 0.26, 0.3, 0.2], np.float32)
    (segment,) = find_segments("dog", np.arange(9.0), 9.0, probability, enter=0.5, options=NO_CARE)
    mean = float((probability[1:6] * np.ones(5)).sum() / 5)
    assert segment == Segment("dog", 1.0, 6.0, float(probability[1]), 1.5, mean)


def test_gaps_are_closed_first_and_blips_dropped_then() -> None:
    probability = np.array([0.9, 0.0, 0.9, 0.0, 0.0, 0.0, 0.9], np.float32)
    starts = np.arange(7) * 0.25

    def spans(**options: float) -> list[tuple[float, float]]:
        made = find_segments("dog", starts, 1.75, probability, enter=0.5, options=SegmentOptions(**options))
        return [(segment.start_s, segment.end_s) for segment in made]

    assert spans(join_s=0.3, least_s=0.5) == [(0.0, 0.75)]
    assert spans(join_s=0.25, least_s=0.0) == [(0.0, 0.25), (0.5, 0.75), (1.5, 1.75)]  # as long is not shorter
    assert spans(join_s=0.25, least_s=0.25) == [(0.0, 0.25), (0.5, 0.75), (1.5, 1.75)]
    assert spans(join_s=0.25, least_s=0.26) == []
    assert spans(join_s=1.0, least_s=0.5) == [(0.0, 1.75)]


def test_without_a_cell_there_is_none_and_a_photo_lasts_no_time() -> None:
    assert find_segments("dog", [], 0.0, np.zeros(0, np.float32), enter=0.5) == []
    assert is_on(np.zeros(0), 0.5, 0.3).tolist() == []
    assert find_segments("dog", [0.0], 0.0, np.ones(1, np.float32), enter=0.5, options=NO_CARE) == []


@pytest.mark.parametrize("threshold", [0.0, 1e-9, 0.03, 0.5, 0.97, 1.0])
def test_a_label_ends_a_logit_below_its_threshold(threshold: float) -> None:
    leave = default_leave(threshold)
    assert 0 <= leave <= max(threshold, 1e-15)
    if 0.01 < threshold < 0.99:
        assert math.log(threshold / (1 - threshold)) - math.log(leave / (1 - leave)) == pytest.approx(LEAVE_LOGIT)
    assert find_segments("dog", [0.0], 1.0, np.ones(1, np.float32), enter=threshold) != []


def test_a_threshold_of_0_is_always_reached() -> None:
    (segment,) = find_segments("dog", [0.0, 1.0], 2.0, np.zeros(2, np.float32), enter=0.0)
    assert (segment.start_s, segment.end_s, segment.peak) == (0.0, 2.0, 0.0)


@pytest.mark.parametrize("value", [-0.1, math.inf, math.nan])
def test_lengths_that_are_none(value: float) -> None:
    with pytest.raises(UsageError, match=r"join is .* s; give 0 or more seconds") as raised:
        SegmentOptions(join_s=value).check()
    assert raised.value.options == ("join_s",)
    with pytest.raises(UsageError, match=r"least is .* s; give 0 or more seconds"):
        SegmentOptions(least_s=value).check()
    SegmentOptions(join_s=0, least_s=0).check()
