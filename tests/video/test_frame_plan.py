"""Which frames are looked at, and in which parts: pure arithmetic on the times of a file."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olmv.video import frame_plan
from olmv.video.frame_plan import PART_FRAMES, FramePlan
from olmv.video.frames import Floats, Indices, PickedFrame, Pixels, VideoInfo
from olmv.video.options import MAX_FRAMES, DecodeOptions, Sampling
from olmv.video.readers.video_reader import VideoReader

DEFAULT = DecodeOptions(frames=8, every_s=2.0, max_frames=MAX_FRAMES)


class Times(VideoReader):
    """A file of which only the times are known."""

    def __init__(self, times_s: Floats, end_s: float, keyframes: Sequence[int] = (0,)) -> None:
        super().__init__("times.mp4")
        self.timestamps_s, self.end_s = times_s, end_s
        self.keyframes = np.array(keyframes, np.int64)

    @property
    def info(self) -> VideoInfo:
        return self._make_info(width=8, height=8, rotation=0, codec="none")

    def frames(self, indices: Sequence[int] | Indices) -> Iterator[PickedFrame]:
        raise NotImplementedError

    def luma(self, indices: Sequence[int] | Indices) -> Pixels:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is open."""


def steady(frames: int, fps: float, *, gop: int = 0) -> Times:
    """Frames at a rate, with a keyframe each `gop`."""
    return Times(np.arange(frames) / fps, frames / fps, range(0, frames, gop or frames))


@st.composite
def readers(draw: st.DrawFn) -> Times:
    """Any frame rate, also a wavering one, and keyframes anywhere."""
    count = draw(st.integers(1, 3000))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    fps = draw(st.sampled_from([0.2, 1.0, 24.0, 29.97, 240.0]))
    gaps = np.full(count, 1 / fps)
    if draw(st.booleans()):
        gaps = gaps * random.choice([0.3, 1.0, 40.0], count, p=[0.3, 0.68, 0.02])
    ends = np.cumsum(gaps)
    keyframes = np.flatnonzero(random.random(count) < draw(st.sampled_from([0.0, 0.002, 0.02, 0.3, 1.0])))
    return Times(np.concatenate([[0.0], ends[:-1]]), float(ends[-1]), sorted({0, *keyframes.tolist()}))


def check(plan: FramePlan, reader: Times) -> None:
    """Hold a plan against what every plan is."""
    assert plan.bounds[0] == 0
    assert plan.bounds[-1] == len(plan.indices) == len(plan.times_s)
    sizes = np.diff(plan.bounds)
    assert plan.parts == len(sizes) >= 1
    assert sizes.min() >= 1
    assert sizes.max() <= 2 * PART_FRAMES
    assert (np.diff(plan.indices) >= 0).all()
    assert (np.diff(plan.times_s) > 0).all()
    assert len(plan.edges_s) == len(plan.bounds)
    assert (plan.edges_s[0], plan.edges_s[-1]) == (0.0, reader.end_s)
    assert (np.diff(plan.edges_s) >= 0).all()
    for part in range(plan.parts):
        own = plan.times_s[plan.bounds[part] : plan.bounds[part + 1]]
        assert plan.edges_s[part] - 1e-9 <= own[0] <= own[-1] <= plan.edges_s[part + 1] + 1e-9
    assert sum(map(plan.requested_of, range(plan.parts))) == plan.requested >= len(plan.indices)


@settings(deadline=None, max_examples=60)
@given(reader=readers(), every_s=st.sampled_from([0.02, 0.5, 2.0, 60.0]), most=st.sampled_from([8, 100, 512, 4000]))
def test_of_a_video(reader: Times, every_s: float, most: int) -> None:
    plan = FramePlan.of_video(reader, DecodeOptions(frames=8, every_s=every_s, max_frames=most))
    check(plan, reader)
    assert len(set(plan.indices.tolist())) == len(plan.indices) <= most
    assert plan.capped == (np.ceil(reader.end_s / every_s - 1e-4) > most)


