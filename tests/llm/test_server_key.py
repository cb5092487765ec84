"""Where the key and the labels go: to the host that was named."""

import json
import re
import time
from contextlib import closing

import pytest

from olmv.errors import LLMUnavailableError, UsageError
from olmv.llm.backends.openai import OpenAIChat
from olmv.llm.types import Generation
from tests.llm.byte_server import MODELS, QUESTION, chat_at, complete, reply, server
from tests.support.llm_stub import answer

KEY = "sk-0123456789abcdef"
GOOD = reply(json.dumps(answer("{}")))


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_the_key_goes_to_the_host_that_was_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-admin-0123456789")
    with server(GOOD) as here:
        assert complete(here.url).text == "{}"
    assert here.lines == ["GET /v1/models HTTP/1.1", "POST /v1/chat/completions HTTP/1.1"]
    for head in here.heads:
        assert re.findall(rb"(?i)authorization: (.*?)\r\n", head) == [f"Bearer {KEY}".encode()]
        assert b"sk-admin" not in head


# --- redirects


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_redirect_takes_neither_key_nor_labels_along(status: str) -> None:
    with server(MODELS) as other:
        sent_on = reply("", f"Location: {other.url}/steal", status=status)
        with server(sent_on) as here, closing(chat_at(here.url)) as chat:
            assert chat.count_tokens([QUESTION]) is None
            with pytest.raises(LLMUnavailableError, match=r"redirects to .*neither key nor labels are sent there"):
                list(chat.complete([QUESTION], generation=Generation()))
        with (
            server(b"", models=sent_on) as here,
            closing(chat_at(here.url)) as chat,
            pytest.raises(LLMUnavailableError, match=r"redirects to .*name its URL"),
        ):
            chat.check()
    assert other.heads == []


def test_a_redirect_within_the_host_is_told_and_not_followed() -> None:
    sent_on = reply("", "Location: /v2/chat/completions", status="307 Temporary")
    with server(sent_on) as here, pytest.raises(LLMUnavailableError, match="redirects to '/v2/chat/completions'"):
        complete(here.url)
    assert [line for line in here.lines if "/v2/" in line] == []


# --- proxies


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(GOOD) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1"))
        assert complete("http://models.test/v1").text == "{}"
    assert proxy.lines[0] == "GET http://models.test/v1/models HTTP/1.1"


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_server_on_this_machine_is_not_asked_through_a_proxy(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with server(GOOD) as proxy, server(GOOD) as here:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1"))
        monkeypatch.setenv("ALL_PROXY", proxy.url.removesuffix("/v1"))
        assert complete(here.url.replace("127.0.0.1", name)).text == "{}"
    assert proxy.heads == []
    assert len(here.heads) == 2


# --- addresses


@pytest.mark.parametrize(
    "model",
    [
        "llama@127.0.0.1:8000/v1",
        "llama@localhost",
        "org/model@host",
        "m@HTTP://h/v1",
        "m@ftp://h",
        "m@//h",
        "m@",
        "m@h",
    ],
)
def test_an_address_without_a_scheme_never_means_the_public_endpoint(model: str) -> None:
    with pytest.raises(UsageError, match="has an @ and no URL after it; write the whole URL"):
        OpenAIChat(model, name=model, options={})


@pytest.mark.parametrize(
    "model", ["http://127.0.0.1:8000/v1", "127.0.0.1:8000/v1", "localhost:8000", "host/v1", "h:80/"]
)
def test_an_address_in_the_place_of_a_model_never_means_the_public_endpoint(model: str) -> None:
    with pytest.raises(UsageError, match="names a place and no model; write both"):
        OpenAIChat(model, name=model, options={})


@pytest.mark.parametrize("model", ["gpt-4o-mini", "ft:gpt-4o-mini-2024-07-18:org:name:AbCd1234", "o3"])
def test_a_model_of_the_hosted_service_needs_no_address(model: str) -> None:
    with closing(OpenAIChat(model, name=model, options={})) as chat:
        assert (chat.model, chat.url) == (model, "https://api.openai.com/v1")


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


# --- the wrong key


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_a_wrong_key_is_told_at_once(status: str) -> None:
    refusal = reply('{"error": {"message": "bad key"}}', status=status)
    begun = time.monotonic()
    with server(GOOD, models=refusal) as here, closing(chat_at(here.url)) as chat:
        with pytest.raises(LLMUnavailableError, match="refuses the key; set OPENAI_API_KEY to one that it takes"):
            list(chat.complete([QUESTION] * 9, generation=Generation()))
        assert here.lines == ["GET /v1/models HTTP/1.1"]
    with server(refusal) as here:
        chat = OpenAIChat(f"m@{here.url}", name="m", concurrency=2, options={})
        with closing(chat), pytest.raises(LLMUnavailableError, match="refuses the key"):
            list(chat.complete([QUESTION] * 9, generation=Generation()))
        assert 1 <= sum(line.startswith("POST") for line in here.lines) <= 2
    assert time.monotonic() - begun < 3


def test_a_missing_key_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    refusal = reply("", status="401 Unauthorized")
    with server(GOOD, models=refusal) as here, pytest.raises(LLMUnavailableError, match="wants a key; set OPENAI_"):
        complete(here.url)
    with pytest.raises(UsageError, match="the hosted service needs a key: set OPENAI_API_KEY, or name a server"):
        OpenAIChat("gpt-4o-mini", name="m", options={})


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
    with server(post) as here:
        completion = complete(here.url)
    assert KEY[:10] not in f"{completion.text} {completion.error}"
