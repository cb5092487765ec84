"""Files that come in several parts: their order, what fails among them, and memory."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olmv.errors import DecodeError, DecodeTimeoutError, NotAVideoError, ProgramFaultError, WorkerCrashedError
from olmv.video import frame_plan
from olmv.video.decode import VideoFrames, decode_video
from olmv.video.frames import PickedFrame
from olmv.video.options import DecodeOptions
from olmv.video.readers.open import open_reader
from olmv.video.transforms import Preprocess
from olmv.video.workers.loader import FrameLoader, start_workers
from olmv.video.workers.pool import WorkerPool
from tests.support import videos

SMALL = Preprocess(size=32)
CUTS = [4.0, 10.28]
EVERY = DecodeOptions(frames=1, every_s=0.04, max_frames=4000)


def acting_decode(path: str, preprocess: Preprocess, options: DecodeOptions, *, part: int = 0) -> VideoFrames:
    """Does what the file's name says: `a-5` has five parts, `hang2-5` hangs in the third."""
    what, _, parts = Path(path).name.partition("-")
    here = what[-1:] == str(part)
    common: dict[str, Any] = {"index": 0, "path": path, "part": part, "parts": int(parts or 1)}
    if here and what.startswith("hang"):
        time.sleep(600)
    if here and what.startswith("kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    if here and what.startswith("bad"):
        return VideoFrames(**common, error=DecodeError(f"{path}: none of 8 frames could be decoded"))
    if here and what.startswith("gone"):
        raise NotAVideoError(f"{path}: is gone")
    if here and what.startswith("bug"):
        raise KeyError("a decoder's bug")
    if what.startswith("slow"):
        time.sleep(0.05)
    return VideoFrames(**common, pixels=np.full((1, 3, 4, 4), part, np.uint8), requested=1, decoded=1)


def load(paths: Sequence[str], workers: int, **options: Any) -> FrameLoader:
    timeout_s = options.pop("timeout_s", 60.0)
    return FrameLoader(
        paths,
        preprocess=SMALL,
        decode=acting_decode,
        options=DecodeOptions(workers=workers, timeout_s=timeout_s),
        **options,
    )


def places(results: Sequence[VideoFrames]) -> list[tuple[int, int]]:
    return [(result.index, result.part) for result in results]


def in_order(*parts: int) -> list[tuple[int, int]]:
    return [(index, part) for index, count in enumerate(parts) for part in range(count)]


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_parts_come_in_order_across_files(workers: int) -> None:
    paths = ["a-1", "b-5", "c", "slow-7", "d-2", "bad1-3", "e-1"]
    results = list(load(paths, workers))
    assert places(results) == in_order(1, 5, 1, 7, 2, 3, 1)
    for result in results:
        assert result.path == paths[result.index]
        assert result.parts == int(result.path.partition("-")[2] or 1)
        if result.pixels is not None:
            assert int(result.pixels[0, 0, 0, 0]) == result.part
    failures = {(result.index, result.part): result.error for result in results if result.error is not None}
    assert list(failures) == [(5, 1)]  # the others of its file go on
    assert type(failures[5, 1]) is DecodeError


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_file_may_begin_at_a_later_part(workers: int) -> None:
    results = list(load(["a-4", "b-3", "c-1", "d-6"], workers, first_parts={0: 2, 3: 5}))
    assert places(results) == [(0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (2, 0), (3, 5)]
    assert [result.parts for result in results] == [4, 4, 3, 3, 3, 1, 6]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_is_gone_when_a_run_goes_on(workers: int) -> None:
    results = list(load(["gone2-4", "b-2"], workers, first_parts={0: 2}))
    assert [(result.index, result.part, result.parts) for result in results] == [(0, 2, 3), (1, 0, 2), (1, 1, 2)]
    assert type(results[0].error) is NotAVideoError


@pytest.mark.parametrize("workers", [0, 2])
def test_what_a_part_raises_is_of_that_part(workers: int) -> None:
    results = list(load(["bug1-3", "gone0-3", "c-1"], workers))
    assert places(results) == [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0)]  # without a first part there are no others
    kinds = [type(result.error) for result in results]
    assert kinds == [type(None), ProgramFaultError, type(None), NotAVideoError, type(None)]
    assert [result.parts for result in results] == [3, 3, 3, 1, 1]


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("part", [0, 1, 3])
def test_a_worker_that_dies_ends_the_file_there(workers: int, part: int) -> None:
    results = list(load(["a-2", f"kill{part}-5", "b-3"], workers))
    assert places(results) == in_order(2, part + 1, 3)
    dead = results[2 + part]
    assert (type(dead.error), dead.parts) == (WorkerCrashedError, part + 1)
    assert "its decoding process died (signal 9); convert the file" in str(dead.error)
    assert (f"part {part + 1} of 5: " in str(dead.error)) == (part > 0)  # before the first, nobody knows
    assert [result.error for result in results if result is not dead] == [None] * (len(results) - 1)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_part_that_hangs_ends_the_file_there(workers: int) -> None:
    results = list(load(["hang1-4", "b-2"], workers, timeout_s=1.5))
    assert places(results) == in_order(2, 2)
    assert type(results[1].error) is DecodeTimeoutError
    assert "hang1-4: part 2 of 4: not decoded within 1.5 s; raise the time limit" in str(results[1].error)


def test_each_part_has_the_time_limit_to_itself() -> None:
    """Seven parts of 0.05 s each take longer together than one may."""
    results = list(load(["slow-30"], 1, timeout_s=1.0))
    assert [result.error for result in results] == [None] * 30


def test_closing_half_way() -> None:
    loader = load(["a-3", "slow-50", "b-3"], 2)
    rows = iter(loader)
    assert places([next(rows) for _ in range(6)]) == in_order(3, 3)
    loader.close()
    assert list(rows) == []
    assert loader._pool is loader._open is None


@pytest.mark.parametrize("workers", [1, 2])
def test_few_results_wait(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many parts a file has, and whatever other files have been begun meanwhile."""
    waiting: list[int] = []
    finish = WorkerPool._finish

    def counting(self: WorkerPool, result: VideoFrames) -> None:
        finish(self, result)
        waiting.append(len(self._done))

    monkeypatch.setattr(WorkerPool, "_finish", counting)
    for result in load(["a-30", "b-1", "c-1", "d-20", "e-1", "f-9"], workers, prefetch=3):
        if result.part % 7 == 0:
            time.sleep(0.1)  # the workers get ahead
    assert len(waiting) == 62
    assert 3 <= max(waiting) <= 3 + workers + 1


def test_a_pass_that_is_given_up_leaves_shared_workers_sound() -> None:
    server = start_workers(acting_decode)
    try:
        for _ in range(3):
            for result in load(["a-2", "slow-40", "hang0-2"], 2, fork_server=server):
                if result.index == 1:
                    break
            assert places(list(load(["b-3", "c-2"], 2, fork_server=server))) == in_order(3, 2)
    finally:
        server.close()


def test_batches_hold_parts_of_several_files() -> None:
    batches = list(load(["a-3", "bad0-2", "b-2"], 0).batches(4))
    assert [places(batch) for batch in batches] == [in_order(3, 1), [(1, 1), (2, 0), (2, 1)]]


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen seconds, 375 frames, a keyframe each 50, with cuts of the picture at 100 and 257."""
    folder = tmp_path_factory.mktemp("long")

    def draw(number: int) -> np.ndarray:
        shade = 40 if number < 100 else 220 if number < 257 else 120
        picture = np.full((48, 64, 3), shade, np.uint8)
        picture[:, : 1 + number % 60] += 10
        return picture

    return videos.make_video(folder / "long.mp4", frames=375, gop=50, width=64, height=48, draw=draw)


def joined(parts: Sequence[VideoFrames]) -> tuple[np.ndarray, np.ndarray]:
    pixels = [part.pixels for part in parts if part.pixels is not None]
    return np.concatenate(pixels), np.concatenate([part.times_s for part in parts])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_long_file_is_the_same_in_parts(long_clip: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    options = DecodeOptions(frames=1, every_s=0.04, max_frames=4000, workers=workers, thumbnails=True)
    parts = list(FrameLoader(long_clip, preprocess=SMALL, options=options))
    assert [part.part for part in parts] == [0, 1, 2][: len(parts)]
    assert len(parts) > 1
    monkeypatch.setattr(frame_plan, "PART_FRAMES", 1000)
    whole = decode_video(os.fspath(long_clip), SMALL, options)
    assert whole.parts == 1
    pixels, times = joined(parts)
    assert whole.pixels is not None
    assert np.array_equal(pixels, whole.pixels)
    assert np.array_equal(times, whole.times_s)
    assert sum(part.requested for part in parts) == whole.requested == 375
    assert sum(part.decoded for part in parts) == whole.decoded == 375
    assert [jpeg for part in parts for jpeg in part.thumbnails] == whole.thumbnails
    assert len(whole.thumbnails) <= 240
    assert parts[0].span_s[0] == 0.0
    assert all(a.span_s[1] == b.span_s[0] for a, b in pairwise(parts))
    assert parts[-1].span_s[1] == pytest.approx(15.0)


@pytest.mark.parametrize("part_frames", [8, 20, 50, 1000])
def test_a_timeline_has_the_same_cuts_in_any_parts(
    long_clip: Path, part_frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_plan, "PART_FRAMES", part_frames)
    options = DecodeOptions(frames=1, every_s=0.2, timeline=True, workers=0)
    parts = list(FrameLoader(long_clip, preprocess=SMALL, options=options))
    assert len(parts) == parts[0].parts
    times = np.concatenate([part.times_s for part in parts])
    assert times == pytest.approx(np.arange(75) * 0.2 + 0.1)
    cuts: list[float] = []
    for before, part in zip([None, *parts], parts, strict=False):
        assert part.shots is not None
        if before is not None:
            assert before.shots is not None
            cuts += [cut] if (cut := part.shots.cut_after(before.shots)) is not None else []
        cuts += part.shots.cuts_s.tolist()
    assert cuts == pytest.approx(CUTS)


def test_moments_that_share_a_frame_share_its_pixels(long_clip: Path) -> None:
    options = DecodeOptions(frames=1, every_s=0.01, timeline=True, workers=0)
    first = next(iter(FrameLoader(long_clip, preprocess=SMALL, options=options)))
    assert first.rows is not None
    assert first.pixels is not None
    assert first.decoded == len(first.times_s) == len(first.rows)
    assert len(first.pixels) == len(set(first.rows.tolist())) < len(first.rows) / 3
    assert max(Counter(first.rows.tolist()).values()) == 4


def test_a_resting_picture_is_taken_once(tmp_path: Path) -> None:
    def draw(number: int) -> np.ndarray:
        picture = np.full((48, 64, 3), 90, np.uint8)
        if number >= 80:
            picture[:, 16:48] = 200
        return picture

    still = videos.make_video(tmp_path / "still.mp4", frames=150, width=64, height=48, draw=draw)
    common: dict[str, Any] = {"frames": 1, "every_s": 0.2, "timeline": True, "workers": 0}
    (plain,) = FrameLoader(still, preprocess=SMALL, options=DecodeOptions(**common))
    (few,) = FrameLoader(still, preprocess=SMALL, options=DecodeOptions(**common, sampling="adaptive"))
    assert plain.pixels is not None
    assert few.pixels is not None
    assert few.rows is not None
    assert (len(plain.pixels), len(few.pixels)) == (30, 2)
    assert few.rows.tolist() == [0] * 16 + [1] * 14
    assert few.times_s.tolist() == plain.times_s.tolist()


def test_a_damaged_middle_is_returned_with_its_error(long_clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(path: str, *, decoder: str) -> Any:
        reader: Any = open_reader(path, decoder=decoder)
        frames = reader.frames

        def damaged(indices: Any) -> Iterator[PickedFrame]:
            for frame in frames(indices):
                broken = 150 <= frame.wanted < 250
                yield replace(frame, pixels=None, corrupt=True) if broken else frame

        reader.frames = damaged
        return reader

    monkeypatch.setattr(frame_plan, "PART_FRAMES", 8)
    monkeypatch.setattr("olmv.video.decode.open_reader", opened)
    options = DecodeOptions(frames=1, every_s=0.2, timeline=True, workers=0)
    parts = list(FrameLoader(long_clip, preprocess=SMALL, options=options))
    assert len(parts) == parts[0].parts > 5
    failed = [part for part in parts if part.error is not None]
    assert failed
    assert parts[0].error is parts[-1].error is None
    for part in failed:
        assert "frames could be decoded; copy or download it again" in str(part.error)
        assert (part.decoded, part.pixels) == (0, None)
        assert part.corrupt == part.requested > 0
        assert part.info is not None
    assert sum(part.corrupt for part in parts) == 20
    assert sum(part.decoded for part in parts) == 55


def test_a_part_that_is_not_there_any_more(long_clip: Path) -> None:
    with pytest.raises(DecodeError, match=r"has become shorter since it was begun; start over"):
        decode_video(os.fspath(long_clip), SMALL, EVERY, part=9)


def test_paths_are_still_read_only_as_far_as_needed() -> None:
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield "a-3"

    rows: Any = iter(load(endless(), 2, prefetch=4))  # type: ignore[arg-type]
    for _ in range(9):
        next(rows)
    time.sleep(0.3)
    rows.close()
    assert read <= 3 + 4 + 3