@settings(deadline=None, max_examples=60)
@given(reader=readers(), every_s=st.sampled_from([0.02, 0.5, 2.0, 60.0]))
def test_of_a_timeline(reader: Times, every_s: float) -> None:
    plan = FramePlan.of_video(reader, DecodeOptions(frames=1, every_s=every_s, timeline=True))
    check(plan, reader)
    assert not plan.capped
    assert plan.requested == len(plan.indices)
    if reader.end_s > every_s:  # a moment each `every_s`, but for what is left over at the end
        assert np.allclose(np.diff(plan.times_s)[:-1], every_s)
    shown = reader.timestamps_s[plan.indices]
    assert (shown <= plan.times_s + 2e-4).all()
    until = np.append(reader.timestamps_s, reader.end_s)[plan.indices + 1]
    assert (until >= plan.times_s - 2e-4).all()


@settings(deadline=None, max_examples=60)
@given(reader=readers())
def test_parts_begin_at_keyframes_where_these_are_near(reader: Times) -> None:
    plan = FramePlan.of_video(reader, DecodeOptions(frames=1, every_s=0.02, max_frames=3000))
    keyframes = set(reader.keyframes.tolist())
    for begin, bound in zip(plan.bounds[:-1], plan.bounds[1:-1], strict=False):
        # the first frame of a part is the first picked one from a keyframe on: what decoding to it costs is little
        before, first = plan.indices[bound - 1], plan.indices[bound]
        if not keyframes & set(range(before + 1, first + 1)):
            near = (
                plan.indices[begin + PART_FRAMES // 2],
                plan.indices[min(begin + 2 * PART_FRAMES, plan.bounds[-1] - 1)],
            )
            assert not keyframes & set(range(near[0] + 1, near[1] + 1))
            assert bound - begin == PART_FRAMES


@pytest.mark.parametrize(
    ("seconds", "frames", "gap_s", "capped"),
    [
        (1, 8, 0.125, False),
        (16, 8, 2.0, False),
        (16.04, 9, 16.04 / 9, False),
        (40, 20, 2.0, False),
        (600, 300, 2.0, False),
        (1024, 512, 2.0, False),
        (1030, 512, 1030 / 512, True),
        (10800, 512, 10800 / 512, True),
    ],
)
def test_frames_grow_with_the_length(seconds: float, frames: int, gap_s: float, capped: bool) -> None:
    plan = FramePlan.of_video(steady(round(seconds * 25), 25.0, gop=50), DEFAULT)
    assert (len(plan.indices), plan.requested, plan.capped) == (frames, frames, capped)
    assert plan.widest_gap_s == pytest.approx(gap_s, abs=0.045)


def test_frames_alone_do_not_grow() -> None:
    plan = FramePlan.of_video(steady(25 * 10800, 25.0), DecodeOptions(frames=300))
    assert (len(plan.indices), plan.parts, plan.capped) == (300, 1, False)  # one clip, in one part
    assert plan.widest_gap_s == pytest.approx(36.0, abs=0.05)


def test_one_frame_a_second_leaves_no_finer_gaps() -> None:
    plan = FramePlan.of_video(steady(20, 1.0), DecodeOptions(frames=1, every_s=0.1))
    assert plan.indices.tolist() == list(range(20))
    assert (plan.requested, plan.widest_gap_s) == (200, 0.0)  # there is nothing between the frames
    timeline = FramePlan.of_video(steady(20, 1.0), DecodeOptions(frames=1, every_s=0.25, timeline=True))
    assert timeline.indices.tolist() == [frame for frame in range(20) for _ in range(4)]
    assert timeline.widest_gap_s == 0.0


@pytest.mark.parametrize("sampling", ["uniform", "dense", "adaptive", "keyframes"])
def test_an_asked_rate_without_a_most(sampling: Sampling) -> None:
    reader = steady(1000, 25.0)
    plan = FramePlan.of_video(reader, DecodeOptions(frames=1, every_s=0.04, sampling=sampling))
    assert (plan.requested, plan.capped) == (1000, False)  # beyond the 512 of a run that asks for nothing


def test_many_frames_a_second() -> None:
    plan = FramePlan.of_video(steady(240 * 60, 240.0, gop=240), DEFAULT)
    assert len(plan.indices) == 30
    assert plan.widest_gap_s == pytest.approx(2.0, abs=0.005)


def test_a_picture_that_stays_long_counts_once() -> None:
    """Of 100 s of which 90 are one still, the others are spread over what moves; no gap spans more."""
    times = np.concatenate([np.arange(250) / 25, [10.0], 100 + np.arange(250) / 25])
    reader = Times(times, 110.0)
    plan = FramePlan.of_video(reader, DEFAULT)
    check(plan, reader)
    assert len(plan.indices) == 55
    assert 250 in plan.indices.tolist()
    assert plan.widest_gap_s < 2.0


@pytest.mark.parametrize("timeline", [False, True])
def test_a_photo_and_a_video_of_one_frame(timeline: bool) -> None:
    options = DecodeOptions(frames=1 if timeline else 8, every_s=2.0, timeline=timeline)
    photo = FramePlan.of_video(Times(np.zeros(1), 0.0), options)
    assert (photo.indices.tolist(), photo.times_s.tolist(), photo.edges_s) == ([0], [0.0], [0.0, 0.0])
    assert (photo.parts, photo.widest_gap_s, photo.requested) == (1, 0.0, options.frames)
    one = FramePlan.of_video(Times(np.zeros(1), 0.04), options)
    assert (one.indices.tolist(), one.edges_s, one.widest_gap_s) == ([0], [0.0, 0.04], 0.0)
    assert one.times_s.tolist() == ([0.02] if timeline else [0.0])


def test_a_timeline_of_a_video_shorter_than_its_step() -> None:
    plan = FramePlan.of_video(steady(12, 25.0), DecodeOptions(frames=1, every_s=2.0, timeline=True))
    assert plan.indices.tolist() == [6]
    assert plan.times_s.tolist() == [pytest.approx(0.24)]
    assert plan.edges_s == [0.0, 0.48]
    assert plan.widest_gap_s == pytest.approx(0.24)


def test_the_last_moment_of_a_timeline_is_of_what_is_left() -> None:
    plan = FramePlan.of_video(steady(110, 10.0), DecodeOptions(frames=1, every_s=2.0, timeline=True))
    assert plan.times_s.tolist() == pytest.approx([1, 3, 5, 7, 9, 10.5])


def test_given_frames_may_come_twice() -> None:
    reader = steady(100, 10.0)
    plan = FramePlan.of_indices(reader, np.array([3, 3, 50]), requested=4)
    assert (plan.bounds, plan.requested_of(0)) == ([0, 3], 4)
    assert plan.widest_gap_s == pytest.approx(5.0)
    assert FramePlan.of_indices(reader, np.zeros(0, np.int64), requested=4).widest_gap_s == 10.0


@given(
    picked=st.sets(st.integers(0, 59), min_size=1),
    fps=st.sampled_from([1.0, 25.0]),
)
def test_the_widest_gap_is_that_of_a_naive_count(picked: set[int], fps: float) -> None:
    """From a picked frame to the next, wherever frames lie between; at the ends, to where the video begins and ends."""
    reader = steady(60, fps)
    order = sorted(picked)
    gaps = [(b - a) / fps for a, b in pairwise(order) if b - a > 1]
    gaps += [order[0] / fps] + ([(60 - order[-1]) / fps] if order[-1] < 59 else [])
    plan = FramePlan.of_indices(reader, np.array(order), requested=60)
    assert plan.widest_gap_s == pytest.approx(max(gaps))


def test_parts_are_cut_without_keyframes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_plan, "PART_FRAMES", 10)
    options = DecodeOptions(frames=1, every_s=0.1, max_frames=1000)
    assert FramePlan.of_video(steady(45, 10.0), options).bounds == [0, 10, 20, 30, 45]
    assert FramePlan.of_video(steady(45, 10.0, gop=7), options).bounds == [0, 7, 14, 21, 28, 45]
    assert FramePlan.of_video(steady(20, 10.0), options).bounds == [0, 20]
