"""Events as rows, and everyone who is to know of them.

{"event": "5f0c...", "label": "dog", "state": "began", "at": "2026-01-31T12:00:00.250+00:00", "at_s": 12.5,
 "probability": 0.91, "peak": 0.93, "lag_s": 0.21, "frame": "seen/20260131T120000.250Z-dog-5f0c1a2b-began.jpg",
 "source": "rtsp://192.168.0.12/stream1"}
"""

import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from olmv.errors import OutputError
from olmv.io.atomic import raise_output, write_all
from olmv.io.journal import encode_row, ends_with_newline
from olmv.predictions import round_significant
from olmv.watch.events import Change
from olmv.watch.listener import WatchListener, WatchSummary
from olmv.watch.picture_folder import PictureFolder
from olmv.watch.sources import check_url, without_login
from olmv.watch.webhook import EventQueue, Webhook, queue_path

__all__ = ["Teller", "append_event"]


class Teller:
    """Makes rows of changes, and tells everyone who is to know: listener, file, receiver.

    Args:
        source: of the events, as people are shown it.
        labels: by their places.
        listener: is told of every event, and of what cannot be written.
        summary: counts them.
        output, post, pictures: a file, an address and a folder, each where there is one.

    Raises:
        OutputError: the folder or the queue cannot be written.
    """

    def __init__(
        self,
        source: str,
        labels: Sequence[str],
        listener: WatchListener,
        summary: WatchSummary,
        *,
        output: Path | None,
        post: str | None,
        pictures: Path | None,
    ) -> None:
        self._labels, self._source, self._listener, self._summary = labels, source, listener, summary
        self._output = output
        self._complaint: str | None = None
        self._pictures = None if pictures is None else PictureFolder(pictures)
        self._webhook: Webhook | None = None
        if post is not None:
            name = without_login(check_url(post, "the address to post to"))
            summary.queue = queue_path(output, source, name)
            queue = EventQueue(summary.queue)
            if queue.waiting:
                listener.note(f"{queue.waiting} events of an earlier run wait in {summary.queue} and are posted first")
            self._webhook = Webhook(post, queue, listener.note)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._webhook is not None:
            self._summary.unsent = self._webhook.close()

    def tell(self, changes: Sequence[Change], *, lag_s: float | None = None) -> None:
        """Tell changes; `lag_s` since the arrival of the frame that made them, None where none did."""
        now = time.time()
        for change in changes:
            if change.state == "began":
                self._summary.events[self._labels[change.label]] += 1
            row = self._row(change, lag_s if lag_s is not None else max(now - change.moment.time, 0.0))
            if self._webhook is not None:
                self._webhook.post(row)
            if self._output is not None:
                try:
                    append_event(self._output, row)
                except OutputError as failure:
                    self._complain(failure)
            self._listener.event(row)

    def _row(self, change: Change, lag_s: float) -> dict[str, Any]:
        return {
            "event": change.event,
            "label": self._labels[change.label],
            "state": change.state,
            "at": datetime.fromtimestamp(change.moment.time, UTC).isoformat(timespec="milliseconds"),
            "at_s": round(change.moment.at_s, 3),
            "probability": round_significant(change.probability),
            "peak": round_significant(change.peak),
            "lag_s": round(lag_s, 3),
            "frame": self._picture(change),
            "source": self._source,
        }

    def _picture(self, change: Change) -> str | None:
        moment = change.moment if change.state == "began" else change.peak_moment
        if self._pictures is None or moment.picture is None:
            return None
        try:
            return self._pictures.add(
                moment.picture,
                label=self._labels[change.label],
                event=change.event,
                time=moment.time,
                what="began" if change.state == "began" else "peak",
            )
        except OutputError as failure:
            self._complain(failure)
            return None

    def _complain(self, failure: OutputError) -> None:
        """Tell once what cannot be written; a watch goes on without."""
        if str(failure) != self._complaint:
            self._complaint = str(failure)
            self._listener.note(self._complaint)


def append_event(path: Path, event: Mapping[str, Any]) -> None:
    """Append one event as a line, in one piece, to the file that has this name now.

    So several runs may append to one file, and it may be moved away meanwhile.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            torn = os.fstat(descriptor).st_size and not ends_with_newline(descriptor)  # of a run that was killed
            write_all(descriptor, (b"\n" if torn else b"") + encode_row(event))
        finally:
            os.close(descriptor)
    except OSError as failure:
        raise_output(path, failure)
