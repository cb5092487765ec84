"""A job's listener that remembers, and pulls the plug where a test wants it."""

from olmv.progress import JobListener

__all__ = ["Watcher"]


class Watcher(JobListener):
    """Remembers what a job says.

    Args:
        stop_after: raise KeyboardInterrupt once so many items are done; None for never.

    Attributes:
        notes: the remarks.
        starts: (total, done) of every start.
        steps: how often the job advanced, without its side stages.
        stages: the stages that were counted apart.
    """

    def __init__(self, stop_after: int | None = None) -> None:
        self.notes: list[str] = []
        self.starts: list[tuple[int, int]] = []
        self.steps = 0
        self.stages: set[str] = set()
        self._stop_after = stop_after

    def note(self, text: str) -> None:
        self.notes.append(text)

    def started(self, *, total: int, done: int) -> None:
        self.starts.append((total, done))

    def advanced(self, done: int, total: int, *, stage: str = "") -> None:
        if stage:
            self.stages.add(stage)
            return
        self.steps += 1
        if self.steps == self._stop_after:
            raise KeyboardInterrupt
