"""`olmv`: the commands, and what becomes of an error.

Exit codes: 0 all done; 1 done, but some inputs failed (their rows say why); 2 wrong usage, or a disk that is full,
told in one line; 70 a fault of olmv, with a file to report; 130 stopped with Ctrl-C.
"""

import errno
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from olmv import OlmvError, __version__
from olmv.cli import (
    calibrate,
    caption,
    config,
    describe_labels,
    doctor,
    evaluate,
    index,
    merge,
    predict,
    search,
    serve,
    train,
    watch,
)
from olmv.cli.help import PanelGroup
from olmv.cli.models import group as models
from olmv.cli.views.fault import write_fault_report
from olmv.cli.views.log import LogFormat, log_format, set_log_format, write_line
from olmv.cli.views.progress import drop_output, printable
from olmv.errors import interruption

# The base class of typer's usage errors; its home moved between versions of typer.
_ClickError: type[Exception] = typer.BadParameter.__mro__[2]

# Read once, when torch is imported: its threads sleep while they wait, in place of keeping cores busy that decoders,
# a language model or the drawing of training clips could use. One for each kind of OpenMP that torch is built with.
_THREADS = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}

_FAULT = 70  # EX_SOFTWARE of sysexits.h
_STOPPED = 130

# What a disk, a name or a permission can do to any command: not a fault of olmv, wherever it shows itself.
_SURROUNDINGS = frozenset((
    errno.EACCES, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ELOOP, errno.EMFILE, errno.ENAMETOOLONG, errno.ENFILE,
    errno.ENOSPC, errno.ENOTDIR, errno.EPERM, errno.EROFS, errno.ESTALE,
))  # fmt: skip

EPILOG = """\b
Examples:
  olmv predict clips/ --labels "dog, guitar, rain"
  olmv predict clips/ --labels labels.txt --report report.html
"""

app = typer.Typer(
    name="olmv",
    help="Which of these labels are true of a video?",
    epilog=EPILOG,
    no_args_is_help=True,
    cls=PanelGroup,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:
    if value:
        print(f"olmv {__version__}")
        raise typer.Exit


@app.callback()
def _olmv(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    log_format: Annotated[
        LogFormat,
        typer.Option(
            envvar="OLMV_LOG_FORMAT", help="Lines on standard error: text, or a JSON object a line.", show_default=False
        ),
    ] = LogFormat.text,
) -> None:
    """Which of these labels are true of a video?"""
    set_log_format(log_format)


predict.register(app)
index.register(app)
search.register(app)
watch.register(app)
serve.register(app)
describe_labels.register(app)
caption.register(app)
train.register(app)
evaluate.register(app)
calibrate.register(app)
merge.register(app)
models.register(app)
doctor.register(app)
config.register(app)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    command_line = sys.argv[1:] if arguments is None else arguments
    for name, value in _THREADS.items():
        os.environ.setdefault(name, value)
    set_log_format(LogFormat.text)
    try:
        code = _run(command_line)
        sys.stdout.flush()  # here, where a full disk can be told; at exit Python would print a traceback
    except OlmvError as error:
        return _fail(f"{error}{_flags(error.options, command_line)}")
    except (KeyboardInterrupt, typer.Abort) as error:
        return _fail("; ".join(("stopped", *_notes(error))), code=_STOPPED)
    except BrokenPipeError as error:
        # `olmv ... | head`: the reader has seen enough
        drop_output()
        for note in _notes(error):
            print(f"olmv: {printable(note)}", file=sys.stderr)
        return 0
    except _ClickError as error:
        return _fail_usage(error)
    except Exception as error:  # nobody is helped by a traceback on the screen
        if (stop := interruption(error)) is not None:
            return _fail("; ".join(("stopped", *_notes(stop))), code=_STOPPED)
        return _fail_unforeseen(error, command_line)
    return code


def _run(arguments: Sequence[str]) -> int:
    # not app(): typer's own loop makes exit code 1, "some inputs failed", of a closed pipe, and drops what an
    # interrupted run has to say
    command: Any = typer.main.get_command(app)
    command._main_shell_completion({}, "olmv")  # of a shell that asks what may follow; ends here if so
    try:
        with command.make_context("olmv", list(arguments)) as context:
            code = command.invoke(context)
    except typer.Exit as stop:
        code = stop.exit_code
    return code if isinstance(code, int) else 0


def _flags(options: Sequence[str], arguments: Sequence[str]) -> str:
    """Return the flags that mend an error, in parentheses: those of these options that the command which failed has."""
    command: Any = typer.main.get_command(app)
    for word in arguments:
        command = getattr(command, "commands", {}).get(word, command)
    flags = []
    for option in options:
        if option == "token" and any(parameter.name == "server" for parameter in command.params):
            flags.append("OLMV_SERVER_TOKEN")  # a flag would show it to ps
        for parameter in command.params:
            # a length is window_s in Python, and --window 4s here
            names = (option.rstrip("_"), option.removesuffix("_s"))
            if parameter.name.rstrip("_") in names and parameter.param_type_name == "option":
                # what an error names is the way out of the default: --no-resume
                flags.append((parameter.secondary_opts or [max(parameter.opts, key=len)])[0])
    return f" ({', '.join(flags)})" if flags else ""


def _fail_usage(error: Exception) -> int:
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help text
        print(message, file=sys.stderr)
        return 2
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "olmv"
    return _fail(f"{message.rstrip('.').replace('Value error, ', '')}; see {command} --help")


def _fail_unforeseen(error: Exception, arguments: Sequence[str]) -> int:
    if isinstance(error, OSError) and error.errno in _SURROUNDINGS:
        drop_output()  # it may be the output itself that is full
        # a name of 100,000 characters is shown by its beginning
        where = "standard output, or a file being written" if error.filename is None else str(error.filename)[:200]
        return _fail(f"{error.strerror or error} ({where}); mend that and run again")
    message = f"{type(error).__name__}: {error}"
    path = write_fault_report(error, arguments)
    where = "" if path is None else f"; please report it with {path}, which says where"
    return _fail(f"a fault of olmv: {message[:300]}{where}", code=_FAULT)


def _notes(error: BaseException) -> list[str]:
    return list(getattr(error, "__notes__", ()))


def _fail(message: str, *, code: int = 2) -> int:
    line = " ".join(message.split())
    if log_format() == LogFormat.json:
        write_line("error", line, exit_code=code)
    else:
        print(f"olmv: {printable(line)}", file=sys.stderr)
    return code
