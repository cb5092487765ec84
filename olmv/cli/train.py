"""`olmv train`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from olmv.cli.progress import Progress

if TYPE_CHECKING:
    from olmv.train.job import TrainResult

EPILOG = """\b
Examples:
  olmv train moji_motions --smoke -o runs/motions
  olmv train moji_iwr --smoke --set optimizer.lr=1e-4 -o runs/iwr
"""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("train", epilog=EPILOG)(train)


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
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, notes or summary.")] = False,
) -> None:
    """Fine-tune a model on labelled videos without forgetting; several GPUs: accelerate launch -m olmv train ..."""
    from olmv.train.config import find_config, load_config

    # before torch comes: drawing and decoding run beside the training; OpenMP threads that spin while they wait
    # would take the cores from each other
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    path = find_config(config)
    loaded = load_config(path, set_ or [], smoke=smoke)
    folder = output or Path("runs") / (path.stem + ("_smoke" if smoke else ""))
    view = _View(quiet=quiet)
    try:
        from olmv.train.job import train as run

        result = run(loaded, folder, view=view, resume=resume)
    finally:
        view.progress.stop()
    if result is not None:
        view.finished(result)


class _View:
    """Shows a run; see `olmv.train.trainer.View`."""

    def __init__(self, *, quiet: bool) -> None:
        from rich.console import Console

        others = os.environ.get("LOCAL_RANK", "0") != "0"  # of several processes only one talks
        self.progress = Progress("steps", Console(stderr=True, highlight=False), quiet=quiet or others)

    def say(self, text: str) -> None:
        """A remark on its own line."""
        self.progress.say(text)

    def start(self, *, total: int, done: int) -> None:
        """Put up the bar."""
        self.progress.start(total=total, done=done)

    def side(self, what: str, done: int, total: int) -> None:
        """Work beside the main bar."""
        self.progress.side(what, done, total)

    def advance(self, **_: Any) -> None:
        """One more step."""
        self.progress.step()

    def finished(self, result: "TrainResult") -> None:
        """The last lines: figures, and what was written."""
        for name, value in result.figures.items():
            self.progress.say(f"{name} {value:.3f}")
        self.progress.say(f"wrote {result.model}; try: olmv predict VIDEOS --labels LABELS --model {result.model}")
