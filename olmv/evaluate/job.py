"""One `olmv evaluate` run: a benchmark and a model in, a result folder out; safe to kill and take up again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from olmv.datasets.benchmarks.registry import Benchmark, close_protocols
from olmv.errors import OutputError, UsageError
from olmv.evaluate.options import PROTOCOLS, EvaluateJob
from olmv.evaluate.prepare import (
    digest,
    drawing,
    label_texts,
    open_benchmark,
    open_stored,
    probability_thresholds,
    settings_of,
    unseen_labels,
    versions,
    write_training,
)
from olmv.evaluate.results import Result, write_result
from olmv.io.packages import require
from olmv.labels.attributes import AttributeBook
from olmv.models.default import drawings_note
from olmv.progress import JobListener
from olmv.scoring.options import Mode

if TYPE_CHECKING:
    from olmv.classifier import Classifier
    from olmv.evaluate.measure import Combine
    from olmv.library.source import StoredVideos

__all__ = ["PROTOCOLS", "EvaluateJob", "EvaluateSummary", "run"]


@dataclass(frozen=True)
class EvaluateSummary:
    """What came of an evaluation.

    Attributes:
        folder: where everything was written.
        result: the figures and what they rest on.
    """

    folder: Path
    result: Result


def run(job: EvaluateJob, listener: JobListener | None = None) -> EvaluateSummary:
    """Evaluate. Everything that can be checked is checked before the model is loaded.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        UsageError: an unknown protocol, or options that do not go with it.
        InputError: the data set's layout is not as expected; the message says what was looked for.
        OutputError: the folder cannot be written.
    """
    from olmv.evaluate.label_table import label_table
    from olmv.evaluate.runner import Scoring, score_benchmark
    from olmv.evaluate.views import views_for
    from olmv.models.default import chosen_model
    from olmv.models.registry import frames_for

    listener = listener or JobListener()
    require("matplotlib", extra="evaluate", need="drawing the figures of an evaluation")
    if job.protocol not in PROTOCOLS:
        close = close_protocols(job.protocol, PROTOCOLS) or PROTOCOLS
        raise UsageError(f"no protocol '{job.protocol}'; choose from {', '.join(close)}")
    if job.tolerance_s is not None and job.protocol != "timed":
        raise UsageError(
            f"the tolerance is for events over time, of which {job.protocol} has none; leave it out",
            option="tolerance_s",
        )
    if job.library is not None and job.protocol in ("moji", "predictions"):
        raise UsageError(
            f"{job.protocol} has no videos that a library could have; leave it out, or choose manifest",
            option="library",
        )
    if job.protocol == "predictions":
        return _of_predictions(job, listener)
    if job.protocol == "timed":
        return _over_time(job, listener)
    stored = None if job.library is None else open_stored(job)
    model, note = chosen_model(job.model or (None if stored is None else stored.settings.model))
    if note is not None:
        listener.note(note)
    job = replace(job, model=model)
    frames = frames_for(model, job.frames) if stored is None else stored.settings.frames
    views = views_for(job.views, job.protocol, frames)
    benchmark, vocabulary = open_benchmark(job, views.label_style)
    job.score.check()
    thresholds, remarks = probability_thresholds(job, benchmark, vocabulary)
    book = None if job.attributes is None else AttributeBook.load(job.attributes)
    folder = job.output or Path("runs") / benchmark.name
    _check_folder(folder)
    if job.protocol.endswith("-few-shot") and (job.shots or job.lists):
        remarks += (write_training(job, folder, views.label_style),)
    for note in (*benchmark.notes, *remarks):
        listener.note(note)
    if stored is not None:
        stored.verify(benchmark.videos)
    classifier = _classifier(job, stored)
    if job.protocol != "moji" and (warning := drawings_note(classifier.model.name)) is not None:
        listener.note(warning)
    mode: Mode = "multi-label" if benchmark.kind == "multi-label" else "single-label"
    pooled = job.score.frame_pooling or views.frame_pooling or classifier.model.frame_pooling
    scoring = Scoring(
        views=views,
        mode=mode,
        pooling=job.score.pooling,
        frame_pooling=pooled,  # type: ignore[arg-type]  # a model's own was checked when it was read
        thresholds=thresholds,
        decode=job.decode,
        batch_size=job.placement.batch_size,
    )
    templates = job.score.templates or views.templates or classifier.model.templates
    texts = label_texts(benchmark, vocabulary, book, templates)
    settings = settings_of(job, benchmark, classifier, scoring, templates, stored)
    # what a row depends on; another run goes on only with the same
    identity = settings | {
        **({} if stored is None else {"library": stored.settings.digest_of_settings()[:16]}),
        "texts": digest(texts.texts),
        "videos": digest(benchmark.videos),
        "truth": digest(benchmark.truth),
        "values of thresholds": digest(thresholds),  # the rows say what passes them
    }
    scores, rows = score_benchmark(
        folder,
        benchmark,
        classifier,
        texts,
        scoring,
        settings=identity,
        resume=job.resume,
        listener=listener,
        draw=drawing(job, benchmark, classifier, scoring),
        stored=stored,
    )
    result = _measured(
        benchmark, scores, rows, views.combine, thresholds, classifier.model.name, settings, remarks, listener
    )
    return _written(folder, result, label_table(result, benchmark.groups))


def _of_predictions(job: EvaluateJob, listener: JobListener) -> EvaluateSummary:
    """Measure what `olmv predict` wrote, beside a manifest: nothing is decoded or encoded again."""
    from olmv.evaluate.from_predictions import benchmark_of
    from olmv.evaluate.label_table import label_table

    if job.data is None or job.truth is None:
        raise UsageError(
            "name the rows of olmv predict, and a manifest of what is true of the videos", option=("data", "truth")
        )
    benchmark, scores, rows, scored = benchmark_of(
        job.data, job.truth, unseen=unseen_labels(job), allow_unknown=job.allow_unknown
    )
    folder = job.output or Path("runs") / benchmark.name
    _check_folder(folder)
    for note in benchmark.notes:
        listener.note(note)
    thresholds = tuple(scored.threshold.tolist())
    settings = {"protocol": benchmark.name, "model": scored.model, **benchmark.choices}
    result = _measured(benchmark, scores, rows, "logits", thresholds, scored.model, settings, (), listener)
    return _written(folder, result, label_table(result, benchmark.groups))


def _over_time(job: EvaluateJob, listener: JobListener) -> EvaluateSummary:
    from olmv.evaluate.timed.job import measured

    folder = job.output or Path("runs") / "timed"
    _check_folder(folder)
    result, table = measured(job, folder, listener)
    return _written(folder, result, table)


def _measured(
    benchmark: Benchmark,
    scores: NDArray[np.float32],
    rows: Sequence[Mapping[str, Any]],
    combine: "Combine",
    thresholds: tuple[float, ...],
    model: str,
    settings: Mapping[str, Any],
    remarks: tuple[str, ...],
    listener: JobListener,
) -> Result:
    from olmv.evaluate.measure import combined, measure
    from olmv.metrics.near_duplicates import near_duplicate_note

    figures = measure(benchmark, scores, combine, thresholds)
    rows = _with_groups(rows, benchmark.video_groups)
    late = figures.notes
    if benchmark.name in ("manifest", "predictions") and not benchmark.video_groups:
        late += near_duplicate_note(combined(scores[np.isfinite(scores).all(axis=(1, 2))]))
    for note in late:
        listener.note(note)
    failed = sum(row["status"] != "ok" for row in rows)
    return Result(
        protocol=benchmark.name,
        kind=benchmark.kind,
        model=model,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        labels=benchmark.labels,
        videos=tuple(rows),
        metrics=figures.metrics,
        intervals=figures.intervals,
        classes=benchmark.classes,
        thresholds=thresholds,
        versions=versions(),
        settings=settings,
        counts={"videos": len(rows), "failed": failed, "labels": len(benchmark.labels)},
        splits=tuple(figures.splits),
        groups=figures.groups,
        never=figures.never,
        always=figures.always,
        notes=(*benchmark.notes, *remarks, *late),
        combine=combine,
        scores=scores,
    )


def _with_groups(rows: Sequence[Mapping[str, Any]], groups: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return the rows with the group of each video; without any where there are none, whatever an earlier run wrote."""
    bare = [{name: value for name, value in row.items() if name != "group"} for row in rows]
    return [row | {"group": group} for row, group in zip(bare, groups, strict=True)] if groups else bare  # type: ignore[return-value]


def _written(folder: Path, result: Result, table: Sequence[Mapping[str, Any]]) -> EvaluateSummary:
    from olmv.evaluate.page import write_result_page

    write_result(folder, result, table)
    write_result_page(folder, result, table)
    return EvaluateSummary(folder, result)


def _check_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {folder}: {error.strerror}; choose another folder", option="output") from None


def _classifier(job: EvaluateJob, stored: "StoredVideos | None") -> "Classifier":
    from olmv.classifier import Classifier

    if stored is not None:
        return Classifier(stored.load_model(job.model, job.placement))
    return Classifier.from_pretrained(job.model, device=job.placement.device, dtype=job.placement.dtype)
