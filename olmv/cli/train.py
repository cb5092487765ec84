"""`olmv train`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from olmv.cli.help import PanelCommand
from olmv.cli.options import QuietOption
from olmv.cli.progress import Progress
from olmv.progress import JobListener

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
    smoke: Annotated[bool, typer.Option("--smoke", help="The config's own small run: a minute on two cores.")] = False,
    resume: Annotated[bool, typer.Option(help="Go on from the run folder's last checkpoint, or start over.")] = True,
    quiet: QuietOption = False,
) -> None:
    """Fine-tune a model on labelled videos without forgetting; several GPUs: accelerate launch -m olmv train ..."""
    from olmv.train.config_file import find_config, load_config

    # before torch comes: drawing and decoding run beside the training; OpenMP threads that spin while they wait
    # would take the cores from each other
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    path = find_config(config)
    loaded = load_config(path, set_ or [], smoke=smoke)
    folder = output or Path("runs") / (path.stem + ("_smoke" if smoke else ""))
    view = _View(quiet=quiet)
    try:
        from olmv.train.job import TrainJob, run

        summary = run(TrainJob(loaded, folder, resume=resume), view)
    finally:
        view.progress.stop()
    if summary is not None:
        view.finished(summary)


class _View(JobListener):
    """Shows a run: notes, and a bar of its steps."""

    def __init__(self, *, quiet: bool) -> None:
        from rich.console import Console

        others = os.environ.get("LOCAL_RANK", "0") != "0"  # of several processes only one talks
        self.progress = Progress("steps", Console(stderr=True, highlight=False), quiet=quiet or others)

    def note(self, text: str) -> None:
        """Put a remark on its own line."""
        self.progress.say(text)

    def started(self, *, total: int, done: int) -> None:
        """Put up the bar."""
        self.progress.start(total=total, done=done)

    def advanced(self, done: int, total: int, *, stage: str = "") -> None:
        """Count one more step, or show a stage of its own, such as encoding clips."""
        if stage:
            self.progress.side(stage, done, total)
        else:
            self.progress.step()

    def finished(self, summary: "TrainSummary") -> None:
        """Write the last lines: figures, and what was written."""
        for name, value in summary.figures.items():
            self.progress.say(f"{name} {value:.3f}")
        self.progress.say(f"wrote {summary.model}; try: olmv predict VIDEOS --labels LABELS --model {summary.model}")
