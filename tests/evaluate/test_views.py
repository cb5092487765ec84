"""Views: which frames and pixels the published protocols look at."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from olmv.errors import UsageError
from olmv.evaluate.views import VIEWS, ViewReader, crops, middle_frames, random_frames, views_for, windows
from olmv.video.options import DecodeOptions
from olmv.video.transforms import Preprocess
from tests.support.videos import make_video


def test_windows_of_a_long_video_are_the_published_offsets() -> None:
    found = windows(1000, 30.0)
    assert (found[0] == [0, 18, 36, 54, 72, 90, 108, 112]).all()
    assert found[1][0] == math.ceil((1000 - 112) / 3)
    assert found[2][0] == math.ceil((1000 - 112) * 2 / 3)


def test_windows_in_halves_are_those_of_the_torchvision_reader() -> None:
    """HMDB's: a window of 16 * 8 frames, its last one seen too; starts are k * (room // 2)."""
    offsets = [0, 18, 36, 54, 72, 90, 108, 127]
    assert windows(200, 30.0, offsets="halves").tolist() == [[start + o for o in offsets] for start in (0, 36, 72)]
    assert [row[0] for row in windows(1001, 30.0, offsets="halves")] == [0, 436, 872]
    assert windows(200, 30.0, clips=1, offsets="halves").tolist() == [[36 + o for o in offsets]]
    assert windows(20, 30.0, offsets="halves").tolist() == [[0, 18, 19, 19, 19, 19, 19, 19]] * 3


def test_a_short_video_repeats_its_last_frame() -> None:
    found = windows(20, 30.0)
    assert (found == [[0, 18, 19, 19, 19, 19, 19, 19]] * 3).all()


@given(
    st.integers(1, 2000),
    st.floats(1, 120),
    st.integers(1, 16),
    st.integers(1, 5),
    st.sampled_from(["thirds", "halves"]),
)
def test_windows_stay_inside(count: int, fps: float, frames: int, clips: int, offsets: str) -> None:
    found = windows(count, fps, frames=frames, clips=clips, offsets=offsets)  # type: ignore[arg-type]
    assert found.shape == (clips, frames)
    assert found.min() >= 0
    assert found.max() < count
    assert (np.diff(found, axis=1) >= 0).all()


def test_middle_frames_by_hand() -> None:
    assert (middle_frames(80) == [[5, 15, 25, 35, 45, 55, 65, 75]]).all()
    assert (middle_frames(3, frames=6) == [[0, 0, 1, 1, 2, 2]]).all()


def test_all_of_several_clips_are_random() -> None:
    """X-CLIP's 4x3 test has no clip of middle frames: mmaction's training offsets, four times."""
    found = random_frames(803, clips=4)
    assert (found == random_frames(803, clips=4)).all()
    assert not (found == middle_frames(803)).all(axis=1).any()
    assert len({tuple(row) for row in found.tolist()}) == 4
    # the first of 40 would be a middle one otherwise
    firsts = np.stack([random_frames(count)[0] - np.arange(8) * (count // 8) for count in range(400, 480)])
    assert firsts.min() == 0
    assert firsts.max() > 45
    assert (random_frames(3, frames=6, clips=2) == [[0, 0, 1, 2, 2, 2]] * 2).all()


@given(st.integers(1, 500), st.integers(1, 32), st.integers(1, 4))
def test_random_frames_stay_in_their_segments(count: int, frames: int, clips: int) -> None:
    found = random_frames(count, frames=frames, clips=clips)
    assert found.shape == (clips, frames)
    assert found.min() >= 0
    assert found.max() < count
    if segment := count // frames:
        assert (found // segment == np.arange(frames)).all()


@given(st.integers(1, 500), st.integers(1, 32))
def test_middle_frames_stay_in_their_segments(count: int, frames: int) -> None:
    found = middle_frames(count, frames=frames)
    segments = np.arange(frames) * count / frames
    assert found.shape == (1, frames)
    assert (found >= np.floor(segments)).all()
    assert (found <= np.minimum(np.ceil(segments + count / frames), count - 1)).all()


def test_openvclip_resizes_without_rounding() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (40, 71, 3), dtype=np.uint8)
    found = crops(frame, 32, VIEWS["openvclip"])
    picture = torch.from_numpy(frame).permute(2, 0, 1)[None].float()
    wide = torch.nn.functional.interpolate(picture, size=(32, 56), mode="bilinear", align_corners=False)
    assert np.array_equal(found, wide[..., :, 12:44].numpy())
    assert not np.array_equal(found, found.round())


def test_xclip_crops_the_middle_of_a_larger_picture() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    found = crops(frame, 28, VIEWS["xclip"])
    picture = torch.from_numpy(frame).permute(2, 0, 1)[None].float()
    larger = torch.nn.functional.interpolate(picture, size=(43, 32), mode="bilinear", align_corners=False).round()
    assert np.array_equal(found, larger[..., 7:35, 2:30].numpy())


def test_three_crops_are_both_ends_and_the_middle() -> None:
    frame = np.zeros((20, 40, 3), np.uint8)
    frame[:, :20] = 200
    left, right, middle = crops(frame, 20, VIEWS["xclip-4x3"])
    assert left.min() == 200
    assert right.max() == 0
    assert middle[0, 0].tolist() == [200.0] * 10 + [0.0] * 10


@pytest.mark.parametrize("name", list(VIEWS))
def test_a_file_gives_all_views(name: str, tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=40)
    views = views_for(name, "ucf101-ep2", 4)
    found = ViewReader(views)(str(path), Preprocess(size=16), DecodeOptions(frames=4))
    assert found.pixels is not None
    assert found.pixels.shape == (views.count * 4, 3, 16, 16)
    assert found.requested == 4


def test_overlapping_clips_keep_their_order(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=12)
    views = views_for("openvclip", "ucf101-ep2", 4)
    found = ViewReader(views)(str(path), Preprocess(size=16), DecodeOptions(frames=4))
    assert found.pixels is not None
    first, second, third = np.split(found.pixels, 3)
    assert np.array_equal(first, second)
    assert np.array_equal(first, third)


def test_hmdb_starts_in_halves() -> None:
    assert views_for("openvclip", "hmdb51-ep1").offsets == "halves"
    assert views_for("openvclip", "ucf101-ep1").offsets == "thirds"
    assert "halves" in views_for("openvclip", "hmdb51-ep1").describe()["sampling"]


def test_several_clips_of_xclip_are_told_as_random() -> None:
    assert "4 clips of a random frame of each of 8 segments" in VIEWS["xclip-4x3"].describe()["sampling"]
    assert VIEWS["xclip"].describe()["sampling"] == "the middle frames of 8 equal segments"


def test_unknown_views_and_frames() -> None:
    with pytest.raises(UsageError, match="no views 'open'; choose from uniform, openvclip, xclip, xclip-4x3"):
        views_for("open", "moji")
    with pytest.raises(UsageError, match="frames is 0; ask for at least 1"):
        views_for("uniform", "moji", 0)


@pytest.mark.parametrize("name", VIEWS)
def test_a_photo_fills_every_view(tmp_path: Path, name: str) -> None:
    Image.new("RGB", (60, 40), (200, 100, 50)).save(tmp_path / "a.jpg")
    views = VIEWS[name]
    video = ViewReader(views)(str(tmp_path / "a.jpg"), Preprocess(size=32), DecodeOptions())
    assert video.pixels is not None
    assert len(video.pixels) == (1 if name == "uniform" else views.count * views.frames)
    assert (video.decoded, video.corrupt) == (1, 0)
