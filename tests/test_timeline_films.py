"""The truth of the films that `bench_timeline` measures on is the truth."""

import csv
import itertools
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olmv.video.frames import Floats
from scripts.benchmarks.timeline_clips import RATE, Clip, encode
from scripts.benchmarks.timeline_films import (
    Event,
    cuts_of,
    events_of,
    make_film,
    make_library,
    plan,
    timed_truth,
    write_truth,
)
from scripts.benchmarks.timeline_special import static_events


def clip(labels: str, frames: int, place: str = "here", path: Path = Path("x.mp4"), split: str = "test") -> Clip:
    return Clip(path, tuple(labels.split()), place, split, frames)


pools = st.lists(
    st.builds(clip, st.sampled_from(["a", "b", "c", "a b", "b c"]), st.integers(1, 200), st.sampled_from("wxyz")),
    min_size=6,
    max_size=20,
)


def truth_by_frame(clips: list[Clip], label: str) -> list[bool]:
    return [label in clip.labels for clip in clips for _ in range(clip.frames)]


@given(pools)
def test_events_say_of_every_frame_what_its_clip_shows(clips: list[Clip]) -> None:
    events = events_of(clips)
    for label in "abc":
        frames = sum(clip.frames for clip in clips)
        told = [any(e.label == label and e.start_s <= n / RATE < e.end_s for e in events) for n in range(frames)]
        assert told == truth_by_frame(clips, label)
        own = [event for event in events if event.label == label]
        assert all(first.end_s < second.start_s for first, second in itertools.pairwise(own))


def test_clips_of_one_label_in_a_row_are_one_event() -> None:
    film = [clip("a", 50), clip("a b", 25), clip("b", 25), clip("a", 100)]
    assert events_of(film) == (Event("a", 0, 3), Event("b", 2, 4), Event("a", 4, 8))
    assert cuts_of(film) == (2, 3, 4)


@given(pools, st.integers(0, 1000))
@settings(deadline=None)
def test_a_plan_is_long_enough_and_every_cut_can_be_seen(clips: list[Clip], seed: int) -> None:
    pool = [*clips, clip("a", 50, "p"), clip("b", 50, "q"), clip("c", 50, "r")]
    film = plan(pool, 20, np.random.default_rng(seed), few=3)
    assert film == plan(pool, 20, np.random.default_rng(seed), few=3)
    assert 20 * RATE <= sum(clip.frames for clip in film) < 20 * RATE + 3 * 200
    assert all(before.place != after.place for before, after in itertools.pairwise(film))


def coloured(path: Path, colours: list[int]) -> Path:
    """Write a clip whose frames are plain greys."""
    encode(path, (av.VideoFrame.from_ndarray(np.full((240, 320, 3), c, np.uint8), format="rgb24") for c in colours))
    return path


def brightness(path: Path) -> tuple[Floats, Floats]:
    with av.open(str(path)) as container:
        frames = [(float(f.time or 0), f.to_ndarray(format="gray").mean()) for f in container.decode(video=0)]
    return np.array([time for time, _ in frames]), np.array([mean for _, mean in frames])


def test_a_joined_film_shows_every_frame_of_its_clips_in_time(tmp_path: Path) -> None:
    dark = clip("dark", 30, path=coloured(tmp_path / "dark.mp4", list(range(20, 50))))
    light = clip("light", 17, path=coloured(tmp_path / "light.mp4", list(range(200, 217))))
    film = make_film(tmp_path / "films" / "film.mp4", [dark, light, dark], "test", "test")
    times, means = brightness(film.path)
    np.testing.assert_allclose(times, np.arange(77) / RATE, atol=1e-6)
    np.testing.assert_allclose(means, [*range(20, 50), *range(200, 217), *range(20, 50)], atol=6)
    assert film.cuts_s == (30 / RATE, 47 / RATE)
    assert film.seconds == 77 / RATE


def test_a_library_keeps_dev_and_test_apart(tmp_path: Path) -> None:
    clips: dict[str, list[Clip]] = {"actions": [], "moji": []}
    for number in range(16):
        kind, split = ("actions", "moji")[number % 2], ("dev", "test")[number // 2 % 2]
        path = coloured(tmp_path / f"{number}.mp4", [10 * number] * 100)
        clips[kind].append(clip("ab"[number // 8], 100, str(number), path, split))
    films = make_library(tmp_path, clips, films=4, say=lambda line: None)
    assert [(film.kind, film.split) for film in films] == [
        ("actions", "dev"),
        ("moji", "dev"),
        ("actions", "test"),
        ("moji", "test"),
    ]
    with (tmp_path / "truth.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["video"] for row in rows} == {film.path.relative_to(tmp_path).as_posix() for film in films}
    assert len(rows) == sum(len(film.events) for film in films)
    written = films[0].path.stat().st_mtime_ns
    assert make_library(tmp_path, clips, films=4, say=lambda line: None) == films
    assert films[0].path.stat().st_mtime_ns == written


def test_what_comes_in_leaves_gaps() -> None:
    events = static_events(np.random.default_rng(1), ("a", "b"), 300, gap_s=(15, 45), length_s=(10, 30))
    edges = [0.0, *(edge for event in events for edge in (event.start_s, event.end_s)), 300.0]
    assert all(gap >= 15 for gap in np.diff(edges)[::2])
    assert all(10 <= length <= 30 for length in np.diff(edges)[1::2])
    assert {event.label for event in events} == {"a", "b"}


def test_timed_labels_are_read_as_they_are_written(tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "video,labels,caption,timed_labels\n"
        "a.mp4,x,One,Falling (SW) [1.8 to 6] ; Sitting [0 to 2]\n"
        'b.mp4,x,"Two, or",Fall (FW)[0 to 3]\n',
        encoding="utf-8",
    )
    events = timed_truth(labels)
    assert events == [
        ("a.mp4", Event("falling", 1.8, 6)),
        ("a.mp4", Event("sitting", 0, 2)),
        ("b.mp4", Event("falling", 0, 3)),
    ]
    write_truth(tmp_path / "truth.csv", events)
    lines = (tmp_path / "truth.csv").read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["video,label,start_s,end_s", "a.mp4,falling,1.80,6.00"]


@pytest.mark.parametrize("seconds", [1, 2])
def test_encoding_keeps_the_number_of_frames(tmp_path: Path, seconds: int) -> None:
    path = coloured(tmp_path / "clip.mp4", [100] * (seconds * RATE))
    assert len(brightness(path)[0]) == seconds * RATE
