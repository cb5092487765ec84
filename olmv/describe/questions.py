"""Ask a language model for one label after the other, until its attributes can be used."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from olmv.errors import UsageError
from olmv.labels.label import MAX_LABEL_CHARS, Label, clean_text
from olmv.labels.quality import Gate, parse_answer
from olmv.llm import ask as llm
from olmv.llm.ask import Problem
from olmv.llm.prompts import Prompt
from olmv.llm.types import ChatModel, Generation, Message

__all__ = ["Answer", "Questions", "answer_tokens", "ask"]


@dataclass(frozen=True)
class Answer:
    """What became of one label: attributes, or an error and none.

    Args:
        label: the label.
        attributes: at most as many as were asked for, all of them through the gate.
        error: why there are none, in one line.
        asked: how many times a model was asked.
        prompt_tokens: over all times.
        completion_tokens: over all times.
        source: what else the book tells of where they are from.
    """

    label: Label
    attributes: tuple[str, ...] = ()
    error: str | None = None
    asked: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    source: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Questions:
    """How labels are put to the model.

    Args:
        prompt: what it is told.
        count: attributes of a label.
        domain: what the videos are about, for prompts with a place for it.

    Raises:
        UsageError: the prompt asks for a domain that is not given, or the other way round, or for other things
            than a label's attributes.
    """

    prompt: Prompt
    count: int
    domain: str | None = None

    def __post_init__(self) -> None:
        prompt = self.prompt
        if "domain" in prompt.variables and self.domain is None:
            raise UsageError(
                f'prompt {prompt.document.name!r} needs a domain, such as "hospital training videos"', option="domain"
            )
        if "domain" not in prompt.variables and self.domain is not None:
            raise UsageError(
                f"prompt {prompt.document.name!r} has no place for a domain; use the prompt 'domain'", option="prompt"
            )
        if self.domain is not None:
            clean_text(self.domain, what="domain", limit=MAX_LABEL_CHARS)
        unknown = prompt.variables - {"label", "aliases", "count", "domain"}
        if unknown:
            known = "label, aliases, count and domain"
            raise UsageError(f"prompt {prompt.source} mentions {', '.join(sorted(unknown))}; labels have {known}")
        kind = prompt.schema.get("properties", {}).get("attributes", {})
        if "label" not in prompt.variables or not isinstance(kind, dict) or kind.get("type") != "array":
            raise UsageError(
                f"prompt {prompt.source} is not one for labels: its text needs {{{{ label }}}}, its schema an array "
                "`attributes`"
            )

    @property
    def schema(self) -> dict[str, Any]:
        """Return the prompt's schema, with the number of attributes."""
        schema = self.prompt.schema
        attributes = {**schema["properties"]["attributes"], "minItems": self.count, "maxItems": self.count}
        return {**schema, "properties": {**schema["properties"], "attributes": attributes}}

    def conversation(self, label: Label, *, accepted: Sequence[str] = (), advice: Sequence[str] = ()) -> list[Message]:
        """Return the question about a label.

        Args:
            label: the label.
            accepted: attributes that it has already.
            advice: what to do better than in the last answer.
        """
        question = {"label": label.name, "aliases": list(label.aliases), "accepted": list(accepted)}
        shared: dict[str, Any] = {"count": self.count}
        if self.domain is not None:
            shared["domain"] = self.domain
        return self.prompt.conversation(question, shared=shared, advice=advice)


def answer_tokens(count: int) -> int:
    """Return the most tokens that an answer with so many attributes may need."""
    return 40 * count + 64


class _LabelQuestion:
    """Asks for the attributes of one label; keeps those that pass the gate."""

    def __init__(self, label: Label, questions: Questions, gate: Gate) -> None:
        self.label, self._questions, self._gate = label, questions, gate
        self.accepted: list[str] = []

    def conversation(self, advice: Sequence[str]) -> list[Message]:
        return self._questions.conversation(self.label, accepted=self.accepted, advice=advice)

    def take(self, text: str) -> list[Problem]:
        texts = parse_answer(text)
        if isinstance(texts, str):
            return [Problem(texts, 'Answer with JSON that has a list of texts, "attributes".')]
        count = self._questions.count
        good, problems = self._gate.accept(self.label, texts, self.accepted)
        self.accepted.extend(good[: count - len(self.accepted)])
        if len(self.accepted) >= count:
            return []
        few = f"{len(self.accepted)} attributes are good, {count} are needed"
        return [Problem(problem) for problem in problems] or [Problem(few, f"Write {count} attributes.")]


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

    An answer that is short of good attributes is asked for again; what was good is kept.

    Raises:
        LLMUnavailableError: the model is gone; labels not yet answered are lost to this call only.
    """
    waiting = (_LabelQuestion(label, questions, gate) for label in labels)
    for exchange in llm.ask(waiting, chat, schema=questions.schema, generation=generation, retries=retries):
        question = exchange.question
        yield Answer(
            label=question.label,
            attributes=tuple(question.accepted),
            error=None if question.accepted else exchange.why(generation),
            asked=exchange.times,
            prompt_tokens=exchange.prompt_tokens,
            completion_tokens=exchange.completion_tokens,
        )
