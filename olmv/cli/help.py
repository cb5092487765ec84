"""Show help in plain text: options in panels, what people need first in front, nothing cut off."""

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

__all__ = ["CLUSTER", "LOOKING", "RUNNING", "TIMES", "WHERE", "PanelCommand", "PanelGroup", "group"]

LOOKING = "How videos and labels are looked at"
TIMES = "When labels are true"
WHERE = "Which videos"
RUNNING = "How it runs"
CLUSTER = "On many machines"


class PanelCommand(TyperCommand):
    """A command whose options stand in the panels that they name with `rich_help_panel`."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words of the usage line, `INPUT...` in place of typer's `{INPUT...}...`."""
        return [_plain(piece) for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, then the panels in the order in which they are first named; --help stands in the last."""
        panels: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            title = "Arguments" if parameter.param_type_name == "argument" else "Options"
            if "--help" in parameter.opts:
                title = list(panels)[-1]
            panels.setdefault(getattr(parameter, "rich_help_panel", None) or title, []).append(record)
        for title, records in panels.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class PanelGroup(TyperGroup):
    """A group that shows the whole first sentence of every command."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write every command with its description, wrapped, not cut."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, command.get_short_help_str(limit=1000))
            for name, command in commands
            if command is not None and not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _plain(piece: str) -> str:
    if piece.startswith("{"):
        return piece[1:].partition("}")[0]
    return piece.replace("[[", "[").replace("]...]...", "]...").replace("...]...", "...]")


def group(help_text: str) -> typer.Typer:
    """Make a group of commands that shows its help when it is called alone."""
    return typer.Typer(help=help_text, no_args_is_help=True, cls=PanelGroup, rich_markup_mode=None)
