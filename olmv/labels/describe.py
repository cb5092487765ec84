"""`describe_labels`: from labels to an attribute book that survives kills and keeps what people changed in it.

While it runs, every label that is done is one durable row of `BOOK.partial.jsonl`; at the end the rows are
merged into the book, which is replaced whole. So a run that was killed goes on where it was, and a label that
the book already describes is not asked for again.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from olmv.errors import LLMUnavailableError, OutputError, UsageError
from olmv.files import JsonlJournal, check_writable
from olmv.labels.asking import Answer, Questions, ask
from olmv.labels.attributes import AttributeBook, BookEntry, write_book
from olmv.labels.quality import Gate
from olmv.labels.vocabulary import Label, Vocabulary
from olmv.llm.chat import ChatModel, Sampling

__all__ = ["DescribeListener", "DescribeSummary", "attributes_sha256", "describe_labels", "waiting_labels"]

PARTIAL = ".partial.jsonl"


class DescribeListener(Protocol):
    """Who wants to hear how a run goes."""

    def note(self, text: str) -> None:
        """A remark for the user."""

    def started(self, *, total: int, done: int) -> None:
        """`done` of `total` labels need no asking."""

    def described(self, answer: Answer) -> None:
        """One more label is done, or given up."""


@dataclass
class DescribeSummary:
    """What a run did.

    Args:
        total: labels of the vocabulary.
        earlier: of these, described before.
        described: described by this run.
        short: of these, with fewer attributes than were asked for.
        failed: label and reason of those that got none; the next run asks for them again.
        stopped: why the run ended early; None if it did not.
    """

    total: int
    earlier: int
    described: int = 0
    short: int = 0
    attributes: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    asked: int = 0
    seconds: float = 0.0
    failed: list[tuple[str, str]] = field(default_factory=list)
    stopped: str | None = None

    def count(self, answer: Answer, wanted: int) -> None:
        """Add one label."""
        self.asked += answer.asked
        self.prompt_tokens += answer.prompt_tokens
        self.completion_tokens += answer.completion_tokens
        if answer.error is not None:
            self.failed.append((answer.label.name, answer.error))
            return
        self.described += 1
        self.attributes += len(answer.attributes)
        self.short += len(answer.attributes) < wanted


def describe_labels(
    vocabulary: Vocabulary,
    output: str | Path,
    *,
    chat: ChatModel,
    questions: Questions,
    gate: Gate,
    sampling: Sampling | None = None,
    retries: int = 3,
    resume: bool = True,
    listener: DescribeListener | None = None,
) -> DescribeSummary:
    """Ask a language model for attributes of every label and write them to an attribute book.

    Args:
        vocabulary: the labels.
        output: the book (.json). Labels that it describes already are kept as they are, changed by hand or not.
        chat: the language model.
        questions: prompt, number of attributes, domain.
        gate: what an attribute must be.
        sampling: how answers are drawn.
        retries: how many times more a label is asked for when its answer cannot be used.
        resume: False asks anew for every label, except those whose attributes were written or changed by hand.
        listener: is told how it goes.

    Raises:
        LLMUnavailableError: the model gave not one answer. If it goes away later, the run ends early instead:
            `stopped` says why, and the same call goes on from there.
        VocabularyError: `output` is there and is no attribute book.
        OutputError: `output` cannot be written, or another run is writing it.
        UsageError: the numbers make no sense.
    """
    sampling = sampling or Sampling()
    if questions.count < 1 or retries < 0:
        raise UsageError("at least 1 attribute per label and 0 retries are needed")
    check_writable(output)
    with _Draft(Path(output), fresh=not resume) as draft:
        waiting = draft.waiting(vocabulary)
        summary = DescribeSummary(total=len(vocabulary), earlier=len(vocabulary) - len(waiting))
        provenance = _provenance(chat, questions, sampling)
        if listener is not None:
            for text in draft.notes(vocabulary, provenance):
                listener.note(text)
            listener.started(total=summary.total, done=summary.earlier)
        begun = time.monotonic()
        try:
            answers = ask(waiting, chat, questions=questions, gate=gate, sampling=sampling, retries=retries)
            with closing(answers):
                for answer in answers if waiting else ():  # with nothing to ask the model need not even be there
                    draft.add(answer, provenance)
                    summary.count(answer, questions.count)
                    if listener is not None:
                        listener.described(answer)
        except LLMUnavailableError as failure:
            if not summary.described and not summary.failed:
                raise
            summary.stopped = str(failure)
        finally:
            summary.seconds = time.monotonic() - begun
            complete = summary.described + len(summary.failed) == len(waiting)
            draft.merge(vocabulary, complete=complete)
    return summary


def waiting_labels(vocabulary: Vocabulary, output: str | Path | None, *, resume: bool = True) -> list[Label]:
    """The labels that `describe_labels` would ask for. Writes nothing.

    Raises:
        VocabularyError: `output` is there and is no attribute book.
    """
    return list(vocabulary) if output is None else _Draft(Path(output), fresh=not resume).waiting(vocabulary)


def attributes_sha256(attributes: tuple[str, ...]) -> str:
    """Tells whether a person changed the attributes of a label after they were written."""
    return hashlib.sha256("\n".join(attributes).encode()).hexdigest()[:16]


def _provenance(chat: ChatModel, questions: Questions, sampling: Sampling) -> dict[str, Any]:
    known: dict[str, Any] = {
        "llm": chat.name,
        "prompt": questions.prompt.title,
        "prompt_sha256": questions.prompt.sha256,
    }
    if questions.domain is not None:
        known["domain"] = questions.domain
    settings = {"temperature": sampling.temperature, "top_p": sampling.top_p, "max_tokens": sampling.max_tokens}
    return {**known, "sampling": {**settings, "seed": sampling.seed}}


class _Draft:
    """The book and the rows that are not in it yet."""

    def __init__(self, output: Path, *, fresh: bool) -> None:
        self._output = output
        self._path = output.with_name(output.name + PARTIAL)
        self._journal = JsonlJournal(self._path, durable=True)
        self._restart = fresh

    def __enter__(self) -> "_Draft":
        self._journal.open()
        if self._restart:
            # emptied, not removed: the lock is on this very file
            self._path.write_bytes(b"")
            self._journal.append({"fresh": True})
            self._restart = False
        return self

    def __exit__(self, *failure: object) -> None:
        if self._path.is_file() and not self._path.stat().st_size:
            self._path.unlink()
        self._journal.close()

    @cached_property
    def _fresh(self) -> bool:
        """Whether what the book says does not count: a run that started over and was killed is still one."""
        return self._restart or any(row.get("fresh") for row in self._journal.rows(repair=False))

    def waiting(self, vocabulary: Vocabulary) -> list[Label]:
        """The labels without attributes so far."""
        done = set() if self._restart else set(self._written())
        book = self._book()
        done.update(label for label in book if self._kept(book.entry(label)))
        return [label for label in vocabulary if label.name not in done]

    def notes(self, vocabulary: Vocabulary, provenance: Mapping[str, Any]) -> Iterator[str]:
        """Of what is kept, how much was changed by hand, and how much was written under other settings."""
        book, written = self._book(), self._written()
        by_hand = other = 0
        for name in vocabulary.names:
            if name in book and self._kept(book.entry(name)):
                entry = book.entry(name)
            elif name in written:
                entry = self._row(written[name])
            else:
                continue
            if _by_hand(entry):
                by_hand += 1
            else:
                known = entry.model_dump()
                other += any(known.get(key) != provenance.get(key) for key in ("llm", "prompt_sha256", "domain"))
        if by_hand:
            yield f"{_labels(by_hand)} written or changed by hand: kept as they are"
        if other:
            yield f"{_labels(other)} from another model or prompt: kept; --no-resume asks for them anew"

    def add(self, answer: Answer, provenance: Mapping[str, Any]) -> None:
        """One durable row."""
        if answer.error is not None:
            self._journal.append({"failed": answer.label.name, "error": answer.error})
            return
        entry = {
            "attributes": list(answer.attributes),
            **provenance,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "asked": answer.asked,
            "attributes_sha256": attributes_sha256(answer.attributes),
        }
        self._journal.append({"label": answer.label.name, "entry": entry})

    def merge(self, vocabulary: Vocabulary, *, complete: bool) -> None:
        """Rows into the book. The book is read again: a person may have changed it meanwhile."""
        if self._fresh and not complete:
            return  # half a new book would look like a whole old one
        book, written = self._book(), self._written()
        new = {name for name in written if name not in book or not self._kept(book.entry(name))}
        order = dict.fromkeys((*(name for name in vocabulary.names if name in new or name in book), *book, *new))
        if new:
            entries = ((name, self._row(written[name]) if name in new else book.entry(name)) for name in order)
            write_book(self._output, entries, extra=book.extra)
        self._path.unlink(missing_ok=True)

    def _kept(self, entry: BookEntry) -> bool:
        return bool(entry.attributes) and (_by_hand(entry) or not self._fresh)

    def _book(self) -> AttributeBook:
        return AttributeBook.load(self._output) if self._output.is_file() else AttributeBook({})

    def _written(self) -> dict[str, int]:
        """Label -> where its row is: only that, so that memory stays flat."""
        return self._journal.offsets("label")

    def _row(self, offset: int) -> BookEntry:
        try:
            return BookEntry.model_validate(self._journal.row_at(offset).get("entry"))
        except ValidationError:
            raise OutputError(f"{self._path} holds a row that olmv did not write; move the file away") from None


def _by_hand(entry: BookEntry) -> bool:
    return (entry.model_extra or {}).get("attributes_sha256") != attributes_sha256(entry.attributes)


def _labels(number: int) -> str:
    return "1 label" if number == 1 else f"{number} labels"
