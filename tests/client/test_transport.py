"""What a client makes of servers that are not there, busy, broken or none of olmv's."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from olmv import Client, ServerError, UsageError, VocabularyError
from olmv.client.client import IN_FLIGHT
from olmv.client.transport import Transport
from olmv.predictions import FrameCounts, LabelPrediction, VideoPrediction

INFO = {"model": "tiny", "labels": [], "max_upload_mb": 2048, "news": "of a newer server"}
Handler = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited."""
    waited: list[float] = []
    for module in ("transport", "job"):
        monkeypatch.setattr(f"olmv.client.{module}.time", SimpleNamespace(sleep=waited.append))
    return waited


def row_of(video: str) -> dict[str, Any]:
    """A row as the server tells it."""
    label = LabelPrediction("dog", 0.3, 1.0, 0.7, 0.5, positive=True)
    return VideoPrediction(video, "ok", None, 2.0, FrameCounts(8, 8), "tiny", (label,)).to_row()


def client_of(*answers: Any, url: str = "http://server.test:8080", **options: Any) -> Client:
    """A client whose server gives these answers, the last one again and again."""
    left = list(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        request.read()
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            answer = answer(request)
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

    return Client(url, transport=httpx.MockTransport(handle), **options)


def refusal(status: int, kind: str, message: str, **headers: str) -> httpx.Response:
    document = {"error": {"type": kind, "message": message}}
    return httpx.Response(status, json=document, headers={name.replace("_", "-"): v for name, v in headers.items()})


@pytest.mark.parametrize(
    "url", ["server.test:8080", "ftp://server.test", "http://", "", "http://[", "http://a:b", None, 8080]
)
def test_an_address_that_is_none(url: Any) -> None:
    with pytest.raises(UsageError, match=r"the server's address is none; write it as http://127.0.0.1:8080"):
        Client(url)


def test_other_arguments_that_are_none() -> None:
    with pytest.raises(UsageError, match="the time limit is 0 s; give seconds above 0"):
        Client("http://a.test", timeout_s=0)
    with pytest.raises(UsageError, match="the token has characters that no token has; copy it again"):
        Client("http://a.test", "a\nb")


def test_the_token_goes_along_and_the_pages_address_has_it() -> None:
    seen: list[Any] = []

    def look(request: httpx.Request) -> httpx.Response:
        seen.append((request.url.path, request.headers.get("authorization")))
        return httpx.Response(200, json=INFO)

    client_of(look, token="secret").info()
    client_of(look, url="http://a.test/olmv/#token=from-the-page").info()
    client_of(look).info()
    assert seen == [
        ("/v1/labels", "Bearer secret"),
        ("/olmv/v1/labels", "Bearer from-the-page"),
        ("/v1/labels", None),
    ]


def test_a_proxy_of_the_environment_does_not_stand_before_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    for url in ("http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"):
        assert not Transport(url, None, timeout_s=1)._http._mounts
    assert Transport("http://server.test", None, timeout_s=1)._http._mounts


def test_a_server_that_is_busy_is_asked_again_when_it_says(waits: list[float]) -> None:
    busy = [refusal(503, "busy", "come again", Retry_After=after) for after in ("2", "600", "Mon, 1 Jan", "0")]
    assert client_of(*busy, INFO).info().model == "tiny"
    assert waits == [2.0, 30.0, 1.0, 0.1]
    waits.clear()
    with pytest.raises(ServerError, match=r"http://server.test:8080: come again later"):
        client_of(refusal(503, "busy", "come again later", Retry_After="1")).info()
    assert len(waits) == 20
    waits.clear()
    with pytest.raises(ServerError, match=r"http://server.test:8080: the disk is full"):
        client_of(refusal(503, "busy", "the disk is full")).info()  # it does not say when
    assert waits == []


def test_a_file_is_sent_from_its_beginning_each_time(tmp_path: Path, waits: list[float]) -> None:
    (tmp_path / "a.mp4").write_bytes(b"the whole file")
    bodies: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(request.read().partition(b"\r\n")[2])  # without the boundary
        if len(bodies) < 3:
            return refusal(503, "busy", "later", Retry_After="1")
        return httpx.Response(200, json={"predictions": [row_of("a.mp4")]})

    (row,) = client_of(INFO, answer).predict(tmp_path / "a.mp4", ["dog"])
    assert row.video == str(tmp_path / "a.mp4")
    assert len(bodies) == 3
    assert all(b"the whole file" in body and b'filename="a.mp4"' in body for body in bodies)
    assert b'{"labels": ["dog"], "attributes": {}, "thresholds": {}}' in bodies[0]
    assert str(tmp_path).encode() not in bodies[0]  # folders are nobody's business


def test_a_connection_that_breaks_is_tried_again_a_few_times(waits: list[float]) -> None:
    broken = httpx.ReadError("reset by peer")
    assert client_of(broken, broken, INFO).info().model == "tiny"
    with pytest.raises(ServerError, match=r"to http://server.test:8080 breaks \(reset by peer\); look at the server's"):
        client_of(broken).info()
    assert waits == [0.5, 1.0, 0.5, 1.0, 1.5]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            httpx.ConnectError("refused"),
            r"no server at http://server.test:8080 \(refused\); start olmv serve there, or",
        ),
        (httpx.ReadTimeout("slow"), "http://server.test:8080 does not answer in time; ask for less, or wait longer"),
        (httpx.Response(404, text="nginx"), "http://server.test:8080 answers 404 Not Found; is it olmv serve?"),
        (httpx.Response(200, text="<html>"), "http://server.test:8080 answers no JSON; is it olmv serve?"),
        (httpx.Response(302, headers={"Location": "/"}), "answers 302 Found; is it olmv serve?"),
        ({"labels": []}, "the server answers something else than olmv serve does; check its address and its version"),
        (refusal(500, "internal", "a fault\nof olmv"), "http://server.test:8080: a fault of olmv$"),
        (refusal(413, "too_large", "the body is too large; send less"), "8080: the body is too large; send less"),
        (refusal(403, "str", "no"), "8080: no$"),
    ],
)
def test_one_line_tells_what_is_wrong(answer: Any, message: str) -> None:
    with pytest.raises(ServerError, match=message):
        client_of(answer).info()
    health = client_of(answer).health()
    assert health.is_ready == isinstance(answer, dict)


