"""Say what a prediction is asked, and what comes of it."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from olmv.datasets.shards import Shard
from olmv.labels.vocabulary import Vocabulary
from olmv.pages.picture_folder import ReportPictures
from olmv.placement import PlacementOptions
from olmv.predictions import VideoPrediction
from olmv.progress import JobListener
from olmv.scoring.options import ScoreOptions
from olmv.scoring.windows import TimelineOptions
from olmv.video.options import DecodeOptions, Sampling

__all__ = ["PredictJob", "PredictListener", "PredictSummary"]


class PredictListener(JobListener):
    """Watches a predict run; `advanced` counts, as stages, `label texts` that are encoded and `parts of the video`."""

    def predicted(self, prediction: VideoPrediction) -> None:
        """Take one more row."""


@dataclass(frozen=True, kw_only=True)
class PredictJob:
    """What to predict and where to write it.

    Attributes:
        inputs: videos, photos, folders, globs and manifests; or libraries of one model; or a file of rows that were
            predicted, to be decided anew.
        labels: a vocabulary, a label file, or labels with commas between them; None of rows that are decided anew.
        attributes: an attribute book.
        model: name or folder; None for the default, of a library for its own.
        thresholds: a thresholds file.
        frames: of a video, seen as one clip; None for as many as its length asks for, at least what the model is made
            for, mostly 8.
        every_s: a frame each so many seconds, in place of `frames`.
        sampling: which frames; None for what `decode` says, of a library for its own.
        timeline: also tell when labels are true; None for whether.
        decode, score, placement: how; what `decode` says of the number of frames is set by those above.
        output: the file of rows, or None.
        wide: a row a video and a column a label.
        report: an HTML page, or None.
        report_pictures: "file" for its pictures inside it, "folder" beside it, "auto" for a folder where there are many
            videos.
        resume: go on from the rows of an earlier run; False starts over.
        shard: which part of the inputs; None for all.
    """

    inputs: list[str]
    labels: str | Vocabulary | None = None
    attributes: Path | None = None
    model: str | None = None
    thresholds: Path | None = None
    frames: int | None = None
    every_s: float | None = None
    sampling: Sampling | None = None
    timeline: TimelineOptions | None = None
    decode: DecodeOptions = DecodeOptions()
    score: ScoreOptions = ScoreOptions()
    placement: PlacementOptions = PlacementOptions()
    output: Path | None = None
    wide: bool = False
    report: Path | None = None
    report_pictures: ReportPictures = "auto"
    resume: bool = True
    shard: Shard | None = None


@dataclass
class PredictSummary:
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
        """Count one more prediction."""
        if prediction.error is None:
            self.ok += 1
            self.positives.update(label.label for label in prediction.labels if label.positive)
            return
        self.failed += 1
        if len(self.failures) < 5:
            self.failures.append((prediction.video, prediction.error.message))
