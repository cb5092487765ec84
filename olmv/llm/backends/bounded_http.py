"""HTTP to a server that may be wrong or hostile: no redirects, no endless bodies, no bombs of compressed zeros."""

import zlib
from typing import Any

import openai

__all__ = ["MAX_BYTES", "BoundedHttpClient", "BrokenAnswerError", "RedirectedError"]

MAX_BYTES = 4 * 2**20
"""Of one answer, as it comes and as it is unpacked; the longest that olmv asks for takes a hundredth of that."""

# Failures before a server was reached, and of time: the client's own retries are for these. All others are broken
# answers. (Over aiohttp a connection that breaks is called ConnectTimeout.)
_NOT_REACHED = frozenset({"ConnectError", "ProxyError", "UnsupportedProtocol"})
_LATE = frozenset({"TimeoutException", "ReadTimeout", "WriteTimeout", "PoolTimeout"})


class BrokenAnswerError(openai.OpenAIError):
    """What came is no HTTP, breaks off, or is too long."""


class RedirectedError(openai.OpenAIError):
    """The server names another place; its message is that place."""


class BoundedHttpClient(openai.DefaultAioHttpClient):
    """The HTTP client of `openai.AsyncOpenAI`, with limits.

    A redirect is an error, so that neither the key nor the labels go to a host that the user did not name.
    """

    not_reached: Exception | None = None
    """Why the last request did not reach the server; None if it did."""

    async def send(self, request: Any, **options: Any) -> Any:
        """Send a request and read its whole answer.

        Raises:
            RedirectedError: the answer is a redirect.
            BrokenAnswerError: the answer cannot be read, or is longer than `MAX_BYTES`.
        """
        request.headers["Accept-Encoding"] = "identity"
        try:
            response = await super().send(request, **{**options, "stream": True, "follow_redirects": False})
            self.not_reached = None
            try:
                if 300 <= response.status_code < 400:
                    raise RedirectedError(response.headers.get("location", "nowhere"))
                return await _read(response, request)
            finally:
                await response.aclose()
        except openai.OpenAIError:
            raise
        except Exception as failure:
            name = type(failure).__name__
            if name in _NOT_REACHED:
                self.not_reached = failure
            if name in _NOT_REACHED or name in _LATE:
                raise
            raise BrokenAnswerError(f"the connection broke or spoke no HTTP ({str(failure) or name})") from failure


async def _read(response: Any, request: Any) -> Any:
    """Return the same response with its body read and unpacked."""
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise BrokenAnswerError(f"the answer is packed as {coding[:40]!a}, which was not asked for")
    unpack = None if coding in ("", "identity") else zlib.decompressobj(wbits=47)  # gzip or zlib, by its head
    body, arrived = bytearray(), 0
    async for chunk in response.aiter_raw():
        arrived += len(chunk)
        body += chunk if unpack is None else unpack.decompress(chunk, MAX_BYTES + 1 - len(body))
        if max(arrived, len(body)) > MAX_BYTES:
            raise BrokenAnswerError(f"the answer is longer than {MAX_BYTES // 2**20} MiB")
    if unpack is not None and not unpack.eof:
        raise BrokenAnswerError("the packed answer breaks off")
    dropped = ("content-encoding", "content-length", "transfer-encoding")
    headers = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in dropped]
    return type(response)(response.status_code, headers=headers, content=bytes(body), request=request)
