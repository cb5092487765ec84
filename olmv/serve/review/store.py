"""The verdicts of a review on disk: a log in SQLite that is only ever added to.

What `add` returned for is on the disk (WAL, synchronous FULL): a server or a machine that dies then loses none of it.
Several servers may have the same review open; each reads what the others added since it looked last. To undo is an
entry of its own, so who said what, and when, stays.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from olmv.errors import InputError, OutputError, reason

__all__ = ["NAME", "Entry", "Kind", "ReviewStore"]

NAME = "review.sqlite"
_SCHEMA = "1"
_BUSY_S = 20.0

Kind = Literal["verdict", "undo", "order", "threshold"]

_TABLES = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    label TEXT NOT NULL,
    video TEXT,
    verdict INTEGER,
    place INTEGER,
    value REAL,
    basis TEXT,
    reviewer TEXT NOT NULL,
    at TEXT NOT NULL
);
"""
_FIELDS = "kind, label, video, verdict, place, value, basis, reviewer, at"


@dataclass(frozen=True)
class Entry:
    """An entry of the log.

    Attributes:
        kind: a "verdict" on a pair of video and label, an "undo" of one, an "order" that a label's review began, or a
            "threshold" that was set.
        label: whose.
        reviewer: who; a name as the page sent it.
        video: of a verdict and its undo.
        verdict: True, False, or None for "cannot tell" (skipped).
        place: of a verdict the number of the order it was given in, None for out of order; of an undo the verdict's id.
        value: of an order its anchor, a logit; of a threshold the probability.
        basis: what it goes by: an order the digest of the label's scores, a threshold the name of their model.
        at: ISO 8601, UTC.
        id: rises in the order of the log; 0 before it is in there.
    """

    kind: Kind
    label: str
    reviewer: str
    video: str | None = None
    verdict: bool | None = None
    place: int | None = None
    value: float | None = None
    basis: str | None = None
    at: str = ""
    id: int = 0


class ReviewStore:
    """A review's log.

    Args:
        folder: of the review; made where it is missing.

    Raises:
        InputError: the folder holds a review of another version, or a file that is no review.
        OutputError: it cannot be written there.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as failure:
            raise OutputError(
                f"cannot make the review folder {folder}: {failure.strerror}; it lies beside what is served"
            ) from None
        with self._failures():
            self._connection = sqlite3.connect(
                self.path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
        try:
            with self._failures():
                # where the file system has no WAL, its older journal stays, which is as safe and slower
                self._connection.execute("PRAGMA journal_mode=WAL")
                self._connection.execute("PRAGMA synchronous=FULL")
                self._begin()
                self._place = self._files()
        except BaseException:
            self._connection.close()
            raise

    def _files(self) -> list[int]:
        """Return which files those at the review's paths are: of the database and of what is written ahead of it."""
        numbers = []
        for path in (self.path, self.path.with_name(f"{NAME}-wal")):
            try:
                numbers.append(path.stat().st_ino)
            except OSError:
                numbers.append(0)
        return numbers

    def _check_place(self) -> None:
        """Check that what is written is not lost: a file that was removed takes in everything, and keeps nothing.

        Raises:
            OutputError: it was removed, or another one has its place.
        """
        if self._files() != self._place:
            raise OutputError(
                f"cannot write {self.path}: it was moved away while it was open; put it back, or start the server again"
            )

    def _begin(self) -> None:
        with self._writing():
            for statement in _TABLES.split(";\n"):
                self._connection.execute(statement)
            about = dict(self._connection.execute("SELECT name, value FROM about").fetchall())
            if not about:
                ours = {"schema": _SCHEMA, "created": _now()}
                self._connection.executemany("INSERT INTO about VALUES (?, ?)", ours.items())
                return
        if about.get("schema") != _SCHEMA:
            raise InputError(
                f"{self.path} is a review of schema {about.get('schema')}, this olmv reads {_SCHEMA}; "
                "update olmv, or move it away"
            )

    def add(self, *entries: Entry) -> list[Entry]:
        """Append entries, all or none, and return them with their ids and time once they are on the disk.

        Raises:
            OutputError: the disk is full, another program keeps the file locked, or it is not there any more.
        """
        with self._failures(), self._lock:
            self._check_place()
            with self._writing():
                added = [self._insert(entry) for entry in entries]
            self._check_place()
        return added

    def begin(self, order: Entry) -> None:
        """Append the first order of a label's scores, unless they have one: two servers at once begin the same.

        Raises:
            OutputError: as `add`.
        """
        with self._failures(), self._lock, self._writing():
            self._check_place()
            begun = "SELECT 1 FROM log WHERE kind = 'order' AND label = ? AND basis = ? LIMIT 1"
            if self._connection.execute(begun, (order.label, order.basis)).fetchone() is None:
                self._insert(order)

    def _insert(self, entry: Entry) -> Entry:
        e = replace(entry, at=_now())
        values = (e.kind, e.label, e.video, e.verdict, e.place, e.value, e.basis, e.reviewer, e.at)
        cursor = self._connection.execute(f"INSERT INTO log ({_FIELDS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        return replace(e, id=int(cursor.lastrowid or 0))

    def since(self, last: int) -> list[Entry]:
        """Return the entries with an id above `last`, those of other servers too, in the order of the log."""
        with self._failures(), self._lock:
            rows = self._connection.execute(f"SELECT id, {_FIELDS} FROM log WHERE id > ? ORDER BY id", (last,))
            return [_entry(row) for row in rows.fetchall()]

    def close(self) -> None:
        """Close the file; nothing waits to be written."""
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        # immediate: ids become visible in the order in which they are given
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as failure:
            code = getattr(failure, "sqlite_errorcode", 0) & 0xFF
            if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                raise InputError(f"{self.path} is no review, or is damaged; move it away") from None
            fixes = {
                sqlite3.SQLITE_FULL: "the disk is full; make room, earlier verdicts are kept",
                sqlite3.SQLITE_BUSY: "another program has it locked; try again",
                sqlite3.SQLITE_CANTOPEN: "it cannot be opened; choose a folder that you may write to",
                sqlite3.SQLITE_READONLY: "permission denied; choose a folder that you may write to",
            }
            why = fixes.get(code, f"{reason(failure)}; check the disk, earlier verdicts are kept")
            raise OutputError(f"cannot write {self.path}: {why}") from None


def _entry(row: tuple[object, ...]) -> Entry:
    number, kind, label, video, verdict, place, value, basis, reviewer, at = row
    return Entry(
        kind=kind,  # type: ignore[arg-type]  # as it was written
        label=str(label),
        reviewer=str(reviewer),
        video=None if video is None else str(video),
        verdict=None if verdict is None else bool(verdict),
        place=None if place is None else int(str(place)),
        value=None if value is None else float(str(value)),
        basis=None if basis is None else str(basis),
        at=str(at),
        id=int(str(number)),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
