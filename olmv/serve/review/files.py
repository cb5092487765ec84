"""The files of a review, kept up with its log: written a moment after each change, and when the session ends."""

import threading
from collections.abc import Callable
from pathlib import Path

from olmv.errors import OlmvError
from olmv.io.atomic import write_atomic
from olmv.scoring.thresholds import Thresholds
from olmv.serve.review.export import THRESHOLDS, TRUTH

__all__ = ["ReviewFiles"]


class ReviewFiles:
    """Writes `truth.csv` and `thresholds.json`, each whole or not at all.

    Args:
        folder: where to.
        contents: gives what they hold now; called by a thread of its own too.
        delay_s: how long after a change they are written, however many follow.

    Attributes:
        error: why they could not be written the last time; "" if they could. The log has all verdicts even so.
    """

    def __init__(self, folder: Path, contents: Callable[[], tuple[str, Thresholds]], *, delay_s: float) -> None:
        self.folder, self.error = folder, ""
        self._contents, self._delay_s = contents, delay_s
        self._timer: threading.Timer | None = None
        self._waiting = threading.Lock()
        self._writing = threading.Lock()

    def changed(self) -> None:
        """Have the files written soon."""
        with self._waiting:
            if self._timer is None:
                self._timer = threading.Timer(self._delay_s, self.write)
                self._timer.daemon = True
                self._timer.start()

    def write(self) -> None:
        """Write them now."""
        self._forget()
        with self._writing:
            try:
                truth, thresholds = self._contents()
                write_atomic(self.folder / TRUTH, truth)
                thresholds.save(self.folder / THRESHOLDS)
            except OlmvError as failure:  # the log may be damaged, too
                self.error = str(failure)
            else:
                self.error = ""

    def close(self) -> None:
        """Write what waits to be written."""
        if self._forget():
            self.write()
        with self._writing:  # a write that had begun
            pass

    def _forget(self) -> bool:
        with self._waiting:
            timer, self._timer = self._timer, None
            if timer is not None:
                timer.cancel()
            return timer is not None
