"""Say what a language model is asked and what it answers."""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

__all__ = ["ChatModel", "Completion", "Conversation", "FinishReason", "Generation", "JsonSchema", "Message", "seed_of"]

FinishReason = Literal["stop", "length", "refusal", "error"]


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


Conversation = Sequence[Message]

JsonSchema = Mapping[str, Any]
"""A JSON schema that an answer must fit."""


@dataclass(frozen=True)
class Generation:
    """How an answer is drawn.

    Args:
        temperature: 0 takes the most probable token.
        top_p: the smallest set of tokens with this probability is drawn from, in (0, 1].
        max_tokens: an answer is cut off here, and says so.
        seed: the same prompt and seed give the same answer where the backend can promise it.
    """

    temperature: float = 0.7
    top_p: float = 0.95
    max_tokens: int = 512
    seed: int = 0


@dataclass(frozen=True)
class Completion:
    """The answer to one conversation.

    Args:
        text: what was written; possibly cut off, empty for a refusal or an error.
        finish_reason: `stop`, `length` (cut off at `max_tokens`), `refusal`, or `error`.
        prompt_tokens: of the conversation in the model's chat template; 0 where the backend does not say.
        completion_tokens: of the answer.
        error: with `error` or `refusal`, why, in one line.
    """

    text: str
    finish_reason: FinishReason
    prompt_tokens: int = 0
    completion_tokens: int = 0
    error: str | None = None


def seed_of(conversation: Conversation, seed: int) -> int:
    """Return the seed of one answer: the same for the same prompt, so that a label alone gets what it gets in a list.

    With one seed for all, a server draws every answer with the same luck, and different labels get the same words.
    """
    text = "\0".join(f"{turn.role}\0{turn.content}" for turn in conversation)
    return zlib.crc32(text.encode("utf-8", "surrogatepass"), seed & 0xFFFFFFFF) & 0x7FFFFFFF


class ChatModel(Protocol):
    """A language model that answers conversations. Nothing heavy is loaded before the first `complete`."""

    name: str
    """As the user wrote it; goes into the provenance of what it writes."""

    def check(self) -> None:
        """Tell at once, before long work for it begins, if nothing answers. Loads no weights.

        Raises:
            LLMUnavailableError: nothing does.
        """

    def complete(
        self,
        conversations: Iterable[Conversation],
        *,
        schema: JsonSchema | None = None,
        generation: Generation,
    ) -> Iterator[tuple[int, Completion]]:
        """Answer every conversation, in whatever order they are done: (its number from 0, its answer).

        `conversations` is read lazily, only as far ahead as answers are under way, and may grow while it is
        read. With a JSON `schema` the answer is constrained to it as far as the backend can.

        Raises:
            LLMUnavailableError: nothing answers, or the model cannot be loaded. One conversation that fails
                is a `Completion` with `finish_reason == "error"`.
        """

    def count_tokens(self, conversations: Sequence[Conversation]) -> list[int] | None:
        """Count the prompt tokens of every conversation, without loading weights; None where nobody can tell."""

    def close(self) -> None:
        """Give back memory, threads and connections. May be called twice."""
