"""Workers that do little, or die."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from olmv.errors import OutputError, VideoError

__all__ = ["DyingWorker", "FailingWorker", "MadeWorker"]


class MadeWorker:
    """Returns for each path (path, error), and of a block its number too."""

    def __init__(self, *, folder: str) -> None:
        self._folder = Path(folder)
        (self._folder / f"actor-{os.getpid()}").touch()

    def work(self, paths: Sequence[str], error: VideoError | None = None) -> list[tuple[str, str | None]]:
        return [(path, None if error is None else str(error)) for path in paths]

    def finish(self, block: int, results: list[tuple[str, str | None]]) -> list[Any]:
        return [(block, *result) for result in results]


class DyingWorker(MadeWorker):
    """Dies as of too little memory: once at a path that begins with `once`, always at one with `poison`."""

    def work(self, paths: Sequence[str], error: VideoError | None = None) -> list[tuple[str, str | None]]:
        for path in paths:
            mark = self._folder / f"died-{path}"
            if error is None and (path.startswith("poison") or (path.startswith("once") and not mark.exists())):
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return super().work(paths, error)


class FailingWorker(MadeWorker):
    """Finds the disk full."""

    def finish(self, block: int, results: list[tuple[str, str | None]]) -> list[Any]:
        raise OutputError("films.olmv: no space left; free some", option="output")
