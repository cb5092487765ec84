"""Attribute books by a language model, with the gate and without: what `bench_books.py` and `eval_gate.py` measure."""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from olmv.describe.book import describe_labels
from olmv.describe.checks import ListChecks
from olmv.describe.gate.gate import Gate, Verdict
from olmv.describe.gate.wording import Wording
from olmv.describe.questions import answer_tokens
from olmv.errors import VocabularyError
from olmv.labels.label import MAX_ATTRIBUTE_CHARS, Label, clean_text
from olmv.labels.quality import tidy
from olmv.labels.vocabulary import Vocabulary
from olmv.llm.open import open_chat
from olmv.llm.prompts import load_prompt
from olmv.llm.types import Generation
from olmv.models.registry import text_limit
from olmv.progress import JobListener

__all__ = ["BookRun", "OpenGate", "write_book_by_llm"]

RETRIES = 1


@dataclass(frozen=True)
class OpenGate(Gate):
    """Lets everything through that can stand in a book at all: what the model wrote, raw."""

    wording: Wording = field(repr=False)

    def accept(self, label: Label, candidates: Sequence[str], earlier: Sequence[str] = ()) -> Verdict:
        """Accept every text that a book can hold, once."""
        verdict = Verdict()
        for candidate in candidates:
            try:
                text = clean_text(tidy(candidate), what="attribute", limit=MAX_ATTRIBUTE_CHARS)
            except VocabularyError:
                continue
            if text not in (*earlier, *verdict.accepted):
                verdict.accepted.append(text)
        return verdict


@dataclass(frozen=True)
class BookRun:
    """What writing a book took.

    Attributes:
        seconds: without loading anything.
        labels: with at least one attribute.
        first_share: of the attributes in first answers, those that passed.
        share: of all attributes, those that passed.
        filled: attributes in the book, of those asked for.
        tokens: of all answers.
        answers: of the model.
    """

    seconds: float
    labels: int
    first_share: float
    share: float
    filled: float
    tokens: int
    answers: int


def write_book_by_llm(
    labels: Sequence[str],
    book: Path,
    spec: str,
    *,
    prompt: str,
    count: int = 8,
    gated: bool = True,
    model: str = "olmv-lite",
    concurrency: int = 64,
    temperature: float = 0.7,
    retries: int = RETRIES,
    labels_per_prompt: int = 1,
) -> BookRun:
    """Write a book as `olmv describe-labels` does; without the gate every label is asked for once, and all stays."""
    vocabulary = Vocabulary.from_names(labels)
    checks = ListChecks(
        vocabulary, model=model if gated else None, templates=None, device="cpu", listener=JobListener()
    )
    loaded = load_prompt(prompt)
    questions = checks.questions(loaded, count=count, domain=None, labels_per_prompt=labels_per_prompt)
    gate: Gate = OpenGate(Wording(vocabulary, templates=("{}",)))
    if gated:
        gate = checks.gate_for_answers(loaded, limit=text_limit(model), book={})
    generation = Generation(temperature=temperature, max_tokens=answer_tokens(count, labels_per_prompt))
    with closing(open_chat(spec, concurrency=concurrency, timeout_s=900)) as chat:
        begun = time.perf_counter()
        summary = describe_labels(
            vocabulary,
            book,
            chat=chat,
            questions=questions,
            gate=gate,
            generation=generation,
            retries=retries if gated else 0,
            resume=True,
        )
        seconds = time.perf_counter() - begun
    counts = summary.counts
    return BookRun(
        seconds,
        summary.described,
        counts.first_accepted / max(1, counts.first_candidates),
        counts.accepted / max(1, counts.candidates),
        summary.attributes / (count * len(vocabulary)),
        summary.completion_tokens,
        summary.answers,
    )
