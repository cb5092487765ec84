"""From what a person points at to a list of videos and photos: files, folders, globs, manifests, standard input.

    clips/dog.mp4            that file, whatever it is called
    clips/                   every video and photo below it, by file name extension, sorted, hidden ones left out
    'clips/**/*.mp4'         a glob
    videos.csv               a manifest (csv, jsonl, parquet): a `video` column, relative to the manifest
    -                        one path per line on standard input

What was named on the command line must exist. What a manifest or standard input lists need not: a missing
file among a million costs its own row, not the run.
"""

import csv
import glob
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from olmv.errors import InputError

VIDEO_EXTENSIONS = frozenset(
    f".{name}"
    for name in (
        *(
            "3gp",
            "asf",
            "avi",
            "divx",
            "flv",
            "gif",
            "m2ts",
            "m4v",
            "mkv",
            "mov",
            "mp4",
            "mpeg",
            "mpg",
            "mts",
        ),
        *("mxf", "ogv", "ts", "vob", "webm", "wmv"),
    )
)
PICTURE_EXTENSIONS = frozenset({".apng", ".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
MANIFEST_EXTENSIONS = frozenset({".csv", ".jsonl", ".parquet"})


@dataclass(frozen=True)
class ManifestRow:
    """One line of a manifest.

    Attributes:
        video: path of the file, the manifest's folder already put in front.
        labels: what is true of the video; None where the manifest does not say.
        caption: a sentence about it, or None.
        split: the name of its split, or None.
        number: where it stands in its file, for messages: the line of csv and jsonl, the row of parquet.
    """

    video: str
    labels: tuple[str, ...] | None = None
    caption: str | None = None
    split: str | None = None
    number: int | None = field(default=None, compare=False)


def expand_inputs(inputs: Sequence[str | Path], *, stdin: TextIO | None = None) -> list[str]:
    """The videos and photos that the inputs stand for, in the order given, each once.

    Args:
        inputs: files, folders, globs, manifests, or `-`.
        stdin: where `-` reads paths from; `sys.stdin` by default.

    Raises:
        InputError: nothing given, a path that does not exist, a folder or glob without videos or photos,
            a bad manifest.
    """
    if not inputs:
        raise InputError("no input: name a video, a folder, a glob, a manifest, or - for paths on standard input")
    seen: dict[str, str] = {}
    for item in inputs:
        for path in _expand(os.fspath(item), stdin):
            seen.setdefault(os.path.abspath(path), path)  # noqa: PTH100 - keeps symbolic links as they are
    return list(seen.values())


def read_manifest(path: str | Path) -> list[ManifestRow]:
    """Read a csv, jsonl or parquet manifest; its `video` column is relative to the manifest's folder.

    Raises:
        InputError: not a manifest by its extension, unreadable, without a `video` column, or without rows.
    """
    path = Path(path)
    reader = {".csv": _csv_rows, ".jsonl": _jsonl_rows, ".parquet": _parquet_rows}.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path} is not a manifest; use .csv, .jsonl or .parquet")
    try:
        rows = [_manifest_row(path, number, row) for number, row in reader(path)]
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    if not rows:
        raise InputError(f"{path} lists no videos; add rows under its 'video' column")
    return rows


def _expand(item: str, stdin: TextIO | None) -> Iterable[str]:
    if item == "-":
        return _from_lines(sys.stdin if stdin is None else stdin)
    path = Path(item)
    if path.is_dir():
        return _from_folder(item)
    if path.is_file() and path.suffix.lower() in MANIFEST_EXTENSIONS:
        return [row.video for row in read_manifest(path)]
    if os.path.lexists(item):  # also a pipe or a dangling link: the reader says what is wrong with it
        return [item]
    if glob.has_magic(item):
        return _from_glob(item)
    raise InputError(f"no such file or folder: {item}; check the path")


def _from_lines(lines: TextIO) -> list[str]:
    paths = [line.rstrip("\r\n") for line in lines]
    paths = [path for path in paths if path.strip()]
    if not paths:
        raise InputError("standard input lists no paths; pipe one path per line into -")
    return paths


def _from_folder(folder: str) -> list[str]:
    found = sorted(filter(_is_video_name, walk(folder)))
    if not found:
        raise InputError(f"no videos or photos in {folder}; looked below it for {_extension_list()}")
    return found


def walk(folder: str) -> Iterator[str]:
    """Files below `folder`, but hidden ones; follows linked folders, each real folder once."""
    visited: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        status = os.stat(parent)  # noqa: PTH116
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if not name.startswith("."):
                yield os.path.join(parent, name)  # noqa: PTH118 - keeps a leading ./ as written


def _from_glob(pattern: str) -> list[str]:
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - the pattern may be absolute
    found: list[str] = []
    for match in matches:
        if Path(match).is_dir():
            # In `clips/**` the folders' files are matches of their own.
            found += [] if "**" in pattern else sorted(filter(_is_video_name, walk(match)))
        elif _is_video_name(match):
            found.append(match)
    if not found:
        reason = f"matches {len(matches)} paths, but no video or photo" if matches else "matches no file"
        raise InputError(f"{pattern} {reason}; looked for {_extension_list()}")
    return found


def _is_video_name(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in VIDEO_EXTENSIONS | PICTURE_EXTENSIONS  # noqa: PTH122


def _extension_list() -> str:
    return " ".join(sorted(VIDEO_EXTENSIONS | PICTURE_EXTENSIONS))


def _csv_rows(path: Path) -> Iterator[tuple[int, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        for row in reader:
            yield reader.line_num, row


def _jsonl_rows(path: Path) -> Iterator[tuple[int, Any]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(f"{path} line {number} is not JSON ({error.msg}); write one object per line") from None


def _parquet_rows(path: Path) -> Iterator[tuple[int, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except pa.ArrowException as error:
        raise InputError(f"{path} is not a parquet file: {str(error).splitlines()[0]}") from None
    yield from enumerate(table.to_pylist(), start=1)


def _manifest_row(manifest: Path, number: int, row: Any) -> ManifestRow:
    video = row.get("video") if isinstance(row, dict) else None
    if not isinstance(video, str) or not video.strip():
        columns = ", ".join(str(name) for name in row) if isinstance(row, dict) else "none"
        raise InputError(f"{manifest} row {number} has no 'video' (columns: {columns}); name the path column 'video'")
    return ManifestRow(
        video=os.path.normpath(manifest.parent / video),
        labels=_labels(manifest, number, row.get("labels")),
        caption=_text(row.get("caption")),
        split=_text(row.get("split")),
        number=number,
    )


def _labels(manifest: Path, number: int, value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, str):
        value = value.split(";")
    if not isinstance(value, list) or not all(isinstance(label, str) for label in value):
        raise InputError(f"{manifest} row {number} has bad 'labels'; write a list, or 'dog;rain' in csv")
    return tuple(label.strip() for label in value if label.strip())


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
