"""Find what ships with olmv and where its cache is, and read text files."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import platformdirs

from olmv.errors import UsageError
from olmv.io.atomic import os_reason

__all__ = ["cache_dir", "distinct_stems", "read_text", "share_dir", "text_lines"]

SHARED = ("prompts", "configs")

MAX_TEXT_BYTES = 256 * 2**20
"""Nobody writes a label file of this size; somebody will pass a video in its place."""


def share_dir(name: str) -> Path:
    """Find the shipped folder `prompts` or `configs`.

    A wheel carries it as `olmv/_share/NAME`; in an editable checkout it is `NAME` beside the package.

    Raises:
        UsageError: there is no such folder, or the installation lacks it.
    """
    if name not in SHARED:
        raise UsageError(f"olmv ships no folder {name!r}; it ships {' and '.join(SHARED)}")
    package = Path(__file__).resolve().parents[1]
    installed = package / "_share" / name
    if installed.is_dir():
        return installed
    checkout = package.parent
    # site-packages may hold somebody else's folder "configs": only our own checkout counts
    if (checkout / "pyproject.toml").is_file() and (checkout / name).is_dir():
        return checkout / name
    raise UsageError(f"this installation of olmv lacks its folder {name!r}; reinstall it with pip")


def cache_dir() -> Path:
    """Say where olmv keeps what it can make again: `$OLMV_CACHE`, else the user's cache. Nothing is created."""
    chosen = os.environ.get("OLMV_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return platformdirs.user_cache_path("olmv", appauthor=False)


def distinct_stems(files: Iterable[str]) -> dict[str, str]:
    """Give each file its name without the ending, with a number where several have the same: `a`, `a-2`.

    The order of `files` does not matter, nor do capitals, which some file systems do not tell apart.
    """
    ordered = sorted(set(files))
    taken = {Path(file).stem.casefold() for file in ordered}
    counts: Counter[str] = Counter()
    stems: dict[str, str] = {}
    for file in ordered:
        name = stem = Path(file).stem
        counts[stem.casefold()] += 1
        if counts[stem.casefold()] > 1:
            number = counts[stem.casefold()]
            while (name := f"{stem}-{number}").casefold() in taken:
                number += 1
            counts[stem.casefold()] = number
        taken.add(name.casefold())
        stems[file] = name
    return stems


def read_text(path: str | Path, *, error: type[UsageError] = UsageError) -> str:
    """Read the text of a UTF-8 file, without its byte order mark.

    Args:
        path: the file.
        error: the class to raise, so that a label file fails as a `VocabularyError`.

    Raises:
        UsageError: it cannot be read, is not UTF-8 (the byte is named), or is far too large for a text.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TEXT_BYTES + 1)
    except FileNotFoundError:
        raise error(f"no such file: {path}") from None
    except OSError as failure:
        raise error(f"cannot read {path}: {os_reason(failure)}") from failure
    if len(data) > MAX_TEXT_BYTES:
        raise error(f"{path} is larger than {MAX_TEXT_BYTES >> 20} MiB; is it a text file?")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise error(f"{path} is UTF-16, not UTF-8; convert it: iconv -f UTF-16 -t UTF-8 {path.name}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        # utf-8-sig counts from after the byte order mark
        offset = failure.start + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
        raise error(
            f"{path} is not UTF-8 (byte 0x{data[offset]:02x} at offset {offset}); "
            f"save it as UTF-8, or convert it: iconv -f LATIN1 -t UTF-8 {path.name}"
        ) from failure


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a UTF-8 file that are not blank, each with its number; a byte order mark is left out.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is not UTF-8.
    """
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line
