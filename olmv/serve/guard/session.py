"""The token and the cookie that stands for it."""

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections import deque
from collections.abc import Callable
from urllib.parse import quote

from olmv.errors import UsageError

__all__ = ["COOKIE", "Sessions", "allowed_hosts", "choose_token", "cookie_name", "is_loopback", "page_address"]

COOKIE = "olmv_session"
"""How the names of our cookies begin."""
GUESSES, GUESSES_S = 10, 60.0
"""Wrong tokens that are looked at in this many seconds."""
UNGUESSABLE = 32
"""Characters of a token that needs no protection from guessing; generated ones have 43."""
_SHORTEST = 8
_LONGEST = 1024


def is_loopback(host: str) -> bool:
    """Tell whether a name or address reaches this machine only."""
    host = host.strip("[]").rstrip(".").lower()
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def choose_token(host: str, token: str | None) -> str | None:
    """Return the token to ask for: the user's own, or beyond this machine a new one; None where none is needed.

    Args:
        host: the name or address that the service is bound to.
        token: the user's, 8 to 1024 characters without spaces.

    Raises:
        UsageError: a token that is too short or too long, or that no header can carry.
    """
    if token is None:
        return None if is_loopback(host) else secrets.token_urlsafe(32)
    usable = token.isprintable() and not any(char.isspace() for char in token)
    if not usable or not _SHORTEST <= len(token) <= _LONGEST:
        raise UsageError(
            f"the token must have {_SHORTEST} to {_LONGEST} characters and no spaces; make one: openssl rand -hex 24",
            option="token",
        )
    return token


def allowed_hosts(host: str, token: str | None) -> tuple[str, ...] | None:
    """Return the names under which the service may be asked; None for any.

    Without a token, a page of another site could have its own name lead to this machine and ask away; with one, it
    lacks the token.

    Args:
        host: the name or address that the service is bound to.
        token: that is asked for.
    """
    if token is not None or not is_loopback(host):
        return None
    return ("localhost", "127.0.0.1", "::1", host.strip("[]").lower())


def page_address(host: str, port: int, token: str | None) -> str:
    """Return the address of the page; the token is in its fragment, which browsers do not send.

    Args:
        host: the name or address that the service is bound to; where that is all addresses, this machine is named.
        port: its port.
        token: that is asked for.
    """
    bare = host.strip("[]")
    if bare in ("", "0.0.0.0", "::"):
        bare = "127.0.0.1"
    name = f"[{bare}]" if ":" in bare else bare
    return f"http://{name}:{port}/" + (f"#token={quote(token, safe='')}" if token is not None else "")


def cookie_name(port: int) -> str:
    """Return the name of a service's cookie: browsers share the cookies of a host among all its ports.

    Args:
        port: by which the browser asks, which is not always the one that the service listens on.
    """
    return f"{COOKIE}_{port}"


class Sessions:
    """Compares tokens and cookies, and counts the wrong ones.

    The cookie is made of the token by a key of this process, so that it is worth nothing to who reads it after a
    restart, or wants the token.

    Args:
        token: that is asked for.
        clock: seconds, monotonic.
    """

    def __init__(self, token: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._tokens = [token.encode("utf-8", "surrogatepass")]
        try:  # clients do not agree on how headers are encoded
            self._tokens.append(token.encode("latin-1"))
        except UnicodeEncodeError:
            self._tokens.append(self._tokens[0])
        self.cookie = hmac.new(secrets.token_bytes(32), self._tokens[0], hashlib.sha256).hexdigest()
        """The value of the cookie."""
        self._can_be_guessed = len(token) < UNGUESSABLE
        self._clock = clock
        self._wrong: deque[float] = deque(maxlen=GUESSES)

    def is_token(self, value: bytes) -> bool:
        """Tell whether these bytes are the token; one that is not is counted as a guess."""
        right = [hmac.compare_digest(value, token) for token in self._tokens]
        if not any(right):
            self._wrong.append(self._clock())
        return any(right)

    def is_cookie(self, value: bytes) -> bool:
        """Tell whether these bytes are the cookie's value, which nobody can guess."""
        return hmac.compare_digest(value, self.cookie.encode("ascii"))

    def wait_s(self) -> float:
        """Return for how many seconds no token is looked at, because too many were wrong; 0 for none.

        A token that cannot be guessed is always looked at: nobody shuts others out by sending wrong ones.
        """
        if not self._can_be_guessed or len(self._wrong) < GUESSES:
            return 0.0
        return max(self._wrong[0] + GUESSES_S - self._clock(), 0.0)
