"""Videos that clients name by an address: from the public internet only, and no more than is allowed.

A name is resolved once, every address that it has is looked at, and the connection goes to one of those very addresses:
a name that leads elsewhere a moment later gains nothing. The same is done for every redirect.
"""

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import SplitResult, unquote, urljoin

from olmv.errors import UsageError
from olmv.serve.guard.answers import RefusedRequestError
from olmv.serve.guard.limits import Limits
from olmv.serve.guard.multipart import Upload, display_name
from olmv.serve.guard.private_folder import PrivateFile, PrivateFolder
from olmv.serve.guard.uploads import check_room, disk_refusal
from olmv.watch.http_stream import request_headers, request_target
from olmv.watch.sources import check_url, is_private

__all__ = ["fetch"]

_REDIRECTS = 5
_REDIRECT = frozenset({301, 302, 303, 307, 308})
_ADDRESSES = 4
"""Addresses of one name that are tried."""
_CONNECT_S = 5.0
_PIECE = 2**18
_USUAL_PORTS = (80, 443)
_FIRST_FREE_PORT = 1024
"""Below it are the ports of mail, files and logins, where an HTTP request has no business."""


def fetch(url: str, folder: PrivateFolder, limits: Limits | None) -> Upload:
    """Fetch a file; where that fails, nothing of it stays on disk. It waits: call it in a thread.

    Args:
        url: http or https, of a public host, without a login.
        folder: where the file goes; what it is shows when it is decoded.
        limits: of bytes and seconds; None where no addresses are fetched.

    Raises:
        RefusedRequestError: 403 for what may not be fetched, 413 for too much, 422 for what cannot be fetched, 507 for
            a full disk.
    """
    if limits is None:
        raise RefusedRequestError(403, "no addresses are fetched here; send the file itself")
    with _Deadline(limits.download_s) as deadline:
        try:
            return _follow(url, folder, limits, deadline)
        except RefusedRequestError:
            deadline.left_s()  # what else was said is due to the hanging up
            raise


def _follow(url: str, folder: PrivateFolder, limits: Limits, deadline: "_Deadline") -> Upload:
    for _ in range(_REDIRECTS + 1):
        parts = _checked(url)
        connection = _connect(parts, deadline, limits)
        try:
            response = _ask(connection, parts, deadline)
            if response.status == HTTPStatus.OK:
                return _save(response, _name(parts), folder, limits, deadline)
            location = response.getheader("Location")
        finally:
            connection.close()
        if response.status not in _REDIRECT or not location:
            raise _failed(f"the server answers {response.status}")
        url = _next(url, location)
    raise _failed(f"it is redirected more than {_REDIRECTS} times")


