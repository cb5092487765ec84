"""`olmv calibrate`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from olmv.cli.help import PanelCommand
from olmv.cli.options import AllowUnknownOption
from olmv.cli.views.progress import ProgressView

if TYPE_CHECKING:
    from olmv.calibrate.options import CalibrateSummary

EPILOG = """\b
Examples:
  olmv calibrate rows.jsonl --truth truth.csv --objective f1 -o thresholds.json --page traded.html
  olmv calibrate rows.jsonl --unlabelled --prevalence 0.4 -o thresholds.json
"""


class Scope(StrEnum):
    each = "each"
    all = "all"


class Scaling(StrEnum):
    platt = "platt"
    isotonic = "isotonic"


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("calibrate", cls=PanelCommand, epilog=EPILOG)(calibrate)


def calibrate(
    predictions: Annotated[
        Path,
        typer.Argument(
            metavar="PREDICTIONS",
            help="Rows of olmv predict (.jsonl, .csv, .parquet; no --top-k), a folder of olmv evaluate, or a library.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The thresholds file.", show_default=False)
    ],
    truth: Annotated[
        Path | None,
        typer.Option(
            "--truth",
            "-t",
            metavar="MANIFEST",
            help="What is true: csv, jsonl or parquet; video, labels, group. For event-f1: what is true when.",
        ),
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(metavar="WHAT", help="f1, f0.5, precision=P, recall=R, fdr=A, or event-f1.  [default: f1]"),
    ] = None,
    guarantee: Annotated[
        float | None,
        typer.Option(metavar="P", help="Promise the target with this confidence, such as 0.95."),
    ] = None,
    guarantee_scope: Annotated[
        Scope | None,
        typer.Option(
            help="The promise is for each label by itself, or for all labels at once.  [default: each]",
            show_default=False,
        ),
    ] = None,
    scaling: Annotated[
        Scaling | None, typer.Option(help="Also make probabilities say how often a label is true.")
    ] = None,
    min_support: Annotated[
        int, typer.Option(min=1, metavar="N", help="Labels with fewer positives share a threshold.")
    ] = 10,
    allow_unknown: AllowUnknownOption = False,
    folds: Annotated[int, typer.Option(min=2, metavar="K", help="Of the cross-fitted figures.")] = 5,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="Without truth: from the scores and --prevalence.")
    ] = False,
    prevalence: Annotated[
        str | None,
        typer.Option(metavar="P|FILE", help="How often a label is true: for all, or csv with label,prevalence."),
    ] = None,
    page: Annotated[Path | None, typer.Option(metavar="X.html", help="A page that shows what was traded.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No notes or summary.")] = False,
) -> None:
    """Fit a threshold for each label, from predictions and what is true of their videos."""
    from olmv.calibrate.job import run
    from olmv.calibrate.options import CalibrateJob

    job = CalibrateJob(
        predictions=predictions,
        output=output,
        truth=truth,
        objective=objective,
        guarantee=guarantee,
        guarantee_scope=None if guarantee_scope is None else guarantee_scope.value,
        scaling=None if scaling is None else scaling.value,
        min_support=min_support,
        allow_unknown=allow_unknown,
        folds=folds,
        unlabelled=unlabelled,
        prevalence=prevalence,
        page=page,
    )
    view = ProgressView("labels", quiet=quiet)
    summary = run(job, view)
    _finished(summary, view)
    if summary.refused:
        raise typer.Exit(1)


def _finished(summary: "CalibrateSummary", view: ProgressView) -> None:
    """Say the last lines: what was gained on videos that were not fitted to, and what was written."""
    from olmv.calibrate.document import promise_sentence
    from olmv.pages.figures import title

    if summary.before is not None and summary.after is not None:
        of_events = "event " if summary.objective.startswith("event") else ""
        for kind, meaning in (("micro", "all labels"), ("macro", "mean of the labels that are true of a video")):
            for name in ("F1", "precision", "recall"):
                key = f"{kind}_{name.lower()}"
                before, after = getattr(summary.before, key), getattr(summary.after, key)
                if after == after:  # not NaN: there were folds that a threshold could be fitted without
                    change = f"{before:.3f} before, {after:.3f} after"
                    view.note(f"{kind} {of_events}{name} {change} (cross-fitted; {meaning})")
        view.note(
            f"false alarms {summary.before.false_alarms} before, {summary.after.false_alarms} after (cross-fitted); of "
            f"labels that are true of no video {summary.before.never_true} and {summary.after.never_true}"
        )
    if summary.calibration is not None:
        figures_before, figures_after = (vars(figures) for figures in summary.calibration)
        for name, value in figures_before.items():
            view.note(f"{title(name)} {value:.4f} before, {figures_after[name]:.4f} after (cross-fitted)")
    if promise := promise_sentence(summary.thresholds):
        view.note(promise)
    for path in summary.written:
        view.note(f"wrote {path}")
