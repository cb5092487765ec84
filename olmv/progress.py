"""Tell whoever watches a job how far it is."""

from typing import Protocol

__all__ = ["JobListener"]


class JobListener(Protocol):
    """Watches a job: the command line, a page, or a test. Every verb adds what only it has to tell."""

    def note(self, text: str) -> None:
        """Take a remark that the user should read; one line."""

    def started(self, *, total: int, done: int) -> None:
        """Take the size of the job: `total` items, of which `done` were done by an earlier run."""

    def advanced(self, done: int, total: int) -> None:
        """Take the number of items that are done by now."""
