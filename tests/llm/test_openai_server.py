"""Servers that answer oddly: each odd answer costs one label, and none reaches a file as it is."""

import re
import socket
from typing import Any

import pytest

from olmv.llm.answers import completion_of, first_json, strict_json
from olmv.llm.types import Completion
from tests.llm.byte_server import Answer, complete, reply, server
from tests.support.llm_stub import answer


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
    with server(post) as here:
        completion = complete(here.url)
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
