"""Text embeddings on disk, so that a second run over the same labels encodes no text.

One SQLite file a text tower, under `cache_dir()/texts`; a row is sha256(text) -> float32 vector. A cache that is
broken or cannot be written is made again or done without: it never stops a run. It does not grow for ever, though a
service is asked new labels every day: rows are numbered as they are written, and those that lie too far behind the last
one go. What is still asked is written again on the way there.
"""

import contextlib
import hashlib
import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from olmv.errors import ModelError
from olmv.io.paths import cache_dir
from olmv.models.base import VideoModel

__all__ = ["encode_texts_cached"]

log = logging.getLogger(__name__)
# Texts between two reports of progress, at which a caller can give up: seconds of a large tower on a CPU. With fewer,
# fewer are of one length.
_CHUNK = 256
_WRITTEN = 512  # texts that are written at once, for each time waits for the disk; what a killed run loses at most
_PATIENCE_S = 3.0  # while another process writes, which takes milliseconds
_MOST_BYTES = 2**30
"""Vectors of one file: those of 200,000 texts of dimension 1,280."""


def encode_texts_cached(
    model: VideoModel, texts: Sequence[str], *, progress: Callable[[int, int], None] | None = None
) -> Tensor:
    """Return the embeddings [A, D] of `encode_texts`, float32 on the CPU: cached ones read, others made and kept.

    Args:
        model: whose text tower encodes.
        texts: A texts; repeated ones are encoded once.
        progress: called with (done, total) of the texts that had to be encoded; what it raises ends the call, and what
            was encoded is kept.

    Raises:
        ModelError: what the model makes of a text are no finite numbers.
    """
    distinct = list(dict.fromkeys(texts))
    keys = [_key(text) for text in distinct]
    out = torch.empty(len(distinct), model.embed_dim)
    most = max(_MOST_BYTES // (4 * model.embed_dim), 1)
    with _opened(cache_dir() / "texts" / f"{model.fingerprint}.sqlite") as cache:
        known = _read(cache, keys, out, most)
        # texts of like length together, so that they are not padded to the longest of all
        missing = sorted((i for i in range(len(distinct)) if i not in known), key=lambda i: len(distinct[i]))
        unwritten: list[int] = []
        try:
            for k in range(0, len(missing), _CHUNK):
                rows = missing[k : k + _CHUNK]
                out[rows] = model.encode_texts([distinct[i] for i in rows])
                _check_finite(model, [distinct[i] for i in rows], out[rows])  # before they are kept
                unwritten += rows
                if len(unwritten) >= _WRITTEN:
                    _write(cache, [(keys[i], out[i]) for i in unwritten], most)
                    unwritten = []
                if progress is not None:
                    progress(min(k + _CHUNK, len(missing)), len(missing))
        finally:
            _write(cache, [(keys[i], out[i]) for i in unwritten], most)
    _check_finite(model, distinct, out)
    position = {text: i for i, text in enumerate(distinct)}
    return out[[position[t] for t in texts]]


def _check_finite(model: VideoModel, texts: Sequence[str], embeddings: Tensor) -> None:
    wrong = torch.nonzero(~embeddings.isfinite().all(dim=1)).flatten().tolist()
    if wrong:
        raise ModelError(
            f"'{model.name}' makes no finite numbers of {texts[wrong[0]]!a:.80}: its weights or its dtype "
            f"{model.dtype} are at fault; use float32 or another model",
            option=("dtype", "model"),
        )


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection | None]:
    """Open the cache; None where it cannot be used (said once, in the log)."""
    connection = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = _connect(path)
    except (OSError, sqlite3.OperationalError) as error:  # such as locked for long: others use it
        log.warning("no text cache (%s): texts are encoded anew; OLMV_CACHE can name another folder for it", error)
    except sqlite3.DatabaseError as error:
        log.warning("the text cache %s is broken (%s); it is made anew", path, error)
        with contextlib.suppress(OSError, sqlite3.DatabaseError):
            path.unlink(missing_ok=True)
            connection = _connect(path)
    try:
        yield connection
    finally:
        if connection is not None:
            connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_PATIENCE_S)
    try:
        connection.execute("DROP TABLE IF EXISTS texts")  # of earlier versions, without an order and without a bound
        # numbered, for in the tree of keys (WITHOUT ROWID) rows of thousands of bytes leave much of each page empty
        connection.execute(
            "CREATE TABLE IF NOT EXISTS vectors (number INTEGER PRIMARY KEY, key BLOB UNIQUE, vector BLOB NOT NULL)"
        )
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _read(cache: sqlite3.Connection | None, keys: Sequence[bytes], out: Tensor, most: int) -> set[int]:
    """Fill the rows of `out` [A, D] whose vectors are kept, and return which these are."""
    if cache is None:
        return set()
    places = {key: place for place, key in enumerate(keys)}
    vectors = out.numpy()
    read: set[int] = set()
    old: list[tuple[bytes, Tensor]] = []
    try:
        (last,) = cache.execute("SELECT coalesce(max(number), 0) FROM vectors").fetchone()
        for k in range(0, len(keys), 500):
            part = keys[k : k + 500]
            marks = ",".join("?" * len(part))
            rows = cache.execute(f"SELECT number, key, vector FROM vectors WHERE key IN ({marks})", part)
            for number, key, vector in rows:
                if len(vector) == 4 * out.shape[1]:
                    place = places[key]
                    vectors[place] = np.frombuffer(vector, dtype=np.float32)
                    read.add(place)
                    if number <= last - most * 3 // 4:  # soon to go; before, reading writes nothing
                        old.append((key, out[place]))
    except sqlite3.DatabaseError as error:
        log.warning("the text cache cannot be read: %s", error)
    _write(cache, old, most)
    return read


def _write(cache: sqlite3.Connection | None, rows: Sequence[tuple[bytes, Tensor]], most: int) -> None:
    """Keep vectors as the newest, and of all the newest `most`."""
    if cache is None or not rows:
        return
    try:
        with cache:
            cache.executemany(
                "INSERT OR REPLACE INTO vectors (key, vector) VALUES (?, ?)",
                [(key, vector.numpy().tobytes()) for key, vector in rows],
            )
            cache.execute("DELETE FROM vectors WHERE number <= (SELECT max(number) FROM vectors) - ?", [most])
    except sqlite3.Error as error:  # disk full, read-only, locked: the run goes on without
        log.warning("the text cache cannot be written: %s", error)
