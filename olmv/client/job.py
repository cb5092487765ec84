"""A job that a server does while its client does something else."""

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import httpx

from olmv.client.answers import JobEvent, prediction_of
from olmv.client.transport import BREAKS, Transport
from olmv.errors import ServerError, reason
from olmv.predictions import VideoPrediction

__all__ = ["ClientJob"]


class ClientJob:
    """Videos that a server predicts meanwhile; `Client.submit` gives it.

    >>> job = client.submit(["a.mp4", "b.mp4"], ["dog", "rain"])
    >>> for event in job.events():
    ...     print(event.kind, event.video, event.done)
    >>> predictions = job.result()

    Attributes:
        id: by which the server knows it; it is kept for an hour after its end.
        videos: their names, as they were given.
    """

    def __init__(self, transport: Transport, job_id: str, videos: Sequence[str]) -> None:
        self._transport = transport
        self.id = job_id
        self.videos = tuple(videos)

    def __repr__(self) -> str:
        return f"ClientJob({self.id!r}, {len(self.videos)} videos)"

    @property
    def _path(self) -> str:
        return f"/v1/jobs/{self.id}"

    def status(self) -> str:
        """Return `queued`, `running`, `done`, `cancelled` or `failed`.

        Raises:
            ServerError: the server is not there, or has forgotten the job.
        """
        return str(self._transport.get(self._path).get("status"))

    def events(self) -> Iterator[JobEvent]:
        """Yield what is told, from the beginning on to the end; a connection that breaks is taken up again.

        Raises:
            ServerError: the server is not there, or has forgotten the job.
        """
        after = broken = 0
        while True:
            try:
                with self._transport.lines(f"{self._path}/events", after=after) as lines:
                    for number, kind, data in _parsed(lines):
                        after, broken = max(after, number), 0
                        event = self._event(kind, data)
                        if event is not None:
                            yield event
                            if event.kind == "end":
                                return
                failure: Exception | None = None
            except httpx.TransportError as error:
                failure = error
            broken += 1
            if broken > BREAKS:
                why = "it ends early" if failure is None else reason(failure)
                raise ServerError(f"the events of a job break off ({why}); ask for its result")
            time.sleep(0.5 * broken)

    def result(self) -> list[VideoPrediction]:
        """Wait for the end, and return the predictions in the order in which the videos were sent.

        Raises:
            ServerError: the job was cancelled or failed, or the server has forgotten it.
        """
        there: dict[int, VideoPrediction] = {}
        for event in self.events():
            if event.prediction is not None and event.place is not None:
                there[event.place] = event.prediction
            if event.kind == "end" and event.status == "cancelled":
                raise ServerError("the job was cancelled; what was done until then is among its events")
            if event.kind == "end" and event.status != "done":
                raise ServerError(f"the job ended as {event.status}; submit it again")
        return [there[place] for place in sorted(there)]

    def cancel(self) -> None:
        """Give up what is not done.

        Raises:
            ServerError: the server is not there, or has forgotten the job.
        """
        self._transport.delete(self._path)

    def _event(self, kind: str, data: Any) -> JobEvent | None:
        """Read an event; None for one that is not known."""
        if kind == "end":
            return JobEvent(kind="end", status=str(data.get("status")))
        place = data.get("place")
        name = self.videos[place] if isinstance(place, int) and 0 <= place < len(self.videos) else None
        if name is None:
            return None
        if kind == "progress":
            return JobEvent(kind="progress", place=place, video=name, done=data.get("done"), total=data.get("total"))
        if kind == "prediction":
            prediction = prediction_of(data.get("prediction"), name)
            return JobEvent(kind="prediction", place=place, video=name, prediction=prediction)
        return None


def _parsed(lines: Iterator[str]) -> Iterator[tuple[int, str, Any]]:
    """Yield (number, kind, data) of server-sent events; what is no JSON object is passed over."""
    number, kind, data = 0, "message", ""
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id" and value.isascii() and value.isdigit():
            number = int(value)
        elif name == "event":
            kind = value
        elif name == "data":
            data += value
        elif not line and data:
            try:
                document = json.loads(data)
            except ValueError:
                document = None
            if isinstance(document, dict):
                yield number, kind, document
            kind, data = "message", ""
