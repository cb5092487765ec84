"""Write an attribute book: by a language model, or from WordNet."""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from olmv.describe.ask import Answer, Counts, ask
from olmv.describe.draft import Draft
from olmv.describe.from_wordnet import NAME as WORDNET
from olmv.describe.from_wordnet import write_attributes
from olmv.describe.gate.gate import Gate
from olmv.describe.questions import Questions
from olmv.errors import LLMUnavailableError, UsageError
from olmv.io.atomic import check_writable
from olmv.labels.label import Label
from olmv.labels.vocabulary import Vocabulary
from olmv.llm.types import ChatModel, Generation
from olmv.progress import JobListener

__all__ = [
    "DescribeListener",
    "DescribeSummary",
    "describe_from_wordnet",
    "describe_labels",
    "waiting_labels",
]


class DescribeListener(JobListener):
    """Watches a run; the base ignores what it is told."""

    def described(self, answer: Answer) -> None:
        """Take one more label that is done, or given up."""


@dataclass
class DescribeSummary:
    """What a run did.

    Args:
        total: labels of the vocabulary.
        earlier: of these, described before.
        described: described by this run.
        short: of these, with fewer attributes than were asked for.
        attributes: written by this run.
        prompt_tokens: over all answers of a language model.
        completion_tokens: as above.
        answers: that a language model gave, those that were refused among them.
        seconds: how long it took.
        counts: what the gate did with the attributes of a language model.
        moved: labels whose attributes are nearer to another label's name than to their own, with that label; None where
            no text tower was asked.
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
    answers: int = 0
    seconds: float = 0.0
    counts: Counts = field(default_factory=Counts)
    moved: list[tuple[str, str]] | None = None
    failed: list[tuple[str, str]] = field(default_factory=list)
    stopped: str | None = None

    def count(self, answer: Answer, enough: int) -> None:
        """Add one label."""
        self.answers += answer.answers
        self.prompt_tokens += answer.prompt_tokens
        self.completion_tokens += answer.completion_tokens
        if answer.counts is not None:
            self.counts.add(answer.counts)
        if answer.error is not None:
            self.failed.append((answer.label.name, answer.error))
            return
        self.described += 1
        self.attributes += len(answer.attributes)
        self.short += len(answer.attributes) < enough


def describe_labels(
    vocabulary: Vocabulary,
    output: str | Path,
    *,
    chat: ChatModel,
    questions: Questions,
    gate: Gate,
    generation: Generation | None = None,
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
        generation: how answers are drawn.
        retries: how many times more a label is asked for when its answer cannot be used.
        resume: False asks anew for every label, except those whose attributes were written or changed by hand.
        listener: watches.

    Raises:
        LLMUnavailableError: the model gave not one answer. If it goes away later, the run ends early instead:
            `stopped` says why, and the same call goes on from there.
        VocabularyError: `output` is there and is no attribute book.
        OutputError: `output` cannot be written, or another run is writing it.
        UsageError: the numbers make no sense.
    """
    generation = generation or Generation()
    if questions.count < 1 or retries < 0:
        raise UsageError("at least 1 attribute per label and 0 retries are needed")

    def answers(waiting: Sequence[Label]) -> Generator[Answer]:
        return ask(waiting, chat, questions=questions, gate=gate, generation=generation, retries=retries)

    provenance = _provenance(chat, questions, generation)
    return _write(vocabulary, output, answers, provenance, enough=questions.count, resume=resume, listener=listener)


def describe_from_wordnet(
    vocabulary: Vocabulary,
    output: str | Path,
    *,
    gate: Gate,
    count: int = 8,
    resume: bool = True,
    listener: DescribeListener | None = None,
) -> DescribeSummary:
    """Write what WordNet says of every label to an attribute book; no language model is asked.

    Labels that it does not know are not in the book and stand in `failed`.

    Args:
        vocabulary: the labels. What an ambiguous one means is decided by the others.
        output: as for `describe_labels`.
        gate: what an attribute must be.
        count: attributes of a label, at most.
        resume: as for `describe_labels`.
        listener: watches.

    Raises:
        VocabularyError: `output` is there and is no attribute book.
        OutputError: `output` cannot be written, or another run is writing it.
        UsageError: the count makes no sense.
    """
    if count < 1:
        raise UsageError("at least 1 attribute per label is needed")

    def answers(waiting: Sequence[Label]) -> Generator[Answer]:
        return write_attributes(waiting, vocabulary, count=count, gate=gate)

    # any number is as many as there are; and quickly done again, so no row is worth the wait for the disk
    return _write(
        vocabulary, output, answers, {"llm": WORDNET}, enough=1, resume=resume, listener=listener, durable=False
    )


def _write(
    vocabulary: Vocabulary,
    output: str | Path,
    answers: Callable[[Sequence[Label]], Generator[Answer]],
    provenance: Mapping[str, Any],
    *,
    enough: int,
    resume: bool,
    listener: DescribeListener | None,
    durable: bool = True,
) -> DescribeSummary:
    check_writable(output)
    listener = listener or DescribeListener()
    with Draft(Path(output), fresh=not resume, durable=durable) as draft:
        waiting = draft.waiting(vocabulary)
        summary = DescribeSummary(total=len(vocabulary), earlier=len(vocabulary) - len(waiting))
        for text in draft.notes(vocabulary, provenance):
            listener.note(text)
        listener.started(total=summary.total, done=summary.earlier)
        begun = time.monotonic()
        try:
            with closing(answers(waiting)) as stream:
                for answer in stream if waiting else ():  # with nothing to ask the model need not even be there
                    draft.add(answer, provenance)
                    summary.count(answer, enough)
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
    """Return the labels that `describe_labels` would ask for. Writes nothing.

    Raises:
        VocabularyError: `output` is there and is no attribute book.
    """
    return list(vocabulary) if output is None else Draft(Path(output), fresh=not resume).waiting(vocabulary)


def _provenance(chat: ChatModel, questions: Questions, generation: Generation) -> dict[str, Any]:
    provenance: dict[str, Any] = {
        "llm": chat.name,
        "prompt": questions.prompt.title,
        "prompt_sha256": questions.prompt.sha256,
    }
    if questions.domain is not None:
        provenance["domain"] = questions.domain
    settings = {"temperature": generation.temperature, "top_p": generation.top_p, "max_tokens": generation.max_tokens}
    return {**provenance, "sampling": {**settings, "seed": generation.seed}}
