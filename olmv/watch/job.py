"""Run `olmv watch`: a live source and labels in; an event a line out, as they happen."""

import contextlib
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from olmv.errors import OutputError
from olmv.io.atomic import check_writable
from olmv.io.event_lines import append_event
from olmv.labels.attributes import AttributeBook
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.models.default import chosen_model, drawings_note
from olmv.placement import PlacementOptions
from olmv.predictions import round_significant
from olmv.progress import JobListener
from olmv.watch.events import Change, Moment
from olmv.watch.feed import Feed
from olmv.watch.options import WatchOptions
from olmv.watch.picture_folder import PictureFolder
from olmv.watch.reader import ReadTask
from olmv.watch.sources import Source, check_url, parse_source, without_login
from olmv.watch.webhook import EventQueue, Webhook, queue_path

if TYPE_CHECKING:
    from olmv.watch.watcher import Watcher

TOP_LABELS = 3


@dataclass(frozen=True)
class WatchStatus:
    """How a watch goes, at one frame.

    Attributes:
        at_s: of the frame, since the stream's first.
        lag_s: from the arrival of the frame to now, when it is scored.
        frames, dropped: scored, and left out because scoring was behind.
        top: the most probable labels, as (label, probability).
        on: the labels whose events are open.
    """

    at_s: float
    lag_s: float
    frames: int
    dropped: int
    top: tuple[tuple[str, float], ...]
    on: tuple[str, ...]


class WatchListener(JobListener):
    """Watches a watch; `advanced` counts the label texts that are encoded. `note` may come from another thread."""

    def event(self, row: dict[str, Any]) -> None:
        """Take one event."""

    def watched(self, status: WatchStatus) -> None:
        """Take how it goes, once a frame."""


@dataclass(frozen=True, kw_only=True)
class WatchJob:
    """What to watch and whom to tell.

    Attributes:
        source: an rtsp, rtsps, http or https address, a camera, a file that grows, or `-` for standard input.
        labels: a label file, or labels with commas between them.
        attributes: an attribute book.
        model: name or folder; None for the default.
        thresholds: a thresholds file.
        threshold: one for all labels; wins over all others.
        options: when a label counts.
        placement: of the model.
        output: events are appended to it, or None.
        post: an address that every event is posted to, or None.
        pictures: a folder for the events' pictures, or None.
    """

    source: str
    labels: str
    attributes: Path | None = None
    model: str | None = None
    thresholds: Path | None = None
    threshold: float | None = None
    options: WatchOptions = WatchOptions()
    placement: PlacementOptions = PlacementOptions()
    output: Path | None = None
    post: str | None = None
    pictures: Path | None = None


@dataclass
class WatchSummary:
    """What a watch saw.

    Attributes:
        frames, dropped: scored, and left out because scoring was behind.
        reconnections: how often the source came back.
        events: how often each label began.
        unsent: events that wait in `queue` for the receiver.
        queue: the file in which they wait; None where nothing is posted.
        interrupted: it was ended from outside, not by the source.
    """

    frames: int = 0
    dropped: int = 0
    reconnections: int = 0
    events: Counter[str] = field(default_factory=Counter)
    unsent: int = 0
    queue: Path | None = None
    interrupted: bool = False


def run(job: WatchJob, listener: WatchListener) -> WatchSummary:
    """Do the job until the source ends, or Ctrl-C or SIGTERM; then open events end, and unsent ones stay queued.

    Raises:
        UsageError: a source, labels, options or outputs that cannot be used.
        InputError: the source turns out to be no video, or is not to be read.
    """
    summary = WatchSummary()
    with _termination(), contextlib.suppress(KeyboardInterrupt):
        try:
            _run(job, listener, summary)
        except KeyboardInterrupt:
            summary.interrupted = True
            raise
    return summary


def _run(job: WatchJob, listener: WatchListener, summary: WatchSummary) -> None:
    job.options.check()
    source = parse_source(job.source)
    if job.post is not None:
        check_url(job.post, "the address to post to")
    if job.output is not None:
        check_writable(job.output)
    vocabulary = Vocabulary.load(job.labels)
    if job.attributes is not None:
        vocabulary = vocabulary.with_attributes(AttributeBook.load(job.attributes))
    for note in vocabulary.notes:
        listener.note(note)
    with ExitStack() as stack:
        feed = stack.enter_context(Feed(listener.note))
        feed.launch()  # it imports the decoders while this process imports torch
        teller = stack.enter_context(_Teller(job, source, vocabulary.names, listener, summary))
        watcher, task = _ready(job, source, vocabulary, listener)
        try:
            _watch(feed, task, watcher, teller, listener, vocabulary.names, summary)
        finally:
            teller.tell(watcher.end(), now=time.time())


