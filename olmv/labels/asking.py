"""One label after the other, asked of a language model until its attributes can be used."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from olmv.errors import LLMUnavailableError, UsageError
from olmv.labels.quality import Gate, parse_answer
from olmv.labels.vocabulary import MAX_LABEL_CHARS, Label, clean_text
from olmv.llm.chat import ChatModel, Completion, Message, Sampling
from olmv.llm.prompts import Prompt

__all__ = ["Answer", "Questions", "ask"]

ERRORS_IN_A_ROW = 20
"""So many conversations that fail one after the other mean that the model is gone, not that labels are odd."""
MAX_QUOTED = 4000
MAX_PROBLEMS = 12


@dataclass(frozen=True)
class Answer:
    """What became of one label: attributes, or an error and none.

    Args:
        label: the label.
        attributes: at most as many as were asked for, all of them through the gate.
        error: why there are none, in one line.
        asked: how many times the model was asked.
        prompt_tokens: over all times.
        completion_tokens: over all times.
    """

    label: Label
    attributes: tuple[str, ...]
    error: str | None
    asked: int
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class Questions:
    """How labels are put to the model.

    Args:
        prompt: what it is told.
        count: attributes wanted of a label.
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
            raise UsageError(f'prompt {prompt.document.name!r} needs a domain: --domain "hospital training videos"')
        if "domain" not in prompt.variables and self.domain is not None:
            raise UsageError(f"prompt {prompt.document.name!r} has no place for a domain; use --prompt domain")
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
        """The prompt's schema, with the number of attributes."""
        schema = self.prompt.schema
        attributes = {**schema["properties"]["attributes"], "minItems": self.count, "maxItems": self.count}
        return {**schema, "properties": {**schema["properties"], "attributes": attributes}}

    def conversation(self, label: Label) -> list[Message]:
        """The first question about a label."""
        given: dict[str, Any] = {"label": label.name, "aliases": list(label.aliases), "count": self.count}
        if self.domain is not None:
            given["domain"] = self.domain
        return self.prompt.conversation(**given)


@dataclass
class _Open:
    """A label that waits for an answer."""

    label: Label
    accepted: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    text: str | None = None
    asked: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def answer(self, error: str | None = None) -> Answer:
        return Answer(
            self.label, tuple(self.accepted), error, self.asked, self.prompt_tokens, self.completion_tokens
        )  # fmt: skip


def ask(
    labels: Iterable[Label],
    chat: ChatModel,
    *,
    questions: Questions,
    gate: Gate,
    sampling: Sampling,
    retries: int = 3,
) -> Generator[Answer]:
    """Ask for every label, in whatever order the answers come; every label gives exactly one `Answer`.

    An answer that is short of good attributes is asked for again, with the reasons and up to `retries` times;
    what was good is kept. Labels are read as they are needed, so memory does not grow with their number.

    Raises:
        LLMUnavailableError: the model is gone; labels not yet answered are lost to this call only.
    """
    fresh = iter(labels)
    again: deque[_Open] = deque()
    failures = 0
    while True:
        under_way: dict[int, _Open] = {}
        stream = _Stream(fresh, again, under_way, questions)
        for number, completion in chat.complete(stream, schema=questions.schema, sampling=sampling):
            waiting = under_way.pop(number)
            failures = failures + 1 if completion.finish_reason == "error" else 0
            if failures >= ERRORS_IN_A_ROW:
                raise LLMUnavailableError(f"{failures} answers in a row failed, the last with: {completion.error}")
            _take(waiting, completion, gate, questions.count)
            if len(waiting.accepted) >= questions.count:
                yield waiting.answer()
            elif waiting.asked <= retries:
                again.append(waiting)
            elif waiting.accepted:
                yield waiting.answer()
            else:
                yield waiting.answer(_why(waiting, completion, sampling))
        if not again and stream.exhausted:
            return


class _Stream:
    """The conversations that the model reads: labels to ask again before new ones."""

    def __init__(
        self, fresh: Iterator[Label], again: deque[_Open], under_way: dict[int, _Open], questions: Questions
    ) -> None:
        self._fresh, self._again, self._under_way, self._questions = fresh, again, under_way, questions
        self._number = 0
        self.exhausted = False

    def __iter__(self) -> Iterator[list[Message]]:
        while True:
            if self._again:
                waiting = self._again.popleft()
            else:
                label = next(self._fresh, None)
                if label is None:
                    self.exhausted = True
                    return
                waiting = _Open(label)
            self._under_way[self._number] = waiting
            self._number += 1
            yield self._conversation(waiting)

    def _conversation(self, waiting: _Open) -> list[Message]:
        turns = self._questions.conversation(waiting.label)
        if waiting.text is None:
            return turns
        # the model's own text goes back as its turn, never into ours
        turns.append(Message("assistant", waiting.text[:MAX_QUOTED] or "(empty)"))
        turns.append(
            self._questions.prompt.retry(
                label=waiting.label.name,
                count=self._questions.count,
                problems=waiting.problems[:MAX_PROBLEMS],
                accepted=waiting.accepted,
            )
        )
        return turns


def _take(waiting: _Open, completion: Completion, gate: Gate, count: int) -> None:
    """Add what is good in an answer to what was good before, and note what is wrong with the rest."""
    waiting.asked += 1
    waiting.prompt_tokens += completion.prompt_tokens
    waiting.completion_tokens += completion.completion_tokens
    if completion.finish_reason == "error":
        waiting.problems, waiting.text = [completion.error or "the model failed"], None
        return
    waiting.text = completion.text
    if completion.finish_reason == "refusal":
        waiting.problems = [f"the answer was a refusal ({completion.error or 'no reason given'})"]
        return
    found = parse_answer(completion.text)
    if isinstance(found, str):
        cut = completion.finish_reason == "length"
        waiting.problems = ["the answer was cut off, write shorter attributes" if cut else found]
        return
    good, problems = gate.accept(waiting.label, found, waiting.accepted)
    waiting.accepted.extend(good[: count - len(waiting.accepted)])
    waiting.problems = problems or [f"{len(waiting.accepted)} attributes are good, {count} are needed"]


def _why(waiting: _Open, completion: Completion, sampling: Sampling) -> str:
    """The last problem, with what the user can do where that is known."""
    problem = waiting.problems[0]
    if completion.finish_reason == "length":
        return f"the answer was cut off at {sampling.max_tokens} tokens; raise --max-tokens"
    if completion.finish_reason in ("error", "refusal"):
        return problem
    if not problem.startswith('"'):
        said = " ".join((waiting.text or "").split())
        return f"{problem}: {said[:80]!r}" if said else problem
    return f"{len(waiting.problems)} attributes refused, such as {problem}"
