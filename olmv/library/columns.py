"""Columns of an Arrow table from plain values and back.

`pyarrow.array` and `to_numpy` do it too, and import pandas first where it is installed, which takes half a second.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate, chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["column", "numbers", "present", "values"]


def numbers(array: NDArray[Any]) -> Any:
    """Return an Arrow array of numbers [N], which shares their memory."""
    import pyarrow as pa

    array = np.ascontiguousarray(array)
    return pa.Array.from_buffers(pa.from_numpy_dtype(array.dtype), len(array), [None, pa.py_buffer(array)])


def values(chunked: Any) -> NDArray[Any]:
    """Return the numbers [N] of a column of a table, without a copy where it is one piece; 0 stands for None."""
    kind = np.dtype(chunked.type.to_pandas_dtype())
    pieces = [
        np.frombuffer(chunk.buffers()[1], kind, len(chunk), chunk.offset * kind.itemsize)
        for chunk in chunked.chunks
        if len(chunk)
    ]
    return pieces[0] if len(pieces) == 1 else np.concatenate([np.zeros(0, kind), *pieces])


def present(chunked: Any) -> NDArray[np.bool_]:
    """Tell which values [N] of a column of a table are not None."""
    pieces = [np.zeros(0, bool)]
    for chunk in chunked.chunks:
        if chunk.null_count == 0:
            pieces.append(np.ones(len(chunk), bool))
            continue
        flags = np.unpackbits(np.frombuffer(chunk.buffers()[0], np.uint8), bitorder="little")
        pieces.append(flags[chunk.offset : chunk.offset + len(chunk)].astype(bool))
    return np.concatenate(pieces)


def column(items: Sequence[Any], kind: Any) -> Any:
    """Return an Arrow array of values, or None, of a type: a number, a truth, a text, bytes, or a list of numbers."""
    import pyarrow as pa

    valid = _bits(item is not None for item in items) if any(item is None for item in items) else None
    if pa.types.is_boolean(kind):
        return pa.Array.from_buffers(kind, len(items), [valid, _bits(bool(item) for item in items)])
    if pa.types.is_list(kind):
        none = np.zeros(0)
        lists = [none if item is None else np.asarray(item) for item in items]
        child = np.concatenate([none, *lists]).astype(kind.value_type.to_pandas_dtype())
        return pa.Array.from_buffers(kind, len(items), [valid, _offsets(lists)], children=[numbers(child)])
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        blobs = [_bytes(item) for item in items]
        return pa.Array.from_buffers(kind, len(items), [valid, _offsets(blobs), pa.py_buffer(b"".join(blobs))])
    plain = np.array([0 if item is None else item for item in items], kind.to_pandas_dtype())
    return pa.Array.from_buffers(kind, len(items), [valid, pa.py_buffer(plain)])


def _bytes(value: str | bytes | None) -> bytes:
    """Return a text as UTF-8; what a file name that is none brings into it, as backslash escapes."""
    if value is None:
        return b""
    return value.encode("utf-8", "backslashreplace") if isinstance(value, str) else value


def _bits(flags: Iterable[bool]) -> Any:
    import pyarrow as pa

    return pa.py_buffer(np.packbits(np.fromiter(flags, bool), bitorder="little"))


def _offsets(items: Sequence[Any]) -> Any:
    import pyarrow as pa

    return pa.py_buffer(np.fromiter(chain([0], accumulate(map(len, items))), np.int32))
