"""Photos of every mode, turn, size and kind of damage, made here with Pillow."""

import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from olmv.errors import DecodeError, NotAVideoError
from olmv.video.decode import decode_video
from olmv.video.options import DecodeOptions, Sampling
from olmv.video.pictures import pixels as picture_pixels
from olmv.video.pictures import reader as picture_reader
from olmv.video.pictures.reader import PictureReader
from olmv.video.readers.open import available_decoders, open_reader, read_frames
from olmv.video.transforms import Preprocess
from tests.support import videos
from tests.support.pictures import near, photo, pixels_of, png_chunk, tiff

KINDS = {"jpg": "jpeg", "png": "png", "webp": "webp", "bmp": "bmp", "tiff": "tiff", "gif": "gif"}
SMALL = Preprocess(size=32)


@pytest.fixture(autouse=True)
def no_warnings() -> None:
    warnings.simplefilter("error")


@pytest.mark.parametrize("extension", KINDS)
@pytest.mark.parametrize("sampling", ["uniform", "dense", "adaptive", "keyframes"])
def test_a_photo_is_a_video_of_one_frame(tmp_path: Path, extension: str, sampling: Sampling) -> None:
    path = tmp_path / f"a.{extension}"
    Image.fromarray(photo()).save(path)
    video = decode_video(os.fspath(path), Preprocess(size=32), DecodeOptions(sampling=sampling))
    assert video.pixels is not None
    assert video.info is not None
    assert video.pixels.shape == (1, 3, 32, 32)
    assert (video.requested, video.decoded, video.corrupt, video.times_s.tolist()) == (8, 1, 0, [0.0])
    info = video.info
    assert (info.width, info.height, info.num_frames, info.codec) == (60, 40, 1, KINDS[extension])
    assert (info.duration_s, info.fps, info.rotation) == (0.0, 0.0, 0)
    assert near(pixels_of(path), photo(), 8)


@pytest.mark.parametrize("decoder", ["decord", "torchcodec"])
def test_pillow_reads_photos_whatever_decodes_videos(tmp_path: Path, decoder: str) -> None:
    if available_decoders()[decoder] is None:
        pytest.skip(f"{decoder} is not installed")
    Image.fromarray(photo()).save(tmp_path / "a.png")
    assert isinstance(open_reader(tmp_path / "a.png", decoder=decoder), PictureReader)


@pytest.mark.parametrize("tag", [254, 50706])
def test_a_raw_picture_is_refused_for_its_thumbnail(tmp_path: Path, tag: int) -> None:
    Image.fromarray(photo()).save(tmp_path / "a.dng", "TIFF", tiffinfo={tag: 1 if tag == 254 else b"\1\4\0\0"})
    with pytest.raises(NotAVideoError, match="is a camera's raw picture, which is not read; convert it"):
        open_reader(tmp_path / "a.dng")


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_turns_the_photo(tmp_path: Path, extension: str, turn: int) -> None:
    path = tmp_path / f"a.{extension}"
    shown = photo()
    stored = {
        1: shown,
        2: shown[:, ::-1],
        3: shown[::-1, ::-1],
        4: shown[::-1],
        5: shown.transpose(1, 0, 2),
        6: np.rot90(shown),
        7: np.rot90(shown, 2).transpose(1, 0, 2),
        8: np.rot90(shown, -1),
    }[turn]
    exif = Image.Exif()
    exif[274] = turn
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    info = open_reader(path).info  # before anything else is decoded
    assert (info.width, info.height) == (60, 40)
    if extension != "tiff":  # Pillow turns it and does not say so
        assert info.rotation == {3: 180, 5: 90, 6: 90, 7: 90, 8: 270}.get(turn, 0)
    assert near(pixels_of(path), shown, 3)


def test_damaged_exif_turns_nothing(tmp_path: Path) -> None:
    Image.fromarray(photo()).save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff garbage")
    assert near(pixels_of(tmp_path / "a.jpg"), photo(), 3)


