"""`olmv merge`."""

from pathlib import Path
from typing import Annotated

import typer

from olmv.cli.help import PanelCommand
from olmv.cli.options import QuietOption

EPILOG = """\b
Examples:
  olmv merge rows.jsonl part-1.jsonl part-2.jsonl
  olmv merge all.olmv part-1.olmv part-2.olmv
"""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("merge", cls=PanelCommand, epilog=EPILOG)(merge)


def merge(
    output: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help="Rows (.jsonl), or a library; one that is there gets what is new.", show_default=False
        ),
    ],
    parts: Annotated[
        list[Path],
        typer.Argument(metavar="PART...", help="What runs with --shard wrote: rows, or libraries.", show_default=False),
    ],
    quiet: QuietOption = False,
) -> None:
    """Put the rows or libraries of several runs together."""
    from olmv.cli.views.progress import ProgressView
    from olmv.merge.job import MergeJob, run

    with ProgressView("videos", quiet=quiet, prefix="note: ") as view:
        summary = run(MergeJob(output=output, parts=parts), view)
    several = f", {summary.twice:,} of them in several parts" if summary.twice else ""
    view.progress.say(f"{summary.videos:,} video{'s' if summary.videos != 1 else ''}{several}")
    for path in summary.written:
        view.progress.say(f"wrote {path}")