def _ready(
    job: WatchJob, source: Source, vocabulary: Vocabulary, listener: WatchListener
) -> "tuple[Watcher, ReadTask]":
    """Load the model and encode the labels."""
    from olmv.classifier import Classifier
    from olmv.scoring.drift import bank_note
    from olmv.scoring.thresholds import Thresholds, thresholds_for
    from olmv.watch.watcher import Watcher

    thresholds = None if job.thresholds is None else Thresholds.load(job.thresholds)
    chosen = thresholds_for(vocabulary, thresholds=thresholds, threshold=job.threshold)
    name, note = chosen_model(job.model)
    if note is not None:
        listener.note(note)
    if thresholds is not None:
        for note in thresholds.notes_for(vocabulary, model=name):
            listener.note(note)
    place = job.placement
    classifier = Classifier.from_pretrained(name, device=place.device, dtype=place.dtype, runtime=place.runtime)
    model = classifier.model
    if (warning := drawings_note(model.name)) is not None:
        listener.note(warning)
    texts = build_texts(vocabulary, model.templates)
    bank = classifier.text_bank(texts, progress=lambda done, total: listener.advanced(done, total, stage="label texts"))
    if (note := bank_note(texts, bank)) is not None:
        listener.note(note)
    scaler = None if thresholds is None else thresholds.scaler(vocabulary.names)
    watcher = Watcher(model, bank, chosen, scaler=scaler, options=job.options)
    return watcher, ReadTask(
        source=source,
        preprocess=model.preprocess,
        fps=job.options.fps,
        pictures=job.pictures is not None,
        memory_limit_mb=job.options.memory_limit_mb,
    )


def _watch(
    feed: Feed,
    task: ReadTask,
    watcher: "Watcher",
    teller: "_Teller",
    listener: WatchListener,
    labels: list[str],
    summary: WatchSummary,
) -> None:
    listener.note(f"watching {task.source.name}")
    for frame in feed.frames(task):
        if frame is None:
            teller.tell(watcher.check_silence(), now=time.time())
            continue
        changes, probability = watcher.add(frame)
        lag_s = max(time.time() - frame.time, 0.0)
        teller.tell(changes, now=time.time(), lag_s=lag_s)
        if frame.dropped and not summary.dropped:
            listener.note(f"scoring is behind {task.fps:g} frames a second, so frames are left out; lower that")
        summary.frames += 1
        summary.dropped, summary.reconnections = frame.dropped, feed.reconnections
        best = probability.argsort(kind="stable")[::-1][:TOP_LABELS].tolist()
        listener.watched(
            WatchStatus(
                at_s=frame.at_s,
                lag_s=lag_s,
                frames=summary.frames,
                dropped=summary.dropped,
                top=tuple((labels[label], float(probability[label])) for label in best),
                on=tuple(labels[label] for label in watcher.open),
            )
        )


class _Teller:
    """Makes rows of changes, and tells everyone who is to know: listener, file, receiver."""

    def __init__(
        self, job: WatchJob, source: Source, labels: list[str], listener: WatchListener, summary: WatchSummary
    ) -> None:
        self._labels, self._source, self._listener, self._summary = labels, source, listener, summary
        self._output = job.output
        self._complaint: str | None = None
        self._pictures = None if job.pictures is None else PictureFolder(job.pictures)
        self._webhook: Webhook | None = None
        if job.post is not None:
            name = without_login(check_url(job.post, "the address to post to"))
            summary.queue = queue_path(job.output, source.name, name)
            queue = EventQueue(summary.queue)
            if queue.waiting:
                listener.note(f"{queue.waiting} events of an earlier run wait in {summary.queue} and are posted first")
            self._webhook = Webhook(job.post, queue, listener.note)

    def __enter__(self) -> "_Teller":
        return self

    def __exit__(self, *_: object) -> None:
        if self._webhook is not None:
            self._summary.unsent = self._webhook.close()

    def tell(self, changes: list[Change], *, now: float, lag_s: float | None = None) -> None:
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
            "source": self._source.name,
        }

    def _picture(self, change: Change) -> str | None:
        moment: Moment = change.moment if change.state == "began" else change.peak_moment
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


@contextlib.contextmanager
def _termination() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
