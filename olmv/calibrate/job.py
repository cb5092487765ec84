"""One `olmv calibrate` run: predictions and truth in; a thresholds file and a page of what was traded out."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from olmv.calibrate import events
from olmv.calibrate.crossfit import cross_fit_rows, stratified_folds
from olmv.calibrate.document import entries_of, provenance, words_of
from olmv.calibrate.fitting import Fit, fit_all
from olmv.calibrate.guarantee import Scope, check_guarantee, label_confidence, positives_needed
from olmv.calibrate.loading import Loaded, load, load_unlabelled, some
from olmv.calibrate.objectives import Objective
from olmv.calibrate.options import CalibrateJob, CalibrateSummary
from olmv.calibrate.scaling_fit import KINDS, Kind, fit_scalings
from olmv.calibrate.unlabelled import prevalence_threshold, read_prevalence
from olmv.datasets.groups import group_numbers
from olmv.datasets.judged import check_complete
from olmv.errors import UsageError
from olmv.io.atomic import check_writable
from olmv.io.packages import require
from olmv.library import is_library
from olmv.metrics.calibration_error import CalibrationFigures, calibration_figures
from olmv.metrics.decisions import DecisionFigures, decision_figures
from olmv.metrics.near_duplicates import near_duplicate_note
from olmv.models.default import drawings_note
from olmv.progress import JobListener
from olmv.scoring.scaling import Isotonic, Platt, Scaler
from olmv.scoring.thresholds import SCOPES, Guarantee, LabelThreshold, Thresholds

__all__ = ["CalibrateJob", "CalibrateSummary", "run"]

Floats = NDArray[np.float64]

Bools = NDArray[np.bool_]


def run(job: CalibrateJob, listener: JobListener | None = None) -> CalibrateSummary:
    """Fit the thresholds, and write their file and page.

    Args:
        job: what to do.
        listener: takes the notes that the user should read.

    Raises:
        MissingDependencyError: scipy or scikit-learn is needed and not installed.
        UsageError: options, predictions or truth that cannot be used, or a promise that can be kept for no label.
        OutputError: a file cannot be written.
    """
    _check(job)
    listener = listener or JobListener()
    if is_library(job.predictions):
        from olmv.calibrate.stored import predict_stored

        with TemporaryDirectory(prefix="olmv-") as folder:
            rows = Path(folder) / f"{job.predictions.name}.jsonl"
            predict_stored(job, rows, listener)
            summary = _summary(replace(job, predictions=rows))
    else:
        summary = _summary(job)
    warning = drawings_note(summary.loaded.scored.model)
    for line in (*([warning] if warning else []), *summary.notes):
        listener.note(line)
    summary.thresholds.save(job.output)
    if job.page is not None:
        from olmv.calibrate.page import write_calibration_page

        write_calibration_page(job.page, summary)
    return summary


def _summary(job: CalibrateJob) -> CalibrateSummary:
    if job.unlabelled:
        return _unlabelled(job)
    if _objective(job).kind == "events":
        summary = events.fit_job(job)
        worse = _worse(_objective(job), summary.before, summary.after)
        return replace(summary, notes=(*summary.notes, *worse))
    return _fitted(job)


def _check(job: CalibrateJob) -> None:
    if job.unlabelled:
        for name in ("truth", "objective", "guarantee", "guarantee_scope", "scaling"):
            if getattr(job, name) is not None:
                what = name.replace("_", " ")
                raise UsageError(
                    f"the {what} goes with labelled videos, not with unlabelled ones; leave out one of them",
                    option=(name, "unlabelled"),
                )
        if job.prevalence is None:
            raise UsageError(
                "unlabelled videos do not say how often a label is true; add a prevalence, 0.05 or a csv file",
                option="prevalence",
            )
    elif job.prevalence is not None:
        raise UsageError(
            "the prevalence is for unlabelled videos; leave it out, the truth says how often a label is true",
            option=("prevalence", "unlabelled"),
        )
    if job.scaling is not None and job.scaling not in KINDS:
        raise UsageError(f"unknown scaling '{job.scaling}'; choose {' or '.join(KINDS)}")
    if job.min_support < 1:
        raise UsageError(f"the minimum support is {job.min_support}; give at least 1")
    if job.folds < 2:
        raise UsageError(f"folds is {job.folds}; give at least 2")
    if not job.unlabelled:
        require("scipy", extra="evaluate", need="calibrating")
        if job.scaling is not None:
            require("sklearn", extra="evaluate", need="fitting a scaling")
        objective = _objective(job)
        if objective.kind == "events":
            _check_events(job)
        if job.guarantee is not None:
            check_guarantee(objective, job.guarantee, job.guarantee_scope or "each")
        elif job.guarantee_scope is not None:
            raise UsageError(
                "the scope is that of a guarantee; add its confidence, such as 0.95",
                option=("guarantee", "guarantee_scope"),
            )
    check_writable(job.output)
    if job.page is not None:
        if job.page.suffix.lower() not in (".html", ".htm"):
            raise UsageError(f"the page is an HTML file; end {job.page} in .html")
        check_writable(job.page)


def _check_events(job: CalibrateJob) -> None:
    for name in ("guarantee", "guarantee_scope", "scaling"):
        if getattr(job, name) is not None:
            what = name.replace("_", " ")
            raise UsageError(
                f"the {what} is about whole videos, not about events over time; leave one of them out",
                option=(name, "objective"),
            )


def _objective(job: CalibrateJob) -> Objective:
    return Objective.parse(job.objective or "f1")


def _fitted(job: CalibrateJob) -> CalibrateSummary:
    loaded = load(job.predictions, job.truth, allow_unknown=job.allow_unknown)
    scored, objective, known = loaded.scored, _objective(job), loaded.scored.known
    if job.guarantee is not None:
        check_complete(known, "a guarantee")
    groups = group_numbers(scored.groups)
    fold = stratified_folds(scored.truth, job.folds, groups=groups)
    scope: Scope = "all" if job.guarantee_scope == "all" else "each"
    each = None if job.guarantee is None else label_confidence(job.guarantee, scope, len(scored.labels))
    fit = fit_all(
        scored.probability,
        scored.truth,
        objective,
        min_support=job.min_support,
        confidence=each,
        groups=groups,
        known=known,
    )
    refused = {scored.labels[index]: why for index, why in fit.refusals.items()}
    if each is not None and len(refused) == len(scored.labels):
        raise UsageError(_no_promise(job, loaded, objective, each, refused))
    # what is fitted without a fold has fewer positives; a label should not fall back there for that alone
    least = max(1, math.floor(job.min_support * (1 - 1 / int(fold.max() + 1))))

    def thresholds_of(rows: Bools) -> Floats:
        probability, truth = scored.probability[rows], scored.truth[rows]
        if not truth.any():
            return np.full(truth.shape[1], np.nan)
        whole = None if groups is None else groups[rows]
        judged = None if known is None else known[rows]
        fitted = fit_all(probability, truth, objective, min_support=least, confidence=each, groups=whole, known=judged)
        return fitted.threshold

    crossed = cross_fit_rows(scored.probability, fold, thresholds_of)
    decided = np.isfinite(crossed) & np.isfinite(fit.threshold)
    if known is not None:
        decided &= known
    scalings, calibration = _scalings(job, loaded, fold, least)
    after = decision_figures(scored.probability >= crossed, scored.truth, decided)
    promise = None
    if job.guarantee is not None:
        promise = Guarantee(target=objective.name, confidence=job.guarantee, scope=SCOPES[scope])
    before = decision_figures(scored.probability >= scored.threshold, scored.truth, decided)
    about = provenance(
        loaded,
        objective.name,
        scaling=job.scaling,
        guarantee=promise,
        groups=None if groups is None else int(groups.max()) + 1,
        refused=refused or None,
    )
    return CalibrateSummary(
        thresholds=Thresholds(
            entries_of(loaded, fit, objective, after, scalings), model=scored.model or None, provenance=about
        ),
        objective=objective.name,
        loaded=loaded,
        before=before,
        after=after,
        calibration=calibration,
        refused=refused,
        notes=(*_notes(job, loaded, fit, objective, scalings, each), *_worse(objective, before, after)),
        written=_written(job),
    )


def _worse(objective: Objective, before: DecisionFigures | None, after: DecisionFigures | None) -> list[str]:
    """Say where the thresholds do worse than the ones before: a best fit to few positives can be worse than none."""
    if before is None or after is None or objective.kind not in ("f", "events"):
        return []
    if not (after.macro_f1 < before.macro_f1 or after.micro_f1 < before.micro_f1):
        return []
    note = "on videos they were not fitted to, these thresholds do worse than the ones before"
    return [f"{note}; calibrate with more videos of each label, or leave rare labels out"]


def _scalings(
    job: CalibrateJob, loaded: Loaded, fold: NDArray[np.int64], least: int
) -> tuple[list[Platt | Isotonic | None], tuple[CalibrationFigures, CalibrationFigures] | None]:
    """Fit one scaling a label, and measure the probabilities before and, cross-fitted, after."""
    probability, truth, known = loaded.scored.probability, loaded.scored.truth, loaded.scored.known
    if job.scaling is None:
        return [None] * truth.shape[1], None
    kind: Kind = "isotonic" if job.scaling == "isotonic" else "platt"

    def scaler_of(rows: Bools) -> Scaler:
        judged = None if known is None else known[rows]
        return Scaler(fit_scalings(probability[rows], truth[rows], kind, min_support=least, known=judged))

    scaled = cross_fit_rows(probability, fold, scaler_of)
    scalings = fit_scalings(probability, truth, kind, min_support=job.min_support, known=known)
    return scalings, (calibration_figures(probability, truth, known), calibration_figures(scaled, truth, known))


def _unlabelled(job: CalibrateJob) -> CalibrateSummary:
    loaded = load_unlabelled(job.predictions)
    scored = loaded.scored
    stated = read_prevalence(job.prevalence or "", scored.labels)
    entries, small, words = {}, [], words_of(loaded)
    for index, label in enumerate(scored.labels):
        if label not in stated:
            continue
        threshold = prevalence_threshold(scored.probability[:, index], stated[label])
        if threshold is None:
            small.append(label)
        else:
            entries[label] = LabelThreshold(
                threshold=threshold, objective=f"prevalence={stated[label]:g}", words_sha256=words.get(label)
            )
    refused = dict.fromkeys(small, "its prevalence makes less than one of these videos")
    if not entries:
        least = math.ceil(1 / max(stated.values()))
        raise UsageError(f"{len(scored.videos)} videos are too few for this prevalence; predict at least {least}")
    notes = list(loaded.notes)
    absent = [label for label in scored.labels if label not in stated]
    if absent:
        notes.append(f"{len(absent)} labels have no prevalence and get no threshold: {some(absent)}")
    if small:
        notes.append(f"{len(small)} labels are too rare among {len(scored.videos)} videos for one: {some(small)}")
    return CalibrateSummary(
        thresholds=Thresholds(
            entries,
            model=scored.model or None,
            provenance=provenance(loaded, "prevalence", refused=refused or None),
        ),
        objective="prevalence",
        loaded=loaded,
        refused=refused,
        notes=tuple(notes),
        written=_written(job),
    )


def _notes(
    job: CalibrateJob,
    loaded: Loaded,
    fit: Fit,
    objective: Objective,
    scalings: list[Platt | Isotonic | None],
    confidence: float | None,
) -> list[str]:
    labels, truth = loaded.scored.labels, loaded.scored.truth
    notes = list(loaded.notes)
    if (known := loaded.scored.known) is not None:
        notes.append(
            f"{int((~known).sum())} of {known.size} pairs of video and label were not judged and are left out; if the "
            "videos were picked by their scores, as a review does, take its own thresholds, which allow for that"
        )
    if not loaded.scored.groups:
        notes += near_duplicate_note(loaded.scored.logit)

    def tell(indices: list[int], what: str) -> None:
        if indices:
            noun = "label" if len(indices) == 1 else "labels"
            notes.append(f"{len(indices)} {noun} {what}: {some([labels[index] for index in indices])}")

    alarms = fit.false_alarms[np.isfinite(fit.false_alarms)]
    never: list[int] = np.flatnonzero(~truth.any(axis=0)).tolist()
    unjudged: set[int] = set() if known is None else set(np.flatnonzero(~known.any(axis=0)).tolist())
    tell([index for index in never if index not in unjudged], "true of no video")
    if len(alarms):
        notes.append(
            "the thresholds of labels that are true of no video lie above their scores here; that lets at most "
            f"{alarms.max():.1%} of videos raise a false alarm, for each label, with a confidence of 95 %"
        )
    tell(np.flatnonzero(truth.all(axis=0)).tolist(), "true of every video")
    pooled = [index for index, source in enumerate(fit.source) if source == "pooled"]
    tell(pooled, f"with fewer than {job.min_support} positives share the threshold {fit.pooled:.3g}")
    tell([index for index, good in enumerate(fit.reached) if not good], f"cannot reach {objective.name} even here")
    unit = "groups" if loaded.scored.groups else "videos"
    needed = "" if confidence is None else f" (it takes {positives_needed(objective, confidence)} {unit} or more)"
    tell([index for index in fit.refusals if index not in unjudged], f"without a promise{needed} get no threshold")
    tell(sorted(unjudged), "judged for no video get no threshold")
    if job.scaling is not None:
        unscaled = [index for index, scaling in enumerate(scalings) if scaling is None and index not in fit.refusals]
        tell(unscaled, "whose probability does not rise with the truth keep it as it is")
    return notes


def _no_promise(
    job: CalibrateJob, loaded: Loaded, objective: Objective, confidence: float, refused: Mapping[str, str]
) -> str:
    needed = positives_needed(objective, confidence)
    truth, groups = loaded.scored.truth, group_numbers(loaded.scored.groups)
    unit = "videos" if groups is None else "groups"
    support = truth.sum(axis=0)
    if groups is not None:
        support = np.array([len(np.unique(groups[column])) for column in truth.T])
    most = int(support.argmax())
    label = loaded.scored.labels[most]
    promise = f"{objective.name} cannot be promised with confidence {job.guarantee:g} for any label"
    if job.guarantee_scope == "all":
        promise += f" (with {confidence:.6g} for each, so that it holds for all {len(refused)} at once)"
    if support[most] < needed:
        return (
            f"{promise}: it takes at least {needed} {unit} that have the label, {label!r} has most, {support[most]}; "
            f"label more {unit}, or ask for less"
        )
    return f"{promise}: {label!r}, for one: {refused[label]}; ask for less, or use a better model"


def _written(job: CalibrateJob) -> tuple[Path, ...]:
    return (job.output,) if job.page is None else (job.output, job.page)
