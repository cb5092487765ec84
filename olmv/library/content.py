"""What a fragment of a library is made of, in memory: tables of its parts, its windows and its pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olmv.library.columns import column
from olmv.library.records import PartRecord

__all__ = ["FragmentContent", "Halves", "WindowTable", "parts_table", "thumbnail_table"]

Halves = NDArray[np.float16]


@dataclass(frozen=True, eq=False)
class WindowTable:
    """What is known of N windows but for their vectors.

    Attributes:
        part: [N] which part of the fragment.
        start_s, end_s: [N] seconds in the video.
        shot: [N] the number of the shot in its part; 0 without a timeline.
        first_row, rows: [N] which rows of the fragment it was made of; with moments at rest, each picture once.
        background_mean, background_deviation: [N] of the similarity of its vector to everyday words in the model's own
            templates; NaN of a model with logits of its own.
    """

    part: NDArray[np.int32]
    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    shot: NDArray[np.int32]
    first_row: NDArray[np.int64]
    rows: NDArray[np.int32]
    background_mean: NDArray[np.float32]
    background_deviation: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.part)


@dataclass(frozen=True, eq=False)
class FragmentContent:
    """What a fragment is written of, or what is read of one.

    Attributes:
        parts: of `parts_table`, a row a part; those of a video follow each other, all of them.
        rows: [R, D].
        vectors: [N, D] of the windows, in the order of the parts.
        windows: [N].
        thumbnails: of `thumbnail_table`.
        removed: paths that are in the library no more.
    """

    parts: Any
    rows: Halves
    vectors: Halves
    windows: WindowTable
    thumbnails: Any
    removed: Sequence[str] = ()


def parts_table(records: Sequence[PartRecord], row_counts: Sequence[int], window_counts: Sequence[int]) -> Any:
    """Make an Arrow table of parts: their records, and how many rows and windows each has."""
    import pyarrow as pa

    rows = [
        {**record.to_row(), "row_count": rows, "window_count": windows}
        for record, rows, windows in zip(records, row_counts, window_counts, strict=True)
    ]
    schema = _parts_schema()
    return pa.table([column([row[item.name] for row in rows], item.type) for item in schema], schema=schema)


def thumbnail_table(thumbnails: Sequence[tuple[int, float, bytes]]) -> Any:
    """Make an Arrow table of pictures: (part, time in seconds, JPEG), in the order of the parts."""
    import pyarrow as pa

    kinds = (("part", pa.int32()), ("time_s", pa.float64()), ("jpeg", pa.binary()))
    return pa.table(
        {name: column([thumbnail[place] for thumbnail in thumbnails], kind) for place, (name, kind) in enumerate(kinds)}
    )


def _parts_schema() -> Any:
    import pyarrow as pa

    texts, whole, real = pa.string(), pa.int64(), pa.float64()
    kinds = {
        "video": pa.binary(), "path": pa.binary(), "size": whole, "mtime_ns": whole, "part": pa.int32(),
        "parts": pa.int32(),
        "width": pa.int32(), "height": pa.int32(), "duration_s": real, "num_frames": whole, "fps": real,
        "rotation": pa.int32(), "codec": texts, "requested": pa.int32(), "decoded": pa.int32(), "corrupt": pa.int32(),
        "encoded": pa.int32(), "widest_gap_s": real, "capped": pa.bool_(), "error_type": texts, "error": texts,
        "begin_s": real, "end_s": real, "times_s": pa.list_(real), "rows": pa.list_(pa.int32()),
        "cuts_s": pa.list_(real), "head_s": pa.list_(real), "head": pa.binary(), "tail_s": pa.list_(real),
        "tail": pa.binary(), "row_count": whole, "window_count": whole,
    }  # fmt: skip
    return pa.schema(list(kinds.items()))
