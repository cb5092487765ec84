"""Frames of live sources that come by HTTP, playlists and RTSP: breaks, waits and redirects."""

import socket
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from olmv.errors import InputError
from olmv.watch.reader import Frame
from tests.support.videos import make_video
from tests.watch.feeds import FAST, Watched, numbers, task
from tests.watch.rtsp_server import rtsp_server
from tests.watch.servers import reply, serving


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


def test_rtsp_is_watched(watched: Watched, tmp_path: Path) -> None:
    data = make_video(tmp_path / "a.ts", frames=100, gop=25, options=FAST).read_bytes()
    with rtsp_server(data, seconds=4.0) as url:
        frames = watched.read(task(url.replace("//", "//me:secret@")), lambda frames: len(frames) == 6)
    assert watched.notes == []
    steps = [later.at_s - sooner.at_s for sooner, later in pairwise(frames)]
    assert steps == pytest.approx([0.5] * 5, abs=0.15)
    assert numbers(frames)[1] - numbers(frames)[0] in range(11, 15)
