"""Put many questions to a language model, each again until its answer can be used."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from olmv.errors import LLMUnavailableError
from olmv.llm.types import ChatModel, Completion, Generation, JsonSchema, Message

__all__ = ["Exchange", "Problem", "Question", "ask"]

ERRORS_IN_A_ROW = 20
"""So many conversations that fail one after the other mean that the model is gone, not that questions are odd."""
MAX_ADVICE = 6
_LOST = "the model failed"


@dataclass(frozen=True)
class Problem:
    """What is wrong with an answer.

    Args:
        message: for people; may quote the answer.
        advice: for the model: a rule in our own words. Nothing that it wrote goes back to it, for a small model copies
            what it reads, its own mistake and the complaint about it alike. "" where no advice would help.
    """

    message: str
    advice: str = ""


class Question(Protocol):
    """One thing to find out; it keeps what was good in the answers so far."""

    def conversation(self, advice: Sequence[str]) -> list[Message]:
        """Return the question.

        Args:
            advice: what to do better than in the last answer; empty if there was none, or none that was read.
        """

    def take(self, text: str) -> list[Problem]:
        """Read an answer: nothing if no more is needed, else what is wrong with it."""


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
    problems: list[Problem] = field(default_factory=list)
    completion: Completion | None = None
    times: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def why(self, generation: Generation) -> str:
        """Return the last problem in one line, with what the user can do where that is known."""
        assert self.completion is not None
        problem = self.problems[0].message if self.problems else _LOST
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

    What cannot be answered at once is asked again up to `retries` times: the same question from the start, with advice.
    The first answer is not shown again: a small model would repeat it, and what all questions begin with is read only
    once by a server that keeps it. Questions are read as they are needed, so memory does not grow with their number.

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
    advice = dict.fromkeys(problem.advice for problem in exchange.problems if problem.advice)
    turns = exchange.question.conversation(list(advice)[:MAX_ADVICE])
    if exchange.times == 0:
        return turns
    # the same words would be drawn with the same luck, see `olmv.llm.types.seed_of`
    last = turns[-1]
    return [*turns[:-1], Message(last.role, f"{last.content}\n\nTry {exchange.times + 1}.")]


def _take(exchange: Exchange[Q], completion: Completion) -> None:
    exchange.times += 1
    exchange.prompt_tokens += completion.prompt_tokens
    exchange.completion_tokens += completion.completion_tokens
    exchange.completion = completion
    if completion.finish_reason == "error":
        exchange.problems = [Problem(completion.error or _LOST)]
    elif completion.finish_reason == "refusal":
        exchange.problems = [Problem(f"the answer was a refusal ({completion.error or 'no reason given'})")]
    else:
        exchange.problems = exchange.question.take(completion.text)
        if exchange.problems and completion.finish_reason == "length":
            exchange.problems = [Problem("the answer was cut off", "Write less.")]
