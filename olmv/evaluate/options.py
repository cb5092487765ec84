"""What an evaluation is asked: the protocols, and the options of a job."""

from dataclasses import dataclass
from pathlib import Path

from olmv.datasets.benchmarks.registry import BENCHMARKS
from olmv.placement import PlacementOptions
from olmv.scoring.options import ScoreOptions
from olmv.video.options import DecodeOptions

__all__ = ["PROTOCOLS", "EvaluateJob"]

PROTOCOLS: dict[str, str] = {
    **BENCHMARKS,
    "moji": "drawings with exact truth; needs no data",
    "predictions": "rows of olmv predict beside a manifest",
    "timed": "rows of olmv predict --timeline beside what is true when",
}
"""Protocol -> what it is, in one line."""


@dataclass(frozen=True)
class EvaluateJob:
    """What to evaluate.

    Attributes:
        protocol: one of `PROTOCOLS`.
        data: where the data set lies; not for `moji`.
        truth: for `predictions`: a manifest that says what is true; for `timed`: what is true when.
        model: name or folder.
        library: has the videos' embeddings, so that none is decoded; None where they are.
        output: the result folder.
        labels: for `manifest`, and a model over `timed`: the vocabulary; by default the labels that occur.
        attributes: an attribute book.
        unseen: for multi-label: the labels of the group `unseen`, as `Vocabulary.load` takes them.
        frames: of a clip; None for what the model is made for, mostly 8.
        thresholds: a thresholds file.
        views: a preset of `olmv.evaluate.views`.
        lists: the user's own sample lists, in the place of a draw.
        shots: training videos a class, for few-shot protocols.
        split: of the manifest.
        allow_unknown: for `manifest`, `predictions`, `timed`: go on where many true labels are not among those looked
            for.
        clips: for `moji`, how many to draw.
        seed: of a draw; None for the protocol's own.
        tolerance_s: for `timed`: by which begin and end of an event may be off, in seconds; None for 1.
        score: poolings and templates; the protocol says the mode.
        decode, placement: as `olmv predict`; the views say how many frames, and which.
        resume: go on from the scores of an earlier run.
    """

    protocol: str
    data: Path | None = None
    truth: Path | None = None
    model: str | None = None
    library: Path | None = None
    output: Path | None = None
    labels: str | None = None
    attributes: Path | None = None
    unseen: str | None = None
    views: str = "uniform"
    frames: int | None = None
    thresholds: Path | None = None
    lists: Path | None = None
    shots: int | None = None
    split: str | None = None
    allow_unknown: bool = False
    clips: int | None = None
    seed: int | None = None
    tolerance_s: float | None = None
    score: ScoreOptions = ScoreOptions()
    decode: DecodeOptions = DecodeOptions()
    placement: PlacementOptions = PlacementOptions()
    resume: bool = True
