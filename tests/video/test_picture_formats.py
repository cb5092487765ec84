"""What is read as a photo, whatever its name, and what is refused by name."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from olmv.errors import NotAVideoError
from olmv.video.pictures.formats import picture_format
from olmv.video.readers.open import open_reader
from tests.support import videos
from tests.support.pictures import near, photo, pixels_of


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    Image.fromarray(photo()).save(tmp_path / "a.png")
    (tmp_path / "photo.mp4").write_bytes((tmp_path / "a.png").read_bytes())
    assert np.array_equal(pixels_of(tmp_path / "photo.mp4"), photo())
    video = videos.make_video(tmp_path / "v.mp4", frames=9).rename(tmp_path / "video.jpg")
    assert open_reader(video).info.codec == "h264"
    for name in ("m.avi", "m.mov"):
        video = videos.make_video(tmp_path / name, codec="mjpeg", pix_fmt="yuvj420p", frames=5)
        assert open_reader(video.rename(tmp_path / "m.jpg")).info.codec == "mjpeg"
    video = videos.make_video(tmp_path / "m.mjpeg", codec="mjpeg", pix_fmt="yuvj420p", frames=5)
    assert open_reader(video).info.num_frames == 5


def test_a_jpeg_with_a_second_view_is_a_photo(tmp_path: Path) -> None:
    first, second = Image.fromarray(photo()), Image.fromarray(255 - photo())
    first.save(tmp_path / "a.mpo", "MPO", save_all=True, append_images=[second])
    assert near(pixels_of(tmp_path / "a.mpo"), photo(), 4)


def test_what_is_no_photo_says_so(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not a photo\n")
    (tmp_path / "noise.jpg").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(NotAVideoError, match="is a text file, not a video or photo; check what it should be"):
        open_reader(tmp_path / "text.jpg")
    with pytest.raises(NotAVideoError, match=r"is not a video or photo that can be read \(.*\); open it in a viewer"):
        open_reader(tmp_path / "noise.jpg")
    with pytest.raises(NotAVideoError, match=r"is empty \(0 bytes\)"):
        open_reader(tmp_path / "empty.jpg")
    heads = {
        "a HEIC photo": b"\0\0\0\x18ftypheic\0\0\0\0",
        "an AVIF picture": b"\0\0\0\x18ftypavif\0\0\0\0",
        "a JPEG XL picture": b"\0\0\0\x0cJXL \r\n\x87\n",
        "a JPEG 2000 picture": b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ",
        "a camera's raw picture": b"II*\0\x10\0\0\0CR\2\0",
        "a Photoshop document": b"8BPS\0\1",
        r"an icon \(ICO\)": b"\0\0\1\0\1\0\x10\x10\0\0\1\0",
        "an SVG drawing": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg">',
        "a PDF document": b"%PDF-1.7",
        "a PostScript document": b"%!PS-Adobe-3.0 EPSF-3.0",
    }
    for what, head in heads.items():
        (tmp_path / "a.jpg").write_bytes(head + bytes(100))
        with pytest.raises(NotAVideoError, match=f"a.jpg: is {what}, which is not read; convert it to JPEG or PNG"):
            open_reader(tmp_path / "a.jpg")
    assert picture_format(tmp_path) is None
    assert picture_format(tmp_path / "gone.jpg") is None
