"""One `olmv caption` run: videos in, a row with a caption for each out; safe to kill and take up at either stage."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

from olmv.caption import rows as told
from olmv.caption.settings import LABELS, CaptionJob, CaptionListener, CaptionSummary
from olmv.caption.summarize import CaptionQuestion, LabelsQuestion
from olmv.datasets.manifests import expand_inputs
from olmv.errors import LLMUnavailableError, UsageError
from olmv.io.run_journal import RunJournal
from olmv.labels.vocabulary import Vocabulary
from olmv.llm.ask import ask
from olmv.llm.open import open_chat
from olmv.llm.prompts import Prompt, load_prompt
from olmv.llm.types import ChatModel
from olmv.models.default import drawings_note

if TYPE_CHECKING:
    from olmv.caption.captioner import FrameCaptioner
    from olmv.classifier import Classifier

__all__ = ["run"]

_FRAMES = 16  # Open-VCLIP++'s (arXiv 2310.05010)


def run(job: CaptionJob, listener: CaptionListener) -> CaptionSummary:
    """Do the job. Everything that can be checked is checked before a model is loaded.

    Raises:
        UsageError: inputs, models, options or outputs that cannot be used; nothing was done.
        CaptionerUnavailableError: the captioning model cannot be loaded.
        OutputError: the disk became full; the rows so far are kept.
    """
    job.check()
    videos = expand_inputs(job.inputs, note=listener.note)
    with ExitStack() as stack:
        work = _Run(job, listener, videos, stack)
        listener.started(total=len(videos), done=work.summary.earlier)
        begun = time.monotonic()
        try:
            work.captions()
            if job.extract_labels is not None and not job.by_labels:
                work.labels()
        finally:
            work.summary.seconds = time.monotonic() - begun
            work.finish()
    return work.summary


class _Run:
    """The state of one run."""

    def __init__(self, job: CaptionJob, listener: CaptionListener, videos: list[str], stack: ExitStack) -> None:
        self.job, self.listener, self.videos = job, listener, videos
        self._prompt = load_prompt(job.prompt)
        if "captions" not in self._prompt.variables:
            raise UsageError(f"prompt {self._prompt.source} is not one for captions: it does not mention captions")
        self._vocabulary = _vocabulary(job) if job.by_labels else None
        self._chat: ChatModel | None = None
        self._frames = _frames(job)
        self._captioner: FrameCaptioner | None = None
        if not job.by_labels:
            from olmv.caption.captioner import open_captioner

            self._captioner = open_captioner(
                job.captioner, device=job.device, dtype=job.dtype, options=job.captioner_options
            )
            stack.enter_context(closing(self._captioner))
            _ = self._captioner.preprocess  # a wrong model is told before anything is made
            if job.llm is not None:
                self._chat = open_chat(
                    job.llm, concurrency=job.concurrency, timeout_s=job.llm_timeout_s, options=job.llm_options
                )
                stack.enter_context(closing(self._chat))
        self._journal = stack.enter_context(
            RunJournal(
                job.output,
                self._settings(),
                resume=job.resume,
                finished=lambda row: told.finished_row(row, with_labels=job.extract_labels is not None),
                check=told.check_row,
            )
        )
        self._todo = [video for video in videos if video not in self._journal.done]
        self.summary = CaptionSummary(total=len(videos), earlier=len(videos) - len(self._todo))
        self._classifier: Classifier | None = None
        name = job.captioner.removeprefix(LABELS) if job.by_labels else job.model
        if name is not None and self._todo:
            from olmv import classifier

            self._classifier = classifier.Classifier.from_pretrained(name, device=job.device, dtype=job.dtype)
            if self._classifier.model.prompts_texts and job.min_similarity is not None:
                raise UsageError(f"{name} tells no similarity of captions (X-CLIP); leave out --min-similarity")
        self._journal.begin()

    def captions(self) -> None:
        """Stages one and two."""
        if self.job.by_labels:
            self._by_labels()
            return
        questions = self._questions()
        if self._chat is None:
            for question in questions:
                self._write(told.with_frame_captions_alone(question.row))
            return
        try:
            if self._todo:
                self._chat.check()  # told now, not after an hour of frame captions
            for asked in ask(
                questions,
                self._chat,
                schema=self._prompt.schema,
                generation=self.job.generation,
                retries=self.job.retries,
            ):
                self._count(asked.times, asked.prompt_tokens, asked.completion_tokens)
                question = asked.question
                if question.caption is None:
                    self._write(told.failed(question.row, "CaptionError", asked.why(self.job.generation)))
                else:
                    self._write(
                        told.with_caption(
                            question.row, question.caption, self._similarity(question.row, question.caption)
                        )
                    )
        except LLMUnavailableError as failure:
            self.summary.stopped = str(failure)
            self.listener.note(f"{failure}; frame captions are made and kept all the same")
            for _ in questions:
                pass

    def labels(self) -> None:
        """Stage three: the labels that the captions name."""
        assert self._chat is not None
        if self.summary.stopped is not None:
            return
        prompt = load_prompt("entities")
        places = self._journal.offsets()
        waiting = (self._labels_question(places[video], prompt) for video in self.videos if video in places)
        questions = (question for question in waiting if question is not None)
        try:
            for asked in ask(
                questions, self._chat, schema=prompt.schema, generation=self.job.generation, retries=self.job.retries
            ):
                self._count(asked.times, asked.prompt_tokens, asked.completion_tokens)
                question = asked.question
                if question.labels:
                    self._journal.append({**question.row, "labels": question.labels})
                else:
                    self.listener.note(f"no labels for {question.row['video']}: {asked.why(self.job.generation)}")
        except LLMUnavailableError as failure:
            self.summary.stopped = str(failure)

    def finish(self) -> None:
        """One row a video, in the order of the inputs, and the manifest."""
        job = self.job
        todo = set(self._todo)
        failed = 0

        def clean(row: dict[str, Any]) -> dict[str, Any]:
            nonlocal failed
            row = told.clean_row(row, stopped=self.summary.stopped, min_similarity=job.min_similarity)
            failed += row["status"] == "error" and row["video"] in todo
            return row

        self._journal.compact(self.videos, clean)
        self.summary.failed = failed
        if not self._journal.path.exists():
            return  # not one row: nothing was done
        if job.output.suffix.lower() == ".csv":
            told.write_csv(job.output, self._journal.rows())
        self.summary.written.append(job.output)
        if job.extract_labels is not None:
            self.summary.labels = told.write_manifest(job.extract_labels, self._journal.rows)
            self.summary.written.append(job.extract_labels)

    def _questions(self) -> Iterator[CaptionQuestion]:
        """Stage one, as far ahead as the language model reads: what is there from before, then the rest."""
        from olmv.caption.seen_frames import caption_frames

        assert self._captioner is not None
        places = self._journal.offsets()
        rest = []
        for video in self._todo:
            row = self._journal.row_at(places[video]) if video in places else None
            if row is None or not row.get("frame_captions"):
                rest.append(video)
            elif row["status"] != "ok":
                yield CaptionQuestion(row, told.frame_captions_of(row), self._prompt)
        if not rest:
            return
        size = self.job.batch_size or self._default_batch()
        for captioned in caption_frames(
            rest,
            self._captioner,
            batch_size=size,
            frames=self._frames,
            sampling=self.job.sampling,
            decoder=self.job.decoder,
            workers=self.job.workers,
            timeout_s=self.job.timeout_s,
            embed=self._classifier.embed_video if self._classifier is not None else None,
        ):
            decoded = captioned.video
            row = self._row(
                decoded.path,
                decoded.info.duration_s if decoded.info else None,
                {"requested": decoded.requested, "decoded": decoded.decoded, "corrupt": decoded.corrupt},
            )
            self.summary.frames_captioned += 1
            self.listener.captioned(self.summary.frames_captioned, len(rest))
            if decoded.error is not None:
                self._write(told.failed(row, type(decoded.error).__name__, str(decoded.error)))
                continue
            if not captioned.captions:
                self._write(told.failed(row, "CaptionError", f"{self.job.captioner} said nothing of any frame"))
                continue
            row["frame_captions"] = [{"time_s": item.time_s, "text": item.text} for item in captioned.captions]
            if captioned.embedding is not None:
                row["embedding"] = told.pack(captioned.embedding)
            self._journal.append(row)
            yield CaptionQuestion(row, captioned.captions, self._prompt)

    def _by_labels(self) -> None:
        from olmv.caption.from_labels import CAPTION_FRAME_POOLING, caption_of, moji_words, words_from

        if not self._todo:
            return
        assert self._classifier is not None
        assert self._vocabulary is not None
        words = moji_words() if self.job.labels is None else words_from(self._vocabulary)
        if (warning := drawings_note(self._classifier.model.name)) is not None:
            self.listener.note(warning)
        for prediction in self._classifier.predict(
            self._todo,
            self._vocabulary,
            frames=self._frames,
            sampling=self.job.sampling,
            frame_pooling=CAPTION_FRAME_POOLING,
            decoder=self.job.decoder,
            workers=self.job.workers,
            batch_size=self.job.batch_size,
            embeddings=True,
            timeout_s=self.job.timeout_s,
        ):
            counts = prediction.frames
            row = self._row(
                prediction.video,
                prediction.duration_s,
                {"requested": counts.requested, "decoded": counts.decoded, "corrupt": counts.corrupt},
            )
            if prediction.error is not None:
                self._write(told.failed(row, prediction.error.type, prediction.error.message))
                continue
            caption, named = caption_of(prediction, words)
            if not caption:
                message = "no label reaches its threshold: there is nothing to tell"
                self._write(told.failed(row, "CaptionError", message))
                continue
            assert prediction.embedding is not None
            prompted = self._classifier.model.prompts_texts
            similarity = None if prompted else self._classifier.similarity(prediction.embedding, caption)
            self._write({**told.with_caption(row, caption, similarity), "labels": named})

    def _labels_question(self, place: int, prompt: Prompt) -> LabelsQuestion | None:
        row = self._journal.row_at(place)
        if row["status"] != "ok" or "labels" in row:
            return None
        return LabelsQuestion(row, row["caption"], told.frame_captions_of(row), prompt)

    def _row(self, video: str, duration_s: float | None, frames: dict[str, int]) -> dict[str, Any]:
        llm = None if self.job.by_labels else self.job.llm
        return told.new_row(video, captioner=self.job.captioner, llm=llm, duration_s=duration_s, frames=frames)

    def _write(self, row: dict[str, Any]) -> None:
        self._journal.append(row)
        if row["error"] is None:
            self.summary.ok += 1
        else:
            self.summary.failed += 1
            if len(self.summary.failures) < 5:
                self.summary.failures.append((row["video"], row["error"]["message"]))
        self.listener.told(row)

    def _count(self, times: int, prompt_tokens: int, completion_tokens: int) -> None:
        self.summary.asked += times
        self.summary.prompt_tokens += prompt_tokens
        self.summary.completion_tokens += completion_tokens

    def _similarity(self, row: dict[str, Any], caption: str) -> float | None:
        if self._classifier is None or "embedding" not in row:
            return None
        return self._classifier.similarity(told.unpack(row["embedding"]), caption)

    def _default_batch(self) -> int:
        from olmv.devices import choose

        return 16 if choose(self.job.device, self.job.dtype).device.type == "cpu" else 128

    def _settings(self) -> dict[str, Any]:
        """What a row depends on."""
        job = self.job
        return {
            "captioner": job.captioner,
            "llm": None if job.by_labels else job.llm,
            "prompt": None if job.by_labels else self._prompt.sha256,
            # the words, not the file's name: it may say something else tomorrow
            "labels": None if self._vocabulary is None else [[x.name, x.threshold] for x in self._vocabulary],
            "model": job.model,
            "frames": self._frames,
            "sampling": job.sampling,
            "decoder": job.decoder,
        }


def _frames(job: CaptionJob) -> int:
    """How many, by the model that looks at them.

    Raises:
        UsageError: the model of `labels:` is made for another number, or `model` is none that compares.
    """
    from olmv.models.registry import frames_for, model_info

    if job.by_labels:
        return frames_for(job.captioner.removeprefix(LABELS), job.frames) or _FRAMES
    if job.model is not None and model_info(job.model).family == "xclip":
        raise UsageError(f"{job.model} compares no captions (X-CLIP); name a video CLIP, --model NAME")
    return job.frames or _FRAMES


def _vocabulary(job: CaptionJob) -> Vocabulary:
    """What `labels:` may say; read before anything is loaded or begun."""
    if job.labels is not None:
        return Vocabulary.load(job.labels)
    from olmv.caption.from_labels import moji_vocabulary

    return moji_vocabulary()
