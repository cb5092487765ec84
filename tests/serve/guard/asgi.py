"""Asking an ASGI service without sockets, piece by piece."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STALL = b"\0stall"
"""As a piece: nothing comes any more."""
GONE = b"\0gone"
"""As a piece: the client goes away."""


@dataclass
class Reply:
    """What came back."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def error(self) -> dict[str, str]:
        """The error document."""
        document: dict[str, dict[str, str]] = json.loads(self.body)
        return document["error"]


def ask(
    app: ASGIApp,
    method: str = "GET",
    path: str = "/",
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    body: bytes | Iterable[bytes] = b"",
    *,
    raw_headers: Iterable[tuple[bytes, bytes]] = (),
    **more: Any,
) -> Reply:
    """Send one request; a list of pieces comes as it is, with no length told."""
    pieces = [body] if isinstance(body, bytes) else list(body)
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    if isinstance(body, bytes) and body and "content-length" not in {name.lower() for name, _ in pairs}:
        pairs.append(("content-length", str(len(body))))
    if not isinstance(body, bytes) and not {"content-length", "transfer-encoding"} & {n.lower() for n, _ in pairs}:
        pairs.append(("transfer-encoding", "chunked"))
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode("utf-8")) for name, value in pairs] + list(raw_headers),
        "client": ("127.0.0.1", 50000),
        **more,
    }
    reply = Reply()

    async def receive() -> Message:
        piece = pieces.pop(0) if pieces else GONE
        if piece == STALL:
            await asyncio.Event().wait()
        if piece == GONE:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            assert not reply.status, "two answers"
            reply.status = message["status"]
            reply.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        elif message["type"] == "http.response.body":
            reply.body += message.get("body", b"")

    asyncio.run(_run(app, scope, receive, send))
    return reply


async def _run(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """A service that tells what it was sent."""
    if scope["type"] != "http":
        return
    body = await Request(scope, receive).body()
    await JSONResponse({"path": scope["path"], "bytes": len(body)})(scope, receive, send)
