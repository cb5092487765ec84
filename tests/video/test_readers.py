"""Every container, codec and kind of damage that olmv promises to read, or to refuse with the right words."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from olmv.errors import (
    DecodeError,
    MissingDependencyError,
    NotAVideoError,
    NoVideoStreamError,
    UsageError,
    VideoError,
)
from olmv.video.frames import Frames
from olmv.video.options import Sampling
from olmv.video.readers import open as readers
from olmv.video.readers.open import available_decoders, open_reader, read_frames
from olmv.video.readers.orientation import Orientation
from tests.support import videos

KINDS: dict[str, dict[str, Any]] = {
    "h264.mp4": {},
    "h264.mkv": {},
    "h264.ts": {},
    "h264.flv": {},
    "h264.avi": {},
    "raw.h264": {},
    "pyramid.mp4": {"options": {"bf": "8", "x264-params": "b-pyramid=normal:ref=6"}},
    "open_gop.mp4": {"options": {"x264-params": "open-gop=1:bframes=3"}},
    "open_gop.ts": {"options": {"x264-params": "open-gop=1:bframes=3"}},
    "open_gop_hevc.mp4": {
        "codec": "libx265",
        "options": {"x265-params": "open-gop=1:bframes=3:log-level=none"},
    },
    "intra_refresh.mp4": {"options": {"x264-params": "intra-refresh=1:bframes=0"}},
    "ten_bit.mp4": {"pix_fmt": "yuv420p10le"},
    "hevc.mp4": {"codec": "libx265"},
    "hevc_ten_bit.mp4": {"codec": "libx265", "pix_fmt": "yuv420p10le"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "av1.mp4": {"codec": "libsvtav1"},
    "av1.mkv": {"codec": "libsvtav1"},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mpeg4_b.avi": {"codec": "mpeg4", "options": {"bf": "2"}},
    "mpeg2.mpg": {"codec": "mpeg2video"},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "odd_size.mp4": {"width": 162, "height": 98},
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty numbered H.264 frames, a keyframe in every twelve."""
    return videos.make_video(tmp_path_factory.mktemp("sound") / "sound.mp4")


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_gives_exact_frames(tmp_path: Path, name: str) -> None:
    path = videos.make_video(tmp_path / name, **KINDS[name])
    reader = open_reader(path)
    assert len(reader.timestamps_s) == reader.info.num_frames == 50
    assert reader.info.fps == pytest.approx(videos.FPS, rel=0.01)
    np.testing.assert_allclose(reader.timestamps_s, np.arange(50) / videos.FPS, atol=1.1e-3)
    for wanted in (range(50), [3, 17, 30, 49], [11, 12, 13], [49], [0]):
        picked = sorted(reader.frames(wanted), key=lambda p: p.index)
        assert [p.index for p in picked] == list(wanted)
        assert [videos.number_of(p.pixels) for p in picked] == list(wanted)
        assert not any(p.corrupt for p in picked)
    reader.close()


@pytest.mark.parametrize("name", ["h264.mp4", "pyramid.mp4", "open_gop.mp4", "mpeg2.mpg", "hevc.mp4"])
def test_skipping_changes_no_pixel(tmp_path: Path, name: str) -> None:
    path = videos.make_video(tmp_path / name, **KINDS[name])
    with av.open(str(path)) as container:
        reference = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    reader = open_reader(path)
    for index in (1, 10, 23, 25, 40, 49):
        pixels = next(iter(reader.frames([index]))).pixels
        assert pixels is not None
        assert np.array_equal(pixels, reference[index]), index


