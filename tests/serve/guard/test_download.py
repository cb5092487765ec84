"""Fetching what a client names: redirects, limits of size and time, and what servers do wrong."""

import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from olmv.serve.guard.answers import RefusedRequestError
from olmv.serve.guard.download import fetch
from olmv.serve.guard.limits import Limits
from olmv.serve.guard.private_folder import PrivateFolder
from tests.serve.guard.internet import LIMITS, PUBLIC, Internet, get, redirect, refuses
from tests.watch.servers import Answer, reply, serving


def test_a_file_is_fetched(internet: Internet, folder: PrivateFolder) -> None:
    heads: list[Any] = []

    def answer(handler: Any) -> None:
        heads.append((handler.path, dict(handler.headers)))
        reply(handler, 200, b"video" * 100, Content_Type="text/html")

    upload, data = get(internet, folder, answer, "http://videos.example/x/a%20clip.mp4?k=1#part")
    assert (upload.name, upload.size, data) == ("a clip.mp4", 500, b"video" * 100)
    path, headers = heads[0]
    assert path == "/x/a%20clip.mp4?k=1"
    assert headers == {
        "Host": "videos.example",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "User-Agent": "olmv",
    }
    assert (internet.asked, internet.reached) == (["videos.example"], [(PUBLIC, 80)])


def test_redirects_are_followed(internet: Internet, folder: PrivateFolder) -> None:
    internet.names["cdn.example"] = ["93.0.0.9"]

    def answer(handler: Any) -> None:
        if handler.path == "/a.mp4":
            reply(handler, 302, Location="../b.mp4")
        elif handler.path == "/b.mp4":
            reply(handler, 308, Location="http://cdn.example:8081/c.mp4")
        else:
            reply(handler, 200, b"there")

    upload, data = get(internet, folder, answer)
    assert (upload.name, data) == ("c.mp4", b"there")
    assert internet.reached == [(PUBLIC, 80), (PUBLIC, 80), ("93.0.0.9", 8081)]


def test_redirects_in_a_circle_end(internet: Internet, folder: PrivateFolder) -> None:
    refuses(internet, folder, redirect("/"), 422, "redirected more than 5 times")
    assert len(internet.reached) == 6


@pytest.mark.parametrize("status", [204, 206, 302, 404, 500])
def test_other_answers_are_told(internet: Internet, folder: PrivateFolder, status: int) -> None:
    refuses(internet, folder, lambda handler: reply(handler, status, b"secret"), 422, f"the server answers {status};")


def test_a_file_that_is_too_large_is_refused(internet: Internet, folder: PrivateFolder) -> None:
    def untold(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b"x" * 1000)

    message = "the file is larger than 0 MB; name a smaller one"
    refuses(internet, folder, lambda handler: reply(handler, 200, b"x" * 10_001), 413, message)
    refuses(internet, folder, untold, 413, message)
    assert get(internet, folder, lambda handler: reply(handler, 200, b"x" * 10_000))[0].size == 10_000


def test_compressed_answers_are_refused(internet: Internet, folder: PrivateFolder) -> None:
    refuses(
        internet,
        folder,
        lambda handler: reply(handler, 200, b"x", Content_Encoding="gzip"),
        422,
        "the server compresses it, though it was not asked to",
    )


def test_a_file_that_breaks_off_is_refused(internet: Internet, folder: PrivateFolder) -> None:
    def breaks(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"abc")

    def breaks_chunked(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"a\r\nabc")

    refuses(internet, folder, breaks, 422, "it breaks off before its end")
    refuses(internet, folder, breaks_chunked, 422, "the connection broke, or spoke no HTTP")


def test_what_speaks_no_http_is_told(internet: Internet, folder: PrivateFolder) -> None:
    refuses(internet, folder, lambda handler: handler.wfile.write(b"SSH-2.0\r\n"), 422, "spoke no HTTP")
    refuses(internet, folder, lambda handler: None, 422, "spoke no HTTP")


def waiting(begin: bytes, drip: bytes, over: threading.Event) -> Answer:
    def answer(handler: Any) -> None:
        handler.wfile.write(begin)
        handler.wfile.flush()
        while not over.wait(0.005):
            handler.wfile.write(drip)
            handler.wfile.flush()

    return answer


@pytest.mark.parametrize(
    ("begin", "drip", "limits", "message"),
    [
        (b"", b"", {"idle_s": 0.05}, "it does not answer in time"),
        (b"HTTP/1.1 200 OK\r\n\r\nabc", b"", {"idle_s": 0.05}, "it does not answer in time"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y", {"download_s": 0.1}, "it takes longer than 0.1 s"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", {"download_s": 0.1}, "it takes longer than 0.1 s"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"y", {"download_s": 0.1}, "it takes longer than 0.1 s"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"y", {"idle_s": 0.3, "bytes_s": 1e6}, "with less than 1e\\+06 bytes a second"),
    ],
)
def test_a_server_that_takes_its_time_is_hung_up(
    internet: Internet, folder: PrivateFolder, begin: bytes, drip: bytes, limits: dict[str, float], message: str
) -> None:
    over = threading.Event()
    with serving(waiting(begin, drip, over)) as server:
        internet.port = int(server.rpartition(":")[2])
        try:
            with pytest.raises(RefusedRequestError, match=message) as caught:
                fetch("http://videos.example/a.mp4", folder, Limits(**{**vars(LIMITS), **limits}))
        finally:
            over.set()
    assert caught.value.status_code == 422


def test_tls_is_checked(internet: Internet, folder: PrivateFolder) -> None:
    refuses(
        internet,
        folder,
        lambda handler: handler.wfile.write(b"HTTP/1.1 400 Bad\r\n\r\n"),
        422,
        "it has no certificate that can be trusted",
        "https://videos.example/",
    )
    assert internet.reached == [(PUBLIC, 443)]


def test_a_handshake_that_never_ends_is_hung_up(internet: Internet, folder: PrivateFolder) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        internet.port = listener.getsockname()[1]
        with pytest.raises(RefusedRequestError, match=r"it takes longer than 0\.1 s"):
            fetch("https://videos.example/", folder, Limits(download_s=0.1, idle_s=5.0))


def test_a_full_disk_is_told(internet: Internet, folder: PrivateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    monkeypatch.setattr(PrivateFolder, "room_bytes", lambda self: 99)
    refuses(internet, folder, lambda handler: reply(handler, 200, b"x" * 100), 507, "the disk of this service is full")
    monkeypatch.setattr(PrivateFolder, "room_bytes", lambda self: 10**9)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        refuses(internet, folder, lambda handler: reply(handler, 200, b"x" * 5000), 507, "this service is full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_folder_that_is_gone_is_told(internet: Internet, tmp_path: Path) -> None:
    gone = PrivateFolder(tmp_path)
    gone.path.joinpath(".lock").unlink()
    gone.path.rmdir()
    refuses(internet, gone, lambda handler: reply(handler, 200, b"x"), 500, "the file cannot be stored here")