def test_a_password_in_the_address_is_not_told() -> None:
    with pytest.raises(ServerError, match=r"no server at http://server.test ") as failure:
        client_of(httpx.ConnectError("refused"), url="http://me:secret@server.test").info()
    assert "secret" not in str(failure.value)


def test_what_the_caller_did_wrong_is_of_the_class_that_the_server_names() -> None:
    with pytest.raises(VocabularyError, match=r"^label 1 is empty; write it out$"):
        client_of(refusal(422, "VocabularyError", "label 1 is empty; write it out")).submit([b"a"], ["dog"])


@pytest.mark.parametrize(
    "row", [None, {}, {**row_of("a"), "labels": 3}, {**row_of("a"), "cells": {"starts_s": "", "labels": {"a": "§"}}}]
)
def test_a_row_that_is_none(row: Any) -> None:
    with pytest.raises(ServerError, match="something else than olmv serve does"):
        client_of({"predictions": [row]}).submit([b"a"], ["dog"])
    with pytest.raises(ServerError, match="something else than olmv serve does"):
        list(client_of(INFO, {"predictions": [row]}).predict([b"a"], ["dog"]))


def events(*blocks: tuple[int, str, Any]) -> httpx.Response:
    text = "".join(f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n" for number, kind, data in blocks)
    return httpx.Response(200, text=f": still here\n\nevent: noise\ndata: no json\n\n{text}")


def test_events_that_break_off_are_taken_up_where_they_were(waits: list[float]) -> None:
    first = {"place": 0, "prediction": row_of("a")}
    second = {"place": 1, "prediction": row_of("b")}
    asked: list[str | None] = []

    def rest(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers.get("last-event-id"))
        return events((3, "prediction", second), (4, "news", {"place": 1}), (5, "prediction", {"place": 9}),
                      (6, "end", {"status": "done"}))  # fmt: skip

    start = {"id": "x", "status": "queued", "url": "/v1/jobs/x"}
    job = client_of(start, events((2, "prediction", first)), httpx.ReadError("cut"), rest).submit([b"a", b"b"], ["dog"])
    assert [row.video for row in job.result()] == ["<bytes 0>", "<bytes 1>"]
    assert asked == ["2"]
    assert waits == [0.5, 1.0]
    job = client_of(start, events()).submit([b"a"], ["dog"])
    with pytest.raises(ServerError, match=r"the events of a job break off \(it ends early\); ask for its result"):
        job.result()
    job = client_of(start, refusal(404, "not_found", "there is no such job")).submit([b"a"], ["dog"])
    with pytest.raises(ServerError, match="8080: there is no such job"):
        job.result()


def test_what_waits_is_given_up_with_the_first_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    asked: list[str] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return refusal(500, "internal", "a fault")

    def many() -> Iterator[bytes]:
        for _ in range(100):
            yield b"a"

    with pytest.raises(ServerError, match="a fault"):
        list(client_of(INFO, refuse).predict(many(), ["dog"]))
    assert len(asked) <= 2 * IN_FLIGHT
    assert not [*tmp_path.iterdir()]  # no copies are left


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokn": "a"}, "no option 'tokn'; did you mean 'token'"),
        ({"token": 3}, "the token has characters that no token has; copy it again"),
        ({"timeout_s": "60"}, "the time limit is '60'; give seconds above 0"),
    ],
)
def test_a_client_is_made_wrongly(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Client("http://server.test", **options)


@pytest.mark.parametrize(
    "ask",
    [
        Client.info,
        Client.labels,
        lambda client: client.suggest("a"),
        lambda client: client.search("a"),
        lambda client: client.embed(["a"]),
        lambda client: client.submit([b"a"], ["dog"]),
        lambda client: list(client.predict([b"a"], ["dog"])),
    ],
)
def test_another_servers_documents(ask: Callable[[Client], Any]) -> None:
    with pytest.raises(ServerError, match=r"answers something else; is it olmv serve\?"):
        ask(client_of([1]))
    with pytest.raises(ServerError, match="the server answers something else than olmv serve does; check its address"):
        ask(client_of({"moments": 3, "embeddings": "x", "labels": [], "suggestions": None}))
