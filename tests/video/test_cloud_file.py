"""Objects in a cloud are decoded as files are, and leave nothing behind."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from olmv.datasets.manifests import expand_inputs, read_manifest
from olmv.datasets.shards import Shard
from olmv.errors import DecodeError, InputError, MissingDependencyError, NotAVideoError
from olmv.video.cloud import is_cloud
from olmv.video.decode import decode_video
from olmv.video.options import DecodeOptions
from olmv.video.transforms import Preprocess
from olmv.video.workers.loader import FrameLoader
from tests.support.buckets import Bucket, bucket
from tests.support.samples import write_clip

__all__ = ["bucket"]

SMALL = Preprocess(size=32)


@pytest.fixture
def clips(bucket: Bucket, tmp_path: Path) -> list[str]:
    return [bucket.put(write_clip(tmp_path / f"{seed}.mp4", seed=seed), f"clips/{seed}.mp4") for seed in range(3)]


def test_decoded_as_the_file_is(clips: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    local = decode_video(str(tmp_path / "1.mp4"), SMALL)
    remote = decode_video(clips[1], SMALL)
    assert (remote.path, remote.info and remote.info.path) == (clips[1], clips[1])
    np.testing.assert_array_equal(np.asarray(remote.pixels), np.asarray(local.pixels))
    assert list(folder.iterdir()) == []  # the copy has no name


def test_workers_fetch(clips: list[str]) -> None:
    gone = clips[0].replace("0.mp4", "gone.mp4")
    with FrameLoader([*clips, gone], preprocess=SMALL, options=DecodeOptions(workers=2)) as loader:
        *good, bad = list(loader)
    assert [video.path for video in good] == clips
    assert all(video.decoded == 8 for video in good)
    assert isinstance(bad.error, NotAVideoError)
    assert str(bad.error) == f"{gone}: there is no such object; check the address"


def test_an_object_that_is_no_video(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("words")
    address = bucket.put(tmp_path / "a.mp4", "a.mp4")
    with pytest.raises(NotAVideoError, match=f"^{address}: is a text file"):
        decode_video(address, SMALL)


def test_no_room_on_the_disk(clips: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    free: Callable[[str], Any] = lambda _: SimpleNamespace(free=1000)  # noqa: E731
    monkeypatch.setattr(shutil, "disk_usage", free)
    with pytest.raises(DecodeError, match=r"bytes, and 1,000 are free in .*; name another folder as TMPDIR"):
        decode_video(clips[0], SMALL)


def test_an_object_that_changed_is_fetched_again(clips: list[str], bucket: Bucket, tmp_path: Path) -> None:
    before = decode_video(clips[0], SMALL)
    bucket.put(tmp_path / "2.mp4", "clips/0.mp4")
    after = decode_video(clips[0], SMALL)
    assert not np.array_equal(np.asarray(before.pixels), np.asarray(after.pixels))


def test_inputs(clips: list[str], bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("words")
    other = bucket.put(tmp_path / "notes.txt", "clips/notes.txt")
    notes: list[str] = []
    assert expand_inputs("s3://films/clips/", note=notes.append) == clips
    assert notes == ["s3://films/clips/: 3 videos and photos; 1 file left out: 1 no video or photo (1 .txt)"]
    assert expand_inputs("s3://films/clips") == clips
    assert expand_inputs("s3://films/*/[01].mp4") == clips[:2]
    assert expand_inputs([clips[2], other, clips[2]]) == [clips[2], other]
    shards = [Shard(number, 2).of(clips) for number in (1, 2)]
    assert sorted(shards[0] + shards[1]) == clips


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("s3://nothing/clips/", "cannot read s3://nothing/clips/: there is no bucket nothing; check the name"),
        ("s3://films/none/", "cannot read s3://films/none/: there is no such object; check the address"),
        ("s3://films/*.mkv", "no videos or photos in s3://films/*.mkv; check the address"),
        ("s3://films/list.csv", "s3://films/list.csv is a manifest, which is read from a disk; copy it here"),
    ],
)
def test_inputs_that_are_none(bucket: Bucket, item: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        expand_inputs(item)


def test_no_credentials(clips: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from olmv.video import cloud

    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    type(cloud.cloud_file_system("s3://films")).clear_instance_cache()
    cloud._file_system.cache_clear()
    with pytest.raises(InputError, match="there are no credentials; set them in the environment"):
        expand_inputs("s3://films/clips/")


def test_a_manifest_of_objects(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("video,labels\ns3://films//a.mp4,dog\nb.mp4,cat\n")
    assert [row.video for row in read_manifest(path)] == ["s3://films//a.mp4", str(tmp_path / "b.mp4")]
    assert expand_inputs(path) == ["s3://films//a.mp4", str(tmp_path / "b.mp4")]


def test_the_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("olmv.io.packages.installed", lambda package: False)
    with pytest.raises(MissingDependencyError, match=r"s3:// needs s3fs; install it: pip install 'olmv\[cloud\]'"):
        expand_inputs("s3://films/")
    with pytest.raises(MissingDependencyError, match=r"gs:// needs gcsfs; install it: pip install 'olmv\[cloud\]'"):
        expand_inputs("gs://films/")


def test_which_paths_are_addresses() -> None:
    assert [is_cloud(path) for path in ("s3://a/b", "gs://a/b", "gcs://a/b")] == [True] * 3
    assert [is_cloud(path) for path in ("a.mp4", "/s3/a", "s3:/a", "rtsp://a/b", "http://a")] == [False] * 5
