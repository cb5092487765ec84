"""Tell whoever watches a job how far it is."""

__all__ = ["JobListener"]


class JobListener:
    """Watches a job and ignores what it is told: the base of the command line's views and of a test's.

    Every verb has a listener of its own that extends this one with what only that verb has to tell. Jobs call it in
    the process and the thread in which they run.
    """

    def note(self, text: str) -> None:
        """Take a remark that the user should read; one line."""

    def started(self, *, total: int, done: int) -> None:
        """Take the size of the job: `total` items, of which `done` were done by an earlier run."""

    def advanced(self, done: int, total: int, *, stage: str = "") -> None:
        """Take how far the job is, or a named `stage` of it that is counted apart, such as "label texts"."""
