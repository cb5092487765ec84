"""How long a server is waited for, and how much of it is read."""

import gzip
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest

from olmv.errors import LLMUnavailableError
from olmv.llm.backends import bounded_http
from olmv.llm.types import Completion, Generation
from tests.llm.byte_server import MODELS, QUESTION, Answer, chat_at, complete, reply, server
from tests.support.llm_stub import answer

HEAD = b"HTTP/1.1 200 OK\r\n"
SLACK_S = 8.0
"""For threads and a busy machine; without a bound everything here takes far longer, or ends otherwise."""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < seconds


# --- one deadline for a whole answer


def drip(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.02)


def drip_headers(connection: socket.socket) -> None:
    connection.sendall(HEAD)
    while True:
        connection.sendall(b"X: y\r\n")
        time.sleep(0.02)


def stall(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Length: 10\r\n\r\n")
    time.sleep(60)


def say_nothing(connection: socket.socket) -> None:
    time.sleep(60)


def promise(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.02)


def break_late(connection: socket.socket) -> None:
    time.sleep(0.3)


def refuse_the_format(connection: socket.socket) -> None:
    time.sleep(0.3)
    connection.sendall(reply('{"error": {"message": "no temperature, top_p or seed"}}', status="400 Bad Request"))


def stretch(connection: socket.socket) -> None:
    """A chunk whose size never ends; none of it is kept."""
    connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;")
    while True:
        connection.sendall(b"x" * 65536)


@pytest.mark.parametrize(
    "post", [drip, drip_headers, stall, say_nothing, promise, break_late, refuse_the_format, stretch]
)
def test_one_deadline_for_a_whole_answer(post: Answer) -> None:
    with server(post) as here, at_most(0.5 + SLACK_S):
        assert complete(here.url, timeout_s=0.5).error == "no whole answer in 0.5 s"


@pytest.mark.parametrize("headers", [(), ("Retry-After: 60",)])
def test_the_deadline_holds_with_all_retries(headers: tuple[str, ...]) -> None:
    with server(reply("{}", *headers, status="503 Busy")) as here, at_most(1.5 + SLACK_S):
        assert complete(here.url, timeout_s=1.5).error == "no whole answer in 1.5 s; the server answered 503"
    posts = sum(line.startswith("POST") for line in here.lines)
    assert posts == 1 if headers else posts >= 2


# --- how much is read


class Endless:
    """Sends `lead` and then `part` for ever; `sent` counts the bytes that were taken."""

    def __init__(self, lead: bytes, part: bytes) -> None:
        self.lead, self.part, self.sent = lead, part, 0

    def __call__(self, connection: socket.socket) -> None:
        connection.settimeout(10)
        connection.sendall(self.lead)
        while True:
            connection.sendall(self.part)
            self.sent += len(self.part)


SPACES = b" " * 65536
CHUNK = b"10000\r\n" + SPACES + b"\r\n"
ENDLESS = {
    "body": (HEAD + b"\r\n", SPACES),
    "chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", CHUNK),
    "refusal": (b"HTTP/1.1 400 Bad\r\n\r\n", SPACES),
    "failure": (b"HTTP/1.1 500 Bad\r\n\r\n", SPACES),
    "headers": (HEAD, b"X: y\r\n" * 10_000),
    "one header": (HEAD + b"X: ", b"y" * 65536),
    "status line": (b"HTTP/1.1 200 ", b"K" * 65536),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_an_endless_answer_ends_at_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("olmv.llm.backends.openai.RETRIES", 0)
    endless = Endless(*ENDLESS[kind])
    with server(endless) as here, at_most(10):
        completion = complete(here.url)
    assert completion.finish_reason == "error"
    assert endless.sent < 2 * 3 * bounded_http.MAX_BYTES  # it is asked twice, and buffers of the system hold some


def test_the_refusal_of_too_much_says_so() -> None:
    with server(Endless(HEAD + b"\r\n", SPACES)) as here:
        assert "longer than 4 MiB" in str(complete(here.url).error)
    message = r"no server answers at .*longer than 4 MiB"
    with (
        server(b"", models=Endless(HEAD + b"\r\n", SPACES)) as here,
        closing(chat_at(here.url)) as chat,
        pytest.raises(LLMUnavailableError, match=message),
    ):
        chat.check()


def test_the_body_of_a_redirect_is_not_read() -> None:
    endless = Endless(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", SPACES)
    with server(endless) as here, pytest.raises(LLMUnavailableError, match="redirects"):
        complete(here.url)
    assert endless.sent < 2 * bounded_http.MAX_BYTES


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip"])
def test_a_bomb_is_not_unpacked(coding: str) -> None:
    bomb = gzip.compress(b" " * (8 * 2**20))
    assert len(bomb) < bounded_http.MAX_BYTES
    with server(reply(bomb, f"Content-Encoding: {coding}")) as here:
        assert "longer than 4 MiB" in str(complete(here.url).error)


def test_a_packed_answer_is_read() -> None:
    with server(reply(gzip.compress(json.dumps(answer("{}")).encode()), "Content-Encoding: gzip")) as here:
        assert complete(here.url) == Completion("{}", "stop", prompt_tokens=10, completion_tokens=5)


def test_an_unknown_packing_is_told() -> None:
    with server(reply(b"xx", "Content-Encoding: gzip, gzip")) as here:
        assert "packed as 'gzip, gzip'" in str(complete(here.url).error)


# --- a server that is not there


@contextmanager
def free_port() -> Iterator[int]:
    """A port where nothing listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextmanager
def port_that_swallows() -> Iterator[int]:
    """A port that answers no packet: more wait for it already than it takes."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            with suppress(BlockingIOError):
                client.connect(listening.getsockname())
        yield listening.getsockname()[1]
        for client in waiting:
            client.close()


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def told_at_once(url: str, message: str) -> bool:
    """Whether it is said within 3 s that a server is not there; once in two looks, for the machine may be busy."""
    for _ in range(2):
        with closing(chat_at(url)) as chat:
            begun = time.monotonic()
            with pytest.raises(LLMUnavailableError, match=rf"no server answers at {url} \({message}\); start it there"):
                chat.check()
            if time.monotonic() - begun < 3:
                return True
    return False


def test_a_server_that_is_not_there_is_told_within_three_seconds() -> None:
    with free_port() as port:
        assert told_at_once(f"http://127.0.0.1:{port}/v1", "connection refused")
    assert told_at_once("http://nowhere.invalid/v1", ".*")
    with port_that_swallows() as port:
        assert told_at_once(f"http://127.0.0.1:{port}/v1", "no connection in time")
    with silent_port() as port:
        assert told_at_once(f"https://127.0.0.1:{port}/v1", "no connection in time")


LOOKUP = """
import socket, time
def slow(*_, **__):
    time.sleep(30)
    raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
socket.getaddrinfo = slow
from contextlib import closing
from olmv.llm.backends.openai import OpenAIChat
from olmv.errors import LLMUnavailableError
chat = OpenAIChat("m@http://models.test/v1", name="m", options={})
print("begun", flush=True)
with closing(chat):
    try:
        chat.check()
    except LLMUnavailableError as failure:
        print(failure)
"""


def test_a_name_server_that_is_silent_holds_nothing_up() -> None:
    """The whole process, to its end: a thread that looks up a name cannot be stopped."""
    with subprocess.Popen([sys.executable, "-c", LOOKUP], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        with at_most(3 + SLACK_S):
            out, _ = process.communicate()
    assert "no server answers at http://models.test/v1 (no connection in time)" in out
    assert process.returncode == 0


@pytest.mark.parametrize("models", [say_nothing, drip, drip_headers])
def test_a_server_that_takes_connections_has_longer(models: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("olmv.llm.backends.openai.PATIENCE_S", 1)
    message = "it takes connections, and sends no whole answer in 1 s"
    with (
        server(b"", models=models) as here,
        closing(chat_at(here.url)) as chat,
        at_most(1 + SLACK_S),
        pytest.raises(LLMUnavailableError, match=message),
    ):
        chat.check()


def test_a_slow_list_of_models_is_waited_for() -> None:
    def after_four_seconds(connection: socket.socket) -> None:
        time.sleep(4)
        connection.sendall(MODELS)

    with server(b"", models=after_four_seconds) as here, closing(chat_at(here.url)) as chat:
        chat.check()
    assert here.lines == ["GET /v1/models HTTP/1.1"]


def test_a_server_that_is_away_for_a_moment_is_waited_for() -> None:
    with server(b"") as here, closing(chat_at(here.url)) as chat:
        chat.check()
        back = threading.Event()

        def come_back() -> None:
            time.sleep(0.7)
            with server(reply(json.dumps(answer("{}"))), port=here.port):
                back.wait(timeout=20)

        here.close()
        thread = threading.Thread(target=come_back)
        thread.start()
        [(_, completion)] = chat.complete([QUESTION], generation=Generation())
        back.set()
        thread.join()
    assert completion.text == "{}"


def test_a_server_that_stays_away_is_gone() -> None:
    with server(b"") as here, closing(chat_at(here.url, timeout_s=1)) as chat:
        chat.check()
        here.close()
        with (
            at_most(1 + SLACK_S),
            pytest.raises(LLMUnavailableError, match=r"no server answers .*\(connection refused\)"),
        ):
            list(chat.complete([QUESTION], generation=Generation()))
