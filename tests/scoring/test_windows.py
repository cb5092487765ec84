"""Windows and cells over a video, held against what they promise."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olmv.errors import UsageError
from olmv.scoring.windows import TimelineOptions, Windows, clip_windows, sampled, shot_windows, whole
from olmv.video.options import DecodeOptions

PLAIN = DecodeOptions()


@given(count=st.integers(1, 300), length=st.integers(1, 40))
def test_windows_of_a_long_video(count: int, length: int) -> None:
    windows = clip_windows(count, length)
    assert {len(window) for window in windows.moments} == {min(length, count)}
    assert sorted({int(moment) for window in windows.moments for moment in window}) == list(range(count))
    begins = [int(window[0]) for window in windows.moments]
    assert begins == sorted(set(begins))
    assert max(np.diff(begins), default=0) <= max(length // 2, 1)  # overlap by half
    assert all((np.diff(window) == 1).all() for window in windows.moments)
    assert len(windows.starts_s) == 0


def test_a_short_video_is_one_window() -> None:
    assert [window.tolist() for window in whole(3).moments] == [[0, 1, 2]]
    assert [window.tolist() for window in clip_windows(3, 8).moments] == [[0, 1, 2]]
    assert [window.tolist() for window in clip_windows(10, 8).moments] == [list(range(8)), list(range(2, 10))]


@st.composite
def timelines(draw: st.DrawFn) -> tuple[Any, tuple[float, float], Any, float, TimelineOptions]:
    """Moments of a part of a film, where it begins and ends, cuts in it, and options."""
    every = draw(st.sampled_from([0.1, 0.5, 1.0, 3.0]))
    count = draw(st.integers(1, 80))
    begin = draw(st.sampled_from([0.0, 12.5, 3600.0]))
    moments = begin + (np.arange(count) + 0.5) * every
    end = begin + count * every
    missing = draw(st.sets(st.integers(0, count - 1), max_size=count - 1))  # that could not be decoded
    moments = np.delete(moments, sorted(missing))
    cuts = sorted(draw(st.sets(st.floats(begin + 1e-3, end - 1e-3), max_size=8)))
    window = draw(st.sampled_from([0.2, 1.0, 4.0, 100.0]))
    step = draw(st.sampled_from([0.1, 0.5, 1.0])) * window
    return moments, (begin, end), np.array(cuts), every, TimelineOptions(window_s=window, step_s=step)


@settings(deadline=None)
@given(given=timelines())
def test_windows_and_cells_of_a_timeline(given: Any) -> None:
    moments, span, cuts, every, options = given
    windows = shot_windows(moments, span, cuts, every_s=every, options=options)
    shot_of = np.searchsorted(cuts, moments, side="right")
    length = max(round(options.window_s / every), 1)
    for window in windows.moments:
        assert 1 <= len(window) <= length
        assert (np.diff(window) == 1).all()
        assert len(set(shot_of[window])) == 1  # no window crosses a cut
    assert sorted({int(moment) for window in windows.moments for moment in window}) == list(range(len(moments)))

    assert windows.weights.shape == (len(windows.starts_s), len(windows.moments))
    assert np.allclose(windows.weights.sum(axis=1), 1)
    assert (windows.weights >= 0).all()
    assert windows.starts_s[0] == span[0]
    assert (np.diff(windows.starts_s) > 0).all()
    assert windows.starts_s[-1] < span[1]
    # a shot with a moment, but for the first, begins a cell just there
    begun = [cuts[shot - 1] for before, shot in pairwise(shot_of) if before < shot]
    assert {*begun} <= {*windows.starts_s.tolist()}
    # a cell is made of windows over its own moments, none of another shot
    for cell, start in enumerate(windows.starts_s.tolist()):
        end = windows.starts_s[cell + 1] if cell + 1 < len(windows.starts_s) else math.inf
        own = {int(place) for place in np.flatnonzero((moments >= start) & (moments < end))}
        if own:
            for place in np.flatnonzero(windows.weights[cell]).tolist():
                assert own & {*windows.moments[place].tolist()}


def by_hand(options: TimelineOptions, cuts: list[float], count: int = 10) -> Windows:
    return shot_windows(
        np.arange(count, dtype=np.float64) + 0.5, (0.0, float(count)), cuts, every_s=1.0, options=options
    )


def test_an_example_by_hand() -> None:
    windows = by_hand(TimelineOptions(window_s=4, step_s=2), [6.0])
    assert [window.tolist() for window in windows.moments] == [[0, 1, 2, 3], [2, 3, 4, 5], [6, 7, 8, 9]]
    assert windows.starts_s.tolist() == [0, 2, 4, 6, 8]
    assert windows.weights.tolist() == [[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]


def test_a_window_longer_than_the_film() -> None:
    windows = by_hand(TimelineOptions(window_s=60, step_s=2), [])
    assert [window.tolist() for window in windows.moments] == [list(range(10))]
    assert windows.starts_s.tolist() == [0, 2, 4, 6, 8]
    assert (windows.weights == 1).all()


def test_a_shot_without_a_moment_belongs_to_the_one_before() -> None:
    windows = by_hand(TimelineOptions(window_s=4, step_s=4), [4.6, 4.8, 5.2, 9.9])
    assert [window.tolist() for window in windows.moments] == [[0, 1, 2, 3], [1, 2, 3, 4], [5, 6, 7, 8], [6, 7, 8, 9]]
    assert windows.starts_s.tolist() == [0, 4, 5.2, 9]


def test_windows_shorter_than_the_time_between_moments_hold_one() -> None:
    windows = by_hand(TimelineOptions(window_s=0.1, step_s=0.1), [], count=3)
    assert [window.tolist() for window in windows.moments] == [[0], [1], [2]]
    assert windows.weights.tolist() == np.eye(3).tolist()


@settings(deadline=None)
@given(given=timelines())
def test_every_cell_is_held_by_a_window(given: Any) -> None:
    moments, span, cuts, every, options = given
    windows = shot_windows(moments, span, cuts, every_s=every, options=options)
    assert windows.holds.any(axis=1).all()
    assert (windows.weights[windows.holds] > 0).all()


@given(begin=st.integers(0, 39), length=st.integers(1, 12), step=st.integers(1, 8))
def test_what_any_frame_shows_is_told_of_its_own_time(begin: int, length: int, step: int) -> None:
    """To a step, however long windows are; at the ends of a film fewer windows lie over a moment."""
    moments = np.arange(40, dtype=np.float64) + 0.5
    shown = (moments > begin) & (moments < begin + length)
    options = TimelineOptions(window_s=8, step_s=step)
    windows = shot_windows(moments, (0.0, 40.0), [], every_s=1.0, options=options)
    probability = np.array([[float(shown[window].any())] for window in windows.moments])
    curve = windows.curve(probability, any_frame=True)[:, 0]
    assert curve.dtype == np.float32
    for cell, start in enumerate(windows.starts_s.tolist()):
        inside = (moments >= start) & (moments < start + step)
        near = (moments >= start) & (moments < start + 2 * step)
        assert curve[cell] == 1 or not shown[inside].any()
        if 8 <= start <= 24:
            assert curve[cell] == 0 or shown[near].any()
    mean = windows.curve(probability, any_frame=False)
    assert mean == pytest.approx(windows.weights @ probability)


def test_how_a_video_is_sampled() -> None:
    timeline = TimelineOptions(window_s=4)

    def made(**given: Any) -> DecodeOptions:
        return sampled(PLAIN, **{"frames": None, "every_s": None, "timeline": None, "model_frames": 8} | given)

    assert made() == DecodeOptions(frames=8, every_s=2.0, max_frames=512)
    assert made(frames=4) == DecodeOptions(frames=4)
    assert made(every_s=0.5) == DecodeOptions(frames=1, every_s=0.5)
    assert made(timeline=timeline) == DecodeOptions(frames=1, every_s=0.5, timeline=True)
    assert made(timeline=timeline, every_s=1.0) == DecodeOptions(frames=1, every_s=1.0, timeline=True)
    few = sampled(DecodeOptions(max_frames=4), frames=None, every_s=None, timeline=None, model_frames=8)
    assert (few.frames, few.max_frames) == (4, 4)


@pytest.mark.parametrize(
    ("given", "message", "option"),
    [
        ({"frames": 4, "every_s": 1.0}, "every_s already says how many frames; leave out frames", "frames"),
        ({"frames": 4, "timeline": TimelineOptions()}, "a timeline's length says how many frames", "frames"),
        ({"every_s": 0.0}, r"every is 0 s; give a time from 0.001 s up", "every_s"),
        ({"every_s": math.nan}, r"every is nan s; give a time from 0.001 s up", "every_s"),
        ({"timeline": TimelineOptions(window_s=0)}, "window is 0 s; give a number of seconds above 0", "window_s"),
        ({"timeline": TimelineOptions(step_s=math.inf)}, "step is inf s; give a number of seconds", "step_s"),
        (
            {"timeline": TimelineOptions(window_s=1, step_s=2)},
            "a step of 2 s leaves gaps between windows of 1 s; make it shorter",
            "step_s",
        ),
        ({"timeline": TimelineOptions(join_s=-1)}, "join is -1 s; give 0 or more seconds", "join_s"),
    ],
)
def test_wrong_usages(given: dict[str, Any], message: str, option: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        sampled(PLAIN, **{"frames": None, "every_s": None, "timeline": None, "model_frames": 8} | given)
    assert raised.value.options == (option,)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"frames": 8}, "frames already says how many there are; leave out max_frames"),
        ({"timeline": TimelineOptions()}, "a timeline has no most of frames; leave out max_frames"),
    ],
)
def test_a_most_goes_with_what_grows(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        sampled(
            DecodeOptions(max_frames=4),
            **{"frames": None, "every_s": None, "timeline": None, "model_frames": 8} | given,
        )
    assert raised.value.options == ("max_frames",)


@pytest.mark.parametrize("sampling", ["dense", "keyframes"])
def test_a_timeline_has_its_own_ways_of_sampling(sampling: Any) -> None:
    options = DecodeOptions(sampling=sampling)
    with pytest.raises(UsageError, match=f"a timeline is not sampled '{sampling}'; choose uniform or adaptive"):
        sampled(options, frames=None, every_s=None, timeline=TimelineOptions(), model_frames=8)


@pytest.mark.parametrize("most", [0, -1])
def test_a_most_of_no_frames(most: int) -> None:
    with pytest.raises(UsageError, match=f"max_frames is {most}; it must be at least 1"):
        sampled(DecodeOptions(max_frames=most), frames=None, every_s=None, timeline=None, model_frames=8)
