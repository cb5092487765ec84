"""Who may ask: the token, the name that is asked for, and the site that a browser asks from."""

import json
import math
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from olmv.serve.guard.answers import RefusedRequestError
from olmv.serve.guard.headers import is_page_file
from olmv.serve.guard.session import COOKIE, Sessions, cookie_name

__all__ = ["SESSION_PATH", "AccessGuard"]

SESSION_PATH = "/v1/session"
_SESSION_BYTES = 8192
_OPEN = frozenset({"/healthz", "/readyz"})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_PORTS = {"http": 80, "https": 443}


class AccessGuard:
    """Lets through who may ask, and answers `POST /v1/session` itself.

    Without a token: the files of the page, `/healthz` and `/readyz`. All else needs it, where there is one, as
    `Authorization: Bearer TOKEN` or as the cookie that `POST /v1/session {"token": TOKEN}` sets.

    Args:
        app: what is guarded.
        token: that is asked for; None for none.
        hosts: names under which the service may be asked, of `allowed_hosts`; None for any.
    """

    def __init__(self, app: ASGIApp, token: str | None, hosts: Sequence[str] | None) -> None:
        self._app = app
        self._sessions = Sessions(token) if token is not None else None
        self._hosts = None if hosts is None else frozenset(host.strip("[]").lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; refusals are answered, never raised."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # nothing here speaks WebSocket
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        try:
            self._check_host(headers)
            self._check_site(scope, headers)
            if scope["path"] == SESSION_PATH and scope["method"] == "POST":
                answer = await self._open_session(scope, receive)
            else:
                self._check_token(scope, headers)
                await self._app(scope, receive, send)
                return
        except RefusedRequestError as refusal:
            answer = refusal.answer()
        await answer(scope, receive, send)

    def _check_host(self, headers: Headers) -> None:
        if self._hosts is None:
            return
        host = _parts(f"//{headers.get('host', '')}")
        name = (host.hostname or "").rstrip(".") if host is not None else ""
        if name not in self._hosts:
            raise RefusedRequestError(403, "it is not served under this name; ask for localhost")

    def _check_site(self, scope: Scope, headers: Headers) -> None:
        """Refuse what another site has the browser send."""
        is_reading = scope["method"] in _READING
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not (is_reading and _is_open(scope)):
            raise RefusedRequestError(403, "another site may not ask; open the page of this service")
        origin = headers.get("origin")
        if origin is not None and not is_reading and not _is_same_host(origin, headers.get("host", "")):
            raise RefusedRequestError(403, "another site may not ask; open the page of this service")

    def _check_token(self, scope: Scope, headers: Headers) -> None:
        sessions = self._sessions
        if sessions is None or _is_open(scope) or any(map(sessions.is_cookie, _cookies(headers))):
            return
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._is_right(sessions, token.strip().encode("latin-1")):
            return
        raise RefusedRequestError(
            401,
            "the token is missing or wrong; open the address that the service printed, or send it as a bearer token",
            headers={"WWW-Authenticate": "Bearer"},
        )

    async def _open_session(self, scope: Scope, receive: Receive) -> Response:
        body = await _small_body(receive)
        if self._sessions is None:
            return Response(status_code=HTTPStatus.NO_CONTENT)
        try:
            document = json.loads(body)
            token = document.get("token") if isinstance(document, dict) else None
        except (ValueError, RecursionError):
            token = None
        if not isinstance(token, str):
            raise RefusedRequestError(400, 'the token is asked for; send it as JSON: {"token": "..."}')
        if not self._is_right(self._sessions, token.encode("utf-8", "surrogatepass")):
            raise RefusedRequestError(401, "the token is wrong; take it from the address that the service printed")
        answer = Response(status_code=HTTPStatus.NO_CONTENT)
        answer.set_cookie(
            cookie_name(_port(scope)),
            self._sessions.cookie,
            path="/",
            httponly=True,
            samesite="strict",
            secure=scope.get("scheme") == "https",
        )
        return answer

    def _is_right(self, sessions: Sessions, token: bytes) -> bool:
        wait_s = math.ceil(sessions.wait_s())
        if wait_s:
            raise RefusedRequestError(
                429,
                f"too many wrong tokens; try again in {wait_s} s",
                headers={"Retry-After": str(wait_s)},
            )
        return sessions.is_token(token)


async def _small_body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise RefusedRequestError(400, "the request broke off; send it again")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > _SESSION_BYTES:
            raise RefusedRequestError(413, "the body is too large; send the token alone")
    return body


def _is_open(scope: Scope) -> bool:
    path = scope["path"]
    return scope["method"] in ("GET", "HEAD") and (path in _OPEN or is_page_file(path))


def _cookies(headers: Headers) -> Iterable[bytes]:
    """Yield the values of our cookies; there may be several, of other ports' services or set by another path."""
    for header in headers.getlist("cookie"):
        for pair in header.split(";"):
            name, _, value = pair.strip().partition("=")
            if name.startswith(COOKIE):
                yield value.strip('"').encode("latin-1")


def _parts(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address)
        _ = parts.port, parts.hostname
    except ValueError:
        return None
    return parts


def _port(scope: Scope) -> int:
    """Return the port that is asked, as the client names it."""
    asked = _parts(f"//{Headers(scope=scope).get('host', '')}")
    usual = _PORTS.get(scope.get("scheme", ""), _PORTS["http"])
    return usual if asked is None else asked.port or usual


def _is_same_host(origin: str, host: str) -> bool:
    """Tell whether an Origin names the Host that was asked; behind a proxy with TLS they differ in their scheme."""
    site, asked = _parts(origin), _parts(f"//{host}")
    if site is None or asked is None or site.scheme not in _PORTS or not site.hostname:
        return False
    usual = _PORTS[site.scheme]
    return (site.hostname, site.port or usual) == (asked.hostname, asked.port or usual)
