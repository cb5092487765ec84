"""What a run of `olmv index` did."""

from dataclasses import dataclass, field

from olmv.errors import VideoError

__all__ = ["IndexSummary"]

_FAILURES = 5  # that are told; the library has all of them


@dataclass
class IndexSummary:
    """What a run did.

    Attributes:
        total, earlier, ok, failed: videos: all, from earlier runs, done now, failed now.
        earlier_failed: of those from earlier runs, the ones that could not be read.
        changed, moved, removed: videos: of those done now, those that the library had before; with a new place; gone.
        failures: the first few failures, as (video, message).
        windows: embeddings that were added.
        seconds: from the first video on.
        videos, all_windows, bytes, fragments: of the library at the end.
    """

    total: int
    earlier: int
    ok: int = 0
    failed: int = 0
    earlier_failed: int = 0
    changed: int = 0
    moved: int = 0
    removed: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    windows: int = 0
    seconds: float = 0.0
    videos: int = 0
    all_windows: int = 0
    bytes: int = 0
    fragments: int = 0

    def count(self, video: str, error: VideoError | None) -> None:
        """Count one more video that was done now."""
        if error is None:
            self.ok += 1
            return
        self.failed += 1
        if len(self.failures) < _FAILURES:
            self.failures.append((video, str(error)))
