"""Headers that every answer carries, so that no other site can read, frame or script it."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["PAGE_POLICY", "HeadersGuard", "is_page_file"]

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""What the page may load: its own files, pictures that it holds as data, files that the user drops on it."""

_PAGE_FILES = frozenset({"/", "/favicon.ico", "/favicon.svg"})
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class HeadersGuard:
    """Adds them to every answer, refusals included.

    Args:
        app: what is guarded; the outermost of all.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=list(message.get("headers", ())))
                # a file of somebody else's has a stricter policy than the page
                headers.setdefault("Content-Security-Policy", PAGE_POLICY)
                for name, value in _ALWAYS.items():
                    headers[name] = value
                # the browser may keep the page's files; all else only where the handler says so
                headers.setdefault("Cache-Control", "no-cache" if is_page_file(scope["path"]) else "no-store")
                message = {**message, "headers": headers.raw}
            await send(message)

        await self._app(scope, receive, send_with_headers)


def is_page_file(path: str) -> bool:
    """Tell whether a path is one of the files that make the page, which everybody may read."""
    return path in _PAGE_FILES or (path.startswith("/assets/") and ".." not in path)
