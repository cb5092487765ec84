"""What the service counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from olmv.predictions import VideoPrediction
from olmv.serve.clips import ClipStore
from olmv.serve.engine import EmbedEngine

__all__ = ["ServeFigures"]

_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.3, 1, 3, 10, 30, 120)


class ServeFigures:
    """Counts requests and videos, and tells how full the service is.

    Args:
        engine: whose queue is told.
        clips: whose memory is told.
    """

    def __init__(self, engine: EmbedEngine, clips: ClipStore) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "olmv_requests", "Requests that were answered.", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "olmv_request_seconds", "Until an answer began.", ["route"], buckets=_SECONDS, registry=self._registry
        )
        self._videos = Counter("olmv_videos", "Videos that were predicted.", ["status"], registry=self._registry)
        for name, about, value in (
            ("olmv_queue_videos", "Videos that wait or are at work.", lambda: engine.count),
            ("olmv_clips_bytes", "Memory of what is kept of videos.", lambda: clips.nbytes),
            ("olmv_clips", "Videos whose labels can be changed.", lambda: len(clips)),
        ):
            Gauge(name, about, registry=self._registry).set_function(value)

    def count(self, prediction: VideoPrediction) -> None:
        """Count one more video."""
        self._videos.labels(prediction.status).inc()

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one more answer."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Return all figures in the format of Prometheus."""
        return generate_latest(self._registry)
