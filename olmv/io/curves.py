"""Probabilities over time, as the Parquet file beside the rows of `olmv predict --timeline`.

    rows.jsonl                    a row a video, with its segments
    rows.jsonl.curves.parquet     video, label, start_s, probability: a line for each label and cell of time

Cells of a video follow each other without a gap: one ends where the next begins, the last with the video.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olmv.errors import InputError
from olmv.io.atomic import os_reason, writing_file

__all__ = ["Curve", "curves_path", "read_curves", "write_curves"]

_FIELDS = ("video", "label", "start_s", "probability")


@dataclass(frozen=True, eq=False)
class Curve:
    """The probabilities of one video over time.

    Attributes:
        video: as in its row.
        labels: [C].
        starts_s: [N] where each cell begins, rising from 0.
        probability: [N, C], 0..1.
    """

    video: str
    labels: tuple[str, ...]
    starts_s: NDArray[np.float64]
    probability: NDArray[np.float32]


def curves_path(rows: Path) -> Path:
    """Return where the curves of these rows are."""
    return rows.with_name(rows.name + ".curves.parquet")


def write_curves(path: Path, curves: Iterable[Curve]) -> None:
    """Write the curves, one video at a time, replacing the file in one step.

    Raises:
        OutputError: the file cannot be written, or the disk is full.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = pa.dictionary(pa.int32(), pa.string())
    kinds = zip(_FIELDS, (text, text, pa.float64(), pa.float32()), strict=True)
    schema = pa.schema([pa.field(name, kind) for name, kind in kinds])
    with writing_file(path) as temporary, pq.ParquetWriter(str(temporary), schema, compression="zstd") as writer:
        for curve in curves:
            writer.write_table(_table(curve, schema))


def _table(curve: Curve, schema: Any) -> Any:
    import pyarrow as pa

    cells, labels = curve.probability.shape
    video = curve.video.encode("utf-8", "backslashreplace").decode("utf-8")  # a file name need not be UTF-8
    columns = [
        pa.DictionaryArray.from_arrays(pa.array(np.zeros(cells * labels, np.int32)), [video]),
        pa.DictionaryArray.from_arrays(pa.array(np.repeat(np.arange(labels, dtype=np.int32), cells)), curve.labels),
        pa.array(np.tile(curve.starts_s, labels)),
        pa.array(np.ascontiguousarray(curve.probability.T, np.float32).ravel()),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def read_curves(path: str | Path) -> Iterator[Curve]:
    """Read the curves that `write_curves` wrote, one video at a time.

    Raises:
        InputError: it is not there, or no such file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(str(path))
        if missing := set(_FIELDS) - set(file.schema_arrow.names):
            raise InputError(f"{path} has no column {sorted(missing)[0]!r}; give the curves of olmv predict --timeline")
        for group in range(file.num_row_groups):
            yield from _curves(file.read_row_group(group, columns=list(_FIELDS)))
    except FileNotFoundError:
        raise InputError(f"no such file: {path}; olmv predict --timeline writes it beside its rows") from None
    except OSError as failure:
        raise InputError(f"cannot read {path}: {os_reason(failure)}") from failure
    except pa.ArrowException:
        raise InputError(f"{path} is no Parquet file of curves; give the one of olmv predict --timeline") from None


def _curves(table: Any) -> Iterator[Curve]:
    names = [table.column(name).to_pylist() for name in ("video", "label")]
    starts, probability = (table.column(name).to_numpy() for name in ("start_s", "probability"))
    begins = [i for i in range(len(starts)) if i == 0 or names[0][i] != names[0][i - 1]]
    for first, stop in zip(begins, [*begins[1:], len(starts)], strict=True):
        labels = tuple(dict.fromkeys(names[1][first:stop]))
        cells = (stop - first) // len(labels)
        yield Curve(
            names[0][first],
            labels,
            starts[first : first + cells],
            probability[first : first + cells * len(labels)].reshape(len(labels), cells).T.astype(np.float32),
        )