def test_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    times = np.cumsum([0, *([10, 40, 200] * 9)]).tolist()
    path = videos.make_video(tmp_path / "vfr.mp4", frames=28, times=times)
    reader = open_reader(path)
    np.testing.assert_allclose(reader.timestamps_s, np.array(times) / 1000, atol=1e-3)
    frames = read_frames(path, frames=5)
    assert [videos.number_of(p) for p in frames.pixels] == frames.indices.tolist()
    centres = (np.arange(5) + 0.5) * reader.end_s / 5
    shown = np.searchsorted(reader.timestamps_s, centres, side="right") - 1
    assert frames.indices.tolist() == shown.tolist()


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_applied(tmp_path: Path, degrees: int) -> None:
    path = videos.make_video(tmp_path / "r.mp4", frames=3, rotation=degrees)
    reader = open_reader(path)
    stored = videos.make_video(tmp_path / "s.mp4", frames=3)
    upright = read_frames(stored).pixels[1]
    shown = next(iter(reader.frames([1]))).pixels
    assert shown is not None
    assert reader.info.rotation == (360 - degrees) % 360  # FFmpeg's own sense is the other way round
    assert (reader.info.height, reader.info.width) == shown.shape[:2]
    assert np.array_equal(np.rot90(upright, degrees // 90), shown)


def test_every_turn_and_mirror_has_its_matrix() -> None:
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    one = 1 << 16
    cases = {
        (one, 0, 0, one): (image, 0),
        (0, one, -one, 0): (np.rot90(image, -1), 90),
        (-one, 0, 0, -one): (image[::-1, ::-1], 180),
        (0, -one, one, 0): (np.rot90(image), 270),
        (-one, 0, 0, one): (image[:, ::-1], 0),
        (one, 0, 0, -one): (image[::-1], 0),
        (0, one, one, 0): (image.transpose(1, 0, 2), 90),
    }
    for (a, b, c, d), (expected, degrees) in cases.items():
        turn = Orientation.of_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        assert np.array_equal(turn.apply(image), expected)
        assert turn.degrees == degrees
        assert turn.size(3, 2) == expected.shape[1::-1]


def test_edit_list_hides_frames(sound: Path, tmp_path: Path) -> None:
    cut = videos.cut_by_edit_list(sound, tmp_path / "cut.mp4", skip_frames=10)
    reader = open_reader(cut)
    assert len(reader.timestamps_s) == 40
    assert reader.timestamps_s[0] == 0
    assert reader.info.duration_s == pytest.approx(1.6)
    assert [videos.number_of(p.pixels) for p in reader.frames([0, 1, 20, 39])] == [10, 11, 30, 49]


def test_readers_of_one_process_do_not_take_each_others_frames(sound: Path) -> None:
    """Closing one reader frees frames whose packets had the same numbers as those that the other is decoding."""
    other, reader = open_reader(sound), open_reader(sound)
    other.luma(range(50))
    frames = reader.frames(range(20))
    numbers = [videos.number_of(next(frames).pixels)]
    other.close()
    numbers += [videos.number_of(pick.pixels) for pick in frames]
    assert numbers == list(range(20))


def test_one_frame_gives_one_frame(tmp_path: Path) -> None:
    frames = read_frames(videos.make_video(tmp_path / "one.mp4", frames=1), frames=8)
    assert (frames.requested, frames.decoded, frames.corrupt) == (8, 1, 0)
    assert videos.number_of(frames.pixels[0]) == 0


def test_flipped_bytes_give_a_result_and_a_count(tmp_path: Path) -> None:
    sound = videos.make_video(tmp_path / "sound.mp4", frames=200, gop=50)
    frames = read_frames(videos.flip_bytes(sound, tmp_path / "bad.mp4"), frames=16)
    assert frames.requested == 16
    assert 8 <= frames.decoded <= 16
    assert 1 <= frames.corrupt < 16
    assert len(set(frames.indices.tolist())) == frames.decoded
    good = [(int(i), videos.number_of(p)) for i, p in zip(frames.indices, frames.pixels, strict=True)]
    assert sum(i == n for i, n in good) >= frames.decoded - frames.corrupt


def test_truncated_file_with_its_index_in_front_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = videos.make_video(tmp_path / "w.mp4", frames=200, container_options={"movflags": "faststart"})
    frames = read_frames(videos.truncate(whole, tmp_path / "cut.mp4", 0.6), frames=8)
    assert frames.decoded + frames.corrupt >= 8
    good = [int(i) == videos.number_of(p) for i, p in zip(frames.indices, frames.pixels, strict=True)]
    assert sum(good) >= 8 - frames.corrupt
    assert frames.indices.max() < 150


def test_truncated_file_without_index_says_so(sound: Path, tmp_path: Path) -> None:
    with pytest.raises(NotAVideoError, match=r"cut off: its index \(moov\) is missing; copy it again"):
        open_reader(videos.truncate(sound, tmp_path / "cut.mp4", 0.6))


def test_frames_of_nothing_but_damage_are_absent(tmp_path: Path) -> None:
    sound = videos.make_video(tmp_path / "s.mp4", container_options={"movflags": "faststart"})
    data = bytearray(sound.read_bytes())
    start = data.index(b"mdat") + 4
    data[start:] = bytes(len(data) - start)
    (tmp_path / "zero.mp4").write_bytes(data)
    frames = read_frames(tmp_path / "zero.mp4")
    assert (frames.requested, frames.decoded, frames.corrupt) == (8, 0, 8)
    assert repr(frames) == "Frames(decoded=0/8, corrupt=8, size=-)"


def test_a_frame_that_cannot_be_read_is_replaced_by_a_keyframe_near_it_in_time(tmp_path: Path) -> None:
    # twelve frames early on; then, a minute later, a group that is destroyed, and a sound one right behind it
    times = [40 * n + (60_000 if n >= 12 else 0) for n in range(36)]
    path = videos.make_video(tmp_path / "a.mp4", frames=36, times=times)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        for number, packet in enumerate(container.demux(video=0)):
            if 12 <= number < 24:
                data[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    path.write_bytes(data)
    picked = {p.wanted: p for p in open_reader(path).frames([3, 14, 16, 30])}
    assert {wanted: (p.index, p.corrupt) for wanted, p in picked.items()} == {
        3: (3, False),
        14: (24, True),
        16: (0, True),
        30: (30, False),
    }
    assert [videos.number_of(picked[i].pixels) for i in (3, 14, 16, 30)] == [3, 24, 0, 30]


def test_refusals_say_what_it_is(tmp_path: Path, sound: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video\n")
    (tmp_path / "noise.mp4").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile '{sound.name}'\n")
    (tmp_path / sound.name).write_bytes(sound.read_bytes())
    cases = {
        "absent.mp4": r"cannot be opened \(No such file or directory\); check the path",
        "empty.mp4": r"is empty \(0 bytes\); copy or download it again",
        "text.mp4": "is a text file, not a video",
        "noise.mp4": "is not a video or photo that can be read",
        "list.mp4": r"is a playlist \(ffconcat\), which may name other files and is not read",
        ".": "is a folder; name the videos in it",
        "nul\0.mp4": "cannot be opened",
    }
    for name, message in cases.items():
        with pytest.raises(NotAVideoError, match=message):
            open_reader(tmp_path / name if name != "." else tmp_path)


def test_hls_playlist_is_not_followed(tmp_path: Path, sound: Path) -> None:
    (tmp_path / "a.ts").write_bytes(videos.make_video(tmp_path / "real.ts").read_bytes())
    (tmp_path / "hls.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(NotAVideoError, match="text file"):
        open_reader(tmp_path / "hls.mp4")


def test_unreadable_file(tmp_path: Path, sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = tmp_path / "locked.mp4"
    locked.write_bytes(sound.read_bytes())
    locked.chmod(0)
    if os.access(locked, os.R_OK):  # root reads everything

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(av, "open", refuse)
        monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(NotAVideoError, match=r"cannot be read \(Permission denied\); check its permissions"):
        open_reader(locked)


def test_audio_only(tmp_path: Path) -> None:
    with pytest.raises(NoVideoStreamError, match=r"has no video stream \(audio only\); leave it out"):
        open_reader(videos.make_audio(tmp_path / "a.mp4"))


def test_names_are_not_protocols(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sound: Path) -> None:
    monkeypatch.chdir(tmp_path)
    odd = Path("concat:a|b %03d 'x'.mp4")
    odd.write_bytes(sound.read_bytes())
    assert read_frames(odd, frames=2).decoded == 2


def test_picks_are_distinct_and_inside(sound: Path) -> None:
    reader = open_reader(sound)
    assert reader.read([5, 5, 2]).indices.tolist() == [2, 5]
    with pytest.raises(IndexError, match="frame 50 of a video of 50 frames; indices run from 0 to 49"):
        list(reader.frames([50]))
    with pytest.raises(IndexError, match="frame -1 of"):
        reader.read([-1])


def test_luma_frames_are_reused(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = open_reader(sound)
    assert reader.luma([0, 20, 40]).shape == (3, 18, 32)
    monkeypatch.setattr(type(reader), "_decode", None)
    assert [videos.number_of(p.pixels) for p in reader.frames([20, 40])] == [20, 40]


@pytest.mark.parametrize("sampling", ["uniform", "dense", "adaptive", "keyframes"])
def test_read_frames_samples_and_resizes(sound: Path, sampling: Sampling) -> None:
    frames = read_frames(sound, frames=4, sampling=sampling, size=64)
    assert isinstance(frames, Frames)
    assert isinstance(frames.pixels, np.ndarray)
    assert frames.pixels.shape == (4, 64, 64, 3)
    assert frames.decoded == 4
    assert (np.diff(frames.times_s) > 0).all()


def test_adaptive_follows_the_change(tmp_path: Path) -> None:
    def draw(number: int) -> np.ndarray:
        return videos.picture(number if 60 <= number < 80 else 60)

    path = videos.make_video(tmp_path / "a.mp4", frames=160, draw=draw)
    indices = read_frames(path, frames=8, sampling="adaptive").indices
    assert sum(55 <= i <= 85 for i in indices) >= 4


def test_wrong_arguments(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="unknown decoder 'vlc'; use one of auto, pyav, decord, torchcodec"):
        open_reader(sound, decoder="vlc")
    with pytest.raises(UsageError, match="unknown sampling 'random'; choose uniform"):
        read_frames(sound, sampling="random")
    with pytest.raises(UsageError, match="frames is 0; it must be at least 1"):
        read_frames(sound, frames=0)
    with pytest.raises(UsageError, match="size is 0; give a whole number of pixels from 1 to 4096"):
        read_frames(sound, size=0)
    with pytest.raises(UsageError, match="the video is a list; give its path"):
        read_frames([sound])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no option 'frmes'; did you mean 'frames'"):
        read_frames(sound, frmes=3)  # type: ignore[call-arg]
    monkeypatch.setattr(readers, "available_decoders", lambda: dict.fromkeys(("pyav", "decord", "torchcodec")))
    with pytest.raises(MissingDependencyError, match="decoder 'torchcodec' is not installed; pip install"):
        open_reader(sound, decoder="torchcodec")


@pytest.mark.parametrize("decoder", ["decord", "torchcodec"])
def test_other_decoders_agree(tmp_path: Path, decoder: str) -> None:
    if available_decoders()[decoder] is None:
        if os.environ.get("OLMV_REQUIRE_DECODERS"):
            pytest.fail(f"{decoder} is not installed")
        pytest.skip(f"{decoder} is not installed")
    path = videos.make_video(tmp_path / "a.mp4")
    ours = read_frames(path)
    theirs = read_frames(path, decoder=decoder)
    assert np.array_equal(ours.pixels, theirs.pixels)
    np.testing.assert_allclose(ours.times_s, theirs.times_s, atol=1e-4)
    assert read_frames(path, decoder=decoder, sampling="adaptive").decoded == 8
    reader = open_reader(path, decoder=decoder)
    assert (reader.info.width, reader.info.height) == (videos.WIDTH, videos.HEIGHT)
    reader.close()
    with pytest.raises(NotAVideoError, match="cannot be opened"):
        open_reader(tmp_path / "absent.mp4", decoder=decoder)


def test_decord_refusing_a_file_is_a_decode_error(tmp_path: Path) -> None:
    if available_decoders()["decord"] is None:
        pytest.skip("decord is not installed")
    path = videos.make_video(tmp_path / "av1.mp4", codec="libsvtav1", frames=4)
    with contextlib.redirect_stderr(sys.stdout), pytest.raises(DecodeError, match="use the decoder pyav"):
        open_reader(path, decoder="decord")


def test_every_refusal_is_a_video_error() -> None:
    assert issubclass(NotAVideoError, VideoError)
    assert issubclass(NoVideoStreamError, VideoError)
