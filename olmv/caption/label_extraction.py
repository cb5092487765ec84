"""Ask a language model for the labels that captions name: the last stage of a caption run."""

from collections.abc import Iterator

from olmv.caption.output import CaptionOutput
from olmv.caption.rows import frame_captions_of
from olmv.caption.summarize import LabelsQuestion
from olmv.errors import LLMUnavailableError
from olmv.llm.ask import ask
from olmv.llm.prompts import Prompt, load_prompt
from olmv.llm.types import ChatModel, Generation

__all__ = ["extract_labels"]


def extract_labels(
    output: CaptionOutput, chat: ChatModel, *, generation: Generation, retries: int, gated: bool = True
) -> None:
    """Add labels to every captioned row without them; a row for which none are named stays as it is.

    Args:
        output: has the rows, and takes them.
        chat: names the labels.
        generation: how its answers are drawn.
        retries: how often it is asked again.
        gated: whether a frame caption must name a label, see `olmv.caption.gate`.
    """
    prompt = load_prompt("entities")
    try:
        for exchange in ask(
            _questions(output, prompt, gated), chat, schema=prompt.schema, generation=generation, retries=retries
        ):
            output.count(exchange)
            question = exchange.question
            if question.labels:
                output.journal.append({**question.row, "labels": question.labels})
            else:
                output.listener.note(f"no labels for {question.row['video']}: {exchange.why(generation)}")
    except LLMUnavailableError as failure:
        output.summary.stopped = str(failure)


def _questions(output: CaptionOutput, prompt: Prompt, gated: bool) -> Iterator[LabelsQuestion]:
    places = output.journal.offsets()
    for video in output.videos:
        if video not in places:
            continue
        row = output.journal.row_at(places[video])
        if row["status"] == "ok" and "labels" not in row:
            yield LabelsQuestion(row, row["caption"], frame_captions_of(row), prompt, gated)
