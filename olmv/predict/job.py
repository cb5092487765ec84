"""One `olmv predict` run: inputs and labels in; rows, tables a report out; safe to kill and take up again."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from olmv.datasets.manifests import expand_inputs
from olmv.errors import UsageError
from olmv.io.atomic import check_writable
from olmv.io.prediction_rows import check_format, write_rows
from olmv.io.run_journal import RunJournal
from olmv.labels.attributes import AttributeBook
from olmv.labels.templates import resolve
from olmv.labels.vocabulary import Vocabulary
from olmv.models.default import drawings_note, model_note
from olmv.pages.pictures import PictureStore
from olmv.predict.page import ReportInfo, write_report
from olmv.predict.redecide import redecide
from olmv.predict.sheets import check_sheet, write_wide, write_xlsx
from olmv.predictions import VideoPrediction, check_row
from olmv.video.options import DecodeOptions

if TYPE_CHECKING:
    from olmv.classifier import Classifier
    from olmv.devices import Placement
    from olmv.scoring.thresholds import Thresholds

# Texts named in warnings about truncated labels; the rest are counted.
_NAMED = 3


class Listener(Protocol):
    """Who watches a run: the command line, or a test."""

    def note(self, text: str) -> None:
        """Something the user should know; one line."""

    def encoding_texts(self, done: int, total: int) -> None:
        """Progress of text encoding; not called where the cache has them all."""

    def started(self, *, total: int, done: int) -> None:
        """`total` videos, of which `done` have rows from an earlier run."""

    def predicted(self, prediction: VideoPrediction) -> None:
        """One more row."""


@dataclass(frozen=True)
class PredictJob:
    """What to predict and where to write it; the options are those of `Classifier.predict`."""

    inputs: list[str]
    labels: str
    attributes: Path | None = None
    model: str | None = None
    mode: str = "multi-label"
    thresholds: Path | None = None
    threshold: float | None = None
    top_k: int | None = None
    frames: int | None = None  # what the model is made for, mostly 8
    sampling: str = "uniform"
    pooling: str = "mean"
    frame_pooling: str | None = None
    templates: str | None = None
    output: Path | None = None
    wide: bool = False  # a row a video, a column a label
    report: Path | None = None
    explain: bool = False
    resume: bool = True
    decoder: str = "auto"
    device: str = "auto"
    dtype: str = "auto"
    runtime: str = "torch"
    workers: int | None = None
    batch_size: int | None = None
    timeout_s: float = 60.0


@dataclass
class Summary:
    """What a run did.

    Attributes:
        total, earlier, ok, failed: videos: all, from earlier runs, done now, failed now.
        earlier_failed: of those from earlier runs, the ones whose row is an error.
        failures: the first few failures, as (video, message).
        seconds: from the first video on.
        written: the files that the user asked for.
        positives: for each label that has any, the videos it is positive in, those from earlier runs included.
    """

    total: int
    earlier: int
    ok: int = 0
    failed: int = 0
    earlier_failed: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    written: list[Path] = field(default_factory=list)
    positives: Counter[str] = field(default_factory=Counter)

    def count(self, prediction: VideoPrediction) -> None:
        """Take one more prediction into account."""
        if prediction.error is None:
            self.ok += 1
            self.positives.update(label.label for label in prediction.labels if label.positive)
            return
        self.failed += 1
        if len(self.failures) < 5:
            self.failures.append((prediction.video, prediction.error.message))


def run(job: PredictJob, listener: Listener) -> Summary:
    """Do the job. Everything that can be checked is checked before the model is loaded.

    Raises:
        UsageError: inputs, labels, options or outputs that cannot be used; nothing was done.
        OutputError: the disk became full; the rows so far are kept.
    """
    _check_outputs(job)
    job = _with_model(job, listener)
    videos = expand_inputs(job.inputs, note=listener.note)
    vocabulary, thresholds = _words(job, listener)
    if job.output is not None:
        check_sheet(job.output, wide=job.wide, labels=len(vocabulary))
    with ExitStack() as stack:
        placement = _placement(job)
        settings = _settings(job, vocabulary, thresholds, placement)
        output = job.output or job.report
        if output is not None and job.resume and (note := redecide(output, settings)) is not None:
            listener.note(note)
        journal = _journal(job, settings, stack)
        todo = [video for video in videos if journal is None or video not in journal.done]
        summary = Summary(total=len(videos), earlier=len(videos) - len(todo))
        if journal is not None:
            summary.earlier_failed = sum(video in journal.failed for video in videos)
        listener.started(total=summary.total, done=summary.earlier)
        classifier = _classifier(job, listener, vocabulary, thresholds) if todo or job.report else None
        if journal is not None:
            journal.begin()
        pictures = _pictures(job, stack)
        if todo and classifier is not None:
            begun = time.monotonic()
            for prediction in _predict(job, classifier, todo, vocabulary, thresholds, listener):
                # Pictures first: a row says that its video is done.
                if pictures is not None and prediction.thumbnails and prediction.video not in pictures:
                    pictures.add(prediction.video, prediction.times_s, prediction.thumbnails)
                if journal is not None:
                    journal.append(prediction.to_row())
                summary.count(prediction)
                listener.predicted(prediction)
            summary.seconds = time.monotonic() - begun
        if journal is not None:
            journal.check_complete(videos)
            if summary.earlier:
                summary.positives = Counter(
                    label["label"] for row in journal.rows() for label in row["labels"] if label["positive"]
                )
            _finish(job, journal, pictures, vocabulary, classifier, summary)
    return summary


def _check_outputs(job: PredictJob) -> None:
    if job.wide and job.output is None:
        raise UsageError("a wide table needs a file; add --output X.csv or X.xlsx")
    if job.output is not None:
        check_format(job.output)
        check_writable(job.output)
    if job.report is not None:
        if job.report.suffix.lower() not in (".html", ".htm"):
            raise UsageError(f"the report is an HTML file; end {job.report} in .html")
        check_writable(job.report)


def _words(job: PredictJob, listener: Listener) -> tuple[Vocabulary, "Thresholds | None"]:
    vocabulary = Vocabulary.load(job.labels)
    if job.attributes is not None:
        vocabulary = vocabulary.with_attributes(AttributeBook.load(job.attributes))
    for note in vocabulary.notes:
        listener.note(note)
    if job.thresholds is None:
        return vocabulary, None
    from olmv.scoring.thresholds import Thresholds

    thresholds = Thresholds.load(job.thresholds)
    fitted_with = {
        "mode": job.mode,
        "templates": job.templates if job.templates is None else list(resolve(job.templates)),
        "frames": job.frames,
        "sampling": job.sampling,
        "pooling": job.pooling,
        "frame-pooling": job.frame_pooling,
    }
    for note in thresholds.notes_for(vocabulary, model=_model_name(job), settings=fitted_with):
        listener.note(note)
    return vocabulary, thresholds


def _with_model(job: PredictJob, listener: Listener) -> PredictJob:
    """The job with the model that runs, and the frames that it looks at."""
    from olmv.models.base import DEFAULT_FRAMES
    from olmv.models.default import chosen_model
    from olmv.models.registry import frames_for

    model, note = chosen_model(job.model)
    if note is not None:
        listener.note(note)
    return replace(job, model=model, frames=frames_for(model, job.frames) or DEFAULT_FRAMES)


def _model_name(job: PredictJob) -> str:
    assert job.model is not None, "run() says which"
    return job.model


def _placement(job: PredictJob) -> "Placement":
    from olmv.models.registry import placement_for

    return placement_for(job.device, job.dtype, job.runtime)


def _settings(
    job: PredictJob, vocabulary: Vocabulary, thresholds: "Thresholds | None", placement: "Placement"
) -> dict[str, Any]:
    """What a row depends on. Not the number of workers nor the batch size: they change no answer."""
    from olmv.scoring.thresholds import thresholds_for

    return {
        "labels": [[label.name, list(label.aliases), list(label.attributes)] for label in vocabulary],
        "thresholds": thresholds_for(vocabulary, thresholds=thresholds, threshold=job.threshold),
        "scalings": [] if thresholds is None else thresholds.scalings(vocabulary.names),
        "templates": job.templates if job.templates is None else list(resolve(job.templates)),
        "model": _model_name(job),
        "mode": job.mode,
        "top-k": job.top_k,
        "frames": job.frames,
        "sampling": job.sampling,
        "pooling": job.pooling,
        "frame-pooling": job.frame_pooling,
        "explain": job.explain,
        "decoder": job.decoder,
        "device": placement.device.type,
        "dtype": placement.dtype_name,
        **({} if job.runtime == "torch" else {"runtime": job.runtime}),
        **_revision(_model_name(job)),
    }


def _revision(model: str) -> dict[str, str]:
    """The commit of a model on the Hub, where the same name may mean other weights tomorrow."""
    from olmv.models.registry import folder_of

    folder = folder_of(model) if model.startswith("hf:") else None
    return {} if folder is None else {"revision": folder.name}


def _journal(job: PredictJob, settings: dict[str, Any], stack: ExitStack) -> RunJournal | None:
    output = job.output or job.report
    if output is None:
        return None
    return stack.enter_context(RunJournal(output, settings, resume=job.resume, check=check_row))


def _pictures(job: PredictJob, stack: ExitStack) -> PictureStore | None:
    if job.report is None:
        return None
    path = job.report.with_name(job.report.name + ".pictures.jsonl")
    store = PictureStore(path, resume=job.resume)
    stack.callback(store.close)
    return store


def _classifier(
    job: PredictJob, listener: Listener, vocabulary: Vocabulary, thresholds: "Thresholds | None"
) -> "Classifier":
    from olmv.classifier import Classifier

    classifier = Classifier.from_pretrained(_model_name(job), device=job.device, dtype=job.dtype, runtime=job.runtime)
    if (warning := drawings_note(classifier.model.name)) is not None:
        listener.note(warning)
    truncated = classifier.truncated_texts(vocabulary, templates=job.templates)
    limit = classifier.model.context_length
    owners = list(dict.fromkeys((label, count) for label, _, count in truncated))
    for label, count in owners[:_NAMED]:
        shown = label if len(label) <= 40 else label[:40] + "..."
        reads = f"{classifier.model.name} reads {limit}"
        listener.note(f"label '{shown}' has a text of {count} tokens; {reads}, the end is cut off")
    if len(owners) > _NAMED:
        listener.note(f"{len(owners) - _NAMED} more texts are longer than {limit} tokens; shorten them")
    return classifier


def _predict(
    job: PredictJob,
    classifier: "Classifier",
    videos: list[str],
    vocabulary: Vocabulary,
    thresholds: "Thresholds | None",
    listener: Listener,
) -> Iterator[VideoPrediction]:
    return classifier.predict(
        videos,
        vocabulary,
        mode=job.mode,  # type: ignore[arg-type]  # predict checks the words and says what is allowed
        thresholds=thresholds,
        threshold=job.threshold,
        top_k=job.top_k,
        frames=job.frames,
        sampling=job.sampling,
        pooling=job.pooling,  # type: ignore[arg-type]
        frame_pooling=job.frame_pooling,  # type: ignore[arg-type]
        templates=job.templates,
        explain=job.explain,
        decoder=job.decoder,
        workers=job.workers,
        batch_size=job.batch_size,
        thumbnails=job.report is not None,
        timeout_s=job.timeout_s,
        text_progress=listener.encoding_texts,
    )


def _finish(
    job: PredictJob,
    journal: RunJournal,
    pictures: PictureStore | None,
    vocabulary: Vocabulary,
    classifier: "Classifier | None",
    summary: Summary,
) -> None:
    if job.output is not None:
        if job.output != journal.path:
            _write_table(job, job.output, journal, vocabulary)
        summary.written.append(job.output)
    if job.report is not None and pictures is not None and classifier is not None:
        _fetch_missing_pictures(job, journal, pictures, classifier)
        info = ReportInfo(
            model=classifier.model.name,
            labels=list(vocabulary.names),
            settings={
                "mode": job.mode,
                "frames": str(job.frames),
                "sampling": job.sampling,
                "pooling": job.pooling,
                "frame pooling": job.frame_pooling or classifier.model.frame_pooling,
            },
            note=model_note(classifier.model.name),
        )
        write_report(job.report, journal.rows, pictures=pictures.get, info=info)
        pictures.discard()
        summary.written.append(job.report)


def _write_table(job: PredictJob, output: Path, journal: RunJournal, vocabulary: Vocabulary) -> None:
    if job.wide:
        write_wide(output, journal.rows(), vocabulary.names)
    elif output.suffix.lower() == ".xlsx":
        write_xlsx(output, journal.rows())
    else:
        write_rows(output, journal.rows())


def _fetch_missing_pictures(
    job: PredictJob, journal: RunJournal, pictures: PictureStore, classifier: "Classifier"
) -> None:
    """Decode again, for the report only, the videos whose rows are from a run that kept no pictures."""
    missing = [row["video"] for row in journal.rows() if row["status"] == "ok" and row["video"] not in pictures]
    if not missing:
        return
    from olmv.video.workers.loader import FrameLoader

    assert job.frames is not None, "run() says how many"
    with FrameLoader(
        missing,
        preprocess=classifier.model.preprocess,
        options=DecodeOptions(
            frames=job.frames,
            sampling=job.sampling,
            decoder=job.decoder,
            workers=job.workers,
            timeout_s=job.timeout_s,
            thumbnails=True,
        ),
    ) as loader:
        for video in loader:
            if video.thumbnails:
                pictures.add(video.path, tuple(float(time) for time in video.times_s), tuple(video.thumbnails))
