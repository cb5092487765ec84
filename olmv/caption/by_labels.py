"""Caption videos by a classifier's own labels: the `labels:` captioner."""

from collections.abc import Callable, Iterator

from olmv.caption.from_labels import CAPTION_FRAME_POOLING, LabelWords, caption_of
from olmv.caption.output import CaptionOutput
from olmv.caption.rows import with_caption
from olmv.classifier import Classifier
from olmv.labels.vocabulary import Vocabulary
from olmv.predictions import VideoPrediction
from olmv.scoring.options import ScoreOptions
from olmv.video.options import DecodeOptions

__all__ = ["caption_by_labels"]


def caption_by_labels(
    output: CaptionOutput,
    classifier: Classifier,
    vocabulary: Vocabulary,
    words: LabelWords,
    *,
    decode: DecodeOptions,
    batch_size: int | None,
    stream: Callable[..., Iterator[VideoPrediction]] | None = None,
) -> None:
    """Write the row of every video that is to do.

    Args:
        output: takes the rows.
        classifier: sees the labels.
        vocabulary: what it looks for.
        words: the place of the labels in a sentence.
        decode: how files are read, or how those of a library were.
        batch_size: as for `Classifier.predict`.
        stream: sees them in place of `classifier.stream`.
    """
    for prediction in (stream or classifier.stream)(
        output.todo,
        vocabulary,
        decode=decode,
        score=ScoreOptions(frame_pooling=CAPTION_FRAME_POOLING),
        batch_size=batch_size,
        embeddings=True,
    ):
        counts = prediction.frames
        row = output.new_row(
            prediction.video,
            prediction.duration_s,
            {"requested": counts.requested, "decoded": counts.decoded, "corrupt": counts.corrupt},
        )
        if prediction.error is not None:
            output.fail(row, prediction.error.type, prediction.error.message)
            continue
        caption, named = caption_of(prediction, words)
        if not caption:
            output.fail(row, "CaptionError", "no label reaches its threshold: there is nothing to tell")
            continue
        assert prediction.embedding is not None
        prompted = classifier.model.prompts_texts
        similarity = None if prompted else classifier.similarity(prediction.embedding, caption)
        output.write({**with_caption(row, caption, similarity), "labels": named})
