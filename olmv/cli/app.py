"""`olmv`: the commands, and what becomes of an error.

Exit codes: 0 all done; 1 done, but some inputs failed (their rows say why); 2 wrong usage, told in one line;
130 stopped with Ctrl-C.
"""

import os
import sys
from typing import Annotated

import typer

from olmv import OlmvError, __version__
from olmv.cli import calibrate, caption, describe_labels, doctor, evaluate, models, predict, train
from olmv.cli.progress import printable

# The base class of typer's usage errors; its home moved between versions of typer.
_ClickError: type[Exception] = typer.BadParameter.__mro__[2]

_STOPPED = 130

app = typer.Typer(
    name="olmv",
    help="Which of these labels are true of a video?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"olmv {__version__}")
        raise typer.Exit


@app.callback()
def _olmv(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Which of these labels are true of a video?"""


predict.register(app)
describe_labels.register(app)
caption.register(app)
train.register(app)
evaluate.register(app)
calibrate.register(app)
models.register(app)
doctor.register(app)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        code = app(args=arguments, prog_name="olmv", standalone_mode=False)
    except OlmvError as error:
        return _fail(str(error))
    except (KeyboardInterrupt, typer.Abort):
        return _fail("stopped", code=_STOPPED)
    except BrokenPipeError:
        # `olmv ... | head`: the reader has seen enough. Nothing more may be flushed into the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except _ClickError as error:
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help text
            print(message, file=sys.stderr)
            return 2
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "olmv"
        return _fail(f"{message.rstrip('.').replace('Value error, ', '')}; see {command} --help")
    if code == _STOPPED:  # typer's own way with Ctrl-C
        return _fail("stopped", code=_STOPPED)
    return code if isinstance(code, int) else 0


def _fail(message: str, *, code: int = 2) -> int:
    print(f"olmv: {printable(' '.join(message.split()))}", file=sys.stderr)
    return code
