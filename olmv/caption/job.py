"""Do one `olmv caption` run: videos in, a row with a caption for each out; safe to kill and take up at any stage."""

import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from olmv.caption import captioner as captioners
from olmv.caption.loading import (
    LABELS,
    default_batch,
    label_vocabulary,
    label_words,
    load_classifier,
    open_captioner,
    open_llm,
    open_stored,
)
from olmv.caption.output import CaptionListener, CaptionOutput, CaptionSummary
from olmv.caption.rows import check_row, finished_row
from olmv.datasets.manifests import expand_inputs
from olmv.datasets.shards import Shard, selected
from olmv.errors import UsageError
from olmv.io.atomic import check_writable
from olmv.io.run_journal import RunJournal
from olmv.labels.language import is_english
from olmv.labels.vocabulary import Vocabulary
from olmv.library import all_libraries
from olmv.llm.prompts import Prompt, load_prompt
from olmv.llm.types import ChatModel, Generation
from olmv.models.default import drawings_note
from olmv.placement import PlacementOptions
from olmv.video.options import DecodeOptions, Sampling

if TYPE_CHECKING:
    from olmv.caption.by_frames import FrameStages
    from olmv.caption.engine import CaptionEngine
    from olmv.classifier import Classifier
    from olmv.library.source import StoredVideos

__all__ = ["CaptionJob", "CaptionListener", "CaptionSummary", "run"]

FORMATS = (".jsonl", ".csv")
_EXAMPLES = {"blip2": "blip2:Salesforce/blip2-opt-2.7b", "hf": "hf:HuggingFaceTB/SmolVLM-256M-Instruct"}
_FRAMES = 16  # Open-VCLIP++'s (arXiv 2310.05010)


@dataclass(frozen=True)
class CaptionJob:
    """What to caption, by which models, and where to write it.

    Args:
        inputs: videos, photos, folders, globs and manifests; or libraries, of which `labels:` tells.
        output: the rows, .jsonl or .csv.
        captioner: `blip2:MODEL`, `hf:MODEL` or `labels:MODEL`.
        llm: makes one caption of the frames', as in `olmv.llm.open`; None leaves these as they are, or tells labels by
            a template.
        prompt: how it is asked: a prompt's name or file.
        labels: what `labels:` may say; None for the words of olmv-mini.
        model: compares captions with videos; None compares none.
        min_similarity: captions below are marked, and stay out of the manifest.
        extract_labels: a manifest (.jsonl) of what the captions name, or None.
        frames: of a video; None for 16, or what the model of `labels:` is made for.
        sampling: which frames; None for what `decode` says, of a library for its own.
        decode, placement: how; `decode.frames` is set by `frames`, `placement.batch_size` counts frames captioned at
            once, by default 128, and 16 on a CPU.
        generation: how the language model's answers are drawn.
        retries: how often it is asked again after an answer that cannot be used.
        concurrency: requests to a server at once.
        llm_timeout_s: seconds that one answer of a server may take.
        llm_options, captioner_options: passed on to the models.
        resume: go on from the rows of an earlier run; False starts over.
        shard: which part of the inputs; None for all.
    """

    inputs: list[str]
    output: Path
    captioner: str
    llm: str | None = None
    prompt: str = "summary"
    labels: str | None = None
    model: str | None = None
    min_similarity: float | None = None
    extract_labels: Path | None = None
    frames: int | None = None
    sampling: Sampling | None = None
    decode: DecodeOptions = DecodeOptions()
    placement: PlacementOptions = PlacementOptions()
    generation: Generation = field(default_factory=lambda: Generation(temperature=0.2, max_tokens=160))
    retries: int = 3
    concurrency: int = 32
    llm_timeout_s: float = 120.0
    llm_options: dict[str, str] = field(default_factory=dict)
    captioner_options: dict[str, str] = field(default_factory=dict)
    resume: bool = True
    shard: Shard | None = None

    @property
    def by_labels(self) -> bool:
        """Tell whether the classifier itself tells what it sees."""
        return self.captioner.startswith(LABELS)

    @property
    def own_sampling(self) -> str | None:
        """Return which frames the user asked for, or None."""
        return self.sampling or (None if self.decode.sampling == DecodeOptions.sampling else self.decode.sampling)

    @property
    def knows_moji(self) -> bool:
        """Tell whether the classifier is olmv-mini, which knows its own world's words."""
        return self.captioner == f"{LABELS}olmv-mini"

    def check(self) -> None:
        """Check that the options make sense together, before anything is loaded.

        Raises:
            UsageError: they do not.
            OutputError: an output cannot be written.
        """
        if self.output.suffix.lower() not in FORMATS:
            raise UsageError(f"captions are rows of JSON or csv; end {self.output} in .jsonl or .csv", option="output")
        check_writable(self.output)
        if self.extract_labels is not None:
            if self.extract_labels.suffix.lower() != ".jsonl":
                raise UsageError(
                    f"the manifest is rows of JSON; end {self.extract_labels} in .jsonl", option="extract_labels"
                )
            if self.extract_labels.resolve() == self.output.resolve():
                raise UsageError(
                    "the manifest and the captions name the same file; give the manifest a name of its own",
                    option=("extract_labels", "output"),
                )
            check_writable(self.extract_labels)
        family, _, model = self.captioner.partition(":")
        if family in _EXAMPLES and not model.strip():
            raise UsageError(
                f"captioner {self.captioner} names no model; write {family}:MODEL, as in {_EXAMPLES[family]}",
                option="captioner",
            )
        if not self.by_labels:
            self._check_models()
        elif self.labels is None and not self.knows_moji:
            raise UsageError(f"captioner {self.captioner} tells what its labels say: give them", option="labels")

    def _check_models(self) -> None:
        """Check that the models are named which the outputs of frame captions need."""
        if self.llm is None and self.extract_labels is not None:
            raise UsageError(
                "a manifest of labels needs a language model that tells which things a caption names: name one",
                option="llm",
            )
        if self.llm is None and self.min_similarity is not None:
            raise UsageError(
                "a least similarity is that of the one caption of a video, which needs a language model: name one",
                option="llm",
            )
        if self.min_similarity is not None and self.model is None:
            raise UsageError(
                "a least similarity compares captions with videos: name the CLIP that does", option="model"
            )


