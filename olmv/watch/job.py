"""Run `olmv watch`: a live source and labels in; an event a line out, as they happen."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from olmv.io.atomic import check_writable
from olmv.labels.attributes import AttributeBook
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.models.default import chosen_model, drawings_note
from olmv.placement import PlacementOptions
from olmv.watch.feed import Feed
from olmv.watch.listener import WatchListener, WatchStatus, WatchSummary
from olmv.watch.options import WatchOptions
from olmv.watch.reader import ReadTask
from olmv.watch.sources import Source, check_url, parse_source
from olmv.watch.teller import Teller

if TYPE_CHECKING:
    from olmv.watch.watcher import Watcher

__all__ = ["WatchJob", "WatchListener", "WatchStatus", "WatchSummary", "run"]

TOP_LABELS = 3


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
        teller = stack.enter_context(
            Teller(
                source.name,
                vocabulary.names,
                listener,
                summary,
                output=job.output,
                post=job.post,
                pictures=job.pictures,
            )
        )
        watcher, task = _ready(job, source, vocabulary, listener)
        try:
            _watch(feed, task, watcher, teller, listener, vocabulary.names, summary)
        finally:
            teller.tell(watcher.end())


def _ready(
    job: WatchJob, source: Source, vocabulary: Vocabulary, listener: WatchListener
) -> "tuple[Watcher, ReadTask]":
    """Load the model and encode the labels."""
    from olmv.classifier import Classifier
    from olmv.scoring.drift import bank_note
    from olmv.scoring.thresholds import Thresholds, leaves_for, thresholds_for
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
    leaves = leaves_for(vocabulary, chosen, thresholds=thresholds, threshold=job.threshold)
    watcher = Watcher(model, bank, chosen, leaves=leaves or None, scaler=scaler, options=job.options)
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
    teller: Teller,
    listener: WatchListener,
    labels: Sequence[str],
    summary: WatchSummary,
) -> None:
    listener.note(f"watching {task.source.name}")
    for frame in feed.frames(task):
        if frame is None:
            teller.tell(watcher.check_silence())
            continue
        changes, probability = watcher.add(frame)
        lag_s = max(time.time() - frame.time, 0.0)
        teller.tell(changes, lag_s=lag_s)
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
