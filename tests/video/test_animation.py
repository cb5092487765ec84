"""Animated GIF, WebP and PNG: their times, and each frame as a browser draws it."""

import os
import struct
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from olmv.errors import DecodeError
from olmv.video.decode import decode_video
from olmv.video.options import DecodeOptions, Sampling
from olmv.video.readers.open import open_reader, read_frames
from olmv.video.transforms import Preprocess
from tests.support import videos
from tests.support.pictures import near

RED, GREEN, BLUE, WHITE = (200, 0, 0), (0, 200, 0), (0, 0, 200), (255, 255, 255)
SIZE = 12, 8


def square(place: int, colour: tuple[int, int, int] = RED) -> Image.Image:
    """A picture with transparency: one square of 4 x 4, the rest transparent."""
    picture = Image.new("RGBA", SIZE)
    picture.paste((*colour, 255), (place, 2, place + 4, 6))
    return picture


def over_white(picture: Image.Image) -> np.ndarray:
    """[H, W, 3]."""
    canvas = Image.new("RGBA", picture.size, WHITE)
    canvas.alpha_composite(picture)
    return np.array(canvas.convert("RGB"))


def drawn(*squares: tuple[int, tuple[int, int, int]]) -> np.ndarray:
    """What is to be seen: squares on white."""
    canvas = Image.new("RGBA", SIZE, WHITE)
    for place, colour in squares:
        canvas.alpha_composite(square(place, colour))
    return np.array(canvas.convert("RGB"))


def gif(*blocks: bytes, size: tuple[int, int] = SIZE) -> bytes:
    """A GIF with the palette black, red, green, blue."""
    palette = bytes((0, 0, 0, *RED, *GREEN, *BLUE))
    return b"GIF89a" + struct.pack("<2H3B", *size, 0x80 | 1, 3, 0) + palette + b"".join(blocks) + b";"


def gif_picture(
    colour: int, box: tuple[int, int, int, int], *, disposal: int = 0, time: int = 7, transparent: int | None = None
) -> bytes:
    """One picture of one colour of the palette: its control block and its data."""
    flags = disposal << 2 | (transparent is not None)
    control = b"!\xf9\x04" + struct.pack("<BHBB", flags, time, transparent or 0, 0)
    # codes of 3 bits that are cleared before the table grows: clear, colour, clear, colour, ..., end
    codes = [4, colour] * (box[2] * box[3]) + [5]
    bits = sum(code << 3 * place for place, code in enumerate(codes))
    data = bits.to_bytes((3 * len(codes) + 7) // 8, "little")
    blocks = b"".join(bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255))
    return control + b"," + struct.pack("<4HB", *box, 0) + b"\x02" + blocks + b"\0"


def frames_of(path: Path) -> list[np.ndarray]:
    reader = open_reader(path)
    frames = reader.read(range(len(reader.timestamps_s)))
    assert frames.corrupt == 0
    return list(frames.pixels)


@pytest.mark.parametrize(
    ("extension", "options"),
    [
        ("gif", {"disposal": 2}),
        ("webp", {"lossless": True}),
        ("png", {"disposal": 1, "blend": 0}),
        ("png", {"disposal": 0, "blend": 0}),
        ("png", {"disposal": 2, "blend": 1}),
    ],
)
def test_frames_and_times(tmp_path: Path, extension: str, options: dict[str, Any]) -> None:
    path = tmp_path / f"a.{extension}"
    places, times = [0, 3, 8, 8, 1], [100, 200, 50, 300, 40]
    first, *others = [square(place) for place in places]
    first.save(path, save_all=True, append_images=others, duration=times, loop=0, **options)
    reader = open_reader(path)
    # the writer joins two pictures that are the same, or not
    starts = [0, 0.1, 0.3, 0.65] if len(reader.timestamps_s) == 4 else [0, 0.1, 0.3, 0.35, 0.65]
    np.testing.assert_allclose(reader.timestamps_s, starts)
    info = reader.info
    assert (info.width, info.height, info.codec) == (*SIZE, extension)
    assert info.duration_s == pytest.approx(0.69)
    assert info.fps == pytest.approx(info.num_frames / 0.69)
    shown = [places[np.searchsorted([0, 0.1, 0.3, 0.35, 0.65], start + 1e-6) - 1] for start in starts]
    for pixels, place in zip(frames_of(path), shown, strict=True):
        assert np.array_equal(pixels, drawn((place, RED)))
    assert [p.index for p in reader.frames([3, 1])] == [1, 3]
    assert list(reader.frames([])) == []
    last = len(starts) - 1  # shown from 0.65 s to 0.69 s
    assert read_frames(path, frames=2).indices.tolist() == [1, last - 1]


