"""What the backends that hold a model in this process share: its chat template, and conversations in batches."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

from olmv.llm.tokens import ChatTokenizer
from olmv.llm.types import Completion, Conversation, Generation, JsonSchema

__all__ = ["Batch", "LocalChat", "batches"]

Batch = list[tuple[int, Conversation]]
"""Conversations with their numbers."""


class LocalChat(ABC):
    """Answers conversations batch by batch, in order; see `olmv.llm.types.ChatModel`.

    Args:
        model: a folder or a hub id.
        name: as the user wrote it.
        batch_size: conversations answered together.
        options: of the backend, by name, with their values.
    """

    def __init__(self, model: str, *, name: str, batch_size: int, options: dict[str, Any]) -> None:
        self.name = name
        self._model_name = model
        self._batch_size = batch_size
        self._options = options

    @abstractmethod
    def _prepare(
        self, schema: JsonSchema | None, generation: Generation
    ) -> Callable[[Batch], Iterator[tuple[int, Completion]]]:
        """Load the model where it is not loaded yet, and return what answers a batch.

        Raises:
            LLMUnavailableError: the model cannot be loaded.
            UsageError: it has no chat template, or the schema cannot be enforced.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the memory back. The next `complete` loads the model again."""

    def check(self) -> None:
        """Do nothing: what can be told of a model without loading it was told when this was made."""
        return

    def complete(
        self,
        conversations: Iterable[Conversation],
        *,
        schema: JsonSchema | None = None,
        generation: Generation,
    ) -> Iterator[tuple[int, Completion]]:
        """Answer batch by batch, in order; see `ChatModel.complete`.

        Raises:
            LLMUnavailableError: the model cannot be loaded, or died.
            UsageError: it has no chat template, or the schema cannot be enforced.
        """
        answer = self._prepare(schema, generation)
        for batch in batches(conversations, self._batch_size):
            yield from answer(batch)

    def count_tokens(self, conversations: Sequence[Conversation]) -> list[int]:
        """Count the prompt tokens of every conversation; reads the tokenizer only.

        Raises:
            LLMUnavailableError: the tokenizer cannot be had.
            UsageError: it has no chat template.
        """
        return self._tokenizer.count(conversations)

    @cached_property
    def _tokenizer(self) -> ChatTokenizer:
        """Read the tokenizer, at the first use."""
        options = self._options
        revision = options.get("tokenizer_revision") or options.get("revision")
        return ChatTokenizer(options.get("tokenizer") or self._model_name, revision=revision)


def batches(conversations: Iterable[Conversation], size: int) -> Iterator[Batch]:
    """Number conversations and yield at most `size` at a time; a list may grow while it is read."""
    number = 0
    if isinstance(conversations, Sequence):
        while part := conversations[number : number + size]:
            yield list(enumerate(part, start=number))
            number += len(part)
        return
    waiting = iter(conversations)
    while batch := list(enumerate(islice(waiting, size), start=number)):
        yield batch
        number += len(batch)
