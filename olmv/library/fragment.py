"""A fragment of a library: what some videos gave, in Arrow files that are mapped into memory, not read.

    fragments/000001/
      fragment.json       {"version", "rows", "windows", "videos", "removed": [path, ...],
                           "files": {name: {"bytes", "sha256"}}}
      parts.arrow         a line a part of a video, see `olmv.library.records`, and which rows and windows are its
      rows.arrow          vector: float16 [D], of a frame; or of the frames of each window
      windows.arrow       vector: float16 [D], L2-normalised, of a window; part, start_s, end_s, shot, first_row, rows,
                          background_mean, background_deviation
      thumbnails.arrow    part, time_s, jpeg

A fragment is written into a folder beside it, which then takes its name: it is there whole, or not at all. It is never
changed. What a later fragment says of a path holds; "removed" are paths that are in the library no more.
"""

import errno
import hashlib
import json
import mmap
import os
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olmv.errors import InputError
from olmv.io.atomic import os_reason, raise_output, replacing_folder
from olmv.library.columns import numbers, present, values
from olmv.library.content import FragmentContent, Halves, WindowTable
from olmv.library.records import PartRecord
from olmv.library.settings import VERSION
from olmv.video_scores import PASSABLE

__all__ = ["Fragment", "FragmentContent", "Halves", "WindowTable", "write_fragment"]

FILES = ("parts.arrow", "rows.arrow", "windows.arrow", "thumbnails.arrow")
_PIECE = 2**24


