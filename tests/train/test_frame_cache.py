"""A cache of decoded frames that changes nothing."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from olmv.datasets.manifests import ManifestRow
from olmv.errors import NotAVideoError, OutputError, UsageError
from olmv.train.data.dataset import batches
from olmv.train.data.manifest_data import ManifestDataset
from olmv.video.transforms import Preprocess
from tests.support.samples import write_clip
from tests.train.clip_sets import PREPROCESS, dataset, equal, make_clips, pixels_of


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return make_clips(tmp_path_factory.mktemp("clips"))


def test_hits_and_misses_are_equal(videos: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "new" / "cache"
    data = dataset(videos, cache=folder, frames=3)
    first = pixels_of(data)
    assert len(list(folder.glob("*.npy"))) == 4
    # 12 frames of 64 x 48 pixels, shrunk to a short side of 37
    assert sum(entry.stat().st_size for entry in folder.glob("*.npy")) == 4 * (12 * 37 * 49 * 3 + 128)
    written = {entry: entry.stat().st_mtime_ns for entry in folder.iterdir()}
    assert equal(first, pixels_of(dataset(videos, cache=folder, frames=3)))
    assert {entry: entry.stat().st_mtime_ns for entry in folder.iterdir()} == written
    assert not equal(first, pixels_of(data, 1))
    (batch,) = batches(data, range(4), 0, batch_size=4, workers=1)
    assert batch.pixels is not None
    assert equal(first, list(batch.pixels))


def test_a_cache_is_of_one_filter(videos: list[str], tmp_path: Path) -> None:
    for antialias in (True, False):
        preprocess = Preprocess(size=32, interpolation="bilinear", antialias=antialias)
        cached = dataset(videos, preprocess=preprocess, cache=tmp_path / "both", augment=None)
        alone = dataset(videos, preprocess=preprocess, cache=tmp_path / str(antialias), augment=None)
        assert equal(pixels_of(cached), pixels_of(alone))
    assert len(list((tmp_path / "both").glob("*.npy"))) == 2 * len(videos)


@pytest.mark.parametrize("damage", ["torn", "empty", "pickle", "shape"])
def test_a_damaged_cache_is_made_again(damage: str, videos: list[str], tmp_path: Path) -> None:
    data = dataset(videos, cache=tmp_path)
    first = data.load(0, 0).pixels
    (entry,) = tmp_path.glob("*.npy")
    good = entry.read_bytes()
    if damage == "torn":
        entry.write_bytes(good[:-100])
    elif damage == "empty":
        entry.write_bytes(b"")
    else:
        objects = np.array([{}], object) if damage == "pickle" else np.zeros((2, 2), np.uint8)
        np.save(entry, objects, allow_pickle=True)
    assert torch.equal(data.load(0, 0).pixels, first)
    assert entry.read_bytes() == good


def test_a_changed_video_is_decoded_again(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", seed=1)
    data = ManifestDataset([ManifestRow(os.fspath(path), ("dog",))], preprocess=PREPROCESS, cache=tmp_path / "cache")
    before = data.load(0, 0).pixels
    write_clip(path, seed=2)
    os.utime(path, ns=(1, 1))
    assert not torch.equal(data.load(0, 0).pixels, before)


def test_a_full_disk_costs_the_cache_only(videos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OutputError("no space left")

    expected = dataset(videos, cache=tmp_path / "a").load(0, 0).pixels
    monkeypatch.setattr("olmv.train.data.clip_reader.write_atomic", full)
    assert torch.equal(dataset(videos, cache=tmp_path / "b").load(0, 0).pixels, expected)
    assert not list((tmp_path / "b").glob("*.npy"))


def test_caches_that_cannot_be(videos: list[str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a window needs frames close together.*; leave one of them out"):
        dataset(videos, cache=tmp_path, sampling="window")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot make the cache folder .*; choose another one"):
        dataset(videos, cache=tmp_path / "file" / "cache")
    with pytest.raises(NotAVideoError, match=r"missing\.mp4"):
        dataset(["missing.mp4", *videos[1:]], cache=tmp_path).load(0, 0)
