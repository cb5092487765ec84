"""What may be watched: addresses, cameras, files that grow and standard input; everything else is refused by name."""

import ipaddress
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit, urlunsplit

from olmv.errors import InputError, UsageError

__all__ = [
    "LostSourceError",
    "RefusedSourceError",
    "Source",
    "check_url",
    "is_private",
    "parse_source",
    "without_login",
]

Kind = Literal["http", "rtsp", "camera", "file", "pipe"]

_SCHEMES: dict[str, Kind] = {"http": "http", "https": "http", "rtsp": "rtsp", "rtsps": "rtsp"}
_PROTOCOL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):")  # two letters at least: C:\ is a drive
_CAMERA = re.compile(r"/dev/video\d+")
_MOST = 4096
_EMBEDDED = ipaddress.ip_network("64:ff9b::/96")  # IPv4 behind a translator, RFC 6052
_PUBLIC = ipaddress.ip_network("2000::/3")  # all of IPv6 that is given out
_DOCUMENTATION = ipaddress.ip_network("3fff::/20")  # Python 3.11 takes it for public


class LostSourceError(Exception):
    """The source cannot be read now; its message says why, and trying again may help."""


class RefusedSourceError(Exception):
    """The source is not to be read, or can never be; its message is one line with the remedy."""


@dataclass(frozen=True)
class Source:
    """Something to watch.

    Attributes:
        kind: how it is read; a `pipe` is standard input or a named pipe.
        location: a URL with its login, a path, or `-`.
        name: what people are shown: without user name and password.
    """

    kind: Kind
    location: str
    name: str


def parse_source(text: str) -> Source:
    """Read what the user wants watched.

    Raises:
        UsageError: an address that is none, or of a protocol that is not read.
        InputError: no such file or camera, or a folder.
    """
    if text == "-":
        return Source("pipe", "-", "standard input")
    match = _PROTOCOL.match(text)
    scheme = match[1].lower() if match else ""
    if scheme in _SCHEMES:
        return Source(_SCHEMES[scheme], text, without_login(check_url(text, "the source", schemes=_SCHEMES)))
    if match is not None and not os.path.lexists(text):
        raise UsageError(
            f"{scheme[:20]}: is not read; name an rtsp, rtsps, http or https address, a camera, a file or -"
        )
    return _parse_path(text)


def _parse_path(text: str) -> Source:
    try:
        mode = Path(text).stat().st_mode
    except (OSError, ValueError) as failure:
        reason = getattr(failure, "strerror", None) or str(failure)
        raise InputError(f"{text[:200]}: cannot be watched ({reason}); check the path") from None
    if stat.S_ISREG(mode):
        return Source("file", text, text)
    if stat.S_ISFIFO(mode):
        return Source("pipe", text, text)
    if stat.S_ISDIR(mode):
        raise InputError(f"{text}: is a folder; name the one file in it that grows")
    if stat.S_ISCHR(mode) and _CAMERA.fullmatch(os.path.realpath(text)):
        return Source("camera", text, text)
    raise InputError(f"{text}: is no video camera and no file; name one such as /dev/video0")


def check_url(url: str, what: str, *, schemes: Iterable[str] = ("http", "https")) -> SplitResult:
    """Part a URL that the user named.

    Args:
        url: it.
        what: it is, as a message begins.
        schemes: that it may have.

    Raises:
        UsageError: another scheme, no host, a bad port, or characters that no URL has.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or len(url) > _MOST or any(ord(char) <= 32 or ord(char) == 127 for char in url):
        raise UsageError(f"{what} is no address that can be used; write it as http://host:port/path")
    return parts


def without_login(parts: SplitResult) -> str:
    """Return a URL without user name, password and fragment."""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))


def is_private(address: str) -> bool:
    """Tell whether an IP address is of this machine, of a local network or of nobody: not of the public internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _EMBEDDED:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_private(str(inner))
        if ip not in _PUBLIC or ip in _DOCUMENTATION:
            return True
    return not ip.is_global or ip.is_multicast
