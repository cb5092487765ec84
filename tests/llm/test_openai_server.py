"""Servers that are wrong or hostile: where the key goes, how long and how much is read, odd answers."""

import contextlib
import gzip
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from olmv.errors import LLMUnavailableError, UsageError
from olmv.llm.answers import completion_of, first_json, strict_json
from olmv.llm.backends import bounded_http
from olmv.llm.backends.openai import OpenAIChat
from olmv.llm.types import Completion, Generation, Message
from tests.support.llm_stub import answer

KEY = "sk-0123456789abcdef"
QUESTION = [Message("user", "what?")]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def reply(body: bytes | str, *headers: str, status: str = "200 OK") -> bytes:
    """A whole HTTP response."""
    data = body.encode() if isinstance(body, str) else body
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", "Connection: close", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + data


MODELS = reply('{"object": "list", "data": [{"id": "m"}]}')
Answer = bytes | Callable[[socket.socket], None]


@contextmanager
def server(post: Answer, *, models: bytes = MODELS) -> Iterator[tuple[str, list[bytes]]]:
    """A server made of bytes: its URL, and what it was sent."""
    listening = socket.create_server(("127.0.0.1", 0))
    seen: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        with connection:
            request = b""
            while b"\r\n\r\n" not in request:
                chunk = connection.recv(65536)
                if not chunk:
                    return
                request += chunk
            head, _, body = request.partition(b"\r\n\r\n")
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            length = int(lengths[0].split(b":")[1]) if lengths else 0
            while len(body) < length:
                body += connection.recv(65536)
            seen.append(head)
            told = models if head.startswith(b"GET") else post
            with contextlib.suppress(OSError):  # the client may have had enough
                told(connection) if callable(told) else connection.sendall(told)

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1", seen
    finally:
        listening.close()


def chat_at(url: str, *, timeout_s: float = 20.0) -> OpenAIChat:
    return OpenAIChat(f"m@{url}", name="m", timeout_s=timeout_s, options={})


def complete(url: str, *, timeout_s: float = 20.0) -> Completion:
    with closing(chat_at(url, timeout_s=timeout_s)) as chat:
        [(_, completion)] = chat.complete([QUESTION], generation=Generation())
    return completion


# --- the key


@pytest.mark.parametrize("status", ["302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
def test_a_redirect_takes_neither_key_nor_labels_along(status: str) -> None:
    with server(MODELS) as (other, seen):
        sent_on = reply("", f"Location: {other}/steal", status=status)
        with server(sent_on) as (url, _), closing(chat_at(url)) as chat:
            assert chat.count_tokens([QUESTION]) is None
            with pytest.raises(LLMUnavailableError, match=r"redirects to .*neither key nor labels are sent there"):
                list(chat.complete([QUESTION], generation=Generation()))
        with (
            server(b"", models=sent_on) as (url, _),
            closing(chat_at(url)) as chat,
            pytest.raises(LLMUnavailableError, match=r"redirects to .*name its URL"),
        ):
            chat.check()
    assert seen == []


def test_the_key_goes_to_the_host_that_was_named() -> None:
    with server(reply(json.dumps(answer("{}")))) as (url, seen):
        assert complete(url).text == "{}"
    assert all(f"Bearer {KEY}".encode() in head for head in seen)


@pytest.mark.parametrize(
    "model", ["llama@127.0.0.1:8000/v1", "llama@localhost", "m@HTTP://h/v1", "m@ftp://h", "m@//h", "m@", "m@h"]
)
def test_an_address_without_a_scheme_never_means_the_public_endpoint(model: str) -> None:
    with pytest.raises(UsageError, match="has an @ and no URL after it; write the whole URL"):
        OpenAIChat(model, name=model, options={})


@pytest.mark.parametrize(
    "url",
    ["http://good\\@evil/v1", "http://a@b/v1", "http://@b/v1", "http://h/v1?key=x", "http://h/v1#x", "http:///v1"],
)
def test_an_odd_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match=r"is no URL|carries a key|is not openai:MODEL@URL"):
        OpenAIChat(f"m@{url}", name="m", options={})


def test_a_base_url_of_the_environment_is_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "127.0.0.1:8000/v1")
    with pytest.raises(UsageError, match="is not openai:MODEL@URL"):
        OpenAIChat("m", name="m", options={})


def test_a_key_that_is_no_header_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\r\nX: y")
    with pytest.raises(UsageError, match="OPENAI_API_KEY holds characters that no key has") as failure:
        OpenAIChat("m@http://h/v1", name="m", options={})
    assert KEY not in str(failure.value)


