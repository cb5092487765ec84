"""What the service counts, for Prometheus."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from olmv.predictions import VideoPrediction
from olmv.serve.clips import ClipStore
from olmv.serve.engine import EmbedEngine

if TYPE_CHECKING:
    from olmv.serve.served_library import ServedLibrary

__all__ = ["AnswerCounter", "ServeFigures"]

_METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"})
_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.3, 1, 3, 10, 30, 120)


class ServeFigures:
    """Counts requests and videos, and tells how full the service is.

    Args:
        engine: whose queue is told.
        clips: whose memory is told.
        library: whose videos are told; None where there is none.
    """

    def __init__(self, engine: EmbedEngine, clips: ClipStore, library: "ServedLibrary | None" = None) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "olmv_requests", "Requests that were answered.", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "olmv_request_seconds", "Until an answer began.", ["route"], buckets=_SECONDS, registry=self._registry
        )
        self._videos = Counter("olmv_videos", "Videos that were predicted.", ["status"], registry=self._registry)
        values: list[tuple[str, str, Callable[[], float]]] = [
            ("olmv_queue_videos", "Videos that wait or are at work.", lambda: engine.count),
            ("olmv_clips_bytes", "Memory of what is kept of videos.", lambda: clips.nbytes),
            ("olmv_clips", "Videos whose labels can be changed.", lambda: len(clips)),
        ]
        if library is not None:
            values += [
                ("olmv_library_videos", "Videos of the library.", lambda: len(library.now)),
                (
                    "olmv_library_stale",
                    "1 while the library was changed and cannot be opened: what it was before is served.",
                    lambda: float(bool(library.trouble)),
                ),
            ]
        for name, about, value in values:
            Gauge(name, about, registry=self._registry).set_function(value)

    def count(self, prediction: VideoPrediction) -> None:
        """Count one more video."""
        self._videos.labels(prediction.status).inc()

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one more answer."""
        # clients make up methods as they like, and every one would be kept
        self._requests.labels(method if method in _METHODS else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Return all figures in the format of Prometheus."""
        return generate_latest(self._registry)


class AnswerCounter:
    """Counts the answers of an application.

    What a client does reaches the application as it is: with the middleware of Starlette's decorator between them, a
    handler that asks whether its client has gone never hears of it.

    Args:
        app: what is counted.
        figures: where.
    """

    def __init__(self, app: ASGIApp, figures: ServeFigures) -> None:
        self._app, self._figures = app, figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, and count it when its answer begins, or there is none."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, counted = time.monotonic(), False

        def count(status: int) -> None:
            nonlocal counted
            if not counted:
                counted = True
                route = getattr(scope.get("route"), "path", "none")
                self._figures.answered(scope["method"], route, status, time.monotonic() - begun)

        async def answered(message: Message) -> None:
            if message["type"] == "http.response.start":
                count(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, answered)
        except HTTPException as refusal:  # the guards answer it
            count(refusal.status_code)
            raise
        finally:
            count(500)
