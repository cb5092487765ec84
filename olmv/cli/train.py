"""`olmv train`."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from olmv.cli.help import PanelCommand
from olmv.cli.options import QuietOption
from olmv.cli.views.progress import ProgressView

if TYPE_CHECKING:
    from olmv.train.job import TrainSummary

EPILOG = """\b
Examples:
  olmv train moji_motions --smoke -o runs/motions
  olmv train moji_iwr --smoke --set optimizer.lr=1e-4 -o runs/iwr
"""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("train", cls=PanelCommand, epilog=EPILOG)(train)


def train(
    config: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG", help="A YAML file, or the name of a config that ships with olmv.", show_default=False
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="RUN_DIR", help="The run folder.  [default: runs/CONFIG]", show_default=False
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change a setting, such as optimizer.epochs=3; may be repeated."
        ),
    ] = None,
    from_: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RUN",
            help="Add labels to the model of this finished run, see the guide.",
            show_default=False,
        ),
    ] = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="The config's own small run: a minute on two cores.")] = False,
    resume: Annotated[bool, typer.Option(help="Go on from the run folder's last checkpoint, or start over.")] = True,
    quiet: QuietOption = False,
) -> None:
    """Fine-tune a model on labelled videos without forgetting; several GPUs: accelerate launch -m olmv train ..."""
    from olmv.train.config_file import find_config, load_config

    path = find_config(config)
    start = [] if from_ is None else [f"continual.run={json.dumps(str(from_))}"]
    loaded = load_config(path, [*start, *(set_ or [])], smoke=smoke)
    folder = output or Path("runs") / (path.stem + ("_smoke" if smoke else ""))
    with view_of_process(quiet=quiet) as view:
        from olmv.train.job import TrainJob, run

        summary = run(TrainJob(loaded, folder, resume=resume), view)
    if summary is not None:
        _finished(summary, view)


def view_of_process(*, quiet: bool) -> ProgressView:
    """Return the view of a training process; of several only the first talks."""
    others = os.environ.get("LOCAL_RANK", "0") != "0"
    return ProgressView("steps", quiet=quiet or others)


def _finished(summary: "TrainSummary", view: ProgressView) -> None:
    """Write the last lines: figures, and what was written."""
    for name, value in summary.figures.items():
        view.note(f"{name} {value:.3f}")
    view.note(f"wrote {summary.model}; try: olmv predict VIDEOS --labels LABELS --model {summary.model}")
