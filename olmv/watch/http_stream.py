"""HTTP by hand, so that every address is looked at before it is spoken to: redirects, names, and where they lead."""

import base64
import http.client
import socket
import ssl
from typing import Any
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from olmv.watch.sources import LostSourceError, RefusedSourceError, is_private

__all__ = ["HttpStream", "connect", "open_http", "open_socket", "request_headers", "request_target"]

CONNECT_S = 4.0
SILENCE_S = 10.0
"""Seconds without a byte, after which a connection counts as lost."""
_REDIRECTS = 5
_REDIRECT = (301, 302, 303, 307, 308)


class HttpStream:
    """The body of an answer, as a file that is read once.

    Attributes:
        name: its URL, after redirects; FFmpeg makes the addresses in a playlist absolute with it.
        kind: its content type, in lower case.
        has_length: it is a file of known length, not a live stream.
        whole: a file of known length was read to its end; a live stream never is.
    """

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse, url: str) -> None:
        self.name = url
        self.kind = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
        self.whole = False
        self._connection, self._response = connection, response
        self.has_length = response.length is not None

    def read(self, size: int = -1) -> bytes:
        """Return what has come, at most `size` bytes; nothing at the end.

        Raises:
            LostSourceError: the connection broke, or nothing comes.
        """
        try:
            data = self._response.read1(size if size > 0 else 65536)
        except (OSError, http.client.HTTPException) as failure:
            raise LostSourceError(_why(failure)) from None
        if not data:
            self.whole = self.has_length and not self._response.length
        return data

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def open_http(url: str, *, named_host: str) -> HttpStream:
    """Ask for a URL, and follow redirects, but never from elsewhere to a private address.

    Args:
        url: http or https, with or without a login, which goes to `named_host` only.
        named_host: the host that the user named, which may be a private one.

    Raises:
        LostSourceError: it does not answer, or with an error.
        RefusedSourceError: a redirect to a private address or another protocol.
    """
    asked = urlsplit(url)
    for _ in range(_REDIRECTS + 1):
        parts = _checked(url)
        host = parts.hostname or ""
        named = host == named_host
        connection = connect(parts, private=named, timeout_s=SILENCE_S)
        headers = {"Accept": "*/*", **request_headers(asked if named else parts)}
        try:
            connection.request("GET", request_target(parts), headers=headers)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as failure:
            connection.close()
            raise LostSourceError(_why(failure)) from None
        if response.status in (200, 206):
            return HttpStream(connection, response, _bare(parts))
        connection.close()
        if response.status not in _REDIRECT:
            raise LostSourceError(f"the server answers {response.status}")
        url = urljoin(_bare(parts), response.getheader("Location") or "")
    raise LostSourceError(f"more than {_REDIRECTS} redirects")


def connect(parts: SplitResult, *, private: bool, timeout_s: float) -> http.client.HTTPConnection:
    """Connect to the host of a URL, at an address that was looked at.

    Args:
        parts: of an http or https URL.
        private: private addresses may be spoken to.
        timeout_s: without a byte.

    Raises:
        LostSourceError: the name or the host does not answer.
        RefusedSourceError: the name leads to a private address.
    """
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    reached = open_socket(host, port, private=private)
    reached.settimeout(timeout_s)
    try:
        if secure:
            reached = ssl.create_default_context().wrap_socket(reached, server_hostname=host)
    except OSError as failure:
        reached.close()
        raise LostSourceError(_why(failure)) from None
    kind: Any = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection: http.client.HTTPConnection = kind(host, port, timeout=timeout_s)
    connection.sock = reached
    return connection


def open_socket(host: str, port: int, *, private: bool) -> socket.socket:
    """Resolve a name once, look at its addresses, and connect to the first that answers; raises as `connect`."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as failure:
        raise LostSourceError(_why(failure)) from None
    if not private and any(is_private(str(address[4][0])) for address in addresses):
        raise RefusedSourceError(
            f"it leads to {host[:100]}, a private address, which is not followed; name that address itself"
        )
    reason = "no address"
    for address in dict.fromkeys(str(entry[4][0]) for entry in addresses):
        try:
            return socket.create_connection((address, port), CONNECT_S)
        except OSError as failure:
            reason = _why(failure)
    raise LostSourceError(reason)


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        port, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise RefusedSourceError("it leads to what is no http or https address, which is not followed; name the stream")
    return parts


def _bare(parts: SplitResult) -> str:
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()


def request_target(parts: SplitResult) -> str:
    """Return what follows the method in a request for this URL."""
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def request_headers(parts: SplitResult) -> dict[str, str]:
    """Return who asks, and the URL's login as basic authentication, if it has one."""
    headers = {"User-Agent": "olmv"}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    return headers


def _why(failure: BaseException) -> str:
    if isinstance(failure, TimeoutError):
        return "no answer in time"
    if isinstance(failure, http.client.HTTPException):
        return "the connection broke, or spoke no HTTP"
    return str(getattr(failure, "strerror", None) or failure).lower()[:200] or type(failure).__name__
