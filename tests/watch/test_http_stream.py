"""HTTP by hand: redirects, logins, and connections that break."""

import socket
from typing import Any

import pytest

from olmv.watch.http_stream import open_http, open_socket
from olmv.watch.sources import LostSourceError, RefusedSourceError
from tests.watch.servers import reply, serving


def read_all(url: str) -> bytes:
    body = open_http(url, named_host="127.0.0.1")
    data = b""
    while part := body.read(7):
        data += part
    body.close()
    return data


def test_a_body_is_read_in_pieces_and_known_to_be_whole() -> None:
    with serving(lambda handler: reply(handler, 200, b"abcdefghij", Content_Type="video/MP2T; x=1")) as url:
        body = open_http(url + "/live?x=1", named_host="127.0.0.1")
        assert (body.kind, body.name) == ("video/mp2t", url + "/live?x=1")
        assert body.read(4) == b"abcd"
        assert body.read(40) == b"efghij"
        assert not body.whole
        assert body.read(40) == b""
        assert body.whole


def test_a_body_that_breaks_off_is_not_whole() -> None:
    def answer(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"abc")

    with serving(answer) as url:
        body = open_http(url, named_host="127.0.0.1")
        assert body.read(40) == b"abc"
        assert body.read(40) == b""
        assert not body.whole


def test_a_redirect_on_the_host_that_was_named_is_followed() -> None:
    def answer(handler: Any) -> None:
        if handler.path == "/a":
            reply(handler, 302, Location="/b")
        else:
            reply(handler, 200, handler.path.encode())

    with serving(answer) as url:
        assert read_all(url + "/a") == b"/b"


@pytest.mark.parametrize("target", ["http://localhost:9/x", "http://[::1]:9/x", "http://169.254.169.254/latest"])
def test_a_redirect_to_another_private_address_is_refused(target: str) -> None:
    with (
        serving(lambda handler: reply(handler, 302, Location=target)) as url,
        pytest.raises(RefusedSourceError, match="a private address, which is not followed; name that address itself"),
    ):
        open_http(url, named_host="127.0.0.1")


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://127.0.0.1:0/", "http://:80/"])
def test_a_redirect_to_another_protocol_is_refused(target: str) -> None:
    with (
        serving(lambda handler: reply(handler, 307, Location=target)) as url,
        pytest.raises(RefusedSourceError, match="what is no http or https address"),
    ):
        open_http(url, named_host="127.0.0.1")


def test_redirects_in_a_circle_end() -> None:
    with (
        serving(lambda handler: reply(handler, 302, Location="/")) as url,
        pytest.raises(LostSourceError, match="more than 5 redirects"),
    ):
        open_http(url, named_host="127.0.0.1")


def test_a_login_goes_to_the_named_host_only(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def answer(handler: Any) -> None:
        seen.append((handler.path, handler.headers.get("Authorization")))
        port = handler.server.server_address[1]
        if handler.path == "/a":
            reply(handler, 302, Location=f"http://other.test:{port}/b")
        else:
            reply(handler, 200, b"x")

    real = open_socket
    monkeypatch.setattr(  # a name that is not private, as far as it is looked at
        "olmv.watch.http_stream.open_socket", lambda host, port, private: real("127.0.0.1", port, private=True)
    )
    with serving(answer) as url:
        open_http(url.replace("//", "//me:pass%20word@") + "/a", named_host="127.0.0.1").close()
    assert seen == [("/a", "Basic bWU6cGFzcyB3b3Jk"), ("/b", None)]


def test_errors_and_silence_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        serving(lambda handler: reply(handler, 503)) as url,
        pytest.raises(LostSourceError, match="the server answers 503"),
    ):
        open_http(url, named_host="127.0.0.1")
    with pytest.raises(LostSourceError, match="connection refused"):
        open_http(url, named_host="127.0.0.1")
    monkeypatch.setattr("olmv.watch.http_stream.SILENCE_S", 0.2)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(LostSourceError, match="no answer in time"),
    ):
        open_http(f"http://127.0.0.1:{server.getsockname()[1]}/", named_host="127.0.0.1")


def test_what_speaks_no_http_is_told() -> None:
    with (
        serving(lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH\r\n")) as url,
        pytest.raises(LostSourceError, match="the connection broke, or spoke no HTTP"),
    ):
        open_http(url, named_host="127.0.0.1")


def test_a_private_name_is_not_connected_to() -> None:
    with pytest.raises(RefusedSourceError, match="it leads to localhost, a private address"):
        open_socket("localhost", 9, private=False)
