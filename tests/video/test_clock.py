"""Time stamps that are missing, start again, jump or wrap: every frame is found, at the right time."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.video.readers.clock import by_decoding_order, by_presentation, stretches
from olmv.video.readers.open import open_reader, read_frames
from tests.support import videos

HOUR = 3600 * 90000
NONE: list[int | None] = [None] * 50


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty numbered frames with B-frames as a transport stream, a keyframe in every twelve."""
    return videos.make_video(tmp_path_factory.mktemp("stream") / "sound.ts")


def check(path: Path, numbers: list[int], seconds: float) -> None:
    """Every frame of the file at its place, each by itself too, and picks over all of it."""
    reader = open_reader(path)
    assert reader.info.num_frames == len(numbers)
    assert reader.info.duration_s == pytest.approx(seconds, abs=1e-3)
    np.testing.assert_allclose(reader.timestamps_s, np.arange(len(numbers)) / videos.FPS, atol=1e-3)
    for wanted in ([len(numbers) - 1], [3], list(range(len(numbers)))):
        picked = sorted(reader.frames(wanted), key=lambda p: p.index)
        assert [videos.number_of(p.pixels) for p in picked] == [numbers[i] for i in wanted]
        assert not any(p.corrupt for p in picked)
    reader.close()
    gaps = np.diff(read_frames(path, frames=8).times_s)
    assert gaps.max() - gaps.min() <= 0.041


def test_one_stamp_a_gop_with_a_late_clock(stream: Path, tmp_path: Path) -> None:
    path = videos.restamp(stream, tmp_path / "a.ts", lambda n: None if n % 12 else 5 * HOUR)
    check(path, list(range(50)), 2.0)


def test_no_stamp_but_the_first(stream: Path, tmp_path: Path) -> None:
    check(videos.restamp(stream, tmp_path / "a.ts", lambda n: None if n else 0), list(range(50)), 2.0)


def test_recordings_joined_byte_by_byte(stream: Path, tmp_path: Path) -> None:
    (tmp_path / "joined.ts").write_bytes(stream.read_bytes() * 3)
    check(tmp_path / "joined.ts", [*range(50)] * 3, 6.0)


def test_a_recording_joined_to_a_later_one(stream: Path, tmp_path: Path) -> None:
    late = videos.restamp(stream, tmp_path / "late.ts", lambda _: 9 * HOUR)
    (tmp_path / "joined.ts").write_bytes(late.read_bytes() + stream.read_bytes())
    check(tmp_path / "joined.ts", [*range(50)] * 2, 4.0)


@pytest.mark.parametrize("hours", [-3, 10])
def test_a_clock_that_jumps(stream: Path, tmp_path: Path, hours: int) -> None:
    path = videos.restamp(stream, tmp_path / "a.ts", lambda n: 5 * HOUR + (hours * HOUR if n >= 24 else 0))
    check(path, list(range(50)), 2.0)


def test_a_clock_that_wraps(stream: Path, tmp_path: Path) -> None:
    path = videos.restamp(stream, tmp_path / "a.ts", lambda _: 2**33 - 1 * 90000 - 126000)
    check(path, list(range(50)), 2.0)


def test_a_late_clock_is_no_duration(stream: Path, tmp_path: Path) -> None:
    check(videos.restamp(stream, tmp_path / "a.ts", lambda _: 20 * HOUR), list(range(50)), 2.0)


def test_stamps_that_two_frames_share(stream: Path, tmp_path: Path) -> None:
    path = videos.make_video(tmp_path / "a.ts", options={"bf": "0"})
    odd = videos.restamp(path, tmp_path / "b.ts", lambda n: -3600 if n % 2 else 0)
    reader = open_reader(odd)
    np.testing.assert_allclose(reader.timestamps_s[:-1], np.arange(49) / videos.FPS, atol=1e-3)
    assert [videos.number_of(p.pixels) for p in reader.frames(range(50))] == list(range(50))


def test_pauses_are_not_jumps(tmp_path: Path) -> None:
    times = [0, 40, 80, 60_080, 60_120, 7_000_000]
    for name in ("a.mp4", "a.mkv"):
        reader = open_reader(videos.make_video(tmp_path / name, frames=6, times=times))
        np.testing.assert_allclose(reader.timestamps_s, np.array(times) / 1000, atol=1e-3)


def test_what_opens_a_stretch() -> None:
    def of(dts: list[float | None], *, breaks: bool = True) -> list[int]:
        ticks = [None if d is None else round(d * 1000) for d in dts]
        return [int(n) for n in stretches([None] * len(ticks), ticks, tick_s=1e-3, breaks=breaks)]

    assert of([0, 1, None, 3, 3.95, 3.9, 5]) == [0] * 7
    assert of([5, 6, 7, 0, None, 2]) == [0, 0, 0, 1, 1, 1]
    assert of([0, 1, 2, 30, 31, 90, 91]) == [0, 0, 0, 1, 1, 2, 2]
    assert of([0, 1, 2, 30, 31, 90, 91], breaks=False) == [0] * 7
    assert of([0, 1, 2, 200_000], breaks=False) == [0, 0, 0, 1]
    assert of([0, 15, 30, 90, 105]) == [0] * 5  # slides
    assert of([None, None]) == [0, 0]
    # without decoding times: a reference stored early is no step back
    assert stretches([0, 4000, 1000, 2000], [None] * 4, tick_s=1e-3, breaks=True).tolist() == [0] * 4


stamps = st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=60)


@given(stamps, st.data())
def test_frames_with_stamps_follow_them_in_each_stretch(pts: list[int], data: st.DataObject) -> None:
    stretch = np.sort(data.draw(st.lists(st.integers(0, 3), min_size=len(pts), max_size=len(pts))))
    shown = data.draw(st.lists(st.booleans(), min_size=len(pts), max_size=len(pts)))
    times, end = by_presentation(pts, stretch, [0] * len(pts), shown)
    rows = [i for i in range(len(pts)) if shown[i]]
    rows.sort(key=lambda i: (stretch[i], pts[i], i))
    line = times[rows]
    assert line[:1].tolist() in ([], [0.0])
    assert (np.diff(line) >= 0).all()
    assert (np.diff(line)[np.diff(stretch[rows]) == 0] > 0).all()
    assert end >= line.max(initial=0.0)


@given(st.lists(st.none() | st.integers(-(2**40), 2**40), min_size=1, max_size=60), st.integers(1, 10_000))
def test_times_by_decoding_order_rise(dts: list[int | None], step: int) -> None:
    times, end = by_decoding_order(dts, np.zeros(len(dts), np.int64), step=step)
    assert times[0] == 0
    assert (np.diff(times) >= 0).all()
    assert end >= times[-1]


def test_missing_stamps_lie_between_their_neighbours() -> None:
    times, end = by_decoding_order([None, 900, None, 1000, None], np.zeros(5, np.int64), step=40)
    assert times.tolist() == [0, 40, 90, 140, 180]
    assert end == 220
    none, _ = by_decoding_order([None] * 4, np.array([0, 0, 1, 1]), step=40)
    assert none.tolist() == [0, 40, 80, 120]
