"""Frames of live sources, through the decoding process."""

import io
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import av
import pytest

from olmv.errors import InputError
from olmv.watch.feed import _Line, _Outage
from olmv.watch.reader import Frame
from tests.support.videos import make_video
from tests.watch.feeds import FAST, Watched, numbers, task


@pytest.mark.parametrize("suffix", ["mp4", "ts", "mkv"])
def test_a_pipe_from_a_file_loses_no_frame(watched: Watched, tmp_path: Path, suffix: str) -> None:
    options = {"movflags": "frag_keyframe+empty_moov"} if suffix == "mp4" else {}
    path = make_video(tmp_path / f"a.{suffix}", frames=125, container_options=options)
    os.mkfifo(tmp_path / "pipe")

    def feed() -> None:
        with path.open("rb") as source, (tmp_path / "pipe").open("wb") as target:
            shutil.copyfileobj(source, target)

    threading.Thread(target=feed, daemon=True).start()
    slow: list[Frame] = []
    for frame in watched.feed.frames(task(str(tmp_path / "pipe"), pictures=True)):
        if frame is not None:
            time.sleep(0.05)
            slow.append(frame)
    assert [frame.at_s for frame in slow] == pytest.approx([0.0, 0.52, 1.0, 1.52, 2.0, 2.52, 3.0, 3.52, 4.0, 4.52])
    assert numbers(slow) == [0, 13, 25, 38, 50, 63, 75, 88, 100, 113]
    assert slow[-1].dropped == 0
    assert all(frame.picture is not None and frame.picture.startswith(b"\xff\xd8") for frame in slow)


@pytest.mark.parametrize(
    ("every_ms", "count", "times"),
    [(1000, 9, [0, 1, 2, 3, 4, 5]), (4, 500, [0.0, 0.5, 1.0, 1.5])],
    ids=["time-lapse", "250 fps"],
)
def test_slow_and_fast_sources_are_sampled_by_time(
    watched: Watched, tmp_path: Path, every_ms: int, count: int, times: list[float]
) -> None:
    path = make_video(tmp_path / "a.ts", frames=count, times=[i * every_ms for i in range(count)], options=FAST)
    frames = watched.read(task(str(path)), lambda frames: len(frames) == len(times))
    assert [frame.at_s for frame in frames] == pytest.approx(times, abs=0.01)


def test_a_finished_mp4_is_read_to_its_end(watched: Watched, tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=50)
    assert numbers(watched.read(task(str(path)))) == [0, 13, 25, 38]
    assert watched.notes == []


def test_a_file_that_begins_empty_and_grows_is_followed(watched: Watched, tmp_path: Path) -> None:
    data = make_video(tmp_path / "a.ts", frames=100).read_bytes()
    path = tmp_path / "growing.ts"
    path.touch()

    def grow() -> None:
        with path.open("ab", buffering=0) as file:
            for place in range(0, len(data), 20000):
                time.sleep(0.05)
                file.write(data[place : place + 20000])

    threading.Thread(target=grow, daemon=True).start()
    frames = watched.read(task(str(path)), lambda frames: len(frames) == 7)
    assert numbers(frames)[:3] == [0, 13, 25]
    assert all(time.time() - 30 < frame.time <= time.time() for frame in frames)


def test_joined_recordings_make_one_line(watched: Watched, tmp_path: Path) -> None:
    one = make_video(tmp_path / "a.ts", frames=50, gop=10).read_bytes()
    path = tmp_path / "joined.ts"
    path.write_bytes(one + one)
    frames = watched.read(task(str(path)), lambda frames: len(frames) >= 7)
    times = [frame.at_s for frame in frames]
    assert times == sorted(times)
    assert times[-1] < 4.5


def test_what_is_no_video_is_told(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "a.ts").write_bytes(b"hello, this is a text\n" * 100_000)
    with pytest.raises(InputError, match=r"is no video that can be read as it comes .*; record as MPEG-TS"):
        watched.read(task(str(tmp_path / "a.ts")))


def test_an_empty_pipe_is_told(watched: Watched, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    threading.Thread(target=lambda: (tmp_path / "pipe").open("wb").close(), daemon=True).start()
    with pytest.raises(InputError, match="nothing came; pipe a video into it"):
        watched.read(task(str(tmp_path / "pipe")))


def test_an_mp4_with_its_index_at_its_end_does_not_go_through_a_pipe(watched: Watched, tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=250, options={"qp": "1"})
    os.mkfifo(tmp_path / "pipe")

    def feed() -> None:
        with (tmp_path / "pipe").open("wb") as target:
            target.write(path.read_bytes())

    threading.Thread(target=feed, daemon=True).start()
    with pytest.raises(InputError, match="send MPEG-TS, Matroska or fragmented MP4"):
        watched.read(task(str(tmp_path / "pipe")))


@pytest.mark.slow
def test_a_stream_without_a_key_frame_is_told(watched: Watched, tmp_path: Path) -> None:
    path = tmp_path / "growing.ts"
    path.touch()
    chunks = without_key_frames(tmp_path)

    def grow() -> None:
        with path.open("ab", buffering=0) as file:
            for chunk in chunks:
                file.write(chunk)
                time.sleep(0.04)

    threading.Thread(target=grow, daemon=True).start()
    assert watched.read(task(str(path)), lambda _: bool(watched.notes)) == []
    assert watched.notes == ["the stream has sent no key frame for 5 s, so there is no picture yet; waiting"]


def without_key_frames(folder: Path) -> list[bytes]:
    """Return a transport stream, packet by packet, that begins behind its only key frame."""
    source = make_video(folder / "whole.ts", frames=300, gop=10_000, options={**FAST, "x264-params": "scenecut=0"})
    buffer = io.BytesIO()
    chunks = []
    with av.open(str(source)) as whole, av.open(buffer, "w", format="mpegts") as rest:
        stream = rest.add_stream_from_template(whole.streams.video[0])
        for number, packet in enumerate(whole.demux(video=0)):
            if packet.dts is not None and number > 4:
                packet.stream = stream
                rest.mux(packet)
                chunks.append(buffer.getvalue())
                buffer.seek(0)
                buffer.truncate()
    return chunks


def test_the_line_goes_on_over_a_break() -> None:
    line = _Line()
    pixels: Any = None
    assert line.place(Frame(1000.0, 0.0, 0, pixels, None)) == 0.0
    assert line.place(Frame(1002.0, 2.0, 0, pixels, None)) == 2.0
    line.breaks()
    assert line.place(Frame(1012.0, 0.0, 0, pixels, None)) == 12.0
    assert line.place(Frame(1012.5, 0.5, 0, pixels, None)) == 12.5


def test_tries_are_further_and_further_apart_up_to_a_limit() -> None:
    outage = _Outage()
    assert outage.begins()
    delays = [outage.delay_s()]
    for _ in range(1000):
        assert not outage.begins()
        delays.append(outage.delay_s())
    assert delays[:5] == [0.5, 1.0, 2.0, 4.0, 4.0]
    assert max(delays) == 4.0
    assert outage.ends() is not None
    assert outage.ends() is None
    assert outage.begins()
    assert outage.delay_s() == 0.5