@pytest.mark.parametrize("extension", KINDS)
def test_one_pixel(tmp_path: Path, extension: str) -> None:
    Image.new("RGB", (1, 1), (200, 100, 50)).save(tmp_path / f"a.{extension}")
    video = decode_video(os.fspath(tmp_path / f"a.{extension}"), SMALL)
    assert video.pixels is not None
    assert near(video.pixels[0].transpose(1, 2, 0), np.full((32, 32, 3), (200, 100, 50)), 3)


def huge_png(width: int, height: int) -> bytes:
    """The head of a PNG that unpacks to far more than it holds."""
    header = png_chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(bytes(1000))) + png_chunk(b"IEND", b"")


def huge_jpeg(path: Path, width: int, height: int, **options: bool) -> None:
    """A small JPEG that says it is large."""
    out = io.BytesIO()
    Image.fromarray(photo()).save(out, "JPEG", **options)
    data = bytearray(out.getvalue())
    place = data.index(b"\xff\xc2" if options else b"\xff\xc0")
    struct.pack_into(">HH", data, place + 5, height, width)
    path.write_bytes(data)


def test_a_bomb_costs_one_row(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(huge_png(20_000, 20_000))
    (tmp_path / "strip.png").write_bytes(huge_png(60_000, 100))
    Image.new("P", (1, 1)).save(tmp_path / "bomb.gif")
    data = bytearray((tmp_path / "bomb.gif").read_bytes())
    struct.pack_into("<HH", data, 6, 65535, 65535)
    (tmp_path / "bomb.gif").write_bytes(data)
    huge_jpeg(tmp_path / "progressive.jpg", 20_000, 20_000, progressive=True)
    webp = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + (16382).to_bytes(3, "little") * 2
    webp += b"VP8 " + struct.pack("<I", 10) + bytes(10)
    (tmp_path / "bomb.webp").write_bytes(b"RIFF" + struct.pack("<I", len(webp) + 4) + b"WEBP" + webp)
    messages = {
        "bomb.png": "20000 x 20000 pixels, more than the 67,108,864 that are read; make it smaller, or save it as JPEG",
        "strip.png": "has 60000 x 100 pixels, one side more than 500 times the other; crop it",
        "bomb.gif": r"has 65535 x 65535 pixels, more than .* read; make it smaller, or convert it to MP4",
        "progressive.jpg": r"has 20000 x 20000 pixels, more than the 201,326,592 .*, or save it as a baseline JPEG",
        "bomb.webp": "bomb.webp: has more than the 67,108,864 pixels that are read; make it smaller|cannot be decoded",
    }
    for name, message in messages.items():
        with pytest.raises(DecodeError, match=message):
            open_reader(tmp_path / name)


def test_a_large_jpeg_is_read_at_a_part_of_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(photo(400, 600)).save(tmp_path / "a.jpg", exif=_turned_right())
    for most, part in ((240_000, 1), (239_999, 2), (60_000, 2), (59_999, 4), (3_750, 8)):
        monkeypatch.setattr(picture_reader, "MAX_PIXELS", most)
        pixels = pixels_of(tmp_path / "a.jpg")
        assert pixels.shape == (600 // part, 400 // part, 3)
        assert near(pixels, np.rot90(photo(400 // part, 600 // part), -1), 3)
        info = open_reader(tmp_path / "a.jpg").info
        assert (info.width, info.height) == (400, 600)


def _turned_right() -> Image.Exif:
    exif = Image.Exif()
    exif[274] = 6
    return exif


@pytest.mark.parametrize("extension", ["jpg", "png", "bmp", "tiff", "gif"])
def test_a_photo_that_is_cut_off_is_used_and_counted(tmp_path: Path, extension: str) -> None:
    Image.fromarray(photo(120, 160)).save(tmp_path / f"a.{extension}")
    cut = videos.truncate(tmp_path / f"a.{extension}", tmp_path / "cut.jpg", 0.85)
    frames = read_frames(cut)
    assert (frames.requested, frames.decoded, frames.corrupt) == (8, 1, 1)
    rows = slice(60, 120) if extension == "bmp" else slice(0, 60)  # BMP begins below
    assert near(frames.pixels[0][rows], photo(120, 160)[rows], 8)
    video = decode_video(os.fspath(cut), SMALL)
    assert (video.decoded, video.corrupt) == (1, 1)
    cut = videos.truncate(tmp_path / f"a.{extension}", tmp_path / "short.jpg", 0.45)
    with pytest.raises(
        DecodeError, match=r"short.jpg: (is a .* picture that|none of 1 frames) .*; copy or download it again"
    ):
        decode_video(os.fspath(cut), SMALL)


def test_a_webp_that_is_cut_off_is_an_error(tmp_path: Path) -> None:
    Image.fromarray(photo()).save(tmp_path / "a.webp")
    with pytest.raises(
        DecodeError, match=r"is a WEBP picture that cannot be decoded \(.*\); copy or download it again"
    ):
        open_reader(videos.truncate(tmp_path / "a.webp", tmp_path / "cut.webp", 0.9))


def test_pillow_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.tiff").write_bytes(tiff(60, 40, bytes(7200), bits=8, samples=300))
    with pytest.raises(DecodeError, match="is a TIFF picture that cannot be decoded"):
        open_reader(tmp_path / "a.tiff")
    assert capfd.readouterr() == ("", "")


def test_a_forked_worker_imports_nothing_for_photos(tmp_path: Path) -> None:
    for extension in KINDS:
        Image.fromarray(photo()).save(tmp_path / f"a.{extension}")
    square = Image.new("RGBA", (8, 8), (200, 100, 50, 90))
    for extension in ("png", "webp"):
        square.save(tmp_path / f"b.{extension}", save_all=True, append_images=[square.rotate(45)], exif=_turned_right())
    code = (
        "import sys\nfrom olmv.video.workers.fork_server import _warm_up\n_warm_up(None)\nbefore = set(sys.modules)\n"
        "from olmv.video.decode import decode_video\n"
        "from olmv.video.transforms import Preprocess\n"
        "from olmv.video.options import DecodeOptions\n"
        "options = DecodeOptions(thumbnails=True)\n"
        "for path in sys.argv[1:]: decode_video(path, Preprocess(size=32), options)\n"
        "print(sorted(name for name in set(sys.modules) - before if name.startswith(('PIL', 'olmv'))))\n"
    )
    files = sorted(map(os.fspath, tmp_path.iterdir()))
    done = subprocess.run([sys.executable, "-c", code, *files], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_too_little_memory_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    image: Any = Image.new("RGB", (2, 2))

    def load() -> None:
        raise OSError("out of memory error when reading image file")

    monkeypatch.setattr(image, "load", load)
    with pytest.raises(MemoryError, match="out of memory"):
        picture_pixels.decode(image)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(sorted(KINDS)), place=st.floats(0, 1), noise=st.binary(max_size=12), share=st.floats(0.3, 1)
)
def test_damage_is_a_frame_or_a_decode_error(
    tmp_path: Path, kind: str, place: float, noise: bytes, share: float
) -> None:
    whole = io.BytesIO()
    Image.fromarray(photo(24, 32)).save(whole, KINDS[kind].upper())
    data = bytearray(whole.getvalue())
    start = 16 + int(place * max(len(data) - 40, 0))
    data[start : start + len(noise)] = noise
    (tmp_path / "a.jpg").write_bytes(data[: int(len(data) * share)])
    problem = ""
    try:
        reader = open_reader(tmp_path / "a.jpg")
        frames = reader.read([0])
        assert frames.decoded + frames.corrupt >= 1
        assert reader.info.num_frames == 1
    except (DecodeError, NotAVideoError) as error:
        problem = str(error)
    assert not problem or ("; " in problem and len(problem.splitlines()) == 1)
