"""Clips from files: the same again from (seed, epoch, index), bad files left out."""

import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from olmv.errors import NotAVideoError
from olmv.labels.vocabulary import Vocabulary
from olmv.train.data.augment import AugmentConfig
from olmv.train.data.dataset import Batch, Sample, VideoDataset, batches, epoch_order
from olmv.video.decode import decode_video
from olmv.video.options import DecodeOptions
from olmv.video.sampling import window
from olmv.video.transforms import Preprocess
from tests.support.samples import write_clip
from tests.train.clip_sets import PREPROCESS, dataset, equal, make_clips, pixels_of


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return make_clips(tmp_path_factory.mktemp("clips"))


# --- the order


@given(st.integers(0, 200), st.integers(0, 1000), st.integers(0, 50), st.integers(1, 9))
def test_ranks_share_a_permutation(length: int, seed: int, epoch: int, world: int) -> None:
    parts = [epoch_order(length, seed, epoch, rank=rank, world=world) for rank in range(world)]
    assert len({len(part) for part in parts}) == 1
    together = [index for group in zip(*parts, strict=True) for index in group]
    assert sorted(together[:length]) == list(range(length))
    assert len(together) - length < world
    assert parts[0] == epoch_order(length, seed, epoch, world=world)
    assert together[:length] == epoch_order(length, seed, epoch)


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    assert epoch_order(50, 0, 0) != epoch_order(50, 0, 1)
    assert epoch_order(50, 0, 0) != epoch_order(50, 1, 0)
    with pytest.raises(ValueError, match=r"rank is 2 of 2; use 0 to 1"):
        epoch_order(5, 0, 0, rank=2, world=2)


# --- samples


def test_samples_follow_from_seed_epoch_and_index(videos: list[str]) -> None:
    data = dataset(videos)
    assert data.labels == ("dog", "cat", "bird")
    assert [data.load(i, 0).labels for i in range(4)] == [(0,), (1, 0), (), (2,)]
    assert [data.load(i, 0).labelled for i in range(4)] == [True, True, False, True]
    sample = data.load(1, 3)
    assert sample.video == videos[1]
    assert sample.caption == "a cat"
    assert sample.pixels.shape == (4, 3, 32, 32)
    assert sample.pixels.dtype == torch.uint8
    assert equal(pixels_of(data, 3), pixels_of(dataset(videos), 3))
    assert not equal(pixels_of(data, 3), pixels_of(data, 4))
    assert not equal(pixels_of(data, 3), pixels_of(dataset(videos, seed=2), 3))


def test_without_augmentation_nothing_is_random(videos: list[str]) -> None:
    data = dataset(videos, augment=None)
    assert equal(pixels_of(data, 0), pixels_of(data, 5))
    usual = decode_video(videos[0], PREPROCESS, DecodeOptions(frames=4)).tensor
    assert torch.equal(data.load(0, 0).pixels, usual)


def test_window_repeats_the_last_frame_of_a_short_video(videos: list[str]) -> None:
    # 2 s at 12 per second: 8 frames 16/30 s apart reach to 3.7 s
    clip = dataset(videos, frames=8, sampling="window", augment=None).load(0, 0).pixels
    assert clip.shape[0] == 8
    assert all(torch.equal(clip[t], clip[7]) for t in range(4, 8))
    assert not torch.equal(clip[0], clip[7])


def test_windows_are_those_that_open_vclip_trains_on(
    videos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 5 s at 12 per second: of L = ceil(16 * 7 / 30 * 12) = 45 frames, moments linspace(0, 16 * 8 / 30 * 12 - 1, 8)
    path = os.fspath(write_clip(tmp_path / "long.mp4", seed=3, frames=60))
    middle = [8, 15, 22, 29, 36, 43, 51, 52]  # from 7.5 on: the 8th, to the one past 7.5 + 44
    expected = decode_video(path, PREPROCESS, pick=lambda reader: np.array(middle)).tensor
    still = dataset([path, *videos[1:]], frames=8, sampling="window", augment=None)
    assert torch.equal(still.load(0, 0).pixels, expected)

    starts: list[float] = []

    def spy(count: int, fps: float, *, start: float, frames: int) -> np.ndarray:
        starts.append(start)
        return window(count, fps, start=start, frames=frames)

    monkeypatch.setattr("olmv.train.data.clip_reader.window", spy)
    varied = dataset([path, *videos[1:]], frames=8, sampling="window")
    clips = [varied.load(0, epoch).pixels for epoch in range(40)]
    assert len(clips) == len(set(starts)) == 40
    assert 0 <= min(starts) < 2
    assert 13 < max(starts) < 15


def test_no_flip_where_sides_matter(videos: list[str]) -> None:
    always, never = AugmentConfig(crop="centre", flip=1.0), AugmentConfig(crop="centre", flip=0.0)
    flipped, straight = pixels_of(dataset(videos, augment=always)), pixels_of(dataset(videos, augment=never))
    assert torch.equal(flipped[0], straight[0].flip(-1))
    assert not torch.equal(flipped[0], straight[0])
    assert torch.equal(flipped[2], straight[2])  # "a dog turns left"
    labels = Vocabulary(["dog", "cat", "bird", "moving right"])
    assert equal(pixels_of(dataset(videos, labels=labels, augment=always)), straight)


# --- batches


def test_workers_make_what_this_process_makes(videos: list[str]) -> None:
    data = dataset(videos)
    (batch,) = batches(data, [2, 0, 3], 1, batch_size=4, workers=1)
    assert batch.videos == [videos[2], videos[0], videos[3]]
    assert batch.pixels is not None
    assert equal(list(batch.pixels), [data.load(i, 1).pixels for i in (2, 0, 3)])
    assert batch.targets.tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 1]]
    assert batch.labelled.tolist() == [False, True, True]
    assert batch.captions == ["a dog turns left", None, None]
    assert batch.mask.all()
    assert not batch.failed