def run(job: CaptionJob, listener: CaptionListener, engine: "CaptionEngine | None" = None) -> CaptionSummary:
    """Do the job. Everything that can be checked is checked before a model is loaded.

    With an engine, it captions frames or sees labels; sentences are asked for here.

    Raises:
        UsageError: inputs, models, options or outputs that cannot be used; nothing was done.
        CaptionerUnavailableError: the captioning model cannot be loaded.
        OutputError: the disk became full; the rows so far are kept.
    """
    job.check()
    stored = open_stored(job.inputs, job.captioner) if all_libraries(job.inputs) else None
    if engine is not None and stored is not None:
        raise UsageError("libraries are quick here: leave out the engine", option="engine")
    videos = expand_inputs(job.inputs, note=listener.note) if stored is None else stored.names
    videos = selected(videos, job.shard, note=listener.note)
    prompt = load_prompt(job.prompt)
    if "captions" not in prompt.variables:
        raise UsageError(f"prompt {prompt.source} is not one for captions: it does not mention captions")
    vocabulary = label_vocabulary(job.labels) if job.by_labels else None
    if stored is None:
        sampling = job.sampling or job.decode.sampling
        job = replace(job, decode=replace(job.decode, frames=_frames(job), sampling=sampling))
    else:
        job = replace(job, decode=stored.decode_options(frames=job.frames, sampling=job.own_sampling))
    with ExitStack() as stack:
        captioner = None
        if not job.by_labels and engine is None:
            captioner = open_captioner(job.captioner, job.placement, job.captioner_options, stack)
        chat = None
        if job.llm is not None:
            chat = open_llm(
                job.llm,
                concurrency=job.concurrency,
                timeout_s=job.llm_timeout_s,
                options=job.llm_options,
                stack=stack,
            )
        journal = stack.enter_context(
            RunJournal(
                job.output,
                _settings(job, prompt, vocabulary, stored),
                resume=job.resume,
                finished=lambda row: finished_row(row, with_labels=job.extract_labels is not None),
                check=check_row,
            )
        )
        output = CaptionOutput(journal, videos, listener, captioner=job.captioner, llm=job.llm)
        if stored is not None:
            stored.verify(output.todo)
        name = job.captioner.removeprefix(LABELS) if job.by_labels else job.model
        classifier = None
        if output.todo and name is not None:
            compares = job.min_similarity is not None
            classifier = load_classifier(name, job.placement, compares=compares, stored=stored)
        stages = _stages(job, output, captioner, classifier, vocabulary, prompt, stored, engine)
        journal.begin()
        listener.started(total=len(videos), done=output.summary.earlier)
        if job.by_labels and classifier is not None and (warning := drawings_note(classifier.model.name)):
            listener.note(warning)
        begun = time.monotonic()
        try:
            if stages is not None:
                _caption_by_frames(job, output, stages, chat)
            elif classifier is not None and vocabulary is not None:
                _caption_by_labels(job, output, classifier, vocabulary, stored, engine)
        finally:
            output.summary.seconds = time.monotonic() - begun
            output.finish(job.output, min_similarity=job.min_similarity, manifest=job.extract_labels)
    return output.summary


