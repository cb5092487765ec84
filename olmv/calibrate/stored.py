"""Predictions of the videos of a truth, made from a library: what a library is calibrated with."""

from pathlib import Path
from typing import TYPE_CHECKING

from olmv.calibrate.objectives import Objective
from olmv.calibrate.options import CalibrateJob
from olmv.datasets.manifests import read_manifest
from olmv.datasets.timed import read_timed
from olmv.errors import InputError, UsageError
from olmv.io.curves import curves_path, write_curves
from olmv.io.run_journal import RunJournal
from olmv.labels.lookup import first_spellings
from olmv.labels.vocabulary import Vocabulary
from olmv.predict.loading import load_classifier, open_stored, settings_of
from olmv.predict.options import PredictJob, PredictListener
from olmv.progress import JobListener
from olmv.scoring.windows import TimelineOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from olmv.io.curves import Curve

__all__ = ["predict_stored"]


class _Quiet(PredictListener):
    """Passes on what a prediction has to say, but for its rows."""

    def __init__(self, listener: JobListener) -> None:
        self.note = listener.note  # type: ignore[method-assign]


def predict_stored(job: CalibrateJob, output: Path, listener: JobListener) -> None:
    """Write the rows that `olmv predict` gives for the videos and labels of a truth, with curves where it says when.

    Args:
        job: whose predictions are a library.
        output: a .jsonl file.
        listener: takes the notes.

    Raises:
        UsageError: there is no truth, its labels are none, or the library is of another kind than the objective wants.
        InputError: the truth or the library cannot be read, or its files have changed.
    """
    if job.truth is None:
        raise UsageError(
            f"{job.predictions} is a library, which is calibrated with the labels of a truth: add it, or predict the "
            "library and name its rows",
            option="truth",
        )
    events = Objective.parse(job.objective or "f1").kind == "events"
    if events:
        timed, _ = read_timed(job.truth)
        if any(video.is_id for video in timed):
            raise InputError(
                f"{job.truth} has ids, which name no videos of a library; predict it first", option="truth"
            )
        videos = [video.video for video in timed]
        names = first_spellings(segment.label for video in timed for segment in video.segments)
    else:
        rows = read_manifest(job.truth)
        videos = list(dict.fromkeys(row.video for row in rows))
        names = first_spellings(label for row in rows for label in row.labels or ())
    if not names:
        raise UsageError(f"{job.truth} names no label that is true of a video; add some", option="truth")
    vocabulary = Vocabulary.from_names(names)
    stored, asked = open_stored(PredictJob(inputs=[str(job.predictions)]))
    if events:
        timeline = stored.settings.timeline or TimelineOptions()
        stored, asked = open_stored(PredictJob(inputs=[str(job.predictions)], timeline=timeline))
    if all(stored.get(video) is None for video in videos):
        raise InputError(
            f"{job.predictions} has none of the {len(videos)} videos of {job.truth}; its paths count from the folder "
            "that it lies in: correct them, or index the videos",
            option="truth",
        )
    stored.verify(videos)
    model = asked.model or stored.settings.model
    settings = settings_of(asked, model, vocabulary, None, stored)
    classifier = load_classifier(asked, model, vocabulary, _Quiet(listener), stored)
    predictions = classifier.stream(
        videos, vocabulary, decode=asked.decode, score=asked.score, timeline=asked.timeline, stored=stored
    )
    with RunJournal(output, settings.to_document()) as journal:
        journal.begin()

        def curves() -> "Iterator[Curve]":
            for prediction in predictions:
                journal.append(prediction.to_row())
                if prediction.curve is not None:
                    yield prediction.curve

        if events:
            write_curves(curves_path(output), curves())
        else:
            for _ in curves():
                pass
