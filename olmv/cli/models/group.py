"""`olmv models`."""

from typing import Annotated

import typer

from olmv.cli.help import PanelCommand, group
from olmv.cli.models import convert, export, push
from olmv.cli.views.progress import printable

LIST_EPILOG = """\b
Examples:
  olmv models list
  olmv models list siglip
"""

INFO_EPILOG = """\b
Examples:
  olmv models info olmv-mini
  olmv models info ViT-B-32/openai
"""

models = group("Which models there are; others made usable, and shared.")
models.command("convert", cls=PanelCommand, epilog=convert.EPILOG)(convert.convert)
models.command("export", cls=PanelCommand, epilog=export.EPILOG)(export.export)
models.command("push", cls=PanelCommand, epilog=push.EPILOG)(push.push)


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(models, name="models")


@models.command("list", cls=PanelCommand, epilog=LIST_EPILOG)
def list_(
    words: Annotated[list[str] | None, typer.Argument(metavar="[WORD]...", help="Only names with all words.")] = None,
) -> None:
    """List every model by name, those that ship with olmv and the default first."""
    from olmv.models.registry import DEFAULT_MODEL, list_models

    for info in list_models():
        if all(word.lower() in info.name.lower() for word in words or ()):
            extra = "ships with olmv" if info.ships_with_olmv else "default" if info.name == DEFAULT_MODEL else ""
            size = f"{info.image_size} px" if info.image_size else ""
            print(f"{info.name:<48} {size:>7}  {extra}".rstrip())


@models.command("info", cls=PanelCommand, epilog=INFO_EPILOG)
def info(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A model's name or folder.", show_default=False)],
) -> None:
    """Say what is known of one model; loads no weights."""
    from dataclasses import asdict

    from olmv.models.registry import model_info

    facts = asdict(model_info(name))
    facts["frames"] = facts["frames"] or "any number"
    width = max(len(fact) for fact in facts)
    for fact, value in facts.items():
        shown = "yes" if value is True else "no" if value is False else "unknown" if value is None else str(value)
        print(f"{fact.replace('_', ' '):<{width}}  {printable(shown)}")
