"""`olmv doctor`."""

import typer

from olmv.cli.help import PanelCommand

EPILOG = """\b
Examples:
  olmv doctor
  olmv doctor > doctor.txt
"""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("doctor", cls=PanelCommand, epilog=EPILOG)(doctor)


def doctor() -> None:
    """Say what is installed, which device and dtype would be used and why, and which models load offline."""
    from rich.console import Console
    from rich.text import Text

    from olmv.doctor import diagnose

    diagnosis = diagnose()
    console = Console(highlight=False)
    for title, findings in diagnosis.sections.items():
        console.print(Text(title, style="bold"))
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            line = f"  {finding.name:<{width}}  {finding.text}"
            console.print(Text(line, style="red" if finding.bad else ""), soft_wrap=True)
    console.print(Text(f"\n{diagnosis.verdict}", style="green" if diagnosis.ready else "bold red"), soft_wrap=True)
    if not diagnosis.ready:
        raise typer.Exit(1)
