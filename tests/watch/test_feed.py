"""Frames of live sources, through the decoding process."""

import io
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from olmv.errors import InputError
from olmv.video.transforms import Preprocess
from olmv.watch.feed import Feed, _Line, _Outage
from olmv.watch.reader import Frame, ReadTask
from olmv.watch.sources import parse_source
from tests.support.videos import make_video, number_of
from tests.watch.rtsp_server import rtsp_server
from tests.watch.servers import reply, serving

FAST = {"preset": "ultrafast", "tune": "zerolatency"}


def task(source: str, *, fps: float = 2.0, pictures: bool = False) -> ReadTask:
    return ReadTask(parse_source(source), Preprocess(size=96, resize_mode="squash"), fps, pictures, 2048)


class Watched:
    """A feed that is read for a while.

    Attributes:
        notes: what it said.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.feed = Feed(self.notes.append)

    def read(self, task: ReadTask, until: Callable[[list[Frame]], bool] = lambda _: False) -> list[Frame]:
        """Return the frames up to the end, or until so many are there."""
        frames: list[Frame] = []
        deadline = time.monotonic() + 40.0
        stream = self.feed.frames(task)
        for frame in stream:
            if frame is not None:
                frames.append(frame)
            if until(frames):
                break
            assert time.monotonic() < deadline, self.notes
        stream.close()  # type: ignore[attr-defined]
        return frames


@pytest.fixture
def watched() -> Iterator[Watched]:
    watched = Watched()
    yield watched
    watched.feed.close()


def numbers(frames: list[Frame]) -> list[int]:
    return [number_of(frame.pixels.transpose(1, 2, 0)) for frame in frames]


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


def test_a_file_over_http_ends(watched: Watched, tmp_path: Path) -> None:
    data = make_video(tmp_path / "a.ts", frames=50).read_bytes()
    with serving(lambda handler: reply(handler, 200, data)) as url:
        frames = watched.read(task(url + "/a.ts"))
    assert numbers(frames) == [0, 13, 25, 38]


def test_a_server_that_breaks_off_is_asked_again(watched: Watched, tmp_path: Path) -> None:
    data = make_video(tmp_path / "a.ts", frames=60, gop=10).read_bytes()
    asked = []

    def answer(handler: Any) -> None:
        asked.append(handler.path)
        if len(asked) == 2:
            reply(handler, 503)
            return
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(data)

    with serving(answer) as url:
        source = url.replace("//", "//me:secret@") + "/live"
        frames = watched.read(task(source), lambda frames: len(frames) == 8)
        assert watched.feed.reconnections == 1
    assert len(asked) == 3
    times = [frame.at_s for frame in frames]
    assert times == sorted(times)
    assert watched.notes[0] == f"{url}/live is not there (the stream ended); trying again until it is"
    assert watched.notes[1].startswith(f"{url}/live is there again, after ")
    assert len(watched.notes) == 2


def test_a_redirect_to_a_private_address_ends_the_watch(watched: Watched) -> None:
    with (
        serving(lambda handler: reply(handler, 302, Location="http://169.254.169.254/x")) as url,
        pytest.raises(InputError, match=r"/live: it leads to 169\.254\.169\.254, a private address"),
    ):
        watched.read(task(url + "/live"))


def test_a_playlist_is_followed_to_its_end(watched: Watched, tmp_path: Path) -> None:
    parts = [make_video(tmp_path / f"{n}.ts", frames=25, gop=25).read_bytes() for n in range(3)]
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", *(f"#EXTINF:1.0,\n/{n}.ts" for n in range(3)), "#EXT-X-ENDLIST", ""]

    def answer(handler: Any) -> None:
        name = handler.path[1:]
        reply(handler, 200, "\n".join(lines).encode() if name == "live.m3u8" else parts[int(name[0])])

    with serving(answer) as url:
        frames = watched.read(task(url + "/live.m3u8"))
    assert len(frames) >= 3
    assert numbers(frames)[0] == 0


@pytest.mark.parametrize("target", ["file:///etc/passwd", "http://169.254.169.254/x.ts", "/etc/passwd"])
def test_a_playlist_reaches_no_file_and_no_other_private_address(watched: Watched, target: str) -> None:
    asked = []
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", f"#EXTINF:1.0,\n{target}", "#EXT-X-ENDLIST", ""]

    def answer(handler: Any) -> None:
        asked.append(handler.path)
        reply(handler, 200 if handler.path == "/live.m3u8" else 404, "\n".join(lines).encode())

    def told(_: list[Frame]) -> bool:
        return bool(watched.notes)

    with serving(answer) as url:
        try:
            assert watched.read(task(url + "/live.m3u8"), told) == []
        except InputError as failure:
            assert "a private address" in str(failure) or "no frame" in str(failure)  # noqa: PT017
    assert set(asked) <= {"/live.m3u8", "/etc/passwd"}  # the last: asked of the server, a path of its own


def test_a_server_that_is_not_there_is_waited_for(watched: Watched, tmp_path: Path) -> None:
    data = make_video(tmp_path / "a.ts", frames=50).read_bytes()
    with serving(lambda handler: reply(handler, 200, data)) as url:
        pass
    stop = threading.Event()

    def begin() -> None:
        with serving(lambda handler: reply(handler, 200, data), port=int(url.rpartition(":")[2])):
            stop.wait(30.0)

    thread = threading.Thread(target=begin)

    def watch(_: list[Frame]) -> bool:
        if watched.notes and not thread.ident:
            thread.start()
        return False

    assert len(watched.read(task(url + "/live"), watch)) == 4
    assert "connection refused" in watched.notes[0]
    assert "is there again" in watched.notes[1]
    stop.set()
    thread.join()


def test_rtsp_that_sends_elsewhere_is_refused(watched: Watched) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            reached, _ = server.accept()
            reached.recv(4096)
            reached.sendall(b"RTSP/1.0 302 Moved\r\nCSeq: 1\r\nLocation: rtsp://10.0.0.1/x\r\n\r\n")
            reached.close()

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(
            InputError, match=r"/x: the server sends elsewhere \(RTSP/1\.0 302\), which is not followed"
        ):
            watched.read(task(f"rtsp://me:secret@127.0.0.1:{server.getsockname()[1]}/x"))


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


def test_a_live_source_is_not_made_to_wait(watched: Watched, tmp_path: Path) -> None:
    data = make_video(tmp_path / "a.ts", frames=150, gop=25, options=FAST).read_bytes()
    step = len(data) // 150

    def answer(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        for place in range(0, len(data), step):
            handler.wfile.write(data[place : place + step])
            time.sleep(0.04)

    with serving(answer) as url:
        frames = []
        for frame in watched.feed.frames(task(url, fps=10)):
            if frame is not None:
                frames.append(frame)
                time.sleep(0.7)  # scoring
                if len(frames) == 6:
                    break
    assert frames[-1].dropped > 5
    assert frames[-1].at_s - frames[-2].at_s > 0.5
    assert time.time() - frames[-1].time < 2.5


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


def test_rtsp_is_watched(watched: Watched, tmp_path: Path) -> None:
    data = make_video(tmp_path / "a.ts", frames=100, gop=25, options=FAST).read_bytes()
    with rtsp_server(data, seconds=4.0) as url:
        frames = watched.read(task(url.replace("//", "//me:secret@")), lambda frames: len(frames) == 6)
    assert watched.notes == []
    steps = [later.at_s - sooner.at_s for sooner, later in pairwise(frames)]
    assert steps == pytest.approx([0.5] * 5, abs=0.15)
    assert numbers(frames)[1] - numbers(frames)[0] in range(11, 15)
