"""`olmv models push`."""

from pathlib import Path
from typing import Annotated

import typer

from olmv.cli.views.progress import printable

__all__ = ["EPILOG", "push"]

EPILOG = """\b
Examples:
  olmv models push runs/pets/model somebody/pets --evaluation runs/moji --private
  olmv models push runs/pets/model ./shared/pets
"""


def push(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A model that olmv saved.", show_default=False)],
    repo: Annotated[
        str,
        typer.Argument(
            metavar="REPO",
            help="ORG/REPO on the Hugging Face Hub, or a folder in its place: ./DIR or /DIR.",
            show_default=False,
        ),
    ],
    evaluation: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="What olmv evaluate wrote for this model: its figures go into the card."),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make the repository private.")] = False,
    revision: Annotated[str | None, typer.Option(metavar="BRANCH", help="The branch.  [default: main]")] = None,
    message: Annotated[str | None, typer.Option(metavar="TEXT", help="What the commit says.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only where the model is.")] = False,
) -> None:
    """Share a model: write its card (README.md in DIR), then send the model's files, and no others."""
    from olmv.evaluate.card import write_card
    from olmv.models.hub.upload import check_push, is_local, model_files, push_to_hub

    name = check_push(folder, repo, private=private, message=message, revision=revision)
    write_card(folder, evaluation or (), model=name)
    if not quiet:
        files = [(path.name, path.stat().st_size) for path in model_files(folder)]
        for file, size in files:
            typer.echo(f"{_size(size):>10}  {printable(file)}", err=True)
        typer.echo(f"{_size(sum(size for _, size in files)):>10}  to {printable(repo)}", err=True)
    where = push_to_hub(folder, repo, private=private, message=message, revision=revision)
    typer.echo(where)
    if not quiet:
        typer.echo(f"load it with --model {printable(where if is_local(repo) else name)}", err=True)


def _size(count: int) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"
