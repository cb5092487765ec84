"""Jobs: the videos of one request on their way, what is told of them meanwhile, and what came of them."""

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal

from olmv.serve.engine import EmbedTask

__all__ = ["Job", "JobTable", "Status"]

Status = Literal["queued", "running", "done", "cancelled", "failed"]

_KEPT_S = 3600.0
_MOST_KEPT = 1000
_MOST_LABELS = 250_000  # of all predictions that are kept: about 100 MB
_HEARTBEAT_S = 15.0


@dataclass(eq=False)
class Job:
    """One request's videos.

    Attributes:
        total: how many there are.
        cells: how many probabilities are told in the end, videos times labels.
        id: by which it is asked for; nobody can guess it.
        status: how far it is.
        events: what was told of it: (number, kind, data); of the progress of a video only the last.
        tasks: its videos that are decoded.
        failure: of olmv, where it failed as a whole.
        finished_at: when it ended, on the monotonic clock.
    """

    total: int
    cells: int = 0
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    status: Status = "queued"
    events: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    tasks: list[EmbedTask] = field(default_factory=list)
    failure: Exception | None = None
    finished_at: float | None = None
    running: "asyncio.Task[None] | None" = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _count: int = 0
    _given_up: bool = False

    def tell(self, kind: str, data: dict[str, Any]) -> None:
        """Tell whoever listens; `data` has the `place` of its video among those of the request."""
        if kind == "progress":
            if self.is_finished:
                return
            self.status = "running"
            place = data["place"]
            self.events = [
                event for event in self.events if not (event[1] == "progress" and event[2]["place"] == place)
            ]
        self._count += 1
        self.events.append((self._count, kind, data))
        self._changed.set()

    def add(self, place: int, prediction: dict[str, Any]) -> None:
        """Take the prediction of the video at this place of the request."""
        self.status = "running"
        self.tell("prediction", {"place": place, "prediction": prediction})

    def finish(self, status: Status) -> None:
        """End it."""
        self.status = status
        self.finished_at = time.monotonic()
        self.tell("end", {"status": status})

    def cancel(self) -> None:
        """Give up what is not done."""
        self.cancel_tasks()
        if self.running is not None and not self.running.done():
            self.running.cancel()

    def cancel_tasks(self) -> None:
        """Give up its videos."""
        self._given_up = True
        for task in self.tasks:
            task.cancel()

    @property
    def is_given_up(self) -> bool:
        """Tell whether it was cancelled."""
        return self._given_up

    @property
    def is_finished(self) -> bool:
        """Tell whether nothing more will come."""
        return self.finished_at is not None

    async def listen(self, after: int = 0) -> AsyncIterator[tuple[int, str, dict[str, Any]] | None]:
        """Yield what was told after an event, and what is told, to the end; None where nothing is for some seconds."""
        while True:
            self._changed.clear()
            for event in [event for event in self.events if event[0] > after]:
                after = event[0]
                yield event
            if self._count > after:  # told while an event was sent; another listener may have cleared the sign
                continue
            if self.is_finished:
                return
            try:
                await asyncio.wait_for(self._changed.wait(), _HEARTBEAT_S)
            except TimeoutError:
                yield None

    @property
    def predictions(self) -> list[dict[str, Any]]:
        """Return those that are there, in the order of the request."""
        there = [data for _, kind, data in self.events if kind == "prediction"]
        return [data["prediction"] for data in sorted(there, key=lambda data: data["place"])]

    def to_document(self) -> dict[str, Any]:
        """Return it as it is told to a client."""
        predictions = self.predictions
        return {
            "id": self.id,
            "status": self.status,
            "done": len(predictions),
            "total": self.total,
            "predictions": predictions,
        }


class JobTable:
    """The jobs that clients come back for; finished ones are kept for an hour, the last ones."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()

    def add(self, job: Job, work: Callable[[Job], Coroutine[Any, Any, None]]) -> None:
        """Take a job, and begin its work."""
        self._forget()
        self._jobs[job.id] = job
        job.running = asyncio.create_task(work(job))

    def remove(self, job: Job) -> None:
        """Forget a job that nobody comes back for."""
        self._jobs.pop(job.id, None)

    def get(self, job_id: str) -> Job | None:
        """Return a job; None where it was forgotten, or never known."""
        return self._jobs.get(job_id)

    @property
    def unfinished(self) -> list[Job]:
        """Return those that wait or run."""
        return [job for job in self._jobs.values() if not job.is_finished]

    async def close(self) -> None:
        """Give up all that run."""
        running = [job.running for job in self._jobs.values() if job.running is not None and not job.running.done()]
        for job in self._jobs.values():
            job.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _forget(self) -> None:
        now = time.monotonic()
        finished = [job for job in self._jobs.values() if job.finished_at is not None]
        labels = 0
        for jobs, job in enumerate(reversed(finished), start=1):
            labels += sum(len(row["labels"]) for row in job.predictions)
            if now - (job.finished_at or now) > _KEPT_S or labels > _MOST_LABELS or jobs > _MOST_KEPT:
                self._jobs.pop(job.id, None)
