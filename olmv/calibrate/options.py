"""Say what a calibration is asked, and what comes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from olmv.calibrate.loading import Loaded
from olmv.metrics.calibration_error import CalibrationFigures
from olmv.metrics.decisions import DecisionFigures
from olmv.scoring.thresholds import Thresholds

__all__ = ["CalibrateJob", "CalibrateSummary"]


@dataclass(frozen=True)
class CalibrateJob:
    """What to fit and where to write it.

    Args:
        predictions: a file of `olmv predict`, a folder of `olmv evaluate`, or a library, of which the labels and videos
            of the truth are predicted.
        output: the thresholds file.
        truth: a manifest, for events a truth over time; None for a folder, and with `unlabelled`.
        objective: "f1", "f0.5", "precision=0.9", "recall=0.9", "fdr=0.1", "event-f1", "event-f1=2"; None for "f1".
        guarantee: the confidence with which the target is promised, or None.
        guarantee_scope: "each" (or None) for a promise for each label by itself, "all" for one for all labels at once.
        scaling: "platt", "isotonic" or None.
        min_support: labels with fewer positives share a threshold.
        allow_unknown: go on where many true labels were not predicted; they are left out.
        folds: of the cross-fitted figures.
        unlabelled, prevalence: without truth: a number for all labels, or a csv file.
        page: an HTML file, or None.
    """

    predictions: Path
    output: Path
    truth: Path | None = None
    objective: str | None = None
    guarantee: float | None = None
    guarantee_scope: str | None = None
    scaling: str | None = None
    min_support: int = 10
    allow_unknown: bool = False
    folds: int = 5
    unlabelled: bool = False
    prevalence: str | None = None
    page: Path | None = None


@dataclass(frozen=True)
class CalibrateSummary:
    """What a run did.

    Attributes:
        thresholds: as they were written.
        objective: its name, or "prevalence".
        loaded: what it was fitted to.
        before: figures at the thresholds that the predictions were made with, of events where the objective is about
            them; None without truth.
        after: cross-fitted figures at the new ones, of the same decisions; None without truth.
        calibration: figures of the probabilities before and, cross-fitted, after scaling; None without scaling.
        refused: label -> why it has no threshold.
        notes: what the user should know, one line each.
        written: the files.
    """

    thresholds: Thresholds
    objective: str
    loaded: Loaded
    before: DecisionFigures | None = None
    after: DecisionFigures | None = None
    calibration: tuple[CalibrationFigures, CalibrationFigures] | None = None
    refused: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    written: tuple[Path, ...] = ()
