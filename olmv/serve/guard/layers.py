"""The guards around the service, in their order."""

from collections.abc import Sequence

from starlette.types import ASGIApp

from olmv.serve.guard.access import AccessGuard
from olmv.serve.guard.body import BodyGuard
from olmv.serve.guard.headers import HeadersGuard
from olmv.serve.guard.limits import DEFAULT_LIMITS, Limits

__all__ = ["guarded"]


def guarded(
    app: ASGIApp, *, token: str | None, hosts: Sequence[str] | None, limits: Limits = DEFAULT_LIMITS
) -> ASGIApp:
    """Return the service with its guards: headers outermost, then bodies, then who may ask.

    Args:
        app: the service.
        token: that is asked for, of `choose_token`.
        hosts: names under which it may be asked, of `allowed_hosts`.
        limits: of bytes and seconds.
    """
    return HeadersGuard(BodyGuard(AccessGuard(app, token, hosts), limits))
