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
        conversation: the first question.
        counted: labels and prompt tokens of every question, or of 200 spread over the list.
        prompt_tokens: of all labels, asked once each.
        answer_tokens: the most that all answers may have.
        exact: False where no tokenizer was at hand, or not every question was counted: the counts are estimates.
    """

    labels: int
    conversation: list[Message]
    counted: list[tuple[tuple[str, ...], int]]
    prompt_tokens: int
    answer_tokens: int
    exact: bool


def preview(
    labels: Sequence[Label], chat: ChatModel | None, *, questions: Questions, generation: Generation
) -> Preview | None:
    """Tell what would be asked; None if there is nothing to ask. Without `chat`, tokens are estimated from letters."""
    if not labels:
        return None
    size = questions.labels_per_prompt
    groups = [labels[start : start + size] for start in range(0, len(labels), size)]
    step = -(-len(groups) // MAX_COUNTED)
    some = groups[::step]
    conversations = [questions.conversation(group) for group in some]
    counts = chat.count_tokens(conversations) if chat is not None else None
    exact = counts is not None and step == 1
    if counts is None:
        counts = [sum(len(turn.content) for turn in turns) // CHARS_PER_TOKEN for turns in conversations]
    return Preview(
        labels=len(labels),
        conversation=conversations[0],
        counted=[(tuple(label.name for label in group), count) for group, count in zip(some, counts, strict=True)],
        prompt_tokens=round(sum(counts) * len(groups) / len(some)),
        answer_tokens=generation.max_tokens * len(groups),
        exact=exact,
    )