def write_fragment(folder: Path, content: FragmentContent) -> None:
    """Write a fragment; `folder` must not exist.

    Raises:
        OutputError: the disk is full, or the folder cannot be written.
    """
    import pyarrow as pa

    with replacing_folder(folder) as fresh:
        try:
            _write_table(fresh / "parts.arrow", content.parts)
            _write_table(fresh / "rows.arrow", pa.table({"vector": _vectors(content.rows)}))
            columns = {name: numbers(array) for name, array in vars(content.windows).items()}
            _write_table(fresh / "windows.arrow", pa.table({"vector": _vectors(content.vectors), **columns}))
            _write_table(fresh / "thumbnails.arrow", content.thumbnails)
            document = {
                "version": VERSION,
                "rows": len(content.rows),
                "windows": len(content.windows),
                "videos": int((values(content.parts["part"]) == 0).sum()),
                "removed": list(content.removed),
                "files": {name: _facts(fresh / name) for name in FILES},
            }
            (fresh / "fragment.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
            for name in (*FILES, "fragment.json"):
                _sync(fresh / name)
        except OSError as failure:
            raise_output(folder, failure)


class Fragment:
    """A fragment on disk. Nothing but its description is read before it is asked for.

    Args:
        folder: of it.
        dimension: D.

    Attributes:
        number: rises from fragment to fragment; the later one holds.
        version: of the format.
        rows, windows, videos: how many there are.
        removed: paths that are in the library no more.

    Raises:
        InputError: it is not whole; the message says what is missing.
    """

    def __init__(self, folder: Path, dimension: int) -> None:
        self.folder = folder
        self.number = int(folder.name)
        self._dimension = dimension
        try:
            document = json.loads((folder / "fragment.json").read_text(encoding="utf-8"))
            self.version = int(document["version"])
            if self.version > VERSION:
                raise InputError(f"{folder} was written by a later olmv; upgrade olmv")
            self.rows, self.windows, self.videos = (int(document[name]) for name in ("rows", "windows", "videos"))
            self.removed: list[str] = [str(path) for path in document["removed"]]
            self._files: Mapping[str, Any] = {name: document["files"][name] for name in FILES}
            for name, facts in self._files.items():
                size = (folder / name).stat().st_size
                if size != facts["bytes"]:
                    raise _damaged(folder, f"{name} has {size:,} bytes, not {facts['bytes']:,}")
        except FileNotFoundError as failure:
            raise _damaged(folder, f"{Path(failure.filename).name} is missing") from None
        except OSError as failure:
            raise InputError(f"cannot read {folder}: {os_reason(failure)}") from failure
        except (ValueError, TypeError, KeyError):
            raise _damaged(folder, "fragment.json cannot be read") from None

    @property
    def size(self) -> int:
        """Return its bytes."""
        return sum(int(facts["bytes"]) for facts in self._files.values())

    def content(self, first: int, stop: int) -> FragmentContent:
        """Return what it has of some of its parts, as a fragment of its own would have it; vectors stay mapped."""
        (begin, end), (one, other) = self.row_bounds[[first, stop]], self.window_bounds[[first, stop]]
        columns = {name: array[one:other] for name, array in vars(self.window_table).items()}
        columns |= {"part": columns["part"] - np.int32(first), "first_row": columns["first_row"] - begin}
        pictures, owners = self._table("thumbnails.arrow"), self._thumbnails[0]
        place, after = np.searchsorted(owners, [first, stop])
        pictures = pictures.slice(place, after - place)
        pictures = pictures.set_column(0, "part", numbers(owners[place:after] - np.int32(first)))
        return FragmentContent(
            self.parts.slice(first, stop - first),
            self.row_vectors[begin:end],
            self.window_vectors[one:other],
            WindowTable(**columns),
            pictures,
        )

    @cached_property
    def parts(self) -> Any:
        """Return its parts as an Arrow table, see `parts_table`."""
        return self._table("parts.arrow")

    @cached_property
    def records(self) -> list[PartRecord]:
        """Return its parts, those of a video in a row."""
        try:
            return [PartRecord.from_row(row) for row in self.parts.to_pylist()]
        except (ValueError, TypeError, LookupError):
            raise _damaged(self.folder, "parts.arrow has lines that cannot be read") from None

    @cached_property
    def failed_parts(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return of its parts [P] which could not be read, and which of these fail the whole video.

        A part of an open file that cannot be decoded does not: the others may be sound.
        """
        kinds, durations = self.parts["error_type"], self.parts["duration_s"]
        failed = present(kinds)
        passable = np.array([kind == PASSABLE for kind in kinds.to_pylist()], bool) & present(durations)
        return failed, failed & ~passable

    def failed(self, first: NDArray[np.int64], stop: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell of videos [V], by their first part and the one after the last, whether nothing is known of them."""
        one, all_ = (np.concatenate([[0], np.cumsum(flags)]) for flags in self.failed_parts)
        return np.asarray((one[stop] - one[first] == stop - first) | (all_[stop] > all_[first]))

    def record(self, part: int) -> PartRecord:
        """Return one of its parts, without reading all of them."""
        if "records" in self.__dict__:
            return self.records[part]
        try:
            return PartRecord.from_row(self.parts.slice(part, 1).to_pylist()[0])
        except (ValueError, TypeError, LookupError):
            raise _damaged(self.folder, "parts.arrow has lines that cannot be read") from None

    @property
    def durations_s(self) -> NDArray[np.float64]:
        """Return [P] how long the video of each part is, in seconds; NaN where nobody knows."""
        durations: NDArray[np.float64] = self.parts["duration_s"].to_numpy()
        return durations

    def spans(self) -> Iterator[tuple[str, str, int, int]]:
        """Yield its videos as (name, absolute path, first part, the one after the last)."""
        firsts = np.flatnonzero(values(self.parts["part"]) == 0).tolist()
        # not pyarrow's `take`, which imports its functions first: a third of a second
        columns = (self.parts[name].to_pylist() for name in ("video", "path"))
        names, paths = ([os.fsdecode(column[place]) for place in firsts] for column in columns)
        bounds = [*firsts, len(self.parts)]
        yield from zip(names, paths, bounds[:-1], bounds[1:], strict=True)

    @cached_property
    def row_bounds(self) -> NDArray[np.int64]:
        """Return [P + 1]: rows of part p are `row_bounds[p]` to `row_bounds[p + 1]`."""
        return np.concatenate([[0], np.cumsum(values(self.parts["row_count"]))]).astype(np.int64)

    @cached_property
    def window_bounds(self) -> NDArray[np.int64]:
        """Return [P + 1]: windows of part p are `window_bounds[p]` to `window_bounds[p + 1]`."""
        return np.concatenate([[0], np.cumsum(values(self.parts["window_count"]))]).astype(np.int64)

    @cached_property
    def row_vectors(self) -> Halves:
        """Return the rows [R, D], mapped from the disk."""
        return self._mapped("rows.arrow", self.rows)

    @cached_property
    def window_vectors(self) -> Halves:
        """Return the vectors of the windows [N, D], mapped from the disk."""
        return self._mapped("windows.arrow", self.windows)

    @cached_property
    def window_table(self) -> WindowTable:
        """Return what is known of the windows."""
        table = self._table("windows.arrow", [item.name for item in fields(WindowTable)])
        return WindowTable(**{item.name: values(table[item.name]) for item in fields(WindowTable)})

    def thumbnail(self, part: int, time_s: float) -> bytes | None:
        """Return the picture of a part nearest to a time, as JPEG, or None."""
        parts, times, pictures = self._thumbnails
        first, stop = np.searchsorted(parts, [part, part + 1])
        if first == stop:
            return None
        jpeg: bytes = pictures[int(first + np.abs(times[first:stop] - time_s).argmin())].as_py()
        return jpeg

    def thumbnails_of(self, part: int) -> tuple[list[bytes], list[float]]:
        """Return the pictures of a part, as JPEGs, and their times."""
        parts, times, pictures = self._thumbnails
        first, stop = np.searchsorted(parts, [part, part + 1])
        return [pictures[int(place)].as_py() for place in range(first, stop)], times[first:stop].tolist()

    def verify(self) -> None:
        """Compare its files with their digests.

        Raises:
            InputError: one of them has changed since it was written, or is gone.
        """
        for name, facts in self._files.items():
            try:
                same = _facts(self.folder / name) == facts
            except FileNotFoundError:
                raise _damaged(self.folder, f"{name} is missing") from None
            except OSError as failure:
                _raise_full(failure, self.folder)
                raise InputError(f"cannot read {self.folder / name}: {os_reason(failure)}") from failure
            if not same:
                raise _damaged(self.folder, f"{name} is not as it was written (its digest differs)")

    def hold(self) -> None:
        """Map all its files now: they can be read from then on, also when compacting deletes its folder.

        Raises:
            InputError: one is no file of a library, or is gone.
        """
        _ = self.parts, self.window_table, self.window_vectors, self.row_vectors, self._thumbnails

    def is_same(self, other: "Fragment") -> bool:
        """Tell whether another one has the same content, by the digests that both were written with."""
        return self._files == other._files and self.removed == other.removed

    @cached_property
    def _thumbnails(self) -> tuple[NDArray[np.int32], NDArray[np.float64], Any]:
        table = self._table("thumbnails.arrow")
        return values(table["part"]), values(table["time_s"]), table["jpeg"]

    def _table(self, name: str, columns: list[str] | None = None) -> Any:
        import pyarrow as pa

        try:
            table = pa.ipc.open_file(pa.memory_map(str(self.folder / name))).read_all()
            return table if columns is None else table.select(columns)
        except (pa.ArrowException, OSError, KeyError) as failure:
            _raise_full(failure, self.folder)
            raise _damaged(self.folder, f"{name} is no Arrow file of a library") from None

    def _mapped(self, name: str, count: int) -> Halves:
        """Map the column `vector` as an array that knows its map, so that pages can be given back."""
        import pyarrow as pa

        path, shape = self.folder / name, (count, self._dimension)
        if count == 0:
            return np.zeros(shape, np.float16)
        try:
            with path.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            whole = np.frombuffer(mapped, np.uint8)
            [column] = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(mapped))).read_all()["vector"].chunks
            offset = column.values.buffers()[1].address - whole.__array_interface__["data"][0]
            if column.type == pa.list_(pa.float16(), self._dimension) and len(column) == count and not column.offset:
                return np.memmap(path, np.float16, mode="r", offset=offset, shape=shape)
        except (pa.ArrowException, OSError, KeyError, ValueError) as failure:
            _raise_full(failure, self.folder)
        raise _damaged(self.folder, f"{name} is no Arrow file of a library")


def _damaged(folder: Path, what: str) -> InputError:
    return InputError(f"fragment {folder} is damaged: {what}; delete its folder, and index the videos again")


def _raise_full(failure: Exception, folder: Path) -> None:
    """Tell a process that may open no more files from a file that is damaged: each mapped one counts.

    Raises:
        InputError: it is that.
    """
    if isinstance(failure, OSError) and failure.errno in (errno.EMFILE, errno.ENFILE):
        what = f"cannot read {folder}: too many files are open"
        raise InputError(f"{what}; compact the library, or raise the limit (ulimit -n)") from failure


def _vectors(array: Halves) -> Any:
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(numbers(array.astype(np.float16, copy=False).reshape(-1)), array.shape[1])


def _write_table(path: Path, table: Any) -> None:
    import pyarrow as pa

    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())  # one batch: a column is one piece of memory


def _facts(path: Path) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            size += len(piece)
    return {"bytes": size, "sha256": digest.hexdigest()}


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
