"""Files of a model folder, which is anybody's: looked at before they are opened."""

import os
import stat
from pathlib import Path

from olmv.errors import ModelError, reason

__all__ = ["MAX_JSON_BYTES", "MAX_TOKENIZER_BYTES", "check_file", "check_folder", "memory_bytes"]

MAX_JSON_BYTES = 64 * 2**20
MAX_TOKENIZER_BYTES = 256 * 2**20
"""Of a vocabulary; the largest published ones have 35 MB."""
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
_SMALL = (".json", ".txt", ".model", ".jinja")  # what libraries read by name in a folder
_KINDS = (
    *((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket")),
    *((stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device")),
)


def check_file(path: Path, cure: str = "get it again", *, most: int = MAX_JSON_BYTES) -> None:
    """Raise ModelError unless this is a regular file of at most `most` bytes, or a link to one.

    Opening a pipe would wait for ever, and a device has no end.
    """
    try:
        about = path.stat()
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {reason(error)}; {cure}") from None
    if not stat.S_ISREG(about.st_mode):
        kind = next((name for matches, name in _KINDS if matches(about.st_mode)), "something else")
        raise ModelError(f"{path} is {kind} and no regular file; {cure}")
    if about.st_size > most:
        raise ModelError(
            f"{path} has {about.st_size / 1e6:,.0f} MB, and at most {most / 1e6:,.0f} MB can be read here; {cure}"
        )


def check_folder(folder: Path) -> None:
    """Raise ModelError where a file of a model's folder that a library may open is no regular file, or too large.

    Weights may be as large as the memory of this machine.
    """
    try:
        # a folder cannot hang whoever opens it, and may lie there for reasons of its own
        paths = [path for path in folder.iterdir() if path.suffix in (*_WEIGHTS, *_SMALL) and not path.is_dir()]
    except OSError as error:
        raise ModelError(f"the folder '{folder}' cannot be read: {reason(error)}; name another") from None
    for path in sorted(paths):
        check_file(path, most=memory_bytes() if path.suffix in _WEIGHTS else MAX_TOKENIZER_BYTES)


def memory_bytes() -> int:
    """Return the memory of this machine in bytes."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return 2**40
