"""HTTP to a server that may be wrong or hostile: no redirects, no endless bodies, no bombs of compressed zeros."""

import os
import zlib
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import openai

from olmv.llm.backends.address import is_this_machine

__all__ = ["MAX_BYTES", "BoundedHttpClient", "BrokenAnswerError", "RedirectedError"]

MAX_BYTES = 4 * 2**20
"""Of one answer, as it comes and as it is unpacked; the longest that olmv asks for takes a hundredth of that."""

# httpx has no exact names for what happens to aiohttp, whose own errors are the causes of its errors
_NOT_REACHED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)
_LATE = frozenset({"TimeoutException", "ReadTimeout", "WriteTimeout", "PoolTimeout"})


class BrokenAnswerError(openai.OpenAIError):
    """What came is no HTTP, breaks off, or is too long."""


class RedirectedError(openai.OpenAIError):
    """The server names another place; its message is that place."""


class BoundedHttpClient(openai.DefaultAioHttpClient):
    """The HTTP client of `openai.AsyncOpenAI`, with limits.

    A redirect is an error, so that neither the key nor the labels go to a host that the user did not name. A proxy of
    the environment is used as everywhere, but never for this machine, whose names mean the proxy itself there.

    Args:
        url: of the server.
        timeout_s: seconds without a byte.
    """

    not_reached: str | None = None
    """Why the last request did not reach the server; None if it did."""
    last_refusal: int | None = None
    """The status of the last answer, if it is one after which the client tries again."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        host = urlsplit(url).hostname or ""
        pattern = f"all://[{host}]" if ":" in host else f"all://{host}"
        super().__init__(timeout=timeout_s, mounts={pattern: None} if is_this_machine(host) else None)

    async def send(self, request: Any, **options: Any) -> Any:
        """Send a request and read its whole answer.

        Raises:
            RedirectedError: the answer is a redirect.
            BrokenAnswerError: the answer cannot be read, or is longer than `MAX_BYTES`.
        """
        request.headers["Accept-Encoding"] = "identity"
        try:
            response = await super().send(request, **{**options, "stream": True, "follow_redirects": False})
            status = response.status_code
            self.not_reached, self.last_refusal = None, status if status in (408, 409, 429) or status >= 500 else None
            try:
                if 300 <= status < 400:
                    raise RedirectedError(response.headers.get("location", "nowhere"))
                return await _read(response, request)
            finally:
                await response.aclose()
        except openai.OpenAIError:
            raise
        except Exception as failure:
            cause, name = failure.__cause__, type(failure).__name__
            self.not_reached = _obstacle(cause) if isinstance(cause, _NOT_REACHED) else None
            if self.not_reached or name in _LATE:
                raise  # the client's own retries are for these
            raise BrokenAnswerError(f"the connection broke or spoke no HTTP ({str(failure) or name})") from failure


def _obstacle(failure: BaseException) -> str:
    """Say why a server was not reached: in the system's words where there are some."""
    if isinstance(failure, aiohttp.ConnectionTimeoutError):
        return "no connection in time"
    error = getattr(failure, "os_error", None)
    if isinstance(failure, aiohttp.ClientConnectorDNSError) and error is not None:
        return (error.strerror or str(error)).lower()
    if type(failure) is aiohttp.ClientConnectorError and error is not None and error.errno:
        return os.strerror(error.errno).lower()
    return str(failure)


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
