"""What runs in an actor of Ray: a worker with its model, and what is done when it has died before."""

import os
import pickle
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

from olmv.errors import OlmvError, VideoError, WorkerCrashedError

__all__ = ["Host", "Ledger", "Worker"]

Result = TypeVar("Result")
_DEATHS = 2  # with one file, alone


class Worker(Protocol[Result]):
    """Does the work in an actor; made there once, with a model."""

    def work(self, paths: Sequence[str], error: VideoError | None = None) -> list[Result]:
        """Return a result for each path; with an error it is that of each of them."""

    def finish(self, block: int, results: list[Result]) -> list[Any]:
        """Return what the driver gets of a block."""


class Ledger:
    """Remembers across the deaths of actors what was begun."""

    def __init__(self) -> None:
        self._begun: dict[int | str, int] = {}

    def begin(self, what: int | str) -> int:
        """Return how often it was begun before."""
        times = self._begun.get(what, 0)
        self._begun[what] = times + 1
        return times

    def end(self, what: int | str) -> None:
        """Forget it."""
        self._begun.pop(what, None)


class Host(Generic[Result]):
    """An actor: a worker, and what is done when it has died before."""

    def __init__(self, worker: type[Worker[Result]], arguments: dict[str, Any], ledger: Any, folder: str) -> None:
        with suppress(OSError):
            os.chdir(folder)  # paths are relative to where the command was called
        self._ledger = ledger
        self._error: OlmvError | None = None
        try:
            self._worker = worker(**arguments)
        except OlmvError as error:
            self._error = error

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        block, paths = int(row["block"]), [str(path) for path in row["paths"]]
        try:
            if self._error is not None:
                raise self._error
            outcome: list[Any] | OlmvError = self._block(block, paths)
        except OlmvError as error:  # Ray would wrap it
            outcome = error
        return {"block": block, "outcome": pickle.dumps(outcome)}

    def _block(self, block: int, paths: list[str]) -> list[Any]:
        died = self._ask("begin", block) > 0
        results = [self._alone(path) for path in paths] if died else self._worker.work(paths)
        finished = self._worker.finish(block, results)
        self._ask("end", block)
        return finished

    def _alone(self, path: str) -> Result:
        deaths = self._ask("begin", path)
        error = None
        if deaths >= _DEATHS:
            error = WorkerCrashedError(f"{path}: the actor that worked on it died {deaths} times; is memory too short?")
        [result] = self._worker.work([path], error)
        self._ask("end", path)
        return result

    def _ask(self, method: str, what: int | str) -> Any:
        import ray

        return ray.get(getattr(self._ledger, method).remote(what))
