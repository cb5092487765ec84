"""Requests to a server of `olmv serve`: with its token, patient where it is busy, and with errors in one line."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from olmv import errors
from olmv.arguments import check_number
from olmv.errors import OlmvError, ServerError, UsageError, reason

__all__ = ["Transport", "Upload"]

RETRIES = 20
"""Of a request that the server has no room for."""
BREAKS = 3
"""Of a connection that breaks."""
LONGEST_S = 30.0
"""Between two of them, whatever the server says."""
_CONNECT_S = 10.0

Upload = tuple[str, Path]
"""A name, and the file that is sent under it."""


class Transport:
    """Sends requests, and reads what comes back. Safe to share between threads.

    Args:
        url: of the server, such as `http://127.0.0.1:8080`; the address of its page, too, whose token is taken.
        token: that the server asks for; None for none.
        timeout_s: seconds to wait for an answer.
        transport: what sends, in place of the network.

    Raises:
        UsageError: the address is none, or the token cannot be one.
    """

    def __init__(
        self, url: str, token: str | None, *, timeout_s: float, transport: httpx.BaseTransport | None = None
    ) -> None:
        address, _, fragment = url.strip().partition("#") if isinstance(url, str) else ("", "", "")
        try:
            urlsplit(address)  # the stricter of the two
            parsed = httpx.URL(address)
        except (ValueError, httpx.InvalidURL):
            parsed = httpx.URL("")
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise UsageError("the server's address is none; write it as http://127.0.0.1:8080", option="server")
        check_number("the time limit", timeout_s, what="seconds above 0", option="timeout")
        if not timeout_s > 0:
            raise UsageError(f"the time limit is {timeout_s:g} s; give seconds above 0", option="timeout")
        token = token or next(iter(parse_qs(fragment).get("token", [])), None)
        if token is not None and not (isinstance(token, str) and token.isascii() and token.isprintable()):
            raise UsageError("the token has characters that no token has; copy it again", option="token")
        self.shown = f"{parsed.scheme}://{parsed.netloc.decode('ascii').rpartition('@')[2]}"  # without a password
        self._http = httpx.Client(
            base_url=parsed,
            headers={} if token is None else {"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(timeout_s, connect=_CONNECT_S),
            transport=transport,
            trust_env=not _is_here(parsed.host),
        )

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def get(self, path: str, **params: str) -> dict[str, Any]:
        """Return the JSON document that lies there."""
        return self._document(lambda stack: self._http.build_request("GET", path, params=params))

    def delete(self, path: str) -> dict[str, Any]:
        """Give up what lies there; return the document that is answered."""
        return self._document(lambda stack: self._http.build_request("DELETE", path))

    def post(self, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """Send a document; return the one that is answered."""
        return self._document(lambda stack: self._http.build_request("POST", path, json=document))

    def upload(self, path: str, uploads: Sequence[Upload], options: Mapping[str, Any]) -> dict[str, Any]:
        """Send files, piece by piece from the disk, with options; return the document that is answered.

        Raises:
            ServerError: as all requests; OSError of a file that cannot be read.
        """
        data = {"options": json.dumps(options)}

        def build(stack: ExitStack) -> httpx.Request:
            files = [
                ("files", (name, stack.enter_context(file.open("rb")), "application/octet-stream"))
                for name, file in uploads
            ]
            return self._http.build_request("POST", path, data=data, files=files)

        return self._document(build)

    def read(self, path: str) -> bytes:
        """Return the bytes that lie there, such as a picture."""
        return self._answer(lambda stack: self._http.build_request("GET", path)).content

    @contextmanager
    def lines(self, path: str, *, after: int = 0) -> Iterator[Iterator[str]]:
        """Give the lines of an answer as they come.

        Raises:
            ServerError: the server is not there, or refuses.
            httpx.TransportError: the connection broke meanwhile.
        """
        self._check_open()
        headers = {"Last-Event-ID": str(after)} if after else {}
        with self._told(), self._http.stream("GET", path, headers=headers) as answer:
            if answer.is_error:
                answer.read()
                raise self._error(answer)
            yield answer.iter_lines()

    def _document(self, build: Callable[[ExitStack], httpx.Request]) -> dict[str, Any]:
        try:
            document = self._answer(build).json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            what = "no JSON" if document is None else "something else"
            raise ServerError(f"{self.shown} answers {what}; is it olmv serve?", option="server")
        return document

    def _answer(self, build: Callable[[ExitStack], httpx.Request]) -> httpx.Response:
        """Send a request until it is served, each time built anew: what it sends is read from its beginning."""
        self._check_open()
        busy = broken = 0
        while True:
            with ExitStack() as stack:
                request = build(stack)
                try:
                    with self._told():
                        answer = self._http.send(request)
                except httpx.TransportError as failure:
                    broken += 1
                    if broken > BREAKS:
                        raise ServerError(
                            f"the connection to {self.shown} breaks ({reason(failure)}); look at the server's log"
                        ) from None
                    time.sleep(min(0.5 * broken, LONGEST_S))
                    continue
            if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE and "Retry-After" in answer.headers:
                busy += 1
                if busy <= RETRIES:
                    time.sleep(_seconds(answer.headers["Retry-After"]))
                    continue
            if answer.is_error or answer.is_redirect:
                raise self._error(answer)
            return answer

    def _check_open(self) -> None:
        if self._http.is_closed:
            raise UsageError("this client is closed; make another olmv.Client")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell what a repetition would not mend."""
        try:
            yield
        except httpx.ConnectError as failure:
            raise ServerError(
                f"no server at {self.shown} ({reason(failure)}); start olmv serve there, or check the address",
                option="server",
            ) from None
        except httpx.TimeoutException:
            raise ServerError(f"{self.shown} does not answer in time; ask for less, or wait longer") from None

    def _error(self, answer: httpx.Response) -> OlmvError:
        """Return what the server refuses with: of the class that it names, where it is the caller's mistake."""
        try:
            detail = answer.json()["error"]
            name, message = str(detail["type"]), " ".join(str(detail["message"]).split())
        except (ValueError, KeyError, TypeError):
            status = f"{answer.status_code} {answer.reason_phrase}".strip()
            return ServerError(f"{self.shown} answers {status}; is it olmv serve?", option="server")
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            return ServerError(
                f"{self.shown} wants another token; take it from the address that olmv serve printed", option="token"
            )
        kind = UsageError if name == "invalid" else getattr(errors, name, None)
        if isinstance(kind, type) and issubclass(kind, UsageError):
            return kind(message)
        return ServerError(f"{self.shown}: {message}")


def _seconds(text: str) -> float:
    """Read how long to wait; a date, or nonsense, is a second."""
    return min(max(float(text), 0.1), LONGEST_S) if text.isascii() and text.isdigit() else 1.0


def _is_here(host: str) -> bool:
    """Tell whether a host is this machine, which no proxy stands before."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
