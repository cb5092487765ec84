"""One `olmv evaluate timed` run: rows with curves, or a model, and a truth over time in; figures out."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from olmv.datasets.timed import read_timed
from olmv.datasets.timed_video import TimedVideo
from olmv.errors import UsageError
from olmv.evaluate.from_predictions import remarks
from olmv.evaluate.options import EvaluateJob
from olmv.evaluate.prepare import open_stored, versions
from olmv.evaluate.results import Result
from olmv.evaluate.timed.timelines import Timed, join_timed
from olmv.io.atomic import writing_file
from olmv.labels.attributes import AttributeBook
from olmv.labels.lookup import first_spellings
from olmv.labels.vocabulary import Vocabulary
from olmv.progress import JobListener
from olmv.scoring.thresholds import Thresholds
from olmv.scoring.windows import TimelineOptions, sampled

if TYPE_CHECKING:
    from olmv.io.curves import Curve
    from olmv.metrics.temporal_figures import TemporalFigures

__all__ = ["TOLERANCE_S", "measured", "timelines_of"]

TOLERANCE_S = 1.0
"""By which begin and end of a predicted event may be off, unless the job says."""


def measured(job: EvaluateJob, folder: Path, listener: JobListener) -> tuple[Result, list[dict[str, Any]]]:
    """Measure segments and curves.

    Args:
        job: with rows and truth; or with the truth as data, and a model.
        folder: of the result; rows of a model are written there.
        listener: takes the notes.

    Returns:
        The result, and a row for each label.

    Raises:
        UsageError, InputError: the job names neither, or as `join_timed`.
    """
    from olmv.metrics.temporal import check_tolerance
    from olmv.metrics.temporal_figures import temporal_figures, temporal_intervals

    tolerance = TOLERANCE_S if job.tolerance_s is None else job.tolerance_s
    check_tolerance(tolerance)
    if job.data is None or (job.truth is None) == (job.model is None and job.library is None):
        raise UsageError(
            "name rows with a timeline as the data and a truth over time, or that truth as the data and a model or a "
            "library",
            option=("data", "truth", "model", "library"),
        )
    rows, truth = (job.data, job.truth) if job.truth is not None else (_predicted(job, folder, listener), job.data)
    timed = join_timed(rows, truth, allow_unknown=job.allow_unknown)
    notes = (*timed.notes, *remarks(timed.joined))
    for note in notes:
        listener.note(note)
    figures = temporal_figures(timed.timelines, tolerance_s=tolerance)
    intervals = temporal_intervals(timed.timelines, tolerance_s=tolerance)
    scored = timed.joined.scored
    result = Result(
        protocol="timed",
        kind="timed",
        model=scored.model,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        labels=scored.labels,
        videos=tuple(_videos(timed)),
        metrics=figures.metrics,
        intervals={name: (interval.low, interval.high) for name, interval in intervals.items()},
        thresholds=tuple(scored.threshold.tolist()),
        versions=versions(),
        settings={
            "protocol": "timed",
            "model": scored.model,
            "predictions": rows.name,
            "truth": truth.name,
            "tolerance of events": f"{tolerance:g} s",
            "segments are ranked by": "their highest probability",
        },
        counts={"videos": len(scored.videos), "failed": 0, "labels": len(scored.labels)},
        never=tuple(label for label, count in zip(scored.labels, figures.support, strict=True) if not count),
        notes=notes,
    )
    return result, _table(timed, figures)


def timelines_of(
    job: EvaluateJob, videos: Sequence[str], vocabulary: Vocabulary, listener: JobListener
) -> "Iterator[tuple[dict[str, Any], Curve | None]]":
    """Yield the row of every video with its segments, and its curve; None where it failed.

    Raises:
        ModelError: the model cannot be loaded.
        UsageError: an option that does not go with it.
    """
    from olmv.classifier import Classifier
    from olmv.models.default import drawings_note

    fitted = None if job.thresholds is None else Thresholds.load(job.thresholds)
    timeline, stored = TimelineOptions(), None
    if job.library is not None:
        stored = open_stored(job)
        timeline = stored.settings.timeline or timeline
        stored.verify(videos)
        classifier = Classifier(stored.load_model(job.model, job.placement, timeline=timeline))
    else:
        classifier = Classifier.from_pretrained(job.model, device=job.placement.device, dtype=job.placement.dtype)
    if (warning := drawings_note(classifier.model.name)) is not None:
        listener.note(warning)
    frames = classifier.model.default_frames
    decode = sampled(job.decode, frames=None, every_s=None, timeline=timeline, model_frames=frames)
    if stored is not None:
        decode = stored.decode_options()
    for prediction in classifier.stream(
        videos,
        vocabulary,
        decode=decode,
        score=job.score,
        thresholds=fitted,
        batch_size=job.placement.batch_size,
        timeline=timeline,
        stored=stored,
    ):
        yield prediction.to_row(), prediction.curve


def _predicted(job: EvaluateJob, folder: Path, listener: JobListener) -> Path:
    """Predict the videos of a truth over time into the result folder, and return the file of rows."""
    from olmv.io.curves import curves_path, write_curves
    from olmv.io.journal import encode_row

    assert job.data is not None  # `measured` has looked
    truth, _ = read_timed(job.data)
    videos, path = _paths(truth), folder / "rows.jsonl"
    if job.labels is not None:
        vocabulary = Vocabulary.load(job.labels)
    else:
        vocabulary = Vocabulary.from_names(
            first_spellings(segment.label for video in truth for segment in video.segments)
        )
    if job.attributes is not None:
        vocabulary = vocabulary.with_attributes(AttributeBook.load(job.attributes))
    listener.started(total=len(videos), done=0)
    with writing_file(path) as temporary, temporary.open("wb") as file:

        def curves() -> "Iterator[Curve]":
            for done, (row, curve) in enumerate(timelines_of(job, videos, vocabulary, listener), start=1):
                file.write(encode_row(row))
                listener.advanced(done, len(videos))
                if curve is not None:
                    yield curve

        write_curves(curves_path(path), curves())
    return path


def _paths(truth: Sequence[TimedVideo]) -> list[str]:
    if any(video.is_id for video in truth):
        raise UsageError(
            "this truth has ids, which name no files; predict with a timeline first, and name the rows as the data",
            option=("data", "truth"),
        )
    return [video.video for video in truth]


def _videos(timed: Timed) -> Iterator[dict[str, Any]]:
    labels = timed.joined.scored.labels
    for video, timeline in zip(timed.joined.scored.videos, timed.timelines, strict=True):
        peaks = np.array([score.max(initial=-1.0) for score in timeline.score])
        yield {
            "video": video,
            "status": "ok",
            "error": None,
            "truth": [label for label, spans in zip(labels, timeline.truth, strict=True) if len(spans)],
            "predicted": [labels[i] for i in np.argsort(-peaks, kind="stable") if peaks[i] >= 0],
        }


def _table(timed: Timed, figures: "TemporalFigures") -> list[dict[str, Any]]:
    scored = timed.joined.scored
    return [
        {
            "label": label,
            "events": int(figures.support[index]),
            "seconds": round(float(figures.seconds[index]), 1),
            "predicted": int(figures.predicted[index]),
            **{f"ap{iou}": float(ap[index]) for iou, ap in zip((30, 50, 70), figures.ap, strict=True)},
            "frame_ap": float(figures.frame_ap[index]),
            **{name: float(getattr(figures, name)[index]) for name in ("precision", "recall", "f1")},
            "threshold": float(scored.threshold[index]),
        }
        for index, label in enumerate(scored.labels)
    ]
