"""Write the segments of `olmv predict --timeline` as files that people open, by the name of the output.

    X.csv, X.parquet           a line a segment
    X.srt, X.vtt               subtitles
    X.thumbnails.vtt           frames for the time bar of web players, with X.thumbnails.jpg
    X.edl                      markers for editors
    X.labelstudio.json         predictions for Label Studio, with its config as X.labelstudio.xml
    X.fiftyone.json            temporal detections for FiftyOne

Subtitles, thumbnails and markers are of one video. `{}` in a name makes it a file for each video, of any format:
`subs/{}.srt`.
"""

import csv
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from olmv.errors import UsageError
from olmv.io.atomic import check_writable, write_atomic, writing_file
from olmv.io.paths import distinct_stems
from olmv.io.prediction_fields import Row
from olmv.io.prediction_rows import csv_value, valid_text
from olmv.pages.pictures import Pictures
from olmv.predict.annotations import edl, fiftyone, label_studio, label_studio_config, labels_of
from olmv.predict.subtitles import sheet_names, srt, thumbnail_sheets, thumbnail_vtt, vtt

__all__ = [
    "SEGMENT_FORMATS",
    "check_segments_output",
    "needs_pictures",
    "segment_format",
    "write_segments",
]

SEGMENT_FORMATS = {
    ".thumbnails.vtt": "thumbnails",
    ".labelstudio.json": "labelstudio",
    ".fiftyone.json": "fiftyone",
    ".srt": "srt",
    ".vtt": "vtt",
    ".edl": "edl",
    ".csv": "csv",
    ".parquet": "parquet",
}
"""How a name ends -> the format; the first that fits."""

COLUMNS = ("video", "label", "start_s", "end_s", "peak", "peak_s", "mean")
_OF_ONE_VIDEO = {"srt": "subtitles", "vtt": "subtitles", "thumbnails": "thumbnails", "edl": "markers"}
_GROUP = 50_000  # lines held in memory before they become a parquet row group

Rows = Callable[[], Iterable[Row]]


def segment_format(path: Path) -> str | None:
    """Tell the format of segments by the end of a file's name: a value of `SEGMENT_FORMATS`, or None."""
    name = path.name.lower()
    return next((kind for ending, kind in SEGMENT_FORMATS.items() if name.endswith(ending)), None)


def needs_pictures(path: Path) -> bool:
    """Tell whether `write_segments` asks for the pictures of the videos."""
    return segment_format(path) == "thumbnails"


def check_segments_output(path: Path, videos: Sequence[str]) -> None:
    """Check before anything is done that the segments of these videos can be written there.

    Raises:
        UsageError: the format is none of `SEGMENT_FORMATS`; it is of one video and there are several; `{}` stands in
            the name of a folder.
        OutputError: a file cannot be written.
    """
    kind = segment_format(path)
    if kind is None:
        endings = ", ".join((".jsonl", *SEGMENT_FORMATS))
        raise UsageError(f"cannot tell the format of {path}; end it in {endings}", option="output")
    if "{}" in str(path.parent):
        raise UsageError(f"{{}} stands in a folder of {path}; put it in the name of the file", option="output")
    several = len(set(videos)) > 1
    if "{}" in path.name:
        paths = _paths(path, videos).values()
        # one tells for all of a folder; the longest name is the first that a file system refuses
        check_writable(max(paths, key=lambda target: len(target.name), default=path))
    elif several and kind in _OF_ONE_VIDEO:
        ending = next(ending for ending in SEGMENT_FORMATS if path.name.lower().endswith(ending))
        raise UsageError(
            f"{path} holds the {_OF_ONE_VIDEO[kind]} of one video, and there are {len(set(videos))}; put {{}} in its "
            f"name, which each video's own name replaces: {path.with_name('{}' + ending)}",
            option="output",
        )
    else:
        check_writable(path)


def write_segments(path: Path, rows: Rows, pictures: Callable[[str], Pictures | None]) -> list[Path]:
    """Write the segments of all rows, each file in one step.

    A video that failed has no file of its own and no line; one without segments has an empty file that is valid.

    Args:
        path: the output, as `check_segments_output` has checked it.
        rows: gives the rows of a timeline; may be called several times.
        pictures: gives a video's pictures, or None; asked for thumbnails only, see `needs_pictures`.

    Returns:
        The files that were written.

    Raises:
        OutputError: a file cannot be written, or the disk is full.
    """
    kind = segment_format(path) or ""
    if "{}" not in path.name and kind not in _OF_ONE_VIDEO:
        return _write(kind, path, rows, pictures)
    targets = _paths(path, (row["video"] for row in rows()))
    written: list[Path] = []
    for row in rows():
        if row["status"] == "ok":
            written += _write(kind, targets[row["video"]], lambda row=row: [row], pictures)  # type: ignore[misc]
    return written


def _paths(path: Path, videos: Iterable[str]) -> dict[str, Path]:
    """Name the file of each video."""
    return {video: path.with_name(path.name.replace("{}", stem)) for video, stem in distinct_stems(videos).items()}


def _write(kind: str, path: Path, rows: Rows, pictures: Callable[[str], Pictures | None]) -> list[Path]:
    if kind == "csv":
        _write_csv(path, rows())
    elif kind == "parquet":
        _write_parquet(path, rows())
    elif kind == "labelstudio":
        write_atomic(path, label_studio(rows()))
        config = path.with_suffix(".xml")
        write_atomic(config, label_studio_config(labels_of(rows())))
        return [path, config]
    elif kind == "fiftyone":
        write_atomic(path, fiftyone(rows))
    elif kind == "thumbnails":
        (row,) = rows()
        return _write_thumbnails(path, row, pictures(row["video"]))
    else:
        (row,) = rows()
        write_atomic(path, {"srt": srt, "vtt": vtt, "edl": edl}[kind](row))
    return [path]


def _write_thumbnails(path: Path, row: Row, pictures: Pictures | None) -> list[Path]:
    pictures = pictures or Pictures((), ())
    names = sheet_names(path, len(pictures.jpegs))
    places: list[tuple[str, tuple[int, int, int, int]]] = []
    for name, (sheet, on_sheet) in zip(names, thumbnail_sheets(pictures), strict=True):
        write_atomic(name, sheet)
        places += [(name.name, place) for place in on_sheet]
    # last: whoever finds the track finds its sheets
    write_atomic(path, thumbnail_vtt(pictures.times_s, row["duration_s"], places))
    return [path, *names]


def _lines(rows: Iterable[Row]) -> Iterator[Row]:
    for row in rows:
        for segment in row.get("segments") or ():
            yield {"video": row["video"], **{name: segment[name] for name in COLUMNS[1:]}}


def _write_csv(path: Path, rows: Iterable[Row]) -> None:
    # surrogateescape: a file name that is not UTF-8 keeps its bytes
    with (
        writing_file(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows({name: csv_value(value) for name, value in line.items()} for line in _lines(rows))


def _write_parquet(path: Path, rows: Iterable[Row]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = (pa.string(), pa.string(), *[pa.float64()] * 5)
    schema = pa.schema(list(zip(COLUMNS, kinds, strict=True)))
    lines = ({**line, "video": valid_text(line["video"]), "label": valid_text(line["label"])} for line in _lines(rows))
    with writing_file(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        while group := list(itertools.islice(lines, _GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema))
