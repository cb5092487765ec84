"""Decide rows that were predicted anew, into another file: no video is decoded, and no model is loaded.

Probabilities are those of the rows. Thresholds from a file belong to the model's own probabilities, and may carry a
scaling: rows that were made without one get it; of rows that have another one already, the model's own probabilities
are made of the logits first.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from olmv.errors import InputError, UsageError
from olmv.io.curves import Curve, CurveFile, curves_path, write_curves
from olmv.io.prediction_fields import Row, check_row
from olmv.io.prediction_rows import read_rows
from olmv.io.run_journal import RunJournal
from olmv.labels.label import Label
from olmv.labels.vocabulary import Vocabulary
from olmv.predict.options import PredictJob, PredictListener, PredictSummary
from olmv.predict.outputs import Outputs
from olmv.predict.page import ReportInfo, write_report
from olmv.predict.redecide import Decider, NoCurveError, earlier_settings
from olmv.predictions import VideoPrediction, round_significant
from olmv.scoring.logits import sigmoid
from olmv.scoring.options import ScoreOptions
from olmv.scoring.run_settings import RunSettings
from olmv.scoring.windows import TimelineOptions
from olmv.video.options import DecodeOptions

if TYPE_CHECKING:
    from olmv.scoring.scaling import Scaler

__all__ = ["decide_rows"]

SOURCE = "decided from"
"""The setting of a run whose rows were decided anew: the file that had them before."""

_DEFAULT_WINDOWS = (TimelineOptions.window_s, TimelineOptions.step_s)


def decide_rows(job: PredictJob, listener: PredictListener) -> PredictSummary:
    """Do a job whose input is a file of rows; everything that can be checked is checked before anything is written.

    Raises:
        UsageError: options that go with a model, outputs that cannot be used, or probabilities of which the model's own
            cannot be made.
        InputError: the file cannot be read, has no video, or its curves are gone.
        OutputError: the disk became full.
    """
    path = Path(job.inputs[0])
    _check_options(job)
    rows = _Rows.read(path)
    timed = rows.timed and not job.wide
    if job.timeline is not None and not rows.timed:
        raise UsageError(
            f"the rows of {path} have no times; predict the videos with a timeline, or leave it out", option="timeline"
        )
    if job.timeline is not None:
        windows = (job.timeline.window_s, job.timeline.step_s)
        if windows not in (_DEFAULT_WINDOWS, (rows.settings.get("window"), rows.settings.get("step"))):
            raise UsageError(
                f"the curves of {path} were made of other windows; leave window and step out, or predict again",
                option=("window_s", "step_s"),
            )
    outputs = Outputs(job.output, job.report, wide=job.wide, timeline=timed)
    outputs.check()
    outputs.check_videos([*rows.places])
    outputs.check_labels(len(rows.labels))
    if outputs.shows_pictures and job.report is None:
        raise UsageError(f"{path} has no pictures; predict the videos again for {job.output}", option="output")
    if outputs.first is not None and outputs.first.resolve() == path.resolve():
        raise UsageError(f"{path} cannot be decided into itself; choose another output", option="output")
    vocabulary = rows.vocabulary()
    decisions = _Decisions(job, rows, vocabulary, timed=timed)
    if (first := next((row for row in rows if row["status"] == "ok"), None)) is not None:
        decisions.decide(first)  # what is wrong with it is wrong with most, and told before anything is written
    for note in decisions.notes:
        listener.note(note)
    summary = PredictSummary(total=len(rows.places), earlier=0)
    begun = time.monotonic()
    with ExitStack() as stack:
        journal = None
        if outputs.first is not None:
            journal = _journal(outputs.first, decisions.settings, resume=job.resume)
            stack.enter_context(journal)
            journal.begin()
        listener.started(total=summary.total, done=0)
        for row in rows:
            row = decisions.decide(row)
            if journal is not None:
                journal.append(row)
            prediction = VideoPrediction.from_row(row)
            summary.count(prediction)
            listener.predicted(prediction)
        summary.seconds = time.monotonic() - begun
        if journal is not None and outputs.first is not None:
            journal.check_complete(rows.places)
            curves = None
            if timed:
                curves = curves_path(outputs.first)
                write_curves(curves, decisions.curves(rows.places))
                outputs.written.append(curves)
            outputs.write_table(journal, vocabulary, None)
            if job.report is not None:
                _write_page(job.report, journal, curves, decisions, rows)
                outputs.written.append(job.report)
            summary.written = outputs.written
    return summary


def _check_options(job: PredictJob) -> None:
    score, default = job.score, ScoreOptions()
    asked: dict[str, Any] = {
        "model": job.model,
        "attributes": job.attributes,
        "frames": job.frames,
        "every_s": job.every_s,
        "max_frames": job.decode.max_frames,
        "sampling": job.sampling or (job.decode.sampling != DecodeOptions.sampling),
        "multi_label": score.mode != default.mode,
        "pooling": score.pooling != default.pooling,
        "frame_pooling": score.frame_pooling,
        "templates": score.templates,
        "explain": score.explain,
        "shard": job.shard,
        "report_pictures": job.report_pictures != "auto",
    }
    for name, value in asked.items():
        if value:
            raise UsageError(
                f"the rows of {job.inputs[0]} are decided anew from their probabilities; leave out "
                f"{name.removesuffix('_s').replace('_', '-')}, or name the labels to predict their videos again",
                option=(name, "labels"),
            )


@dataclass(frozen=True)
class _Rows:
    """The rows of a file, the last one of each video.

    Attributes:
        path: of the file.
        settings: of the run that made it; empty where they are not beside it.
        places: video -> which row of the file is its last.
        labels: label -> its threshold, in the order in which they come.
        model: that predicted.
        timed: rows have segments.
    """

    path: Path
    settings: Mapping[str, Any]
    places: dict[str, int] = field(default_factory=dict)
    labels: dict[str, float] = field(default_factory=dict)
    model: str = ""
    timed: bool = False

    @classmethod
    def read(cls, path: Path) -> "_Rows":
        """Go through a file once.

        Raises:
            InputError: it cannot be read, has no rows, or those of several models.
            UsageError: it holds other things than rows.
        """
        rows = cls(path, earlier_settings(path) or {})
        models: dict[str, None] = {}
        timed = False
        for place, row in enumerate(read_rows(path)):
            rows.places[row["video"]] = place
            models.setdefault(row["model"])
            timed |= row.get("segments") is not None
            for label in row["labels"]:
                rows.labels.setdefault(label["label"], label["threshold"])
        if not rows.labels:
            raise InputError(f"{path} has no labels of any video; predict the videos again")
        if len(models) > 1:
            first, second, *_ = models
            raise InputError(f"{path} has rows of two models, {first} and {second}; decide those of each by themselves")
        return replace(rows, model=next(iter(models)), timed=timed)

    def __iter__(self) -> Iterator[Row]:
        for place, row in enumerate(read_rows(self.path)):
            if self.places.get(row["video"]) == place:
                yield row

    def vocabulary(self) -> Vocabulary:
        """Return the labels, with the words and the thresholds that they had."""
        try:
            stored = [(str(name), tuple(aliases), tuple(words)) for name, aliases, words in self.settings["labels"]]
        except (KeyError, TypeError, ValueError):
            stored = []
        words = {name: (aliases, attributes) for name, aliases, attributes in stored}
        names = words if self.labels.keys() <= words.keys() else self.labels
        limits = dict(zip(words, self.settings.get("thresholds", ()), strict=False))
        return Vocabulary(
            Label(name, *words.get(name, ((), ())), threshold=self.labels.get(name, limits.get(name))) for name in names
        )


class _Decisions:
    """Decides rows by the options of a job.

    Args:
        job: that has them.
        rows: that are decided.
        vocabulary: of their labels.
        timed: segments are made anew.

    Attributes:
        settings: of the rows that come of it, as plain data.
        notes: for the user.
    """

    def __init__(self, job: PredictJob, rows: _Rows, vocabulary: Vocabulary, *, timed: bool) -> None:
        from olmv.scoring.thresholds import Thresholds, leaves_for, thresholds_for

        self._path, self._timed, self._top_k = rows.path, timed, job.score.top_k
        self._fitted: Thresholds | None = None if job.thresholds is None else Thresholds.load(job.thresholds)
        self._scalers: dict[tuple[str, ...], Scaler | None] = {}
        self._mode = rows.settings.get("mode")
        self._own = rows.settings.get("scalings") == []
        self._scaled = bool(rows.settings.get("scalings"))
        threshold = job.score.threshold
        limits = thresholds_for(vocabulary, thresholds=self._fitted, threshold=threshold)
        leaves = leaves_for(vocabulary, limits, thresholds=self._fitted if timed else None, threshold=threshold)
        labels = [[label.name, list(label.aliases), list(label.attributes)] for label in vocabulary]
        earlier = {name: value for name, value in rows.settings.items() if name not in ("leaves", "join", "least")}
        scalings = rows.settings.get("scalings", [])
        if self._fitted is not None:
            scalings = self._fitted.scalings(vocabulary.names)
        self.settings: dict[str, Any] = {
            "model": rows.model,
            **earlier,
            "labels": labels,
            "thresholds": limits,
            "scalings": scalings,
            **({"leaves": leaves} if leaves else {}),
            **({} if self._top_k is None else {"top-k": self._top_k}),
            **self._lengths(job, rows),
            SOURCE: str(rows.path),
        }
        if timed and self._fitted is not None and (scalings or not self._is_own(rows)):
            raise UsageError(
                f"the curves beside {rows.path} are mixed of windows, and a scaling is for each of them; predict with "
                "these thresholds again",
                option="thresholds",
            )
        self._decider = Decider(rows.path, self.settings)
        about = RunSettings.from_document(rows.settings)
        self.notes: Sequence[str] = ()
        if self._fitted is not None:
            self.notes = self._fitted.notes_for(vocabulary, model=rows.model or None, settings=about)

    def _is_own(self, rows: _Rows) -> bool:
        return self._own or "scalings" not in rows.settings

    def _lengths(self, job: PredictJob, rows: _Rows) -> dict[str, float]:
        """Return the lengths of gaps and blips: those of the job, else those that the rows were made with."""
        if not self._timed:
            return {}
        if job.timeline is not None:
            return {"join": job.timeline.join_s, "least": job.timeline.least_s}
        return {name: rows.settings[name] for name in ("join", "least") if name in rows.settings}

    def decide(self, row: Row) -> Row:
        """Return a row with its decisions.

        Raises:
            UsageError: its probabilities are calibrated, and the model's own cannot be made of its logits.
            InputError: its curve is gone.
        """
        if not self._timed:
            row = {name: value for name, value in row.items() if name not in ("segments", "shots_s")}
        if row["status"] != "ok":
            return row
        if self._fitted is not None:
            row = {**row, "labels": self._calibrated(row["labels"])}
        try:
            row = self._decider.decide(row)
        except NoCurveError:
            raise self._no_curve(row["video"]) from None
        if self._top_k is not None:
            best = sorted(row["labels"], key=lambda label: -label["probability"])
            row = {**row, "labels": best[: self._top_k]}
        return row

    def curves(self, videos: Mapping[str, int]) -> Iterator[Curve]:
        """Yield the curves of videos."""
        for video in videos:
            if (curve := self._decider.curve(video)) is not None:
                yield curve

    def _no_curve(self, video: str) -> InputError:
        beside = curves_path(self._path)
        return InputError(
            f"{video} has no curve in {beside}, of which its segments are made; save the rows with their curves, or "
            "predict it again"
        )

    def _calibrated(self, labels: list[Row]) -> list[Row]:
        names = tuple(label["label"] for label in labels)
        if names not in self._scalers:
            self._scalers[names] = self._fitted.scaler(names) if self._fitted is not None else None
        scaler = self._scalers[names]
        own = self._own_probabilities(labels)
        scaled = own if scaler is None else scaler(own)
        return [
            {**label, "probability": round_significant(float(probability))}
            for label, probability in zip(labels, scaled, strict=True)
        ]

    def _own_probabilities(self, labels: list[Row]) -> "np.ndarray[Any, np.dtype[np.float64]]":
        """Return the model's own probabilities of a row's labels, which may be calibrated in it."""
        shown, logits = (np.array([label[name] for label in labels], np.float64) for name in ("probability", "logit"))
        if self._own:
            return shown
        own = sigmoid(logits)
        # numbers of rows have six digits
        if self._mode == "multi-label" or (self._mode is None and bool(np.allclose(own, shown, rtol=1e-3, atol=1e-6))):
            return own
        if self._mode != "multi-label" and not self._scaled and abs(shown.sum() - 1) < 1e-2:
            return shown
        raise UsageError(
            f"the probabilities of {self._path} are calibrated already, and the model's own cannot be made of "
            "them; predict the videos again",
            option="thresholds",
        )


def _journal(output: Path, settings: Mapping[str, Any], *, resume: bool) -> RunJournal:
    """Open the journal; rows that were decided from the same file before are decided again, not kept."""
    earlier = earlier_settings(output)
    again = earlier is not None and earlier.get(SOURCE) == settings[SOURCE]
    return RunJournal(output, settings, resume=resume and not again, check=check_row)


def _write_page(path: Path, journal: RunJournal, curves: Path | None, decisions: _Decisions, rows: _Rows) -> None:
    info = ReportInfo(
        model=rows.model,
        labels=list(rows.vocabulary().names),
        settings={"mode": str(rows.settings.get("mode", "as in the rows")), "decided from": rows.path.name},
        calibrated=bool(decisions.settings["scalings"]),
    )
    curve_of: Callable[[str], Curve | None] = (lambda video: None) if curves is None else CurveFile(curves).get
    write_report(path, journal.rows, info=info, report_pictures="file", curves=curve_of)  # rows have no pictures
