"""Bodies that are too large, too slow, compressed, or of a kind that nobody reads."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import pytest
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from olmv.serve.guard.answers import RefusedRequestError, error_answer, error_type
from olmv.serve.guard.body import BodyGuard
from olmv.serve.guard.limits import Limits
from tests.serve.guard.asgi import GONE, STALL, Reply, ask, echo

LIMITS = Limits(json_bytes=1000, upload_bytes=5000, head_bytes=2000, idle_s=0.02, bytes_s=1.0)
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=x"}


def post(headers: dict[str, str], body: bytes | Iterable[bytes], limits: Limits = LIMITS) -> Reply:
    return ask(BodyGuard(echo, limits), "POST", "/v1/predict", headers, body)


def test_a_body_within_the_limits_passes() -> None:
    assert post(JSON, b"x" * 1000).status == 200
    assert post(FORM, b"x" * 5000).status == 200
    chunked = {**FORM, "Transfer-Encoding": "chunked", "Content-Encoding": "identity"}
    assert post(chunked, [b"x" * 2500, b"x" * 2500]).body.endswith(b'"bytes":5000}')
    assert post({}, b"").status == 200


@pytest.mark.parametrize(("headers", "most"), [(JSON, 1000), (FORM, 5000)])
def test_a_body_that_tells_its_size_is_refused_before_it_comes(headers: dict[str, str], most: int) -> None:
    reply = post({**headers, "Content-Length": str(most + 1)}, [GONE])
    assert (reply.status, reply.headers["connection"]) == (413, "close")
    assert reply.error == {"type": "too_large", "message": f"the body is larger than {most} bytes; send less at once"}
    assert post({**headers, "Content-Length": "9" * 40}, b"").status == 413


@pytest.mark.parametrize(("headers", "most"), [(JSON, 1000), (FORM, 5000)])
def test_a_body_that_does_not_is_counted(headers: dict[str, str], most: int) -> None:
    pieces = [b"x" * 300] * (most // 300) + [b"x" * 300, b"never seen", GONE]
    reply = post({**headers, "Transfer-Encoding": "chunked"}, pieces)
    assert (reply.status, reply.error["type"]) == (413, "too_large")


def test_sizes_are_told_in_megabytes() -> None:
    reply = post({**JSON, "Content-Length": str(2**30)}, [GONE], Limits())
    assert reply.error["message"] == "the body is larger than 8 MB; send less at once"


def test_rows_may_be_larger_than_other_json() -> None:
    def post_to(path: str, size: int) -> Reply:
        limits = Limits(json_bytes=1000, rows_bytes=3000)
        return ask(BodyGuard(echo, limits), "POST", path, JSON, b"x" * size)

    assert post_to("/v1/rows", 3000).status == 200
    assert post_to("/v1/rows", 3001).error["message"] == "the body is larger than 3000 bytes; send less at once"
    assert post_to("/v1/rows/", 1001).status == 413


def test_a_length_that_is_no_number_is_refused() -> None:
    for length in ("-1", "1e3", "", "٣"):
        reply = post({**JSON, "Content-Length": length}, [GONE])
        assert (reply.status, reply.error["message"]) == (
            400,
            "the length of the body is no number; send it right",
        )


def test_a_body_with_two_lengths_is_refused() -> None:
    reply = post({**JSON, "Content-Length": "1", "Transfer-Encoding": "chunked"}, [b"x"])
    assert (reply.status, reply.error["message"]) == (400, "the body has two lengths; send one")


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip", "deflate", "x"])
def test_compressed_bodies_are_refused(encoding: str) -> None:
    reply = post({**JSON, "Content-Encoding": encoding}, b"x")
    assert (reply.status, reply.error["message"]) == (415, "compressed bodies are not read; send it as it is")


@pytest.mark.parametrize(
    "kind", ["text/plain", "", "application/x-www-form-urlencoded", "application/jsonx", "video/mp4"]
)
def test_only_json_and_forms_are_read(kind: str) -> None:
    reply = post({"Content-Type": kind}, b"x")
    assert reply.status == 415
    assert reply.error["message"] == "the body is neither JSON nor a form with files; send one of them"


def test_silence_in_a_body_is_refused() -> None:
    reply = post({**JSON, "Content-Length": "10"}, [b"x", STALL])
    assert (reply.status, reply.headers["connection"]) == (408, "close")
    assert reply.error == {"type": "timeout", "message": "nothing came for 0.02 s; send it again"}


def test_a_body_that_drips_is_refused() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        async def drip() -> Message:
            await asyncio.sleep(0.002)
            return {"type": "http.request", "body": b"x", "more_body": True}

        await BodyGuard(echo, Limits(idle_s=0.4, bytes_s=1e6))(scope, drip, send)

    reply = ask(slow, "POST", "/v1/x", JSON, [b"x", b"x"])
    assert reply.status == 408
    assert reply.error["message"] == "it came with less than 1e+06 bytes a second; send it over a faster line"


def test_who_reads_slowly_is_not_the_client() -> None:
    async def slow_reader(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(4):
            await receive()
            await asyncio.sleep(0.004)
        await PlainTextResponse("read")(scope, receive, send)

    guard = BodyGuard(slow_reader, Limits(idle_s=0.003, bytes_s=1e9))
    assert ask(guard, "POST", "/v1/x", JSON, [b"x"] * 4).status == 200


def test_waiting_for_the_end_of_a_connection_takes_as_long_as_it_takes() -> None:
    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["more_body"] is False
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(receive(), 0.03)
        await PlainTextResponse("well")(scope, receive, send)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        pieces = [b"all"]

        async def once() -> Message:
            if not pieces:
                await asyncio.Event().wait()
            return {"type": "http.request", "body": pieces.pop(), "more_body": False}

        await BodyGuard(waits, LIMITS)(scope, once, send)

    assert ask(app, "POST", "/v1/x", JSON, b"all").body == b"well"


def test_a_client_that_goes_away_is_the_handlers_to_notice() -> None:
    with pytest.raises(ClientDisconnect):
        post(JSON, [b"x", GONE])


def test_long_heads_are_refused() -> None:
    guard = BodyGuard(echo, LIMITS)
    reply = ask(guard, "GET", "/" + "x" * 2000)
    assert (reply.status, reply.error["message"]) == (414, "the address is too long; send less in it")
    assert ask(guard, "GET", "/", query_string=b"q" * 2000).status == 414
    reply = ask(guard, "GET", "/", {f"X-{n}": "y" * 100 for n in range(20)})
    assert (reply.status, reply.error["message"]) == (431, "the headers are too long; send less in them")


class Question(BaseModel):
    text: str


def fast_api(*, has_middleware: bool) -> FastAPI:
    api = FastAPI()
    if has_middleware:

        @api.middleware("http")
        async def passes(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
            return await call_next(request)

    @api.post("/v1/x")
    async def x(question: Question) -> dict[str, str]:
        return {"text": question.text}

    return api


@pytest.mark.parametrize(
    ("pieces", "status"),
    [([b'{"text": "a"}'], 200), ([b'{"text": "' + b"a" * 900, b"b" * 900, b'"}'], 413), ([b'{"text":', STALL], 408)],
)
@pytest.mark.parametrize("has_middleware", [False, True])
def test_the_framework_does_not_make_another_answer_of_it(
    pieces: list[bytes], status: int, has_middleware: bool
) -> None:
    app = BodyGuard(fast_api(has_middleware=has_middleware), LIMITS)
    reply = ask(app, "POST", "/v1/x", {**JSON, "Transfer-Encoding": "chunked"}, pieces)
    assert reply.status == status
    if status != 200:
        assert reply.error["type"] in ("too_large", "timeout")


@pytest.mark.parametrize("swallows", [True, False])
def test_a_handler_that_goes_on_reading_gets_no_more(swallows: bool) -> None:
    async def stubborn(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(3):
            try:
                await receive()
            except RefusedRequestError:
                if not swallows:
                    raise
        await PlainTextResponse("all read")(scope, receive, send)

    reply = ask(BodyGuard(stubborn, LIMITS), "POST", "/v1/x", JSON, [b"x" * 900, b"x" * 900, b"x", b"x"])
    assert (reply.status, reply.error["type"]) == (413, "too_large")


def test_an_answer_that_had_begun_is_not_begun_again() -> None:
    async def hasty(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await receive())["more_body"]:
            pass

    with pytest.raises(RefusedRequestError, match="the body is larger than 1000 bytes"):
        ask(BodyGuard(hasty, LIMITS), "POST", "/v1/x", JSON, [b"x" * 900, b"x" * 900, b"x"])


def test_refusals_of_the_handler_pass_through() -> None:
    async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
        raise RefusedRequestError(409, "it is there already; choose another name")

    with pytest.raises(RefusedRequestError, match="it is there already; choose another name") as caught:
        ask(BodyGuard(refuses, LIMITS), "GET", "/v1/x")
    assert caught.value.kind == "conflict"


def test_an_error_has_one_form() -> None:
    answer = error_answer(503, "the queue is full; try again in 5 s", headers={"Retry-After": "5"})
    assert answer.body == b'{"error":{"type":"busy","message":"the queue is full; try again in 5 s"}}'
    assert answer.headers["retry-after"] == "5"
    own = RefusedRequestError(404, "no such job; list them", kind="no_such_job").answer()
    assert (own.status_code, own.body) == (404, b'{"error":{"type":"no_such_job","message":"no such job; list them"}}')
    assert (error_type(418), error_type(502)) == ("bad_request", "internal")
