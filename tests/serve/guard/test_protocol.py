"""Connections of real clients that take their time, on a real server with short limits."""

import asyncio
import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from olmv.serve.guard.limits import Limits
from olmv.serve.guard.protocol import GuardedProtocol, guarded_config
from tests.serve.guard.server import Client, error_of, running

PATIENT = Limits(head_s=60, idle_s=60, write_s=60, head_bytes=4096, json_bytes=100_000, connections=4)
HASTY = replace(PATIENT, head_s=0.1, idle_s=0.1, write_s=0.1)
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
gone = threading.Event()
waiting: set[bytes] = set()
numbers = itertools.count()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Read what comes, stream without end, wait, or answer at once."""
    if scope["type"] != "http":
        return
    path = scope["path"]
    if path == "/v1/endless":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await receive()
        hung_up = asyncio.ensure_future(receive())
        while not hung_up.done():
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            await asyncio.sleep(0)
        gone.set()
        return
    if path == "/v1/wait":
        assert (await receive())["type"] == "http.request"
        waiting.add(scope["query_string"])
        assert (await receive())["type"] == "http.disconnect"
        return
    if path == "/v1/hasty":
        await PlainTextResponse("no thanks")(scope, receive, send)
        return
    size = len(await Request(scope, receive).body())
    await JSONResponse({"bytes": size})(scope, receive, send)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running(app, PATIENT) as port:
        yield port


@pytest.fixture(scope="module")
def hasty() -> Iterator[int]:
    """The port of a server that does not wait."""
    with running(app, HASTY) as port:
        yield port


def test_requests_are_served_one_after_another(port: int) -> None:
    with Client(port) as client:
        for _ in range(3):
            client.send(GET)
            status, headers, body = client.read_answer()
            assert (status, body) == (200, b'{"bytes":0}')
            assert "server" not in headers
        client.send(POST + b"Content-Length: 5\r\n\r\n12345" + GET)  # the next one with it
        assert client.read_answer()[2] == b'{"bytes":5}'


def test_a_connection_that_asks_for_nothing_is_closed(hasty: int) -> None:
    with Client(hasty) as client:
        assert client.read() == b""


@pytest.mark.parametrize("begin", [b"G", GET[:-2], b"GET / HTTP/1.1\r\nHost: x\r\nX-A: "])
def test_a_head_that_does_not_come_is_refused(hasty: int, begin: bytes) -> None:
    with Client(hasty) as client:
        client.send(begin)
        answer = client.read()
    assert error_of(answer) == (408, "the head of the request did not come in time; send it at once")
    assert b"connection: close" in answer.lower()


def test_a_head_that_drips_is_refused(hasty: int) -> None:
    over = threading.Event()

    def drip(client: Client) -> None:
        try:
            while not over.wait(0.01):
                client.send(b"x")
        except OSError:
            pass

    for first in (b"", GET):  # also after a request that was served
        over.clear()
        with Client(hasty) as client:
            client.send(first)
            if first:
                client.read_answer()
            client.send(b"GET /?")
            thread = threading.Thread(target=drip, args=(client,))
            thread.start()
            answer = client.read()
            over.set()
            thread.join()
        assert not answer or error_of(answer)[0] == 408  # a reset may swallow it


@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        (b"hello\r\n\r\n", 400, "this is no HTTP request; send one"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", 400, "this is no HTTP request; send one"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "this is no HTTP request; send one"),
        (GET[:-2] + b"Host: y\r\n\r\n", 400, "this is no HTTP request; send one"),
        (POST + b"Content-Length: -1\r\n\r\n", 400, "this is no HTTP request; send one"),
        (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "this is no HTTP request; send one"),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n", 400, "this is no HTTP request; send one"),
        (b"GET /" + b"x" * 5000, 431, "the head of the request is too long; send less in it"),
        (GET[:-2] + b"X: " + b"y" * 5000, 431, "the head of the request is too long; send less in it"),
    ],
)
def test_what_is_no_request_is_refused(port: int, data: bytes, status: int, message: str) -> None:
    with Client(port) as client:
        client.send(data)
        assert error_of(client.read()) == (status, message)


PIECES = [
    b"GET",
    b"POST",
    b" ",
    b"/",
    b"/v1/x",
    b" HTTP/1.1",
    b" HTTP/1.0",
    b"\r\n",
    b"\n",
    b"Host: x",
    b"Content-Length: ",
    b"5",
    b"-1",
    b"Transfer-Encoding: chunked",
    b"Content-Type: application/json",
    b"Expect: 100-continue",
    b"Upgrade: h2c",
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b"\0",
    b"\xff",
    b"x" * 5000,
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=20), is_valid_first=st.booleans())
def test_whatever_is_sent_ends_and_harms_nobody(port: int, pieces: list[bytes], is_valid_first: bool) -> None:
    with Client(port) as client, suppress(OSError):
        client.send((GET if is_valid_first else b"") + b"".join(pieces))
        client.socket.shutdown(socket.SHUT_WR)
        answer = client.read()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 ")
    with Client(port) as client:
        client.send(GET)
        assert client.read_answer()[0] == 200


def test_a_long_head_that_comes_at_once_is_refused_too(port: int) -> None:
    with Client(port) as client:
        client.send(GET[:-2] + b"X: " + b"y" * 5000 + b"\r\n\r\n")
        assert client.read_answer()[0] == 431


def test_a_body_that_does_not_come_is_refused(hasty: int) -> None:
    with Client(hasty) as client:
        client.send(POST + b"Content-Length: 500\r\n\r\n{")
        assert error_of(client.read()) == (408, "nothing came for 0.1 s; send it again")


def test_a_body_that_is_too_large_is_refused_and_the_answer_arrives(port: int) -> None:
    url = f"http://127.0.0.1:{port}/v1/x"
    headers = {"Content-Type": "application/json"}
    told = httpx.post(url, content=b"x" * 3_000_000, headers=headers)
    untold = httpx.post(url, content=iter([b"x" * 50_000] * 60), headers=headers)
    for answer in (told, untold):
        assert (answer.status_code, answer.json()["error"]["type"]) == (413, "too_large")
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_who_asks_before_it_sends_is_told_not_to(port: int) -> None:
    with Client(port) as client:
        client.send(POST + b"Content-Length: 500000\r\nExpect: 100-continue\r\n\r\n")
        answer = client.read()
    assert (error_of(answer)[0], b"100 Continue" in answer) == (413, False)


def test_a_body_that_nobody_reads_does_not_hold_the_connection(hasty: int) -> None:
    with Client(hasty) as client:
        client.send(POST.replace(b"/v1/x", b"/v1/hasty") + b"Content-Length: 500\r\n\r\n{")
        assert client.read_answer()[2] == b"no thanks"
        assert client.read() == b""


def test_bad_chunks_end_the_request(port: int) -> None:
    with Client(port) as client:
        client.send(POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
        assert client.read() == b""


def hold(stack: ExitStack, port: int) -> Client:
    """Have a request wait for its answer; what an earlier test has let go may still be in its way."""
    for _ in range(50):
        client, name = stack.enter_context(Client(port)), str(next(numbers)).encode()
        client.send(b"GET /v1/wait?" + name + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        client.socket.settimeout(0.01)
        for _ in range(1000):
            if name in waiting:
                client.socket.settimeout(10)
                return client
            try:
                client.socket.recv(1)
            except TimeoutError:
                continue
            break  # it was refused
    raise AssertionError("no request comes through")


def test_too_many_connections_close_the_idle_ones_first(port: int) -> None:
    with ExitStack() as stack:
        busy = [hold(stack, port) for _ in range(2)]
        idle = [stack.enter_context(Client(port)) for _ in range(20)]
        assert idle[0].read() == b""
        last = stack.enter_context(Client(port))
        last.send(GET)
        assert last.read_answer()[0] == 200
        for client in busy:
            client.socket.settimeout(0.01)
            with pytest.raises(TimeoutError):
                client.socket.recv(1)


def test_where_all_are_busy_the_new_one_is_told(port: int) -> None:
    with ExitStack() as stack:
        for _ in range(4):
            hold(stack, port)
        client = stack.enter_context(Client(port))
        assert error_of(client.read()) == (503, "too many connections are open; try again in a while")


def test_a_client_that_does_not_read_is_hung_up(hasty: int) -> None:
    gone.clear()
    with Client(hasty) as client:
        client.send(b"GET /v1/endless HTTP/1.1\r\nHost: x\r\n\r\n")
        assert gone.wait(10)


def test_a_client_that_reads_again_is_given_time_again() -> None:
    async def run() -> None:
        config = guarded_config(app, host="127.0.0.1", port=0, limits=HASTY)
        config.load()
        kind: Any = config.http_protocol_class
        protocol = kind(config=config, server_state=ServerState(), app_state={})
        assert isinstance(protocol, GuardedProtocol)
        transport = Mock()
        transport.is_closing.return_value = False
        transport.get_extra_info.return_value = None
        protocol.connection_made(transport)
        protocol.pause_writing()
        protocol.resume_writing()
        protocol.data_received(b"GET /v1/wait HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(2 * HASTY.write_s)
        transport.abort.assert_not_called()
        protocol.pause_writing()
        await asyncio.sleep(2 * HASTY.write_s)
        transport.abort.assert_called_once()
        protocol.connection_lost(None)

    asyncio.run(run())
