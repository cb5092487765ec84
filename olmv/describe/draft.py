"""The attribute book while it is being written: rows that survive kills, merged into what people may have changed.

While a run goes, every label that is done is one row of `BOOK.partial.jsonl`; at the end the rows are merged into the
book, which is replaced whole. So a run that was killed goes on where it was, and a label that the book already
describes is not described again.
"""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from olmv.describe.ask import Answer, Counts
from olmv.errors import OutputError, UsageError
from olmv.io.journal import JsonlJournal
from olmv.labels.attributes import AttributeBook, BookEntry, write_book
from olmv.labels.label import Label
from olmv.labels.vocabulary import Vocabulary

__all__ = ["PARTIAL", "Draft", "attributes_sha256", "is_by_hand"]

PARTIAL = ".partial.jsonl"


def attributes_sha256(attributes: tuple[str, ...]) -> str:
    """Return what tells whether a person changed the attributes of a label after they were written."""
    return hashlib.sha256("\n".join(attributes).encode()).hexdigest()[:16]


class Draft:
    """The book and the rows that are not in it yet.

    Args:
        output: the book.
        fresh: whether what it says does not count, except what was written or changed by hand.
        durable: whether a row is on the disk before the next label is begun.
    """

    def __init__(self, output: Path, *, fresh: bool, durable: bool = True) -> None:
        self._output = output
        self._path = output.with_name(output.name + PARTIAL)
        self._journal = JsonlJournal(self._path, durable=durable)
        self._restart = fresh

    def __enter__(self) -> "Draft":
        if self._restart:
            self._journal.clear()  # emptied, not removed: the lock is on this very file
            self._journal.append({"fresh": True})
            self._restart = False
        else:
            self._journal.open()
        return self

    def __exit__(self, *failure: object) -> None:
        if self._path.is_file() and not self._path.stat().st_size:
            self._path.unlink()
        self._journal.close()

    @cached_property
    def _fresh(self) -> bool:
        """Tell whether what the book says does not count: a run that started over and was killed is still one."""
        return self._restart or any(row.get("fresh") for row in self._journal.rows())

    def check_finished(self) -> None:
        """Make sure that no run is half-way: its rows would bring back what is changed in the book meanwhile.

        Raises:
            UsageError: one is.
        """
        if any(True for _ in self._journal.rows()):
            raise UsageError(f"{self._path} holds a run that was stopped; finish it first: the same command goes on")

    def waiting(self, vocabulary: Vocabulary) -> list[Label]:
        """Return the labels without attributes so far."""
        done = set() if self._restart else set(self._written())
        book = self._book()
        done.update(label for label in book if self._stays(book.entry(label)))
        return [label for label in vocabulary if label.name not in done]

    def notes(self, vocabulary: Vocabulary, provenance: Mapping[str, Any]) -> Iterator[str]:
        """Say how much of what is kept was changed by hand, and how much was written under other settings."""
        book, written = self._book(), self._written()
        by_hand = other = 0
        for name in vocabulary.names:
            if name in book and self._stays(book.entry(name)):
                entry = book.entry(name)
            elif name in written:
                entry = self._row(written[name])
            else:
                continue
            if is_by_hand(entry):
                by_hand += 1
            else:
                fields = entry.model_dump()
                other += any(fields.get(key) != provenance.get(key) for key in ("llm", "prompt_sha256", "domain"))
        if by_hand:
            yield f"{_labels(by_hand)} written or changed by hand: kept as they are"
        if other:
            yield f"{_labels(other)} from another model or prompt: kept; starting over asks for them anew"

    def add(self, answer: Answer, provenance: Mapping[str, Any]) -> None:
        """Write one durable row."""
        gate = {} if answer.counts is None else {"gate": answer.counts.to_dict()}
        if answer.error is not None:
            self._journal.append({"failed": answer.label.name, "error": answer.error, **gate})
            return
        entry = {
            "attributes": list(answer.attributes),
            **provenance,
            **answer.source,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            **({"asked": answer.asked} if answer.asked else {}),
            "attributes_sha256": attributes_sha256(answer.attributes),
        }
        if answer.counts is not None and answer.counts.refused:
            entry["refused"] = dict(answer.counts.refused.most_common())
        self._journal.append({"label": answer.label.name, "entry": entry, **gate})

    def merge(self, vocabulary: Vocabulary, *, complete: bool) -> None:
        """Put the rows into the book. It is read again: a person may have changed it meanwhile."""
        if self._fresh and not complete:
            return  # half a new book would look like a whole old one
        self._journal.check_unchanged()
        book, written = self._book(), self._written()
        new = {name for name in written if name not in book or not self._stays(book.entry(name))}
        order = dict.fromkeys((*(name for name in vocabulary.names if name in new or name in book), *book, *new))
        if new:
            entries = ((name, self._row(written[name]) if name in new else book.entry(name)) for name in order)
            write_book(self._output, entries, extra=self._extra(book))
        self._path.unlink(missing_ok=True)

    def _extra(self, book: AttributeBook) -> dict[str, Any]:
        """Return what the book says beside its labels: what the gate did, in all runs that wrote it."""
        extra = dict(book.extra)
        total = Counts.of({} if self._fresh else extra.get("gate"))
        for row in self._journal.rows():
            total.add(Counts.of(row.get("gate")))
        if total.candidates:
            extra["gate"] = total.to_dict()
        return extra

    def _stays(self, entry: BookEntry) -> bool:
        return bool(entry.attributes) and (is_by_hand(entry) or not self._fresh)

    def _book(self) -> AttributeBook:
        return AttributeBook.load(self._output) if self._output.is_file() else AttributeBook({})

    def _written(self) -> dict[str, int]:
        """Return label -> where its row is: only that, so that memory stays flat."""
        return self._journal.offsets("label")

    def _row(self, offset: int) -> BookEntry:
        try:
            return BookEntry.model_validate(self._journal.row_at(offset).get("entry"))
        except ValidationError:
            raise OutputError(f"{self._path} holds a row that olmv did not write; move the file away") from None


def is_by_hand(entry: BookEntry) -> bool:
    """Tell whether a person wrote or changed the attributes of a label."""
    return (entry.model_extra or {}).get("attributes_sha256") != attributes_sha256(entry.attributes)


def _labels(number: int) -> str:
    return "1 label" if number == 1 else f"{number} labels"
