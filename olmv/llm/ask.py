"""Put many questions to a language model, each again until its answer can be used."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from olmv.errors import LLMUnavailableError
from olmv.llm.types import ChatModel, Completion, Generation, JsonSchema, Message

__all__ = ["Exchange", "Question", "ask"]

ERRORS_IN_A_ROW = 20
"""So many conversations that fail one after the other mean that the model is gone, not that questions are odd."""
MAX_QUOTED = 4000
_LOST = "the model failed"


class Question(Protocol):
    """One thing to find out; it keeps what was good in the answers so far."""

    def conversation(self) -> list[Message]:
        """Return the question as it is put first."""

    def again(self, problems: list[str]) -> Message:
        """Return what is said after an answer that cannot be used as it is."""

    def take(self, text: str) -> list[str]:
        """Read an answer: nothing if no more is needed, else what is wrong with it, for the model to read."""


Q = TypeVar("Q", bound=Question)


@dataclass
class Exchange(Generic[Q]):
    """A question and what became of it.

    Args:
        question: holds what was good in the answers.
        problems: what is wrong with the last answer; empty if nothing is.
        completion: the last answer.
        times: how often it was asked.
        prompt_tokens: over all times.
        completion_tokens: over all times.
    """

    question: Q
    problems: list[str] = field(default_factory=list)
    completion: Completion | None = None
    times: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def why(self, generation: Generation) -> str:
        """Return the last problem in one line, with what the user can do where that is known."""
        assert self.completion is not None
        problem = self.problems[0] if self.problems else _LOST
        if self.completion.finish_reason == "length":
            return f"the answer was cut off at {generation.max_tokens} tokens; allow longer answers"
        if self.completion.finish_reason in ("error", "refusal"):
            return problem
        if not problem.startswith('"'):
            said = " ".join(self.completion.text.split())
            return f"{problem}: {said[:80]!r}" if said else problem
        return f"{len(self.problems)} refused, such as {problem}"


def ask(
    questions: Iterable[Q],
    chat: ChatModel,
    *,
    schema: JsonSchema | None,
    generation: Generation,
    retries: int = 3,
) -> Generator[Exchange[Q]]:
    """Ask every question, in whatever order the answers come; each comes back exactly once.

    An answer that cannot be used is asked for again, with the reasons and up to `retries` times. Questions are
    read as they are needed, so memory does not grow with their number.

    Raises:
        LLMUnavailableError: the model is gone; questions not yet answered are lost to this call only.
    """
    fresh = iter(questions)
    again: deque[Exchange[Q]] = deque()
    failures = 0
    while True:
        under_way: dict[int, Exchange[Q]] = {}
        stream = _Stream(fresh, again, under_way)
        for number, completion in chat.complete(stream, schema=schema, generation=generation):
            exchange = under_way.pop(number)
            failures = failures + 1 if completion.finish_reason == "error" else 0
            if failures >= ERRORS_IN_A_ROW:
                raise LLMUnavailableError(f"{failures} answers in a row failed, the last with: {completion.error}")
            _take(exchange, completion)
            if exchange.problems and exchange.times <= retries:
                again.append(exchange)
            else:
                yield exchange
        if not again and stream.exhausted:
            return


class _Stream(Generic[Q]):
    """The conversations that the model reads: questions to put again before new ones."""

    def __init__(self, fresh: Iterator[Q], again: deque[Exchange[Q]], under_way: dict[int, Exchange[Q]]) -> None:
        self._fresh, self._again, self._under_way = fresh, again, under_way
        self._number = 0
        self.exhausted = False

    def __iter__(self) -> Iterator[list[Message]]:
        while True:
            if self._again:
                exchange = self._again.popleft()
            else:
                try:
                    exchange = Exchange(next(self._fresh))
                except StopIteration:
                    self.exhausted = True
                    return
            self._under_way[self._number] = exchange
            self._number += 1
            yield _conversation(exchange)


def _conversation(exchange: Exchange[Q]) -> list[Message]:
    turns = exchange.question.conversation()
    last = exchange.completion
    if last is None or last.finish_reason == "error":
        return turns
    # the model's own text goes back as its turn, never into ours
    return [
        *turns,
        Message("assistant", last.text[:MAX_QUOTED] or "(empty)"),
        exchange.question.again(exchange.problems),
    ]


def _take(exchange: Exchange[Q], completion: Completion) -> None:
    exchange.times += 1
    exchange.prompt_tokens += completion.prompt_tokens
    exchange.completion_tokens += completion.completion_tokens
    exchange.completion = completion
    if completion.finish_reason == "error":
        exchange.problems = [completion.error or _LOST]
    elif completion.finish_reason == "refusal":
        exchange.problems = [f"the answer was a refusal ({completion.error or 'no reason given'})"]
    else:
        exchange.problems = exchange.question.take(completion.text)
        if exchange.problems and completion.finish_reason == "length":
            exchange.problems = ["the answer was cut off, write less"]