class _Deadline:
    """Hangs up when the time is over, also amid an answer that comes a byte at a time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._hang_up)
        self._timer.daemon = True

    def left_s(self) -> float:
        """Return the seconds that are left; raises RefusedRequestError when none are."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise _failed(f"it takes longer than {self._seconds:g} s")
        return left

    def watch(self, connected: socket.socket) -> None:
        """Hang this one up."""
        with self._lock:
            self._socket = connected
        self.left_s()

    def _hang_up(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            if self._socket is not None:
                # of the plain socket: TLS would say good-bye first, and wait
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def __enter__(self) -> "_Deadline":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


def _checked(url: str) -> SplitResult:
    try:
        parts = check_url(url, "it")
    except UsageError:
        raise _forbidden("it is no http or https address") from None
    if "@" in parts.netloc:
        raise _forbidden("it has a login in it")
    if parts.port is not None and parts.port < _FIRST_FREE_PORT and parts.port not in _USUAL_PORTS:
        raise _forbidden(f"port {parts.port} is not one of the web")
    return parts


def _next(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        raise _forbidden("it leads to no http or https address") from None


def _connect(parts: SplitResult, deadline: _Deadline, limits: Limits) -> http.client.HTTPConnection:
    host, is_secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if is_secure else 80)
    with _told():
        reached = _reach(_public_addresses(host, port), port, deadline)
    try:
        deadline.watch(reached)
        with _told():
            reached.settimeout(min(limits.idle_s, deadline.left_s()))
            if is_secure:
                context = ssl.create_default_context()
                reached = context.wrap_socket(reached, server_hostname=host, do_handshake_on_connect=False)
                deadline.watch(reached)
                reached.do_handshake()
    except BaseException:
        reached.close()
        raise
    kind = http.client.HTTPSConnection if is_secure else http.client.HTTPConnection
    connection = kind(host, port)
    connection.sock = reached
    return connection


def _public_addresses(host: str, port: int) -> list[str]:
    """Resolve a name, and refuse it where any of its addresses is not of the public internet."""
    addresses = _resolve(host, port)
    if not addresses or any(is_private(address) for address in addresses):
        raise _forbidden("it leads to a private address")
    return addresses


def _resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _reach(addresses: list[str], port: int, deadline: _Deadline) -> socket.socket:
    failure: OSError = OSError("no address")
    for address in addresses[:_ADDRESSES]:
        try:
            reached = _open(address, port, min(_CONNECT_S, deadline.left_s()))
        except OSError as error:
            failure = error
            continue
        # a public address of this very machine: what listens there may trust whoever is on it
        if _same_address(reached):
            reached.close()
            raise _forbidden("it leads to this machine")
        return reached
    raise failure


def _open(address: str, port: int, timeout_s: float) -> socket.socket:
    return socket.create_connection((address, port), timeout_s)


def _same_address(reached: socket.socket) -> bool:
    here, there = reached.getsockname()[0], reached.getpeername()[0]
    return ipaddress.ip_address(here.partition("%")[0]) == ipaddress.ip_address(there.partition("%")[0])


def _ask(connection: http.client.HTTPConnection, parts: SplitResult, deadline: _Deadline) -> http.client.HTTPResponse:
    headers = {"Accept": "*/*", "Accept-Encoding": "identity", **request_headers(parts)}
    with _told():
        connection.request("GET", request_target(parts), headers=headers)
        response = connection.getresponse()
    deadline.left_s()
    return response


def _save(
    response: http.client.HTTPResponse, name: str, folder: PrivateFolder, limits: Limits, deadline: _Deadline
) -> Upload:
    if (response.getheader("Content-Encoding") or "identity").strip().lower() != "identity":
        raise _failed("the server compresses it, though it was not asked to")
    if (response.length or 0) > limits.upload_bytes:
        raise _too_large(limits)
    try:
        check_room(folder, response.length or 0)
        file = folder.new_file()
    except OSError as failure:
        raise disk_refusal(failure) from None
    try:
        _copy(response, file, folder, limits, deadline)
    except BaseException:
        file.remove()
        raise
    file.close()
    return Upload(name, file.path, file.size)


def _copy(
    response: http.client.HTTPResponse, file: PrivateFile, folder: PrivateFolder, limits: Limits, deadline: _Deadline
) -> None:
    while True:
        with _told():
            piece = response.read1(_PIECE)
        seconds = limits.download_s - deadline.left_s()
        if not piece:
            break
        if file.size + len(piece) > limits.upload_bytes:
            raise _too_large(limits)
        try:
            check_room(folder, len(piece))
            file.write(piece)
        except OSError as failure:
            raise disk_refusal(failure) from None
        if file.size < limits.bytes_s * (seconds - limits.idle_s):
            raise _failed(f"it comes with less than {limits.bytes_s:g} bytes a second")
    if response.length:
        raise _failed("it breaks off before its end")


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Say in a few words why an address cannot be fetched; nothing of what its server sent is repeated."""
    try:
        yield
    except TimeoutError:
        raise _failed("it does not answer in time") from None
    except ssl.SSLError:
        raise _failed("it has no certificate that can be trusted") from None
    except http.client.HTTPException:
        raise _failed("the connection broke, or spoke no HTTP") from None
    except (OSError, UnicodeError):
        raise _failed("it cannot be reached") from None


def _name(parts: SplitResult) -> str:
    return display_name(unquote(parts.path, errors="replace"))


def _forbidden(reason: str) -> RefusedRequestError:
    return RefusedRequestError(403, f"the address is not fetched: {reason}; name one of the public internet")


def _failed(reason: str) -> RefusedRequestError:
    return RefusedRequestError(422, f"the address cannot be fetched: {reason}; check it, or send the file itself")


def _too_large(limits: Limits) -> RefusedRequestError:
    return RefusedRequestError(413, f"the file is larger than {limits.upload_bytes >> 20} MB; name a smaller one")
