"""Addresses that clients name: of the public internet only, at the very address that was looked at, within limits."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from olmv.serve.guard import download
from olmv.serve.guard.answers import RefusedRequestError
from olmv.serve.guard.download import fetch
from olmv.serve.guard.limits import Limits
from olmv.serve.guard.multipart import Upload
from olmv.serve.guard.private_folder import PrivateFolder
from tests.watch.servers import Answer, reply, serving

LIMITS = Limits(upload_bytes=10_000, idle_s=2.0, download_s=20.0)
PUBLIC = "93.184.215.14"


class Internet:
    """Names and their addresses; every connection goes to the server of the test."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {"videos.example": [PUBLIC]}
        self.asked: list[str] = []
        self.reached: list[tuple[str, int]] = []
        self.port = 0
        self.down: set[str] = set()

    def resolve(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return self.names[host] if host in self.names else RESOLVE(host, port)

    def open(self, address: str, port: int, timeout_s: float) -> socket.socket:
        self.reached.append((address, port))
        if address in self.down:
            raise ConnectionRefusedError(111, "Connection refused")
        return socket.create_connection(("127.0.0.1", self.port), timeout_s)


RESOLVE = download._resolve


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> Internet:
    internet = Internet()
    monkeypatch.setattr(download, "_resolve", internet.resolve)
    monkeypatch.setattr(download, "_open", internet.open)
    monkeypatch.setattr(download, "_same_address", lambda reached: False)
    return internet


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[PrivateFolder]:
    with PrivateFolder(tmp_path) as folder:
        yield folder
        assert [path.name for path in folder.path.iterdir() if path.name != ".lock"] == []


def get(
    internet: Internet, folder: PrivateFolder, answer: Answer, url: str = "http://videos.example/a.mp4", **limits: Any
) -> tuple[Upload, bytes]:
    with serving(answer) as server:
        internet.port = int(server.rpartition(":")[2])
        upload = fetch(url, folder, Limits(**{**vars(LIMITS), **limits}))
    data = upload.path.read_bytes()
    upload.path.unlink()
    return upload, data


def refuses(
    internet: Internet, folder: PrivateFolder, answer: Answer, status: int, message: str, url: str = "", **limits: Any
) -> None:
    with pytest.raises(RefusedRequestError, match=message) as caught:
        get(internet, folder, answer, url or "http://videos.example/a.mp4", **limits)
    assert caught.value.status_code == status


def never(handler: Any) -> None:
    raise AssertionError("it was asked")


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


def test_nothing_is_fetched_unless_it_is_allowed(folder: PrivateFolder) -> None:
    with pytest.raises(RefusedRequestError, match="no addresses are fetched here; send the file itself") as caught:
        fetch("http://videos.example/a.mp4", folder, None)
    assert caught.value.status_code == 403


BAD_ADDRESSES = [
    "file:///etc/passwd",
    "ftp://videos.example/a.mp4",
    "data:video/mp4;base64,AAAA",
    "gopher://videos.example/",
    "rtsp://videos.example/live",
    "//videos.example/a.mp4",
    "videos.example/a.mp4",
    "",
    "http://",
    "http:///a.mp4",
    "http://videos.example:99999/",
    "http://videos.example:0/",
    "http://[::1",
    "http://videos.example/a b",
    "http://videos.example/a\r\nX: y",
    "http://videos.example/\0",
    "http://videos.example/" + "x" * 5000,
]


@pytest.mark.parametrize("url", BAD_ADDRESSES)
def test_what_is_no_web_address_is_refused(internet: Internet, folder: PrivateFolder, url: str) -> None:
    with pytest.raises(
        RefusedRequestError, match="not fetched: it is no http or https address; name one of the"
    ) as caught:
        fetch(url, folder, LIMITS)
    assert caught.value.status_code == 403
    assert internet.reached == []


def test_logins_are_refused(internet: Internet, folder: PrivateFolder) -> None:
    for url in ("http://user:pass@videos.example/", "http://@videos.example/", "http://127.0.0.1@videos.example/"):
        refuses(internet, folder, never, 403, "not fetched: it has a login in it", url)


@pytest.mark.parametrize("port", [22, 25, 53, 445, 1023])
def test_ports_of_other_services_are_refused(internet: Internet, folder: PrivateFolder, port: int) -> None:
    refuses(internet, folder, never, 403, f"port {port} is not one of the web", f"http://videos.example:{port}/")


def redirect(target: str) -> Answer:
    return lambda handler: reply(handler, 302, Location=target)


PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "198.18.0.1",
    "192.0.2.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%1",
    "fc00::1",
    "fd12:3456::1",
    "fec0::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::1",
    "2002:a00:1::",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "5f00::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_refused(internet: Internet, folder: PrivateFolder, address: str) -> None:
    internet.names["inside.example"] = [address]
    internet.names["mixed.example"] = [PUBLIC, address]
    literal = f"[{address}]" if ":" in address else address
    message = "not fetched: it leads to a private address; name one of the public internet"
    for host in ("inside.example", "mixed.example", *([] if "%" in address else [literal])):
        with pytest.raises(RefusedRequestError, match=message):
            fetch(f"http://{host}/a.mp4", folder, LIMITS)
    assert internet.reached == []
    refuses(internet, folder, redirect("http://mixed.example:8080/"), 403, message)
    assert {address for address, _ in internet.reached} == {PUBLIC}


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "017700000001", "127.1", "localhost"])
def test_other_ways_to_write_this_machine_are_refused(folder: PrivateFolder, host: str) -> None:
    with pytest.raises(RefusedRequestError, match="it leads to a private address"):
        fetch(f"http://{host}/", folder, LIMITS)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:2800:21f::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
)
def test_public_addresses_are_reached(internet: Internet, folder: PrivateFolder, address: str) -> None:
    internet.names["videos.example"] = [address]
    get(internet, folder, lambda handler: reply(handler, 200, b"x"))
    assert internet.reached == [(address, 80)]


