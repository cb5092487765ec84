"""How much a client may send, in which form, and how slowly."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from olmv.serve.guard.answers import RefusedRequestError
from olmv.serve.guard.limits import DEFAULT_LIMITS, Limits

__all__ = ["BodyGuard"]

_ROWS = "/v1/rows"  # curves come to it, which are larger than what other routes are asked
_LINGER_S = 2.0
_LINGER_BYTES = 4 * 2**20


class BodyGuard:
    """Refuses a body that is too large, too slow, compressed or of a kind that nobody reads.

    What a handler has begun to read is refused in its midst: its `receive` raises `RefusedRequestError`, and the client
    gets that answer even where the handler makes another of it.

    Args:
        app: what is guarded.
        limits: of bytes and seconds.
    """

    def __init__(self, app: ASGIApp, limits: Limits = DEFAULT_LIMITS) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; refusals are answered, unless the answer had begun."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            most = _check_head(scope, self._limits)
        except RefusedRequestError as refusal:
            await _refuse(refusal, scope, receive, send)
            return
        body = _Body(receive, most, self._limits)
        answer = _Answer(send, body)
        try:
            await self._app(scope, body.receive, answer.send)
        except RefusedRequestError:
            if answer.begun or body.refusal is None:
                raise
        if body.refusal is not None and not answer.begun:
            await _refuse(body.refusal, scope, receive, send)


class _Body:
    """Counts what comes, and the seconds that were waited for it."""

    def __init__(self, receive: Receive, most: int, limits: Limits) -> None:
        self._receive, self._most, self._limits = receive, most, limits
        self._bytes = 0
        self._waited_s = 0.0
        self._is_whole = False
        self.refusal: RefusedRequestError | None = None

    async def receive(self) -> Message:
        if self._is_whole:  # only the end of the connection can come, which may take as long as it takes
            return await self._receive()
        if self.refusal is not None:
            raise self.refusal
        loop = asyncio.get_running_loop()
        begin = loop.time()
        try:
            async with asyncio.timeout(self._limits.idle_s):
                message = await self._receive()
        except TimeoutError:
            self.refusal = RefusedRequestError(
                408, f"nothing came for {self._limits.idle_s:g} s; send it again", headers={"Connection": "close"}
            )
            raise self.refusal from None
        # the time that a handler takes between two reads is not the client's
        self._waited_s += loop.time() - begin
        if message["type"] != "http.request":
            return message
        self._bytes += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        if self._bytes > self._most:
            self.refusal = _too_large(self._most)
        elif not self._is_whole and self._bytes < self._limits.bytes_s * (self._waited_s - self._limits.idle_s):
            self.refusal = RefusedRequestError(
                408,
                f"it came with less than {self._limits.bytes_s:g} bytes a second; send it over a faster line",
                headers={"Connection": "close"},
            )
        if self.refusal is not None:
            raise self.refusal
        return message


class _Answer:
    """Passes the handler's answer on, unless its body was refused before."""

    def __init__(self, send: Send, body: _Body) -> None:
        self._send, self._body = send, body
        self.begun = False

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if self._body.refusal is not None and not self.begun:
            return
        self.begun = True
        await self._send(message)


def _check_head(scope: Scope, limits: Limits) -> int:
    """Look at the headers of a request; return how many bytes its body may have.

    Raises:
        RefusedRequestError: too much, of the wrong kind, or compressed.
    """
    if len(scope.get("raw_path") or b"") + len(scope.get("query_string", b"")) > limits.head_bytes:
        raise RefusedRequestError(414, "the address is too long; send less in it", headers={"Connection": "close"})
    if sum(len(name) + len(value) for name, value in scope["headers"]) > limits.head_bytes:
        raise RefusedRequestError(431, "the headers are too long; send less in them", headers={"Connection": "close"})
    headers = Headers(scope=scope)
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise RefusedRequestError(400, "the length of the body is no number; send it right")
    if "content-length" in headers and "transfer-encoding" in headers:
        # a proxy in front may go by the other one, and take a part of this body for the next request
        raise RefusedRequestError(400, "the body has two lengths; send one", headers={"Connection": "close"})
    has_body = int(length[:20]) > 0 or "transfer-encoding" in headers
    if not has_body:
        return 0
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise RefusedRequestError(
            415, "compressed bodies are not read; send it as it is", headers={"Connection": "close"}
        )
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/json", "multipart/form-data"):
        raise RefusedRequestError(
            415, "the body is neither JSON nor a form with files; send one of them", headers={"Connection": "close"}
        )
    json_bytes = limits.rows_bytes if scope["path"] == _ROWS else limits.json_bytes
    most = json_bytes if kind == "application/json" else limits.upload_bytes
    if int(length[:20]) > most:
        raise _too_large(most)
    return most


def _too_large(most: int) -> RefusedRequestError:
    size = f"{most / 2**20:.0f} MB" if most >= 2**20 else f"{most} bytes"
    return RefusedRequestError(
        413, f"the body is larger than {size}; send less at once", headers={"Connection": "close"}
    )


async def _refuse(refusal: RefusedRequestError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer, and take in a little more of what is on its way, so that the client gets to read the answer.

    A connection that is closed while bytes come in is reset, and the answer may be lost.
    """
    answer = refusal.answer()
    await send({"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    # who asks first whether to send has sent nothing, and will not
    taken, more = 0, refusal.status_code != 408 and b"expect" not in dict(scope["headers"])
    try:
        async with asyncio.timeout(_LINGER_S):
            while more and taken < _LINGER_BYTES:
                message = await receive()
                taken += len(message.get("body", b""))
                more = message.get("more_body", False)
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b"", "more_body": False})
