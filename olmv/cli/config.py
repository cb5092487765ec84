"""Options of `olmv predict` from a file, and `olmv config show`.

    labels: labels.txt
    model: olmv-lite
    top-k: 5
    multi-label: false

What stands on the command line wins over the file, the file over the environment and the defaults.
"""

import difflib
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from olmv.cli.help import RUNNING, PanelCommand, group

__all__ = ["ConfigOption", "register"]

EPILOG = """\b
Examples:
  olmv config show
  olmv config show --config olmv.yaml
"""
_SKIPPED = ("inputs", "config", "help")


def read_config(path: Path, command: Any) -> dict[str, Any]:
    """Read the options in this file, by the names of the parameters of `command`.

    Raises:
        UsageError: it cannot be read, is no YAML of `option: value`, or names an option that there is not.
    """
    import yaml

    from olmv.errors import UsageError
    from olmv.io.paths import read_text
    from olmv.io.plain_yaml import load_yaml

    try:
        document = load_yaml(read_text(path))
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"{path} is not YAML ({' '.join(str(error).split())[:200]}); write option: value") from None
    if not isinstance(document, dict):
        raise UsageError(f"{path} holds no options; write a line each, such as model: olmv-lite")
    known = [parameter.name for parameter in command.params if parameter.name not in _SKIPPED]
    options: dict[str, Any] = {}
    for key, value in document.items():
        name = str(key).replace("-", "_")
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0].replace('_', '-')}?" if close else "see olmv config show"
            raise UsageError(f"{path}: there is no option {str(key)!r:.60}; {hint}")
        if name == "labels" and isinstance(value, list) and all(isinstance(label, str) for label in value):
            value = json.dumps(value, ensure_ascii=False)
        if isinstance(value, list | dict):
            raise UsageError(f"{path}: {key} is a {type(value).__name__}; give one value")
        if value is not None:
            options[name] = value if isinstance(value, bool) else str(value)
    return options


def _apply(context: typer.Context, value: Path | None) -> Path | None:
    if value is not None:
        context.default_map = {**(context.default_map or {}), **read_config(value, context.command)}
    return value


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="YAML",
        help="Options from a file; see olmv config show.",
        is_eager=True,
        callback=_apply,
        rich_help_panel=RUNNING,
    ),
]
"""For a command whose options may stand in a file."""


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    commands = group("Options of predict from a file.")

    @commands.callback()
    def _config() -> None:
        """Options of predict from a file."""

    @commands.command("show", cls=PanelCommand, epilog=EPILOG)
    def show(
        config: Annotated[Path | None, typer.Option(metavar="YAML", help="The file; default: none.")] = None,
    ) -> None:
        """Print every option of predict as a config file, with where each value comes from."""
        _show(app, config)

    app.add_typer(commands, name="config")


def _show(app: typer.Typer, path: Path | None) -> None:
    import os

    import yaml

    command: Any = typer.main.get_command(app).commands["predict"]  # type: ignore[attr-defined]  # it is a group
    options = {} if path is None else read_config(path, command)
    for parameter in command.params:
        if parameter.name in _SKIPPED:
            continue
        value, source = parameter.default, "default"
        if parameter.name in options:
            value, source = options[parameter.name], str(path)
        elif parameter.name == "model" and os.environ.get("OLMV_MODEL"):
            value, source = os.environ["OLMV_MODEL"], "OLMV_MODEL"
        value = getattr(value, "value", value)
        text = yaml.safe_dump(
            value if value is None or isinstance(value, bool | int | float) else str(value), width=10**6
        )
        print(f"{parameter.name.replace('_', '-')}: {text.splitlines()[0]}  # {source}")