def test_a_name_is_resolved_once(internet: Internet, folder: PrivateFolder) -> None:
    def rebinds(handler: Any) -> None:
        internet.names["videos.example"] = ["127.0.0.1"]
        reply(handler, 200, b"x")

    get(internet, folder, rebinds)
    assert (internet.asked, internet.reached) == (["videos.example"], [(PUBLIC, 80)])


def test_this_machine_is_refused_by_its_public_address_too(
    internet: Internet, folder: PrivateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(download, "_resolve", internet.resolve)
    monkeypatch.setattr(download, "_open", internet.open)
    refuses(internet, folder, never, 403, "not fetched: it leads to this machine")


def test_other_addresses_of_a_name_are_tried(internet: Internet, folder: PrivateFolder) -> None:
    internet.names["videos.example"] = ["93.0.0.1", "93.0.0.2"]
    internet.down = {"93.0.0.1"}
    get(internet, folder, lambda handler: reply(handler, 200, b"x"))
    assert internet.reached == [("93.0.0.1", 80), ("93.0.0.2", 80)]
    internet.names["videos.example"] = [f"93.0.0.{number}" for number in range(9)]
    internet.down, internet.reached = set(internet.names["videos.example"]), []
    refuses(internet, folder, never, 422, "cannot be fetched: it cannot be reached; check it, or send the file itself")
    assert len(internet.reached) == 4


def test_names_that_are_none_cannot_be_reached(internet: Internet, folder: PrivateFolder) -> None:
    for host in ("nowhere.invalid", "x" * 70 + ".example", "a..b"):
        refuses(internet, folder, never, 422, "it cannot be reached", f"http://{host}/")


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


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://videos.example/", "data:,x", "http://[", "http://[x]/"]
)
def test_redirects_lead_to_the_web(internet: Internet, folder: PrivateFolder, target: str) -> None:
    refuses(internet, folder, redirect(target), 403, "no http or https address")


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
