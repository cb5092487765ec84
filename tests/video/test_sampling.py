"""Samplers: distinct, in order, in range, and spanning the video, for any video."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.video import sampling

steps = st.lists(st.floats(0.001, 5.0), min_size=1, max_size=300)
counts = st.integers(1, 64)


def times_of(gaps: list[float]) -> tuple[np.ndarray, float]:
    edges = np.concatenate([[0.0], np.cumsum(gaps)])
    return edges[:-1], float(edges[-1])


def check(picked: np.ndarray, count: int, at_most: int) -> None:
    assert len(picked) <= at_most
    assert (np.diff(picked) > 0).all()
    assert picked.min() >= 0
    assert picked.max() < count


def test_even_places_are_the_middles_of_their_shares() -> None:
    assert sampling.even_places(1, 4).tolist() == [0, 0, 0, 0]
    assert sampling.even_places(2, 4).tolist() == [0, 0, 1, 1]
    assert sampling.even_places(8, 4).tolist() == [1, 3, 5, 7]
    assert sampling.even_places(3, 8).tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
    assert all(
        sampling.even_places(count, frames).tolist() == [(2 * k + 1) * count // (2 * frames) for k in range(frames)]
        for count in range(1, 200)
        for frames in range(1, 33)
    )


@given(steps, counts)
def test_uniform_is_distinct_and_complete(gaps: list[float], frames: int) -> None:
    times, end = times_of(gaps)
    picked = sampling.uniform(times, end_s=end, frames=frames)
    check(picked, len(times), frames)
    assert len(picked) == min(frames, len(times))


@given(st.integers(1, 5000), counts, st.sampled_from([24, 25, 30, 30000 / 1001, 60]))
def test_uniform_takes_the_middle_of_equal_segments(count: int, frames: int, fps: float) -> None:
    picked = sampling.uniform(np.arange(count) / fps, end_s=count / fps, frames=frames)
    if frames < count:
        expected = np.floor((np.arange(frames) + 0.5) * count / frames + 1e-3)
        assert np.abs(picked - expected).max() <= 0


def test_uniform_spans_the_duration() -> None:
    picked = sampling.uniform(np.arange(800) / 25, end_s=32, frames=8)
    assert picked.tolist() == [50, 150, 250, 350, 450, 550, 650, 750]


def test_uniform_goes_by_time_not_by_count() -> None:
    times = np.concatenate([np.arange(90) / 90, 1 + np.arange(9)])  # 90 frames in a second, then one a second
    picked = sampling.uniform(times, end_s=10, frames=10)
    assert (times[picked] > 0.9).sum() >= 8


def test_picks_that_one_long_frame_leaves_over_go_by_time() -> None:
    times = np.concatenate([[0.0], 50 + np.arange(250) / 25])  # 50 s still, 10 s of action
    for frames in (4, 8, 16, 32):
        picked = times[sampling.uniform(times, end_s=60.0, frames=frames)]
        assert picked[0] == 0
        np.testing.assert_allclose(np.diff(picked[1:]), 10 / (frames - 1), atol=0.041)
        drawn = times[sampling.random_segments(times, end_s=60.0, frames=frames, rng=np.random.default_rng(frames))]
        assert np.diff(np.append(drawn[1:], 60.0)).max() <= 2 * 10 / (frames - 1) + 0.041


@given(steps, counts)
def test_shares_are_as_even_as_they_can_be(gaps: list[float], frames: int) -> None:
    times, end = times_of(gaps)
    picked = sampling.uniform(times, end_s=end, frames=frames)
    shown = np.append(times, end)
    if frames >= len(times):
        return
    # between two picks lies at most one segment of the time that is spread, and what is shown of the two themselves
    longest = np.sort(np.diff(shown))[::-1]
    segment = max((longest[cut:].sum() / (frames - cut) for cut in range(frames)), default=end)
    between = shown[picked[1:]] - shown[picked[:-1] + 1]
    assert between.max(initial=0.0) <= segment * (1 + 1e-6) + 2 * sampling.CLOCK_S


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), counts)
def test_no_share_is_more_than_its_part(amounts: list[float], frames: int) -> None:
    whole = np.array(amounts) + 1e-3
    if frames <= len(whole):
        cut = sampling._shares(whole, frames)
        assert (cut <= whole).all()
        assert cut.max() * frames <= cut.sum() * (1 + 1e-9)


@given(st.integers(1, 2000), counts, st.integers(1, 40), st.none() | st.integers(1, 20))
def test_dense(count: int, frames: int, stride: int, clips: int | None) -> None:
    picked = sampling.dense(np.arange(count) / 25, frames=frames, stride=stride, clips=clips)
    check(picked, count, frames)
    assert len(picked) == min(frames, count)


def test_dense_strides() -> None:
    picked = sampling.dense(np.arange(1000) / 25, frames=8, stride=4, clips=2)
    assert np.diff(picked).tolist() == [4, 4, 4, 488, 4, 4, 4]
    assert picked[0] + picked[-1] == pytest.approx(999, abs=1)


def test_dense_refuses() -> None:
    with pytest.raises(ValueError, match="stride is 0; use at least 1"):
        sampling.dense(np.arange(9.0), frames=2, stride=0)
    with pytest.raises(ValueError, match="clips is 0; use at least 1"):
        sampling.dense(np.arange(9.0), frames=2, clips=0)


@given(st.lists(st.floats(0, 255), min_size=1, max_size=300), counts)
def test_adaptive(change: list[float], frames: int) -> None:
    picked = sampling.adaptive(change, frames=frames)
    check(picked, len(change), frames)
    assert len(picked) == min(frames, len(change))


def test_one_great_change_leaves_the_others_their_picks() -> None:
    change = np.ones(100)
    change[10] = 1e6
    picked = sampling.adaptive(change, frames=10)
    assert 10 in picked
    assert np.diff(picked).max() <= 13


def test_adaptive_spreads_over_a_still_and_gathers_at_a_change() -> None:
    assert sampling.adaptive(np.zeros(80), frames=4).tolist() == [9, 29, 49, 69]
    change = np.zeros(100)
    change[40:60] = 50
    picked = sampling.adaptive(change, frames=8)
    assert ((picked >= 40) & (picked < 60)).sum() >= 6


def test_changes() -> None:
    luma = np.zeros((3, 2, 2), np.uint8)
    luma[2] = 10
    assert sampling.changes(luma).tolist() == [0, 0, 10]
    assert sampling.changes(luma[:1]).tolist() == [0]
    assert sampling.changes(luma[:0]).tolist() == []


@given(steps, counts, st.data())
def test_keyframes(gaps: list[float], frames: int, data: st.DataObject) -> None:
    times, end = times_of(gaps)
    keys = np.unique(data.draw(st.lists(st.integers(0, len(times) - 1), min_size=1, max_size=20)))
    picked = sampling.keyframes(keys, times, end_s=end, frames=frames)
    check(picked, len(times), frames)
    assert set(picked) <= set(keys)


def test_keyframes_without_any() -> None:
    none = np.zeros(0, np.int64)
    assert sampling.keyframes(none, np.arange(5.0), end_s=5, frames=3).tolist() == [0]
    assert sampling.keyframes(none, np.zeros(0), end_s=0, frames=3).tolist() == []


seeds = st.integers(0, 2**32)


@given(steps, counts, seeds)
def test_random_segments_are_distinct_complete_and_repeatable(gaps: list[float], frames: int, seed: int) -> None:
    times, end = times_of(gaps)
    rng, again = np.random.default_rng(seed), np.random.default_rng(seed)
    picked = sampling.random_segments(times, end_s=end, frames=frames, rng=rng)
    check(picked, len(times), frames)
    assert len(picked) == min(frames, len(times))
    assert (sampling.random_segments(times, end_s=end, frames=frames, rng=again) == picked).all()
    again.random()
    rng.random()
    assert rng.random() == again.random()


@given(st.integers(1, 50), st.integers(1, 16), seeds)
def test_random_segments_take_one_frame_of_each(per_segment: int, frames: int, seed: int) -> None:
    count = per_segment * frames
    times = np.arange(count) / 25
    rng = np.random.default_rng(seed)
    picked = sampling.random_segments(times, end_s=count / 25, frames=frames, rng=rng)
    # a moment just before a frame means that frame, see CLOCK_S
    assert np.abs(picked // per_segment - np.arange(frames)).max() <= (1 if per_segment > 1 else 0)
    assert (np.abs(picked - (np.arange(frames) + 0.5) * per_segment) <= per_segment / 2).all()


@given(st.integers(1, 3000), st.floats(0, 240), counts, st.floats(0, 1))
def test_windows_have_every_frame_and_repeat_only_the_last(count: int, fps: float, frames: int, place: float) -> None:
    start = place * sampling.window_room(count, fps, frames=frames)
    picked = sampling.window(count, fps, start=start, frames=frames)
    assert len(picked) == frames
    assert (np.diff(picked) >= 0).all()
    assert picked.min() >= 0
    assert picked.max() < count


def test_windows_as_published() -> None:
    """What PySlowFast's `decode` gives for its pyav reader, by hand: not every 16th frame."""
    offsets = [0, 18, 36, 54, 72, 90, 108, 112]
    assert sampling.window_room(300, 30.0) == 300 - 112
    assert sampling.window(300, 30.0, start=0).tolist() == offsets
    assert sampling.window(300, 30.0, start=188).tolist() == [188 + offset for offset in offsets[:7]] + [299]
    # frames from the 11th on are decoded, to the one past 10.5 + 111
    assert sampling.window(300, 30.0, start=10.5).tolist() == [11 + offset for offset in offsets[:7]] + [122]
    # 60 per second: twice as far apart; a video of 2 s: its last frame stands in
    assert sampling.window(600, 60.0, start=0).tolist() == [0, 36, 72, 109, 145, 182, 218, 224]
    assert sampling.window_room(60, 30.0) == 0
    assert sampling.window(60, 30.0, start=0).tolist() == [0, 18, 36, 54, 59, 59, 59, 59]
    assert len(sampling.window(0, 0.0, start=0)) == 0
