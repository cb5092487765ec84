"""Connections that are open and ask for nothing, or read nothing, are closed.

uvicorn waits for the head of a request as long as the client likes; this protocol does not. It is the one of h11, which
is strict and in pure Python.
"""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import h11
from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from olmv.serve.guard.answers import error_answer
from olmv.serve.guard.limits import DEFAULT_LIMITS, Limits

__all__ = ["GuardedProtocol", "GuardedServer", "guarded_config"]

_STATUS = {431: "the head of the request is too long; send less in it"}


class GuardedProtocol(H11Protocol):
    """One connection.

    - The head of a request must be there within `limits.head_s`, from the first connection or byte on, and so must the
      rest of a body that is answered already.
    - A client must read some of the answer within `limits.write_s`.
    - Beyond `limits.connections`, the connection that has asked for nothing for longest is closed, which keeps out
      clients that only hold connections; where all are busy, the new one is.
    """

    limits = DEFAULT_LIMITS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self.idle_since = self.loop.time()
        """When it last began to ask for nothing, by the clock of the loop."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection on, in place of an idle one where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._make_room()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        _cancel(self._head_timer)
        self._head_timer = None
        _cancel(self._write_timer)
        self._write_timer = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what came."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Go on to the next request."""
        super().on_response_complete()
        self.idle_since = self.loop.time()
        if self.conn.their_state is h11.SEND_BODY:
            self._watch()

    def pause_writing(self) -> None:
        """The client does not read: give it a while."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.limits.write_s, self.drop)

    def resume_writing(self) -> None:
        """The client reads."""
        _cancel(self._write_timer)
        self._write_timer = None
        super().resume_writing()

    def shutdown(self) -> None:
        """End after the answer that is under way; a body that comes still is not waited for."""
        if self.conn.their_state is h11.SEND_BODY and not self.is_idle():
            self.drop()
        else:
            super().shutdown()

    def is_idle(self) -> bool:
        """Tell whether no request is under way: no head has come whole, or the last one is answered."""
        return not self.transport.is_closing() and (self.cycle is None or self.cycle.response_complete)

    def drop(self) -> None:
        """Close the connection at once; what was not sent is lost."""
        if not self.transport.is_closing():
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        status = getattr(sys.exception(), "error_status_hint", 400)  # uvicorn is handling that of h11
        self._refuse(431 if status == 431 else 400, _STATUS.get(status, "this is no HTTP request; send one"))

    def _make_room(self) -> None:
        idle = [
            other
            for other in self.connections
            if isinstance(other, GuardedProtocol) and other is not self and other.is_idle()
        ]
        if idle:
            min(idle, key=lambda other: other.idle_since).drop()
        else:
            self._refuse(503, "too many connections are open; try again in a while")

    def _watch(self) -> None:
        """Start or stop the clock, by what the client owes: the rest of a head, or of a body that nobody reads."""
        theirs, ours = self.conn.their_state, self.conn.our_state
        is_owing = theirs is h11.IDLE or (theirs is h11.SEND_BODY and ours in (h11.DONE, h11.MUST_CLOSE))
        if not is_owing or self.transport.is_closing():
            _cancel(self._head_timer)
            self._head_timer = None
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self.limits.head_s, self._head_missing)

    def _head_missing(self) -> None:
        self._head_timer = None
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._refuse(408, "the head of the request did not come in time; send it at once")
        self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        """Answer in the form of all errors, where no answer has begun, and close."""
        if self.transport.is_closing():
            return
        if self.conn.our_state is h11.IDLE:
            answer = error_answer(status, message, headers={"Connection": "close"})
            start = h11.Response(status_code=status, headers=answer.raw_headers, reason=b"")
            for event in (start, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class GuardedServer(Server):
    """Ends the work of the service before it waits for the last answers.

    Args:
        config: of `guarded_config`.
        end: gives up what is at work; after it, what is asked is refused.
    """

    def __init__(self, config: Config, end: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._end = end

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the work, then the connections."""
        await self._end()
        await super().shutdown(sockets)


def guarded_config(app: ASGIApp, *, host: str, port: int, limits: Limits = DEFAULT_LIMITS) -> Config:
    """Return how uvicorn is to run the service: with this protocol, without WebSocket, and quietly.

    Args:
        app: the service with its guards, of `guarded`.
        host: the name or address to bind to.
        port: to bind to; 0 for a free one.
        limits: of bytes, seconds and connections.
    """
    kind = type("LimitedProtocol", (GuardedProtocol,), {"limits": limits})
    return Config(
        app,
        host=host,
        port=port,
        http=kind,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=limits.head_bytes,
        timeout_keep_alive=65,  # longer than clients keep a connection that they may use again
    )


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
