"""What a prediction needs besides videos: its words, its model, and the settings behind its rows."""

from dataclasses import replace
from typing import TYPE_CHECKING

from olmv.labels.attributes import AttributeBook
from olmv.labels.templates import resolve
from olmv.labels.vocabulary import Vocabulary
from olmv.models.default import drawings_note
from olmv.placement import PlacementOptions
from olmv.predict.options import PredictJob, PredictListener
from olmv.predict.settings import PredictSettings
from olmv.video.options import MAX_FRAMES, DecodeOptions

if TYPE_CHECKING:
    from olmv.classifier import Classifier
    from olmv.library.source import StoredVideos
    from olmv.predict.engine import Place, PredictEngine
    from olmv.scoring.thresholds import Thresholds

__all__ = ["load_classifier", "load_words", "open_stored", "settings_of"]

# Texts named in warnings about truncated labels; the rest are counted.
_NAMED = 3


def load_words(job: PredictJob, listener: PredictListener) -> tuple[Vocabulary, "Thresholds | None"]:
    """Read the labels with their attributes, and the thresholds file.

    Raises:
        VocabularyError: one of the files cannot be used.
    """
    assert job.labels is not None  # `input_kind` has looked
    vocabulary = job.labels if isinstance(job.labels, Vocabulary) else Vocabulary.load(job.labels)
    if job.attributes is not None:
        vocabulary = vocabulary.with_attributes(AttributeBook.load(job.attributes))
    for note in vocabulary.notes:
        listener.note(note)
    if job.thresholds is None:
        return vocabulary, None
    from olmv.scoring.thresholds import Thresholds

    return vocabulary, Thresholds.load(job.thresholds)


def open_stored(job: PredictJob) -> "tuple[StoredVideos, PredictJob]":
    """Open the libraries that are the job's inputs.

    Returns:
        Them, and the job with their own model, number format and sampling.

    Raises:
        UsageError: options that say another sampling or other windows than theirs, or libraries that differ.
        InputError: one cannot be read, or there is no video in them.
    """
    from olmv.library.source import StoredVideos, check_timeline

    stored = StoredVideos.open(job.inputs)
    sampling = job.sampling or (None if job.decode.sampling == DecodeOptions.sampling else job.decode.sampling)
    decode = stored.decode_options(
        frames=job.frames, every_s=job.every_s, max_frames=job.decode.max_frames, sampling=sampling
    )
    for library in stored.libraries:
        check_timeline(library, job.timeline)
    dtype = stored.settings.dtype if job.placement.dtype == "auto" else job.placement.dtype
    return stored, replace(
        job,
        model=job.model or stored.settings.model,
        decode=decode,
        placement=replace(job.placement, dtype=dtype),
    )


def settings_of(
    job: PredictJob,
    model: str,
    vocabulary: Vocabulary,
    thresholds: "Thresholds | None",
    stored: "StoredVideos | None" = None,
    engine: "PredictEngine | None" = None,
) -> PredictSettings:
    """Say what the rows of a job depend on; its number of frames is resolved."""
    from olmv.scoring.thresholds import leaves_for, thresholds_for

    device, dtype, runtime = _place(job.placement) if engine is None else engine.place(job.placement)
    folder = None
    if model.startswith("hf:") and (engine is None or engine.served is None):
        from olmv.models.registry import folder_of

        folder = folder_of(model)
    score = job.score
    limits = thresholds_for(vocabulary, thresholds=thresholds, threshold=score.threshold)
    fitted = None if job.timeline is None else thresholds
    return PredictSettings(
        vocabulary=vocabulary,
        thresholds=limits,
        leaves=leaves_for(vocabulary, limits, thresholds=fitted, threshold=score.threshold),
        scalings=() if thresholds is None else thresholds.scalings(vocabulary.names),
        model=model,
        revision=None if folder is None else folder.name,
        mode=score.mode,
        templates=None if score.templates is None else resolve(score.templates),
        frames=job.decode.frames,
        every_s=job.decode.every_s,
        max_frames=None if job.decode.max_frames == MAX_FRAMES else job.decode.max_frames,
        timeline=job.timeline,
        window_s=None if job.timeline is None else job.timeline.window_s,
        step_s=None if job.timeline is None else job.timeline.step_s,
        sampling=job.decode.sampling,
        pooling=score.pooling,
        frame_pooling=score.frame_pooling,
        top_k=score.top_k,
        explain=score.explain,
        decoder=job.decode.decoder,
        device=device,
        dtype=dtype,
        runtime=runtime,
        shard=None if job.shard is None else str(job.shard),
        library=None if stored is None else stored.settings.digest_of_settings()[:16],
    )


def _place(options: PlacementOptions) -> "Place":
    from olmv.models.registry import placement_for

    placement = placement_for(options.device, options.dtype, options.runtime)
    return placement.device.type, placement.dtype_name, placement.runtime


def load_classifier(
    job: PredictJob,
    model: str,
    vocabulary: Vocabulary,
    listener: PredictListener,
    stored: "StoredVideos | None" = None,
) -> "Classifier":
    """Load the model, and say which texts it cuts off.

    Raises:
        ModelError: it cannot be loaded.
        UsageError: it is not the one that the library was made with.
    """
    from olmv.classifier import Classifier

    place = job.placement
    if stored is not None:
        classifier = Classifier(stored.load_model(model, place, timeline=job.timeline))
    else:
        classifier = Classifier.from_pretrained(model, device=place.device, dtype=place.dtype, runtime=place.runtime)
    if (warning := drawings_note(classifier.model.name)) is not None:
        listener.note(warning)
    truncated = classifier.truncated_texts(vocabulary, templates=job.score.templates)
    limit = classifier.model.context_length
    owners = list(dict.fromkeys((label, count) for label, _, count in truncated))
    for label, count in owners[:_NAMED]:
        shown = label if len(label) <= 40 else label[:40] + "..."
        reads = f"{classifier.model.name} reads {limit}"
        listener.note(f"label '{shown}' has a text of {count} tokens; {reads}, the end is cut off")
    if len(owners) > _NAMED:
        listener.note(f"{len(owners) - _NAMED} more texts are longer than {limit} tokens; shorten them")
    return classifier
