"""Tell what a run would say to the language model, and how many tokens that is, without asking it."""

from collections.abc import Sequence
from dataclasses import dataclass

from olmv.describe.questions import Questions
from olmv.labels.label import Label
from olmv.llm.types import ChatModel, Generation, Message

__all__ = ["Preview", "preview"]

MAX_COUNTED = 200
CHARS_PER_TOKEN = 4


@dataclass(frozen=True)
class Preview:
    """The first conversation and the token counts.

    Args:
        labels: how many would be asked for.
        conversation: what would be said about the first label.
        counted: label and prompt tokens of every label, or of 200 spread over the list.
        prompt_tokens: of all labels, asked once each.
        answer_tokens: the most that all answers may have.
        exact: False where no tokenizer was at hand, or not every label was counted: the counts are estimates.
    """

    labels: int
    conversation: list[Message]
    counted: list[tuple[str, int]]
    prompt_tokens: int
    answer_tokens: int
    exact: bool


def preview(
    labels: Sequence[Label], chat: ChatModel | None, *, questions: Questions, generation: Generation
) -> Preview | None:
    """Tell what would be asked; None if there is nothing to ask. Without `chat`, tokens are estimated from letters."""
    if not labels:
        return None
    step = -(-len(labels) // MAX_COUNTED)
    some = labels[::step]
    conversations = [questions.conversation([label]) for label in some]
    counts = chat.count_tokens(conversations) if chat is not None else None
    exact = counts is not None and step == 1
    if counts is None:
        counts = [sum(len(turn.content) for turn in turns) // CHARS_PER_TOKEN for turns in conversations]
    return Preview(
        labels=len(labels),
        conversation=conversations[0],
        counted=[(label.name, count) for label, count in zip(some, counts, strict=True)],
        prompt_tokens=round(sum(counts) * len(labels) / len(some)),
        answer_tokens=generation.max_tokens * len(labels),
        exact=exact,
    )
