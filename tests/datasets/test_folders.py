"""A folder's videos are found whatever they are called, and what is left out is counted."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from olmv.datasets.folders import Found, search, walk
from olmv.video.pictures.formats import PICTURE_EXTENSIONS
from olmv.video.readers.containers import FORMATS
from olmv.video.video_formats import AUDIO, VIDEO_EXTENSIONS, begins_as
from tests.support import videos

# name -> what `begins_as` calls it; each written by PyAV, so that it is what cameras and programs write
WRITTEN = {
    "a.mp4": "mov",
    "a.mov": "mov",
    "a.3gp": "mov",
    "a.mkv": "matroska",
    "a.avi": "avi",
    "a.ts": "mpegts",
    "a.m2ts": "mpegts",
    "a.flv": "flv",
    "a.wmv": "asf",
    "a.nut": "nut",
    "a.h264": "h264",
    "a.mxf": "mxf",
    "a.mpg": "mpeg",
    "a.m2v": "mpeg",
    "a.hevc": "hevc",
    "a.webm": "matroska",
    "a.ivf": "ivf",
    "a.y4m": "yuv4mpegpipe",
}
CODECS = {".wmv": "mpeg4", ".mpg": "mpeg2video", ".m2v": "mpeg2video", ".3gp": "mpeg4", ".hevc": "libx265"}
CODECS |= {".webm": "libvpx-vp9", ".ivf": "libvpx-vp9", ".y4m": "wrapped_avframe", ".mxf": "mpeg2video"}


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_a_video_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    codec = CODECS.get(Path(name).suffix, "libx264")
    path = videos.make_video(tmp_path / name, frames=3, codec=codec)
    assert begins_as(path.read_bytes()[:4096]) == WRITTEN[name]
    assert path.suffix in VIDEO_EXTENSIONS
    for other in ("GX010042", "a.mp4.part", "a.xyz"):
        path = path.rename(tmp_path / other)
        assert search([str(path)]).files == [str(path)]


@pytest.mark.parametrize("ending", [".m2v", ".qt", ".f4v", ".insv", ".m1v", ".rmvb", ".mod", ".lrv", ".y4m", ".dv"])
def test_known_endings_are_taken_unopened(ending: str) -> None:
    assert search(["gone" + ending, "gone" + ending.upper()]).left_out == 0


def test_the_account_says_how_many_and_why(tmp_path: Path) -> None:
    def write(name: str, content: bytes) -> None:
        (tmp_path / name).write_bytes(content)

    for name in ("1.json", "2.json", "3.txt", "4.mp3", "5.zip"):
        write(name, b"anything: not opened")
    write("README", b"# words")
    write("a.srt", b"1\n00:00:01,000 --> 00:00:02,000\nwords")
    write("voice", b"\0\0\0\x20ftypM4A \0\0\0\0")
    write("IMG_1.HEIC", b"\0\0\0\x18ftypheic" + b"\0" * 20)
    write("IMG_2", b"\0\0\0\x18ftypheic" + b"\0" * 20)
    write("empty.xyz", b"")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    Image.new("RGB", (8, 8)).save(tmp_path / "photo", "PNG")
    videos.make_video(tmp_path / "v.mp4", frames=2)
    found = search(walk(str(tmp_path)))
    assert [Path(path).name for path in found.files] == ["photo", "v.mp4"]
    assert found.left_out == 13
    assert found.account() == (
        "13 files left out: 10 no video or photo (3 without an ending, 2 .json, 1 .mp3, 1 .srt, 3 others), "
        "2 a HEIC photo (not read; convert to JPEG or PNG), 1 that cannot be opened (check the permissions)"
    )
    assert found.unread == {"a HEIC photo": 2}
    assert found.closed == 1


def test_one_file_is_one_file() -> None:
    found = search(["a.txt"])
    assert found == Found(others=found.others)
    assert found.account() == "1 file left out: 1 no video or photo (1 .txt)"


def test_the_lists_do_not_overlap_and_no_playlist_is_opened() -> None:
    assert not VIDEO_EXTENSIONS & PICTURE_EXTENSIONS
    assert not {"concat", "hls", "dash", "image2", "sdp"} & set(FORMATS.split(","))


@given(st.binary(max_size=4096))
def test_any_bytes_are_judged(head: bytes) -> None:
    assert begins_as(head) in {*WRITTEN.values(), AUDIO, "ogg", "rm", "dv", "wtv", None}


@given(st.text(max_size=400))
def test_text_is_no_video(text: str) -> None:
    assert begins_as(text.encode("utf-8", "replace")) in (None, "yuv4mpegpipe")
