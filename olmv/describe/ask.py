"""Ask a language model for labels, until their attributes pass the gate."""

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from olmv.describe.gate.gate import Gate
from olmv.describe.gate.reasons import ADVICE, Reason
from olmv.describe.questions import Questions
from olmv.labels.label import Label
from olmv.labels.quality import normalized
from olmv.llm import ask as llm
from olmv.llm.answers import first_json
from olmv.llm.ask import Problem
from olmv.llm.types import ChatModel, Generation, Message

__all__ = ["Answer", "Counts", "ask", "parse_answer"]

MAX_CANDIDATES = 200
"""Of one answer no more attributes are looked at."""
_NO_LIST = 'Answer with JSON that has a list of texts, "attributes".'


@dataclass
class Counts:
    """How many attributes a model wrote, and what became of them.

    Args:
        candidates: written.
        accepted: of these, through the gate.
        first_candidates: written in first answers.
        first_accepted: of these, through the gate.
        refused: the others, by reason.
    """

    candidates: int = 0
    accepted: int = 0
    first_candidates: int = 0
    first_accepted: int = 0
    refused: Counter[Reason] = field(default_factory=Counter)

    @classmethod
    def of(cls, row: object) -> "Counts":
        """Read what a row or a book holds; people may have changed it, so what is no number counts as none."""
        counts = cls()
        if not isinstance(row, dict):
            return counts
        for name in ("candidates", "accepted", "first_candidates", "first_accepted"):
            setattr(counts, name, _number(row.get(name)))
        refused = row.get("refused")
        if isinstance(refused, dict):
            counts.refused.update({reason: _number(refused.get(reason)) for reason in ADVICE if refused.get(reason)})
        return counts

    def to_dict(self) -> dict[str, Any]:
        """Return what `of` reads, the most common reason first."""
        return {**vars(self), "refused": dict(self.refused.most_common())}

    def add(self, other: "Counts") -> None:
        """Add the counts of another label."""
        self.candidates += other.candidates
        self.accepted += other.accepted
        self.first_candidates += other.first_candidates
        self.first_accepted += other.first_accepted
        self.refused.update(other.refused)


@dataclass(frozen=True)
class Answer:
    """What became of one label: attributes, or an error and none.

    Args:
        label: the label.
        attributes: at most as many as were asked for, all of them through the gate.
        error: why there are none, in one line.
        asked: how many times a model was asked for it.
        answers: of a model, that are counted here: of labels that were asked for together, at the first.
        prompt_tokens: over all these answers.
        completion_tokens: over all these answers.
        counts: what the gate did; None where no language model was asked.
        source: what else the book tells of where they are from.
    """

    label: Label
    attributes: tuple[str, ...] = ()
    error: str | None = None
    asked: int = 0
    answers: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    counts: Counts | None = None
    source: Mapping[str, Any] = field(default_factory=dict)


def ask(
    labels: Iterable[Label],
    chat: ChatModel,
    *,
    questions: Questions,
    gate: Gate,
    generation: Generation,
    retries: int = 3,
) -> Generator[Answer]:
    """Ask for every label, in whatever order the answers come; every label gives exactly one `Answer`.

    A label that is short of good attributes is asked for again; what was good is kept.

    Raises:
        LLMUnavailableError: the model is gone; labels not yet answered are lost to this call only.
    """
    waiting = (_Group(group, questions, gate) for group in _groups(labels, questions.labels_per_prompt))
    for exchange in llm.ask(waiting, chat, schema=questions.schema, generation=generation, retries=retries):
        for place, part in enumerate(exchange.question.parts):
            error = None
            if not part.accepted:
                error = part.why or exchange.why(generation)
            first = place == 0
            yield Answer(
                label=part.label,
                attributes=tuple(part.accepted),
                error=error,
                asked=exchange.times,
                answers=exchange.times if first else 0,
                prompt_tokens=exchange.prompt_tokens if first else 0,
                completion_tokens=exchange.completion_tokens if first else 0,
                counts=part.counts,
            )


def _groups(labels: Iterable[Label], size: int) -> Iterator[list[Label]]:
    waiting = iter(labels)
    while group := list(islice(waiting, size)):
        yield group


@dataclass
class _Part:
    """One label of a question: what is good so far, and why the last answer fell short."""

    label: Label
    accepted: list[str] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    why: str | None = None


