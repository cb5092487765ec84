"""Bytes that are waited for."""

import os
import threading
import time
from pathlib import Path

import pytest

from olmv.watch import growing_bytes
from olmv.watch.growing_bytes import GrowingFile, PipeBytes, mp4_layout
from olmv.watch.sources import LostSourceError
from tests.support.videos import make_video


def growing(path: Path) -> GrowingFile:
    return GrowingFile(str(path), alive=lambda: None, rests=lambda: None)


def later(action: object, after_s: float = 0.15) -> threading.Timer:
    timer = threading.Timer(after_s, action)  # type: ignore[arg-type]
    timer.start()
    return timer


def test_a_file_is_read_as_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"")
    data = growing(path)
    later(lambda: path.open("ab").write(b"abcdef"))
    assert data.head(4) == b"abcd"
    assert data.read(100) == b"abcdef"
    data.close()


def test_a_file_that_rests_is_told_once_for_each_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing_bytes, "REST_S", 0.1)
    path = tmp_path / "a"
    path.write_bytes(b"")
    rests, alive = [], []
    data = GrowingFile(str(path), alive=lambda: alive.append(1), rests=lambda: rests.append(1))
    for _ in range(2):
        later(lambda: path.open("ab").write(b"x"), 0.4)
        assert data.read(1) == b"x"
    assert len(rests) == 2
    assert len(alive) > 4
    data.close()


@pytest.mark.parametrize("what", ["removed", "replaced", "cut"])
def test_a_file_that_is_not_the_same_any_more_is_lost(tmp_path: Path, what: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    data = growing(path)
    data.read(3)
    if what == "cut":
        os.truncate(path, 1)
    else:
        path.unlink()
    if what == "replaced":
        path.write_bytes(b"other")
    with pytest.raises(LostSourceError, match="removed" if what == "removed" else "replaced or cut"):
        data.read(1)
    data.close()


def test_a_pipe_ends_where_its_writer_does() -> None:
    reader, writer = os.pipe()
    alive: list[float] = []
    data = PipeBytes(reader, alive=lambda: alive.append(time.monotonic()))

    def write() -> None:
        os.write(writer, b"abc")
        os.close(writer)

    later(write, 0.7)
    assert data.read(2) == b"ab"
    assert data.read(2) == b"c"
    assert data.read(2) == b""
    assert data.count == 3
    assert alive
    os.close(reader)


def test_layouts_of_mp4(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.mp4", frames=10)
    fast = make_video(tmp_path / "fast.mp4", frames=10, container_options={"movflags": "faststart"})
    parts = make_video(tmp_path / "parts.mp4", frames=10, container_options={"movflags": "frag_keyframe+empty_moov"})
    assert [mp4_layout(str(path)) for path in (whole, fast, parts)] == ["whole", "whole", "fragmented"]
    cut = tmp_path / "cut.mp4"
    data = whole.read_bytes()
    for size in (0, 7, 40, len(data) // 2, len(data) - 1):
        cut.write_bytes(data[:size])
        assert mp4_layout(str(cut)) == "unfinished"
    cut.write_bytes(b"\0\0\0\x01mdat" + (2**62).to_bytes(8, "big") + b"x" * 50)
    assert mp4_layout(str(cut)) == "unfinished"
