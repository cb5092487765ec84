"""From what a person points at to a list of videos and photos: files, folders, globs, manifests, standard input.

    clips/dog.mp4            that file, whatever it is called
    clips/                   every video and photo below it, sorted, hidden ones left out; see `olmv.datasets.folders`
    'clips/**/*.mp4'         a glob
    videos.csv               a manifest (csv, jsonl, parquet): a `video` column, relative to the manifest
    -                        one path per line on standard input
    s3://bucket/clips/       an object, a folder or a glob in a cloud, also gs://; manifests may list objects too

What was named on the command line must exist. What a manifest or standard input lists need not: a missing
file among a million costs its own row, not the run.
"""

import csv
import glob
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

from olmv.datasets.cloud_inputs import expand_cloud
from olmv.datasets.folders import search, walk
from olmv.datasets.groups import group_name
from olmv.datasets.parquet_rows import parquet_columns, parquet_rows
from olmv.errors import InputError, reason
from olmv.io.paths import text_lines
from olmv.io.prediction_fields import is_prediction, positive_labels
from olmv.io.table_cells import from_csv_cell
from olmv.labels.lists import AmbiguousLabelsError, LabelLists
from olmv.video.cloud import check_cloud, is_cloud

MANIFEST_EXTENSIONS = frozenset({".csv", ".jsonl", ".parquet"})
_LIKE_GROUP = ("group", "groups")


@dataclass(frozen=True)
class ManifestRow:
    """One line of a manifest.

    Attributes:
        video: path of the file, the manifest's folder already put in front.
        labels: what is true of the video; () where nothing is, None where the manifest does not say.
        caption: a sentence about it, or None.
        split: the name of its split, or None.
        group: what it shares with other videos, such as a source, a camera or a day; "" where its cell is empty, None
            where the manifest has no such column.
        number: where it stands in its file, for messages: the line of csv and jsonl, the row of parquet.
        absent: what was judged not to be true of it, and then labels in neither were not judged; None where all labels
            were, so that what is not told to be true is not.
    """

    video: str
    labels: tuple[str, ...] | None = None
    caption: str | None = None
    split: str | None = None
    group: str | None = None
    number: int | None = field(default=None, compare=False)
    absent: tuple[str, ...] | None = None


def expand_inputs(
    inputs: str | Path | Sequence[str | Path], *, stdin: TextIO | None = None, note: Callable[[str], None] | None = None
) -> list[str]:
    """List the videos and photos that the inputs stand for, in the order given, each once.

    Args:
        inputs: files, folders, globs, manifests, or `-`.
        stdin: where `-` reads paths from; `sys.stdin` by default.
        note: is told which files of a folder or glob are left out, and why.

    Raises:
        MissingDependencyError: a path is in a cloud whose package is not installed.
        InputError: nothing given, a path that does not exist, a folder or glob without videos or photos,
            a bad manifest.
    """
    if not inputs:
        raise InputError("no input: name a video, a folder, a glob, a manifest, or - for paths on standard input")
    seen: dict[str, str] = {}
    here = os.getcwd()  # noqa: PTH109 - asked once, not for each of a million rows
    for item in [inputs] if isinstance(inputs, str | Path) else inputs:
        for path in _expand(os.fspath(item), stdin, note or _silent):
            # symbolic links stay as they are
            if remote := is_cloud(path):
                check_cloud(path)
            absolute = path if remote else os.path.normpath(os.path.join(here, path))  # noqa: PTH118
            seen.setdefault(absolute, path)
    return list(seen.values())


def read_manifest(
    path: str | Path, *, labels: Iterable[str] | None = None, note: Callable[[str], None] | None = None
) -> list[ManifestRow]:
    """Read a csv, jsonl or parquet manifest; its `video` column is relative to the manifest's folder.

    Rows of `olmv predict` are read too: their positive labels are true, and their paths are as they were given to it.

    Args:
        path: the file.
        labels: the vocabulary, which tells whether "rain, snow" is one label or two; see `olmv.labels.lists`.
        note: is told what was guessed, a line each.

    Raises:
        InputError: not a manifest by its extension, unreadable, without a `video` column, or without rows; labels that
            may be one or several.
    """
    path = Path(path)
    raw = list(raw_rows(path))
    dicts = [row for _, row in raw if isinstance(row, dict)]
    texts = (row[name] for row in dicts for name in ("labels", "absent") if isinstance(row.get(name), str))
    lists = LabelLists(texts, labels)
    rows = [_manifest_row(path, number, row, lists) for number, row in raw]
    if not rows:
        raise _nothing(path)
    for mark, text in lists.guessed.items():
        (note or _silent)(f"labels in {path.name} are taken as separated by {mark!r}, as in {text!r}")
    return rows