class _Group:
    """Asks for the attributes of one or more labels; keeps those that pass the gate."""

    def __init__(self, labels: Sequence[Label], questions: Questions, gate: Gate) -> None:
        self._questions, self._gate = questions, gate
        self._answers = 0
        self.parts = [_Part(label) for label in labels]

    @property
    def _short(self) -> list[_Part]:
        return [part for part in self.parts if len(part.accepted) < self._questions.count]

    def conversation(self, advice: Sequence[str]) -> list[Message]:
        labels = [part.label for part in self._short]
        accepted = {part.label.name: part.accepted for part in self._short}
        return self._questions.conversation(labels, accepted=accepted, advice=advice)

    def take(self, text: str) -> list[Problem]:
        self._answers += 1
        asked = self._short
        if self._questions.labels_per_prompt == 1:
            texts = parse_answer(text)
            if isinstance(texts, str):
                return [Problem(texts, _NO_LIST)]
            return self._judge(asked[0], texts)
        by_label = parse_answers(text, [part.label for part in asked])
        if isinstance(by_label, str):
            return [Problem(by_label, 'Answer with JSON that has a list "answers", one for every label.')]
        problems: list[Problem] = []
        for part in asked:
            texts = by_label.get(part.label.name, [])
            if texts:
                problems += self._judge(part, texts)
            else:
                part.why = "the model left it out"
                problems.append(Problem(f'"{part.label.name}" was left out', "Answer for every label."))
        return problems

    def _judge(self, part: _Part, texts: Sequence[str]) -> list[Problem]:
        verdict = self._gate.accept(part.label, texts, part.accepted)
        room = self._questions.count - len(part.accepted)
        part.accepted += verdict.accepted[:room]
        self._gate.copies.keep(part.label.name, verdict.accepted[:room])
        counts = Counts(len(texts), len(verdict.accepted), refused=verdict.reasons)
        if self._answers == 1:
            counts.first_candidates, counts.first_accepted = counts.candidates, counts.accepted
        part.counts.add(counts)
        if len(part.accepted) >= self._questions.count:
            return []
        refused = [f'"{_shortened(text)}" {rejection.detail}' for text, rejection in verdict.refused]
        part.why = f"{len(refused)} refused, such as {refused[0]}" if refused else None
        few = f"{len(part.accepted)} attributes are good, {self._questions.count} are needed"
        advice = [ADVICE[reason] for reason, _ in verdict.reasons.most_common()]
        return [Problem(few, rule) for rule in (*advice, f"Write {self._questions.count} attributes.")]


def parse_answer(text: str) -> list[str] | str:
    """Return the attributes in an answer, or in one line why there are none.

    A server without constrained decoding may wrap its JSON in prose or a code block, or leave out the object
    around the list; both are read.
    """
    try:
        tree = first_json(text)
    except ValueError as failure:
        return str(failure)
    return _attributes_in(tree)


def parse_answers(text: str, labels: Sequence[Label]) -> dict[str, list[str]] | str:
    """Return the attributes of several labels by name, or in one line why there are none.

    An answer belongs to the label that it names; where it names none, and there are as many as labels, to that in its
    place.
    """
    try:
        tree = first_json(text)
    except ValueError as failure:
        return str(failure)
    items = tree.get("answers") if isinstance(tree, dict) else tree
    if not isinstance(items, list):
        return 'the answer had no list "answers"'
    names = {normalized(name): label.name for label in labels for name in (label.name, *label.aliases)}
    found: dict[str, list[str]] = {}
    for place, item in enumerate(items[: len(labels)]):
        texts = _attributes_in(item)
        name = item.get("label") if isinstance(item, dict) else None
        if isinstance(name, str):
            owner = names.get(normalized(name))
        else:
            owner = labels[place].name if len(items) == len(labels) else None
        if owner is not None and isinstance(texts, list):
            found.setdefault(owner, texts)
    return found


def _attributes_in(tree: object) -> list[str] | str:
    items = tree.get("attributes") if isinstance(tree, dict) else tree
    if not isinstance(items, list):
        return 'the answer had no list "attributes"'
    if not items:
        return "the list of attributes was empty"
    texts = [item for item in items if isinstance(item, str)]
    return texts[:MAX_CANDIDATES] if texts else "the attributes were not texts"


def _number(value: object) -> int:
    return value if type(value) is int and value >= 0 else 0


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:80]}..."
