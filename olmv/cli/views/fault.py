"""What is written down when olmv itself fails: a file that can be attached to a report."""

import os
import platform
import re
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from olmv import __version__

__all__ = ["write_fault_report"]

_SECRET_NAME = re.compile(r"(key|token|secret|password|credential)", re.IGNORECASE)
_SECRET_OPTION = re.compile(r"([\w.-]*(?:key|token|secret|password|credential)[\w.-]*\s*[=:]\s*)\S+", re.IGNORECASE)
_HIDDEN = r"\1***"
_USER_IN_URL = re.compile(r"(?<=://)[^/@\s]{1,500}@")
_LONGEST_ARGUMENT = 2_000
_LONGEST = 200_000  # characters of the traceback: a RecursionError can tell megabytes


def write_fault_report(error: BaseException, arguments: Sequence[str]) -> Path | None:
    """Write versions, the command and the traceback to a new file that only the user can read.

    Keys are taken out: values of environment variables that are named like one, `...key=VALUE`, and users in URLs.

    Returns:
        Its path; None where no temporary file can be written.
    """
    shown = [repr(argument[:_LONGEST_ARGUMENT]) for argument in arguments]
    trace = "".join(traceback.format_exception(error, limit=-100))
    text = "\n".join((
        f"olmv {__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"command: {_without_secrets(_SECRET_OPTION.sub(_HIDDEN, ' '.join(shown)))}",
        "",
        _without_secrets(trace[-_LONGEST:]),
    ))  # fmt: skip
    try:
        descriptor, name = tempfile.mkstemp(prefix="olmv-fault-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError:
        print(text, file=sys.stderr)  # the only place left
        return None
    return Path(name)


def _without_secrets(text: str) -> str:
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name) and len(value) >= 8:
            text = text.replace(value, "***")
    return _USER_IN_URL.sub("***@", text)