def misnamed_group_note(path: str | Path) -> tuple[str, ...]:
    """Say in one line that a manifest, which could be read, has a column that is called nearly `group`."""
    path = Path(path)
    if path.suffix.lower() == ".parquet":
        columns = parquet_columns(path)
    else:
        _, first = next(raw_rows(path))
        columns = [str(name) for name in first]
    like = [name for name in columns if name.strip().lower() in _LIKE_GROUP]
    if not like or "group" in columns:
        return ()
    return (f"the column {like[0]!r} of {path.name} is not looked at; name it 'group' if its videos belong together",)


def join_rows(rows: Sequence[ManifestRow]) -> tuple[list[ManifestRow], int]:
    """Make one row for each video (and split): rows that give one label each become one with all of them.

    Rows with captions of their own stay apart, each with all labels of its video.

    Returns:
        The rows, and how many were joined to an earlier one.

    Raises:
        InputError: one row says that a label is true of a video, another that it is not.
    """
    labels: dict[tuple[str, str | None], dict[str, None]] = {}
    absent: dict[tuple[str, str | None], dict[str, None] | None] = {}
    for row in rows:
        if row.labels is not None:
            labels.setdefault(_clip(row), {}).update(dict.fromkeys(row.labels))
            so_far = absent.setdefault(_clip(row), {})
            # one row that tells of all labels tells of all
            absent[_clip(row)] = None if so_far is None or row.absent is None else so_far | dict.fromkeys(row.absent)
    for row in rows:
        if both := labels.get(_clip(row), {}).keys() & set(row.absent or ()):
            raise InputError(f"{row.video} is told both to have {min(both)!r} and not to; correct one of its rows")
    joined: dict[tuple[str, str | None, str | None], ManifestRow] = {}
    captioned = {_clip(row) for row in rows if row.caption is not None}
    for row in rows:
        if row.caption is None and _clip(row) in captioned:
            continue  # its labels are with the caption
        names, others = labels.get(_clip(row)), absent.get(_clip(row))
        whole = replace(
            row,
            labels=None if names is None else tuple(names),
            absent=None if others is None else tuple(others),
        )
        joined.setdefault((*_clip(row), row.caption), whole)
    return list(joined.values()), len(rows) - len(joined)


def _silent(_: str) -> None:
    """Say nothing: nobody wants to know."""


def _clip(row: ManifestRow) -> tuple[str, str | None]:
    return os.path.abspath(row.video), row.split  # noqa: PTH100 - keeps symbolic links as they are


def _videos_of(manifest: Path) -> Iterator[str]:
    """Yield the paths alone: what is true of the videos is no matter here."""
    number = 0
    for number, row in raw_rows(manifest):
        yield row_video(manifest, number, row)
    if not number:
        raise _nothing(manifest)


def _nothing(manifest: Path) -> InputError:
    return InputError(f"{manifest} lists no videos; add rows under its 'video' column")


