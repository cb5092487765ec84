"""Caption videos by their frames: each frame by a captioner, then the video by a language model out of these."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from olmv.caption.frame_captions import CaptionedVideo
from olmv.caption.from_labels import LabelWords, caption_of_labels
from olmv.caption.output import CaptionOutput
from olmv.caption.rows import (
    frame_captions_of,
    pack,
    unpack,
    with_caption,
    with_frame_captions_alone,
    with_template_caption,
)
from olmv.caption.summarize import CaptionQuestion
from olmv.errors import LLMUnavailableError
from olmv.llm.ask import ask
from olmv.llm.prompts import Prompt
from olmv.llm.types import ChatModel, Generation

if TYPE_CHECKING:
    from olmv.classifier import Classifier

__all__ = ["FrameStages"]


@dataclass(frozen=True)
class FrameStages:
    """Captions frames (stage one) and makes sentences of the captions (stage two).

    Args:
        output: takes the rows, those between the stages too, so that a run may be killed at either.
        source: captions the frames of files, in order.
        prompt: how the language model is asked.
        classifier: compares captions and videos; None compares none.
        words: the place of labels in a sentence, where `source` tells labels: the template makes a caption of them if
            no sentence of the language model can be used.
        gated: whether captions of frames must support what a sentence says, see `olmv.caption.gate`.
    """

    output: CaptionOutput
    source: Callable[[Iterable[str]], Iterator[CaptionedVideo]]
    prompt: Prompt
    classifier: "Classifier | None" = None
    words: LabelWords | None = None
    gated: bool = True

    def write_frame_captions(self) -> None:
        """Write every row with its frame captions alone: no language model makes a sentence of them."""
        for question in self._questions():
            self.output.write(with_frame_captions_alone(question.row))

    def write_sentences(self, chat: ChatModel, *, generation: Generation, retries: int) -> None:
        """Write every row with its sentence; if the model goes away, frame captions are made and kept all the same."""
        output, questions = self.output, self._questions()
        try:
            if output.todo:
                chat.check()  # told now, not after an hour of frame captions
            for exchange in ask(questions, chat, schema=self.prompt.schema, generation=generation, retries=retries):
                output.count(exchange)
                row, caption = exchange.question.row, exchange.question.caption
                if caption is None:
                    self._write_template(row, exchange.why(generation))
                else:
                    output.write(with_caption(row, caption, self._similarity(row, caption)))
        except LLMUnavailableError as failure:
            output.summary.stopped = str(failure)
            output.listener.note(f"{failure}; frame captions are made and kept all the same")
            for _ in questions:
                pass

    def _questions(self) -> Iterator[CaptionQuestion]:
        """Run stage one, as far ahead as the language model reads: what is there from before, then the rest."""
        output = self.output
        places = output.journal.offsets()
        rest = []
        for video in output.todo:
            row = output.journal.row_at(places[video]) if video in places else None
            if row is None or not row.get("frame_captions"):
                rest.append(video)
            elif row["status"] != "ok":
                yield CaptionQuestion(row, frame_captions_of(row), self.prompt, self.gated)
        if not rest:
            return
        for captioned in self.source(rest):
            decoded, captions = captioned.video, captioned.captions
            row = output.new_row(
                decoded.path,
                decoded.info.duration_s if decoded.info else None,
                {"requested": decoded.requested, "decoded": decoded.decoded, "corrupt": decoded.corrupt},
            )
            output.summary.frames_captioned += 1
            output.listener.advanced(output.summary.frames_captioned, len(rest), stage="frame captions")
            error = decoded.error or captioned.error
            if error is not None:
                output.fail(row, type(error).__name__, str(error))
                continue
            row["frame_captions"] = [{"time_s": item.time_s, "text": item.text} for item in captions]
            if captioned.embedding is not None:
                row["embedding"] = pack(captioned.embedding)
            if captioned.labels is not None:
                row["labels"] = captioned.labels
            if not captions:
                self._write_template(row, f"{output.captioner} said nothing of any frame")
                continue
            output.journal.append(row)
            yield CaptionQuestion(row, captions, self.prompt, self.gated)

    def _write_template(self, row: dict[str, Any], refusal: str) -> None:
        """Write the row of a video without a sentence: with the template's caption of its labels, else as an error."""
        caption = "" if self.words is None else caption_of_labels(row.get("labels", ()), self.words)[0]
        if caption:
            self.output.write(with_template_caption(row, caption, self._similarity(row, caption), refusal))
        else:
            self.output.fail(row, "CaptionError", refusal)

    def _similarity(self, row: dict[str, Any], caption: str) -> float | None:
        if self.classifier is None or "embedding" not in row:
            return None
        return self.classifier.similarity(unpack(row["embedding"]), caption)
