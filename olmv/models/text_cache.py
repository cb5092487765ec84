"""Text embeddings on disk, so that a second run over the same labels encodes no text.

One SQLite file a text tower, under `cache_dir()/texts`; a row is sha256(text) -> float32 vector. A cache that is
broken or cannot be written is made again or done without: it never stops a run.
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
CHUNK = 512  # texts between two reports of progress; what a killed run loses at most


def encode_texts_cached(
    model: VideoModel, texts: Sequence[str], *, progress: Callable[[int, int], None] | None = None
) -> Tensor:
    """Return the embeddings [A, D] of `encode_texts`, float32 on the CPU: cached ones read, others made and kept.

    Args:
        model: whose text tower encodes.
        texts: A texts; repeated ones are encoded once.
        progress: called with (done, total) of the texts that had to be encoded.

    Raises:
        ModelError: what the model makes of a text are no finite numbers.
    """
    distinct = list(dict.fromkeys(texts))
    out = torch.empty(len(distinct), model.embed_dim)
    with _opened(cache_dir() / "texts" / f"{model.fingerprint}.sqlite") as cache:
        known = _read(cache, distinct, model.embed_dim)
        missing = [i for i, text in enumerate(distinct) if text not in known]
        for i, text in enumerate(distinct):
            if text in known:
                out[i] = torch.from_numpy(known[text])
        for k in range(0, len(missing), CHUNK):
            rows = missing[k : k + CHUNK]
            out[rows] = model.encode_texts([distinct[i] for i in rows])
            _check_finite(model, [distinct[i] for i in rows], out[rows])  # before they are kept
            _write(cache, [(distinct[i], out[i].numpy()) for i in rows])
            if progress is not None:
                progress(min(k + CHUNK, len(missing)), len(missing))
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
    except sqlite3.DatabaseError as error:
        log.warning("the text cache %s is broken (%s); it is made anew", path, error)
        with contextlib.suppress(OSError, sqlite3.DatabaseError):
            path.unlink(missing_ok=True)
            connection = _connect(path)
    except OSError as error:
        log.warning("no text cache: %s", error)
    try:
        yield connection
    finally:
        if connection is not None:
            connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=20)
    try:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS texts (key BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID"
        )
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _read(cache: sqlite3.Connection | None, texts: Sequence[str], dim: int) -> dict[str, np.ndarray]:
    if cache is None:
        return {}
    keys = {_key(t): t for t in texts}
    vectors: dict[str, np.ndarray] = {}
    ordered = list(keys)
    try:
        for k in range(0, len(ordered), 500):
            part = ordered[k : k + 500]
            marks = ",".join("?" * len(part))
            for key, vector in cache.execute(f"SELECT key, vector FROM texts WHERE key IN ({marks})", part):
                if len(vector) == 4 * dim:
                    vectors[keys[key]] = np.frombuffer(vector, dtype=np.float32).copy()
    except sqlite3.DatabaseError as error:
        log.warning("the text cache cannot be read: %s", error)
    return vectors


def _write(cache: sqlite3.Connection | None, rows: Sequence[tuple[str, np.ndarray]]) -> None:
    if cache is None:
        return
    try:
        with cache:
            cache.executemany(
                "INSERT OR REPLACE INTO texts VALUES (?, ?)",
                [(_key(text), np.ascontiguousarray(vector, dtype=np.float32).tobytes()) for text, vector in rows],
            )
    except sqlite3.Error as error:  # disk full, read-only, locked: the run goes on without
        log.warning("the text cache cannot be written: %s", error)