def _stages(
    job: CaptionJob,
    output: CaptionOutput,
    captioner: captioners.FrameCaptioner | None,
    classifier: "Classifier | None",
    vocabulary: Vocabulary | None,
    prompt: Prompt,
    stored: "StoredVideos | None",
    engine: "CaptionEngine | None",
) -> "FrameStages | None":
    """Return what captions frames and has sentences made of them; None where labels of whole videos are told.

    Raises:
        UsageError: the classifier tells no labels of frames.
    """
    from olmv.caption.by_frames import FrameStages

    gated = is_english(prompt.document.system)
    if engine is not None and not (job.by_labels and job.llm is None):
        own = None if vocabulary is None else label_words(job.labels, vocabulary)
        frames = partial(
            engine.frames,
            captioner=job.captioner,
            options=job.captioner_options,
            model=job.captioner.removeprefix(LABELS) if job.by_labels else job.model,
            placement=job.placement,
            decode=job.decode,
            vocabulary=vocabulary,
            words=own,
        )
        return FrameStages(output, frames, prompt, classifier, own, gated)
    if captioner is not None:
        from olmv.caption.frame_captions import caption_frames

        batch_size = job.placement.batch_size or default_batch(job.placement)
        embed = None if classifier is None else classifier.embed_video
        frames = partial(caption_frames, captioner=captioner, batch_size=batch_size, decode=job.decode, embed=embed)
        return FrameStages(output, frames, prompt, classifier, gated=gated)
    if job.llm is None or classifier is None or vocabulary is None:
        return None
    from olmv.caption.frame_labels import FrameLabels

    words = label_words(job.labels, vocabulary)
    labels = FrameLabels(classifier, vocabulary, words, job.decode, job.placement.batch_size, stored)
    return FrameStages(output, labels, prompt, classifier, words, gated)


def _caption_by_frames(job: CaptionJob, output: CaptionOutput, stages: "FrameStages", chat: ChatModel | None) -> None:
    if chat is None:
        stages.write_frame_captions()
        return
    stages.write_sentences(chat, generation=job.generation, retries=job.retries)
    if job.extract_labels is not None and output.summary.stopped is None:
        from olmv.caption.label_extraction import extract_labels

        extract_labels(output, chat, generation=job.generation, retries=job.retries, gated=stages.gated)


def _caption_by_labels(
    job: CaptionJob,
    output: CaptionOutput,
    classifier: "Classifier",
    vocabulary: Vocabulary,
    stored: "StoredVideos | None",
    engine: "CaptionEngine | None",
) -> None:
    from olmv.caption.by_labels import caption_by_labels

    words = label_words(job.labels, vocabulary)
    size = job.placement.batch_size
    if engine is None:
        stream = partial(classifier.stream, stored=stored)
    else:
        stream = partial(engine.stream, model=job.captioner.removeprefix(LABELS), placement=job.placement)
    caption_by_labels(output, classifier, vocabulary, words, decode=job.decode, batch_size=size, stream=stream)


def _settings(
    job: CaptionJob, prompt: Prompt, vocabulary: Vocabulary | None, stored: "StoredVideos | None"
) -> dict[str, Any]:
    """Say what a row depends on."""
    return {
        "captioner": job.captioner,
        "llm": job.llm,
        "prompt": None if job.by_labels and job.llm is None else prompt.sha256,
        # the words, not the file's name: it may say something else tomorrow
        "labels": None if vocabulary is None else [[x.name, x.threshold] for x in vocabulary],
        "model": job.model,
        "frames": job.decode.frames,
        "sampling": job.decode.sampling,
        "decoder": job.decode.decoder,
        **({} if job.shard is None else {"shard": str(job.shard)}),
        **({} if stored is None else {"library": stored.settings.digest_of_settings()[:16]}),
    }


def _frames(job: CaptionJob) -> int:
    """Say how many frames are looked at, by the model that looks at them.

    Raises:
        UsageError: the model of `labels:` is made for another number, or `model` is none that compares.
    """
    from olmv.models.registry import frames_for, model_info

    if job.by_labels:
        return frames_for(job.captioner.removeprefix(LABELS), job.frames) or _FRAMES
    if job.model is not None and model_info(job.model).family == "xclip":
        raise UsageError(f"{job.model} compares no captions (X-CLIP); name a video CLIP", option="model")
    return job.frames or _FRAMES
