"""Run `olmv predict`: inputs and labels in; rows, tables and a page out; safe to kill and take up again."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from olmv.datasets.manifests import expand_inputs
from olmv.datasets.shards import selected
from olmv.errors import UsageError
from olmv.io.prediction_fields import check_row
from olmv.io.run_journal import RunJournal
from olmv.labels.texts import LabelTexts
from olmv.labels.vocabulary import Vocabulary
from olmv.models.ahead import decode_ahead
from olmv.models.default import chosen_model
from olmv.pages.pictures import PictureStore
from olmv.predict.inputs import input_kind
from olmv.predict.loading import load_classifier, load_words, open_stored, settings_of
from olmv.predict.options import PredictJob, PredictListener, PredictSummary
from olmv.predict.outputs import Outputs, fetch_missing_pictures
from olmv.predict.redecide import redecide
from olmv.predict.settings import PredictSettings
from olmv.predictions import VideoPrediction
from olmv.scoring.windows import sampled
from olmv.video.options import DecodeOptions
from olmv.video.transforms import Preprocess

if TYPE_CHECKING:
    from olmv.predict.engine import PredictEngine
    from olmv.scoring.bank import TextBank
    from olmv.scoring.prompted import PromptedBank

__all__ = ["PredictJob", "PredictListener", "PredictSummary", "run"]


def run(job: PredictJob, listener: PredictListener, engine: "PredictEngine | None" = None) -> PredictSummary:
    """Do the job; everything that can be checked is checked before the model is loaded.

    With an engine, it decodes and predicts, and rows come as it has them.

    Raises:
        UsageError: inputs, labels, options or outputs that cannot be used; nothing was done.
        OutputError: the disk became full; the rows so far are kept.
    """
    kind = input_kind(job.inputs, labelled=job.labels is not None)
    if engine is not None and kind != "files":
        what = "engine" if engine.served is None else "server"
        raise UsageError(f"libraries and rows are quick here: leave out the {what}", option=what)
    if kind == "rows":
        from olmv.predict.from_rows import decide_rows

        return decide_rows(job, listener)
    outputs = Outputs(
        job.output,
        job.report,
        wide=job.wide,
        timeline=job.timeline is not None,
        report_pictures=job.report_pictures,
    )
    outputs.check()
    stored = None
    if kind == "libraries":
        stored, job = open_stored(job)
    model, note = chosen_model(job.model) if engine is None else engine.choose_model(job)
    served = None if engine is None else engine.served
    if note is not None:
        listener.note(note)
    sampling = job.sampling or job.decode.sampling
    job = replace(job, decode=replace(job.decode, thumbnails=outputs.shows_pictures, sampling=sampling))
    videos = expand_inputs(job.inputs, note=listener.note) if stored is None else stored.names
    videos = selected(videos, job.shard, note=listener.note)
    outputs.check_videos(videos)
    vocabulary, thresholds = load_words(job, listener)
    outputs.check_labels(len(vocabulary))
    with ExitStack() as stack:
        # before anything imports torch: small files are decoded by the time it is there
        complete = partial(_decode_options, job)
        unless = stored is not None or engine is not None or _earlier(job, outputs)
        ahead = stack.enter_context(decode_ahead(model, videos, complete, unless=unless))
        if stored is None:
            job = replace(
                job, decode=complete(_frames(model, job) if served is None else job.frames or DecodeOptions.frames)
            )
        settings = settings_of(job, model, vocabulary, thresholds, stored, engine)
        if thresholds is not None:
            for note in settings.notes_on(thresholds):
                listener.note(note)
        journal = _journal(outputs, settings, job.resume, stack, listener)
        todo = [video for video in videos if journal is None or video not in journal.done]
        summary = PredictSummary(total=len(videos), earlier=len(videos) - len(todo))
        if journal is not None:
            summary.earlier_failed = sum(video in journal.failed for video in videos)
        listener.started(total=summary.total, done=summary.earlier)
        if stored is not None:
            stored.verify(todo)
        classifier = None
        if served is None and ((todo and engine is None) or outputs.shows_pictures):
            classifier = load_classifier(job, model, vocabulary, listener, stored)
        if journal is not None:
            journal.begin()
        pictures = outputs.open_pictures(stack, resume=job.resume)
        parts = None
        if job.timeline is not None and served is None:
            parts = outputs.open_parts(stack, settings, pictures, resume=job.resume)
        if todo and (engine is not None or classifier is not None):
            if ahead is not None and todo != videos:
                ahead.close()
                ahead = None
            if parts is not None and (begun := parts.begun(todo)):
                listener.note(f"videos begun before: {begun}; going on inside")
            if engine is not None:
                stream = partial(engine.stream, model=model, placement=job.placement)
            elif classifier is not None:
                stream = partial(classifier.stream, loader=ahead, stored=stored)
            stream = partial(stream, thresholds=thresholds, timeline=job.timeline, store=parts)
            _predict(job, stream, todo, vocabulary, journal, pictures, summary, listener)
        if journal is not None:
            journal.check_complete(videos)
            if summary.earlier:
                summary.positives = Counter(
                    label["label"] for row in journal.rows() for label in row["labels"] if label["positive"]
                )
            if parts is not None:
                outputs.write_curves(journal, parts)
            shown = served if classifier is None else classifier.model
            if shown is not None and pictures is not None:
                preprocess = Preprocess() if classifier is None else classifier.model.preprocess
                fetch_missing_pictures(journal, pictures, preprocess, job.decode, stored)
            outputs.write_table(journal, vocabulary, pictures)
            if shown is not None and pictures is not None:
                outputs.write_page(journal, pictures, shown, settings)
                pictures.discard()
            summary.written = outputs.written
    return summary


def _earlier(job: PredictJob, outputs: Outputs) -> bool:
    """Tell whether rows of an earlier run may be there, so that not all files are to be decoded."""
    return job.resume and outputs.first is not None and outputs.first.exists()


def _frames(model: str, job: PredictJob) -> int:
    from olmv.models.registry import frames_for

    return frames_for(model, job.frames) or DecodeOptions.frames


def _decode_options(job: PredictJob, model_frames: int) -> DecodeOptions:
    return sampled(job.decode, frames=job.frames, every_s=job.every_s, timeline=job.timeline, model_frames=model_frames)


def _journal(
    outputs: Outputs, settings: PredictSettings, resume: bool, stack: ExitStack, listener: PredictListener
) -> RunJournal | None:
    if outputs.first is None:
        return None
    document = settings.to_document()
    if resume and (note := redecide(outputs.first, document)) is not None:
        listener.note(note)
    return stack.enter_context(RunJournal(outputs.first, document, resume=resume, check=check_row))


def _note_drift(texts: LabelTexts, bank: "TextBank | PromptedBank", listener: PredictListener) -> None:
    from olmv.scoring.drift import bank_note

    if (note := bank_note(texts, bank)) is not None:
        listener.note(note)


def _predict(
    job: PredictJob,
    stream: Callable[..., Iterator[VideoPrediction]],
    videos: list[str],
    vocabulary: Vocabulary,
    journal: RunJournal | None,
    pictures: PictureStore | None,
    summary: PredictSummary,
    listener: PredictListener,
) -> None:
    begun = time.monotonic()
    predictions = stream(
        videos,
        vocabulary,
        decode=job.decode,
        score=job.score,
        batch_size=job.placement.batch_size,
        progress=lambda done, total: listener.advanced(done, total, stage="label texts"),
        inspect=lambda texts, bank: _note_drift(texts, bank, listener),
        advanced=lambda done, total: listener.advanced(done, total, stage="parts of the video"),
    )
    for prediction in predictions:
        # Pictures first: a row says that its video is done.
        if pictures is not None and prediction.thumbnails and prediction.video not in pictures:
            pictures.add(prediction.video, prediction.thumbnail_times_s, prediction.thumbnails)
        if journal is not None:
            journal.append(prediction.to_row())
        summary.count(prediction)
        listener.predicted(prediction)
    summary.seconds = time.monotonic() - begun