def raw_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield the rows as they are in the file, each with its number: the line of csv and jsonl, the row of parquet.

    Raises:
        InputError: not a manifest by its extension, or it cannot be read.
    """
    reader = {".csv": _csv_rows, ".jsonl": _jsonl_rows, ".parquet": parquet_rows}.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path} is not a manifest; use .csv, .jsonl or .parquet")
    try:
        yield from reader(path)
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8") from None
    except csv.Error as error:
        raise InputError(f"{path} is not valid csv ({error}); check its quotes") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None


def _expand(item: str, stdin: TextIO | None, note: Callable[[str], None]) -> Iterable[str]:
    if is_cloud(item):
        if PurePosixPath(item).suffix.lower() in MANIFEST_EXTENSIONS:
            raise InputError(f"{item} is a manifest, which is read from a disk; copy it here")
        return expand_cloud(item, note)
    if item == "-":
        return _from_lines(sys.stdin if stdin is None else stdin)
    path = Path(item)
    if path.is_dir():
        return _searched(item, walk(item), note, f"no videos or photos in {item}")
    if path.is_file() and path.suffix.lower() in MANIFEST_EXTENSIONS:
        return _videos_of(path)
    if os.path.lexists(item):  # also a pipe or a dangling link: the reader says what is wrong with it
        return [item]
    if glob.has_magic(item):
        return _from_glob(item, note)
    raise InputError(f"no such file or folder: {item}; check the path")


def _from_lines(lines: TextIO) -> list[str]:
    paths = [line.rstrip("\r\n") for line in lines]
    paths = [path for path in paths if path.strip()]
    if not paths:
        raise InputError("standard input lists no paths; pipe one path per line into -")
    return paths


def _from_glob(pattern: str, note: Callable[[str], None]) -> list[str]:
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - the pattern may be absolute
    if not matches:
        raise InputError(f"{pattern} matches no file; check it, and quote it so that the shell leaves it alone")
    files: list[str] = []
    for match in matches:
        if not Path(match).is_dir():
            files.append(match)
        elif "**" not in pattern:  # in `clips/**` the folders' files are matches of their own
            files += walk(match)
    return _searched(pattern, files, note, f"{pattern} matches {len(matches)} paths, but no video or photo")


def _searched(item: str, files: Iterable[str], note: Callable[[str], None], nothing: str) -> list[str]:
    results = search(files)
    if not results.files:
        raise InputError(f"{nothing}; {results.account() if results.left_out else 'there are no files at all'}")
    if results.left_out:
        note(f"{item}: {len(results.files)} videos and photos; {results.account()}")
    return results.files


def _csv_rows(path: Path) -> Iterator[tuple[int, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        missing = dict.fromkeys(header)
        predictions = {"status", "label", "positive"} <= missing.keys()  # whose cells olmv has made safe
        for row in reader:
            if not row:
                continue
            if len(row) > len(header) and any(field.strip() for field in row[len(header) :]):
                raise InputError(
                    f"{path} line {reader.line_num} has more fields than the first line, {len(header)}; "
                    "put a field that holds commas in quotes"
                )
            cells = map(from_csv_cell, row) if predictions else row
            values = dict(zip(header, cells, strict=False))
            yield reader.line_num, values if len(row) >= len(header) else missing | values


def _jsonl_rows(path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in text_lines(path):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:  # ValueError also for a number of 5,000 digits
            raise InputError(f"{path} line {number} is not JSON ({reason(error)}); write one object per line") from None
        yield number, row


def row_video(manifest: Path, number: int, row: Any) -> str:
    """Return the path of a row's video, the manifest's folder in front unless it is a row of `olmv predict`.

    Raises:
        InputError: it names none, or what can be no file name.
    """
    video = row.get("video") if isinstance(row, dict) else None
    if not isinstance(video, str) or not video.strip():
        columns = ", ".join(str(name) for name in row) if isinstance(row, dict) else "none"
        raise InputError(f"{manifest} row {number} has no 'video' (columns: {columns}); name the path column 'video'")
    try:
        _ = video.isascii() or os.fsencode(video)
    except UnicodeEncodeError:  # half of a surrogate pair: it could not even be written into the result
        raise InputError(f"{manifest} row {number}: {video!a} can be no file name; correct that row") from None
    if is_cloud(video):
        return video
    # the rows of a prediction have paths as they were given to it, wherever they were written
    # not pathlib, which is slow for the million rows that there may be
    folder = "" if is_prediction(row) else os.path.dirname(os.fspath(manifest))  # noqa: PTH120
    return os.path.normpath(os.path.join(folder, video))  # noqa: PTH118


def _manifest_row(manifest: Path, number: int, row: Any, lists: LabelLists) -> ManifestRow:
    video, absent = row_video(manifest, number, row), None
    if is_prediction(row):
        labels = positive_labels(row, f"{manifest} row {number}")
    else:
        labels = _labels(manifest, number, row, "labels", lists)
        absent = _labels(manifest, number, row, "absent", lists)
    if absent is not None:
        labels = labels or ()
    return ManifestRow(
        video=video,
        labels=labels,
        absent=absent,
        caption=_text(row.get("caption")),
        split=_text(row.get("split")),
        group=group_name(row["group"], f"{manifest} row {number}") if "group" in row else None,
        number=number,
    )


def _labels(manifest: Path, number: int, row: Any, column: str, lists: LabelLists) -> tuple[str, ...] | None:
    value = row.get(column)
    if value is None:
        return None
    if isinstance(value, str):
        try:
            return lists.split(value)
        except AmbiguousLabelsError as ambiguous:
            raise InputError(f"{manifest} row {number}: {ambiguous}") from None
    if not isinstance(value, list) or not all(isinstance(label, str) for label in value):
        raise InputError(f"{manifest} row {number} has bad {column!r}; write a list, or 'dog;rain' in csv")
    return tuple(label.strip() for label in value if label.strip())


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
