"""Asking until an answer can be used: what the model is told the second time."""

from collections.abc import Sequence
from typing import Any

import pytest

from olmv.llm.ask import MAX_ADVICE, Exchange, Problem, ask
from olmv.llm.types import Completion, Generation, Message
from tests.support.llm_stub import StubChat, completion


class Counting:
    """A question that takes the answer "good" only."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = list(problems)

    def conversation(self, advice: Sequence[str]) -> list[Message]:
        return [Message("system", "be brief"), Message("user", " ".join(("what?", *advice)))]

    def take(self, text: str) -> list[Problem]:
        return [] if text == "good" else self.problems


def asked(answers: Sequence[Completion], *problems: Problem, retries: int = 3) -> tuple[list[str], Exchange[Counting]]:
    """What the model read as the last turn each time, and what became of the question."""
    chat = StubChat(lambda _, number: answers[number])
    [exchange] = ask([Counting(*problems)], chat, schema=None, generation=Generation(), retries=retries)
    turns: list[list[dict[str, str]]] = chat.conversations
    assert {len(turn) for turn in turns} == {2}
    return [turn[-1]["content"] for turn in turns], exchange


def test_a_second_try_is_the_question_with_advice_and_nothing_that_was_written() -> None:
    problems = (
        Problem('"bad" is too short', "Write more."),
        Problem('"worse" is too', "Write more."),
        Problem("no advice"),
    )
    read, exchange = asked([completion("bad"), completion("worse"), completion("good")], *problems)
    assert read == ["what?", "what? Write more.\n\nTry 2.", "what? Write more.\n\nTry 3."]
    assert (exchange.times, exchange.problems) == (3, [])
    assert (exchange.prompt_tokens, exchange.completion_tokens) == (30, 15)


def test_advice_has_an_end() -> None:
    problems = [Problem(f"{number}", f"Mind {number}.") for number in range(MAX_ADVICE + 3)]
    read, _ = asked([completion("bad"), completion("good")], *problems)
    assert read[1].count("Mind") == MAX_ADVICE


@pytest.mark.parametrize(
    ("answer", "second", "why"),
    [
        (completion("", finish_reason="error", error="it broke"), "what?\n\nTry 2.", "it broke"),
        (
            completion("", finish_reason="refusal", error="it is unwell"),
            "what?\n\nTry 2.",
            "the answer was a refusal (it is unwell)",
        ),
        (
            completion("b", finish_reason="length"),
            "what? Write less.\n\nTry 2.",
            "the answer was cut off at 512 tokens; allow longer answers",
        ),
        (completion("a \n b"), "what? Write more.\n\nTry 2.", "it is odd: 'a b'"),
    ],
)
def test_why_a_question_was_given_up(answer: Any, second: str, why: str) -> None:
    read, exchange = asked([answer] * 2, Problem("it is odd", "Write more."), retries=1)
    assert read == ["what?", second]
    assert exchange.why(Generation()) == why