@pytest.mark.parametrize(
    "post",
    [
        reply(json.dumps({"error": {"message": f"bad {KEY}"}}), status="400 Bad Request"),
        reply(json.dumps({"error": {"message": "x" * 190 + KEY}}), status="400 Bad Request"),
        reply(json.dumps(answer(f'{{"a": "{KEY}"}}'))),
        reply(json.dumps(answer("", refusal=f"no, {KEY}"))),
    ],
)
def test_a_server_that_echoes_the_key_does_not_get_it_printed(post: bytes) -> None:
    with server(post) as (url, _):
        completion = complete(url)
    assert KEY[:10] not in f"{completion.text} {completion.error}"


# --- bounds


def drip(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.02)


def drip_headers(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X: y\r\n")
        time.sleep(0.02)


def endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b" " * 65536)


@pytest.mark.parametrize("post", [drip, drip_headers])
def test_one_deadline_for_a_whole_answer(post: Answer) -> None:
    with server(post) as (url, _):
        assert complete(url, timeout_s=0.3).error == "no whole answer in 0.3 s"


def test_an_endless_body_is_not_read() -> None:
    with server(endless) as (url, _):
        assert "longer than 4 MiB" in str(complete(url).error)


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip"])
def test_a_bomb_is_not_unpacked(coding: str) -> None:
    bomb = gzip.compress(b" " * (8 * 2**20))
    assert len(bomb) < bounded_http.MAX_BYTES
    with server(reply(bomb, f"Content-Encoding: {coding}")) as (url, _):
        assert "longer than 4 MiB" in str(complete(url).error)


def test_a_packed_answer_is_read() -> None:
    with server(reply(gzip.compress(json.dumps(answer("{}")).encode()), "Content-Encoding: gzip")) as (url, _):
        assert complete(url) == Completion("{}", "stop", prompt_tokens=10, completion_tokens=5)


def test_an_unknown_packing_is_told() -> None:
    with server(reply(b"xx", "Content-Encoding: gzip, gzip")) as (url, _):
        assert "packed as 'gzip, gzip'" in str(complete(url).error)


# --- odd answers cost one label


def cut_off(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")


@pytest.mark.parametrize(
    ("post", "message"),
    [
        (b"no HTTP at all\r\n\r\n", "spoke no HTTP"),
        (cut_off, "connection broke"),
        (b"", "connection broke"),
        (reply(b"\x1f\x8b\x08garbage", "Content-Encoding: gzip"), "connection broke or spoke no HTTP|breaks off"),
        (reply("[" * 100_000), "nested too deeply"),
        (reply('{"choices": Infinity}'), "Infinity is no JSON"),
        (reply("9" * 6000), "cannot be read"),
        (reply(b"\xff\xfe\xff"), "cannot be read"),
        (reply("null"), "cannot be read"),
        (reply('{"choices": null}'), "cannot be read"),
        (reply('{"choices": [{"message": {"content": 7}}]}'), "its content is no text"),
        (reply('{"choices": [{"message": {"content": [7]}}]}'), "cannot be read"),
        (reply("[" * 100_000, status="400 Bad Request"), "the server answered 400"),
    ],
)
def test_an_odd_answer_is_one_failed_completion(post: Answer, message: str) -> None:
    with server(post) as (url, _):
        completion = complete(url)
    assert completion.finish_reason == "error"
    assert re.search(message, completion.error or ""), completion.error


@pytest.mark.parametrize("count", [None, "7", float("inf"), -1, True, 10**30, [1], 1.5])
def test_counts_that_are_none_are_nought(count: Any) -> None:
    body = {**answer("{}"), "usage": {"prompt_tokens": count, "completion_tokens": count}}
    assert completion_of(body) == Completion("{}", "stop")
    assert completion_of({**body, "usage": count}) == Completion("{}", "stop")


def test_a_message_may_come_in_parts() -> None:
    body = answer("")
    body["choices"][0]["message"]["content"] = [
        {"type": "reasoning", "text": "hm"},
        {"type": "text", "text": '{"a"'},
        {"type": "text", "text": ": 1}"},
    ]
    assert completion_of(body).text == '{"a": 1}'


def test_half_a_character_does_not_reach_a_file() -> None:
    assert completion_of(answer("a\ud800b")).text.encode() == "a\ufffdb".encode()


@pytest.mark.parametrize(
    "text",
    [
        'first {"a": 0} </think> {"a": 1}',
        '<think>{"a": 0}</think>{"a": 1}',
        '<think>{"a": 0}</think>{"a": 1}<think>{"a": 2}',
        '{"a": 0}' + " " * 200_000 + '</think>{"a": 1}',
    ],
)
def test_a_draft_inside_the_thinking_is_not_the_answer(text: str) -> None:
    assert first_json(text) == {"a": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 0}</think>', "was empty"),
        ('<think>{"a": 0}', "was empty"),
        ('{"a": Infinity}', "was not valid JSON"),
        ('{"a":' * 50_000, "was not valid JSON"),
    ],
)
def test_what_is_no_answer_is_told(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        first_json(text)


def test_deep_json_is_one_error() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        strict_json("[" * 200_000)