@pytest.mark.parametrize("sampling", ["uniform", "dense", "adaptive", "keyframes"])
def test_every_sampling(tmp_path: Path, sampling: Sampling) -> None:
    pictures = [square(place % 9) for place in range(60)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=50, disposal=2)
    video = decode_video(os.fspath(tmp_path / "a.gif"), Preprocess(size=32), DecodeOptions(frames=4, sampling=sampling))
    assert video.info is not None
    assert (video.decoded, video.corrupt, video.info.num_frames) == (4, 0, 60)
    assert (np.diff(video.times_s) > 0).all()


def test_a_gif_is_drawn_as_browsers_draw_it(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    blocks = [
        gif_picture(1, (0, 2, 4, 4)),  # smaller than the canvas: white around it, not the palette's first colour
        gif_picture(2, (2, 2, 4, 4), disposal=3),
        gif_picture(3, (8, 2, 4, 4), disposal=2),  # no transparent index: cleared all the same
        gif_picture(2, (4, 2, 4, 4), transparent=2),  # all of it transparent
        gif_picture(3, (10, 2, 4, 4), disposal=1),  # partly outside
    ]
    path.write_bytes(gif(*blocks))
    expected = [
        drawn((0, RED)),
        drawn((0, RED), (2, GREEN)),
        drawn((0, RED), (8, BLUE)),
        drawn((0, RED)),
        drawn((0, RED), (10, BLUE)),
    ]
    for pixels, picture in zip(frames_of(path), expected, strict=True):
        assert np.array_equal(pixels, picture)


def test_times_of_10_ms_and_less_are_100_ms(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    path.write_bytes(gif(*(gif_picture(1, (0, 0, 2, 2), time=time) for time in (0, 1, 2, 5))))
    assert open_reader(path).timestamps_s == pytest.approx([0, 0.1, 0.2, 0.22])


def test_one_picture_is_a_still(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    path.write_bytes(
        gif(b"!\xfe\x03abc\0", gif_picture(1, (0, 2, 4, 4), time=500), b"!\xff\x0bNETSCAPE2.0\x03\1\0\0\0")
    )
    info = open_reader(path).info
    assert (info.num_frames, info.duration_s, info.fps) == (1, 0.0, 0.0)
    assert np.array_equal(frames_of(path)[0], drawn((0, RED)))
    path.write_bytes(gif(gif_picture(1, (3, 1, 4, 4)), size=(0, 0)))  # the picture itself gives the size
    assert frames_of(path)[0].shape == (5, 7, 3)


def test_a_png_for_viewers_that_know_no_animation(tmp_path: Path) -> None:
    Image.new("RGBA", SIZE, BLUE).save(
        tmp_path / "a.png", save_all=True, append_images=[square(1), square(5)], default_image=True, duration=100
    )
    for pixels, place in zip(frames_of(tmp_path / "a.png"), (1, 5), strict=True):
        assert np.array_equal(pixels, drawn((place, RED)))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "LA"])
def test_animated_png_of_every_mode(tmp_path: Path, mode: str) -> None:
    grey = np.linspace(0, 255, SIZE[0] * SIZE[1]).reshape(SIZE[::-1]).astype(np.uint8)
    greys = [grey, 255 - grey]
    first, second = (Image.fromarray(g).convert(mode) for g in greys)
    first.save(tmp_path / "a.png", save_all=True, append_images=[second], duration=100)
    for pixels, g in zip(frames_of(tmp_path / "a.png"), greys, strict=True):
        assert near(pixels, np.repeat(g[..., None], 3, 2), 128 if mode == "1" else 8)


@pytest.mark.parametrize("extension", ["webp", "png"])
def test_exif_turns_animations_too(tmp_path: Path, extension: str) -> None:
    exif = Image.Exif()
    exif[274] = 6
    path = tmp_path / f"a.{extension}"
    square(1).save(path, save_all=True, append_images=[square(5)], duration=100, exif=exif, lossless=True)
    info = open_reader(path).info
    assert (info.width, info.height, info.rotation) == (*SIZE[::-1], 90)
    assert np.array_equal(frames_of(path)[1][..., 1], np.rot90(drawn((5, RED)), -1)[..., 1])


@pytest.mark.parametrize("extension", ["gif", "webp", "png"])
def test_an_animation_that_is_cut_off_is_played_as_far_as_it_goes(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a.{extension}"
    noise = np.random.default_rng(0).integers(0, 255, (10, 24, 32, 3), np.uint8)
    first, *others = [Image.fromarray(picture) for picture in noise]
    first.save(path, save_all=True, append_images=others, duration=100)
    whole = frames_of(path)
    reader = open_reader(videos.truncate(path, tmp_path / "cut.gif", 0.55))
    count = len(reader.timestamps_s)
    assert 5 <= count <= 6
    frames = reader.read(range(count))
    assert frames.corrupt == 1
    assert all(np.array_equal(a, b) for a, b in zip(whole[: count - 1], frames.pixels, strict=False))
    assert frames.indices.tolist()[: count - 1] == list(range(count - 1))


def test_what_follows_a_damaged_picture_is_counted(tmp_path: Path) -> None:
    good = [gif_picture(1, (0, 2, 4, 4)), gif_picture(3, (8, 2, 4, 4))]
    bad = gif_picture(2, (4, 2, 4, 4))
    (tmp_path / "a.gif").write_bytes(gif(good[0], bad[:18] + b"\x0c\x01\xff\0", good[1]))
    picked = list(open_reader(tmp_path / "a.gif").frames([0, 1, 2]))
    assert [p.corrupt for p in picked] == [False, True, True]
    assert picked[1].pixels is None
    assert picked[2].pixels is not None
    assert np.array_equal(picked[2].pixels, drawn((0, RED), (8, BLUE)))
    assert open_reader(tmp_path / "a.gif").luma([0, 1, 2])[1].max() == 0


def test_a_picture_far_outside_is_damage(tmp_path: Path) -> None:
    square(1).save(tmp_path / "a.png", save_all=True, append_images=[square(5)], duration=100)
    data = bytearray((tmp_path / "a.png").read_bytes())
    place = data.rindex(b"fcTL") + 4
    data[place + 12 : place + 16] = b"\xff\xff\xff\xf0"
    (tmp_path / "a.png").write_bytes(data)
    picked = list(open_reader(tmp_path / "a.png").frames([0, 1]))
    assert [(p.corrupt, p.pixels is None) for p in picked] == [(False, False), (True, True)]


def test_animations_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "none.gif").write_bytes(gif())
    with pytest.raises(DecodeError, match="has no picture in it; copy or download it again"):
        open_reader(tmp_path / "none.gif")
    (tmp_path / "large.gif").write_bytes(
        gif(gif_picture(1, (0, 0, 4, 4)), b"," + struct.pack("<4HB", 0, 0, 65535, 65535, 0))
    )
    with pytest.raises(
        DecodeError, match=r"65535 x 65535 pixels, more than the 33,554,432 .* convert it to MP4 \(H.264\)"
    ):
        open_reader(tmp_path / "large.gif")
    thin = [gif_picture(1, (0, 0, 1, 600)), gif_picture(2, (0, 0, 0, 600))]  # of a picture that changes little
    (tmp_path / "thin.gif").write_bytes(gif(*thin, size=(600, 600)))
    assert len(open_reader(tmp_path / "thin.gif").timestamps_s) == 2
    (tmp_path / "head.gif").write_bytes(b"GIF89a")
    with pytest.raises(DecodeError, match="has no picture in it"):
        open_reader(tmp_path / "head.gif")


RGBA = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).integers(0, 255, (6, 8, 4), np.uint8))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["png", "webp"]),
    pictures=st.lists(RGBA, min_size=2, max_size=5),
    disposal=st.integers(0, 2),
    blend=st.integers(0, 1),
)
def test_drawn_as_by_others(tmp_path: Path, kind: str, pictures: list[np.ndarray], disposal: int, blend: int) -> None:
    """FFmpeg's player of animated PNGs and libwebp's own agree with ours. (Pillow's own mixes layers wrongly.)"""
    path = tmp_path / f"a.{kind}"
    for number, picture in enumerate(pictures[1:]):
        picture[: number % 4 + 1] = pictures[0][: number % 4 + 1]  # so that a part is left out of the file
        picture[-1, 0] = number, 0, 0, 255  # so that no two are the same
    first, *others = [Image.fromarray(picture) for picture in pictures]
    options = {"disposal": disposal, "blend": blend} if kind == "png" else {"lossless": True}
    first.save(path, save_all=True, append_images=others, duration=50, **options)
    if kind == "png":
        with av.open(str(path), format="apng") as player:
            theirs = [Image.fromarray(frame.to_ndarray(format="rgba")) for frame in player.decode(video=0)]
    else:
        with Image.open(path) as player:
            theirs = [frame.convert("RGBA") for frame in ImageSequence.Iterator(player)]
    for pixels, canvas in zip(frames_of(path), theirs, strict=True):
        # each of up to five layers is rounded, by them to whole numbers
        assert np.abs(pixels.astype(int) - over_white(canvas)).max() <= 5
