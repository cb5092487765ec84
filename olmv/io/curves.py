"""Probabilities over time, as the Parquet file beside the rows of `olmv predict --timeline`.

    rows.jsonl                    a row a video, with its segments
    rows.jsonl.curves.parquet     video, label, start_s, probability: a line for each label and cell of time

Cells of a video follow each other without a gap: one ends where the next begins, the last with the video.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olmv.errors import InputError
from olmv.io.atomic import os_reason, writing_file

__all__ = ["Curve", "CurveFile", "curves_path", "read_curves", "write_curves"]

_FIELDS = ("video", "label", "start_s", "probability")
_TEXTS = ("video", "label")
_OURS = "give the curves of olmv predict --timeline"


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

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON has it: `starts_s` and, by label, the base64 of little-endian float64 and float32."""
        columns = np.ascontiguousarray(self.probability.T, "<f4")
        return {
            "starts_s": _packed(np.ascontiguousarray(self.starts_s, "<f8")),
            "labels": {label: _packed(column) for label, column in zip(self.labels, columns, strict=True)},
        }

    @classmethod
    def from_document(cls, video: str, document: Mapping[str, Any]) -> "Curve":
        """Read what `to_document` returned.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        starts = np.frombuffer(base64.b64decode(document["starts_s"], validate=True), "<f8")
        columns = [np.frombuffer(base64.b64decode(text, validate=True), "<f4") for text in document["labels"].values()]
        probability = np.stack([*columns, starts.astype(np.float32)])[:-1].T  # of as many cells, all of them
        return cls(video, tuple(document["labels"]), starts.astype(np.float64), np.ascontiguousarray(probability))


def _packed(array: NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")


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
            if curve.probability.size:
                writer.write_table(_table(curve, schema), row_group_size=curve.probability.size)


def _table(curve: Curve, schema: Any) -> Any:
    import pyarrow as pa

    cells, labels = curve.probability.shape
    video, texts = _text(curve.video), [_text(label) for label in curve.labels]
    columns = [
        pa.DictionaryArray.from_arrays(pa.array(np.zeros(cells * labels, np.int32)), [video]),
        pa.DictionaryArray.from_arrays(pa.array(np.repeat(np.arange(labels, dtype=np.int32), cells)), texts),
        pa.array(np.tile(curve.starts_s, labels)),
        pa.array(np.ascontiguousarray(curve.probability.T, np.float32).ravel()),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


class CurveFile:
    """The curves of a file that `write_curves` wrote, by video; one is read when it is asked for.

    Raises:
        InputError: it is not there, or no such file.
    """

    def __init__(self, path: str | Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._path = path
        try:
            self._file = pq.ParquetFile(str(path))
            if missing := set(_FIELDS) - set(self._file.schema_arrow.names):
                raise InputError(f"{path} has no column {min(missing)!r}; {_OURS}")
            for name in _FIELDS:
                if not _is_text_or_number(self._file.schema_arrow.field(name).type, text=name in _TEXTS):
                    raise InputError(f"the column {name!r} of {path} holds something else; {_OURS}")
            groups = range(self._file.num_row_groups)
            self._groups = {self._file.read_row_group(group, ["video"]).column(0)[0].as_py(): group for group in groups}
        except FileNotFoundError:
            raise InputError(f"no such file: {path}; olmv predict --timeline writes it beside its rows") from None
        except (pa.ArrowException, IndexError):
            raise InputError(f"{path} is no Parquet file of curves; {_OURS}") from None
        except OSError as failure:
            raise InputError(f"cannot read {path}: {os_reason(failure)}") from failure

    def __contains__(self, video: str) -> bool:
        return _text(video) in self._groups

    def __iter__(self) -> Iterator[str]:
        return iter(self._groups)

    def get(self, video: str) -> Curve | None:
        """Return the curve of one video, or None.

        Raises:
            InputError: the file is damaged there.
        """
        import pyarrow as pa

        group = self._groups.get(_text(video))
        if group is None:
            return None
        try:
            return _curve(self._file.read_row_group(group, list(_FIELDS)))
        except (pa.ArrowException, OSError, ValueError):
            raise InputError(f"{self._path} is damaged where {video} should be; {_OURS}") from None


def read_curves(path: str | Path) -> Iterator[Curve]:
    """Read the curves that `write_curves` wrote, one video at a time.

    Raises:
        InputError: it is not there, or no such file.
    """
    file = CurveFile(path)
    for video in file:
        if (curve := file.get(video)) is not None:
            yield curve


def _curve(table: Any) -> Curve:
    """Read the curve of one row group; ValueError of one that is not as `write_curves` makes them."""
    labels = tuple(dict.fromkeys(table.column("label").to_pylist()))
    cells = table.num_rows // len(labels)
    probability = table.column("probability").to_numpy().reshape(len(labels), cells)
    starts = table.column("start_s").to_numpy()[:cells]
    if not ((probability >= 0) & (probability <= 1)).all() or not (np.diff(starts) > 0).all():
        raise ValueError("no probabilities over time")
    return Curve(table.column("video")[0].as_py(), labels, starts, np.ascontiguousarray(probability.T, np.float32))


def _is_text_or_number(kind: Any, *, text: bool) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not text:
        return bool(pa.types.is_floating(kind))
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _text(video: str) -> str:
    """Write a file name as Parquet can: one that is not UTF-8 has its odd bytes as escapes."""
    return video.encode("utf-8", "backslashreplace").decode("utf-8")