def test_a_bad_video_costs_its_row(videos: list[str], tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("not a video")
    bad, missing = os.fspath(tmp_path / "text.mp4"), os.fspath(tmp_path / "missing.mp4")
    data = dataset([videos[0], bad, videos[2], missing])
    for workers in (0, 1):
        first, second, last = batches(data, [0, 1, 2, 0, 3], 0, batch_size=2, workers=workers)
        assert first.videos == [videos[0]]
        assert first.pixels is not None
        assert first.pixels.shape == (1, 4, 3, 32, 32)
        assert [failure.video for failure in first.failed] == [bad]
        assert "text.mp4" in first.failed[0].message
        assert len(second) == 2
        assert (len(last), last.pixels, [failure.video for failure in last.failed]) == (0, None, [missing])
        assert last.targets.shape == (0, 3)
        assert last.mask.shape == (0, 4)
    with pytest.raises(NotAVideoError, match=r"text\.mp4"):
        data.load(1, 0)


def test_a_batch_of_unrounded_clips_is_not_rounded(videos: list[str]) -> None:
    data = dataset(videos, preprocess=Preprocess(size=32, interpolation="bilinear", antialias=False))
    for workers in (0, 1):
        (batch,) = batches(data, [0, 1], 0, batch_size=2, workers=workers)
        assert batch.pixels is not None
        assert batch.pixels.dtype == torch.float32
        assert not torch.equal(batch.pixels, batch.pixels.round())
        assert torch.equal(batch.pixels[1], data.load(1, 0).pixels)


def test_a_short_video_is_padded_and_masked(videos: list[str], tmp_path: Path) -> None:
    short = os.fspath(write_clip(tmp_path / "short.mp4", frames=2))
    (batch,) = batches(dataset([videos[0], short, videos[2], videos[3]]), [0, 1], 0, batch_size=2, workers=0)
    assert batch.mask.tolist() == [[True] * 4, [True, True, False, False]]
    assert batch.pixels is not None
    assert batch.pixels[1, 2:].sum() == 0
    assert batch.pixels[1, :2].sum() > 0


@pytest.mark.parametrize("sampling", ["uniform", "window", "cache"])
def test_a_photo_is_a_clip_of_one_frame(videos: list[str], tmp_path: Path, sampling: str) -> None:
    Image.new("RGB", (60, 40), (200, 100, 50)).save(tmp_path / "a.jpg")
    options = {"cache": tmp_path / "cache"} if sampling == "cache" else {"sampling": sampling}
    data = dataset([os.fspath(tmp_path / "a.jpg"), *videos[1:]], **options)
    clip = data.load(0, 0).pixels
    assert clip.shape == (4 if sampling == "window" else 1, 3, 32, 32)
    assert np.abs(clip.float().mean((0, 2, 3)) - torch.tensor([200.0, 100, 50])).max() < 3


def test_going_on_after_a_stop(videos: list[str]) -> None:
    order = epoch_order(4, 1, 2)
    whole = list(batches(dataset(videos), order, 2, batch_size=1, workers=0))
    rest = list(batches(dataset(videos), order[2:], 2, batch_size=1, workers=0))
    for before, after in zip(whole[2:], rest, strict=True):
        assert before.videos == after.videos
        assert before.pixels is not None
        assert after.pixels is not None
        assert torch.equal(before.pixels, after.pixels)


def test_bad_sizes(videos: list[str]) -> None:
    with pytest.raises(ValueError, match=r"batch_size is 0; use at least 1"):
        next(batches(dataset(videos), [0], 0, batch_size=0))
    with pytest.raises(ValueError, match=r"frames is 0, cache_frames 0; ask for at least 1"):
        dataset(videos, frames=0)
    with pytest.raises(ValueError, match=r"unknown sampling 'dense'; use uniform or window"):
        dataset(videos, sampling="dense")


class Counting(VideoDataset):
    """A data set of its own kind; clip 3 cannot be read, clip 5 is a bug."""

    labels = ("even",)
    frames = 1

    def __len__(self) -> int:
        return 6

    def video(self, index: int) -> str:
        return f"clip {index}"

    def load(self, index: int, epoch: int) -> Sample:
        if index == 3:
            raise NotAVideoError("clip 3: not a video")
        if index == 5:
            raise RuntimeError("a bug")
        return Sample(self.video(index), torch.full((1, 3, 2, 2), index, dtype=torch.uint8), (0,), None)


def test_other_data_sets_need_only_load() -> None:
    found: Iterator[Batch] = batches(Counting(), [0, 3, 4], 0, batch_size=2)
    first, second = found
    assert first.failed == [("clip 3", "clip 3: not a video")]
    assert second.videos == ["clip 4"]
    with pytest.raises(RuntimeError, match="a bug"):
        list(batches(Counting(), [0, 5], 0, batch_size=1))


def test_all_epochs_share_their_workers(videos: list[str]) -> None:
    data = dataset(videos)
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    order = list(range(len(videos)))
    pids = []
    for epoch in range(3):
        assert sum(len(batch) for batch in data.batches(order, epoch, batch_size=2, workers=1)) == len(videos)
        pids.append({child.pid for child in psutil.Process().children(recursive=True)} - before)
    assert pids[0]
    assert pids[0] == pids[1] == pids[2]
    del data
    gc.collect()
    deadline = time.monotonic() + 10
    while pids[0] & set(psutil.pids()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not pids[0] & set(psutil.pids())
