"""Caption videos by their frames: each frame by a captioner, then the video by a language model out of these."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from olmv.caption.captioner import FrameCaptioner
from olmv.caption.frame_captions import caption_frames
from olmv.caption.output import CaptionOutput
from olmv.caption.rows import frame_captions_of, pack, unpack, with_caption, with_frame_captions_alone
from olmv.caption.summarize import CaptionQuestion
from olmv.errors import LLMUnavailableError
from olmv.llm.ask import ask
from olmv.llm.prompts import Prompt
from olmv.llm.types import ChatModel, Generation
from olmv.video.options import DecodeOptions

if TYPE_CHECKING:
    from olmv.classifier import Classifier

__all__ = ["FrameStages"]


@dataclass(frozen=True)
class FrameStages:
    """Captions frames (stage one) and makes sentences of the captions (stage two).

    Args:
        output: takes the rows, those between the stages too, so that a run may be killed at either.
        captioner: says what a frame shows.
        prompt: how the language model is asked.
        classifier: compares captions and videos; None compares none.
        decode: how files are read.
        batch_size: frames captioned at once.
    """

    output: CaptionOutput
    captioner: FrameCaptioner
    prompt: Prompt
    classifier: "Classifier | None"
    decode: DecodeOptions
    batch_size: int

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
                    output.fail(row, "CaptionError", exchange.why(generation))
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
                yield CaptionQuestion(row, frame_captions_of(row), self.prompt)
        if not rest:
            return
        for video_captions in caption_frames(
            rest,
            self.captioner,
            batch_size=self.batch_size,
            decode=self.decode,
            embed=self.classifier.embed_video if self.classifier is not None else None,
        ):
            decoded, captions = video_captions.video, video_captions.captions
            row = output.new_row(
                decoded.path,
                decoded.info.duration_s if decoded.info else None,
                {"requested": decoded.requested, "decoded": decoded.decoded, "corrupt": decoded.corrupt},
            )
            output.summary.frames_captioned += 1
            output.listener.advanced(output.summary.frames_captioned, len(rest), stage="frame captions")
            if decoded.error is not None:
                output.fail(row, type(decoded.error).__name__, str(decoded.error))
                continue
            if not captions:
                output.fail(row, "CaptionError", f"{output.captioner} said nothing of any frame")
                continue
            row["frame_captions"] = [{"time_s": item.time_s, "text": item.text} for item in captions]
            if video_captions.embedding is not None:
                row["embedding"] = pack(video_captions.embedding)
            output.journal.append(row)
            yield CaptionQuestion(row, captions, self.prompt)

    def _similarity(self, row: dict[str, Any], caption: str) -> float | None:
        if self.classifier is None or "embedding" not in row:
            return None
        return self.classifier.similarity(unpack(row["embedding"]), caption)
