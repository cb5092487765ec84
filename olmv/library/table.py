"""`videos.parquet`: a row a video of a library, for DuckDB, pandas and others. It is made of the fragments.

video, path         as it was named, and absolute
status, error       "ok", or "error" and why
duration_s, width, height, fps
windows             how many embeddings it has
size, mtime         of the file when it was indexed: bytes, and when it was changed last
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from olmv.io.atomic import writing_file
from olmv.library.columns import column, numbers, values
from olmv.library.files import LibraryFiles
from olmv.library.fragment import Fragment

__all__ = ["VIDEOS", "video_table", "write_videos"]

VIDEOS = "videos.parquet"


def write_videos(library: LibraryFiles) -> Path:
    """Write the table of a library's videos, in its folder; return where.

    Raises:
        OutputError: the disk is full.
    """
    import pyarrow.parquet

    path = library.folder / VIDEOS
    with writing_file(path) as temporary:
        pyarrow.parquet.write_table(video_table(library), temporary)
    return path


def video_table(library: LibraryFiles) -> Any:
    """Return the table of a library's videos, an Arrow table, in the order in which they were indexed."""
    import pyarrow as pa

    bounds: list[list[tuple[int, int]]] = [[] for _ in library.fragments]
    for entry in library:
        bounds[entry.fragment].append((entry.first, entry.stop))
    schema = pa.schema([
        ("video", pa.string()), ("path", pa.string()), ("status", pa.string()), ("error", pa.string()),
        ("duration_s", pa.float64()), ("width", pa.int32()), ("height", pa.int32()), ("fps", pa.float64()),
        ("windows", pa.int64()), ("size", pa.int64()), ("mtime", pa.timestamp("ns", tz="UTC")),
    ])  # fmt: skip
    tables = []
    for fragment, places in zip(library.fragments, bounds, strict=True):
        if not places:
            continue
        first, stop = np.array(sorted(places), np.int64).T
        parts = fragment.parts
        windows = fragment.window_bounds[stop] - fragment.window_bounds[first]
        failed = fragment.failed(first, stop)
        chosen = first.tolist()
        rows = {name: [items[place] for place in chosen] for name, items in _columns(parts, schema.names)}
        errors = [_error(fragment, *bounds) if bad else None for bad, *bounds in zip(failed, first, stop, strict=True)]
        columns = {
            **{name: column(items, schema.field(name).type) for name, items in rows.items()},
            "status": column(["error" if bad else "ok" for bad in failed], pa.string()),
            "error": column(errors, pa.string()),
            "windows": numbers(windows),
            "mtime": numbers(values(parts["mtime_ns"])[first]).view(pa.timestamp("ns", tz="UTC")),
        }
        tables.append(pa.table([columns[name] for name in schema.names], schema=schema))
    return pa.concat_tables(tables) if tables else schema.empty_table()


def _columns(parts: Any, names: Sequence[str]) -> Iterator[tuple[str, list[Any]]]:
    """Yield the columns of parts that the table has too, as plain values."""
    for name in names:
        if name in parts.schema.names and name != "error":
            items = parts[name].to_pylist()
            yield name, list(map(os.fsdecode, items)) if name in ("video", "path") else items


def _error(fragment: Fragment, first: int, stop: int) -> str:
    """Return why nothing is known of a video: of what fails all of it, else of its first part."""
    fatal = np.flatnonzero(fragment.failed_parts[1][first:stop])
    place = int(first + (fatal[-1] if len(fatal) else 0))
    return str(fragment.parts["error"][place].as_py())
