"""Labels of a classifier as frame captions: what each frame shows, for a language model to make a sentence of.

A frame's caption lists its positive labels, in the order of the whole video's: "a laptop, a cup". Few are told: the
further down the list, the more often a label is wrong (`frame_words_right` of
scripts/benchmarks/bench_caption_llm.py).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from olmv.caption.captioner import FrameCaption
from olmv.caption.frame_captions import CaptionedVideo
from olmv.caption.from_labels import CAPTION_FRAME_POOLING, LabelWords, as_words, caption_of
from olmv.classifier import Classifier
from olmv.errors import ModelError, UsageError
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.models.base import VideoEmbedding
from olmv.models.embed import embed_clips
from olmv.scorer import VideoScorer
from olmv.scoring.options import ScoreOptions
from olmv.scoring.thresholds import thresholds_for
from olmv.video.options import DecodeOptions
from olmv.video.workers.loader import FrameLoader

__all__ = ["MAX_FRAME_WORDS", "FrameLabels"]

MAX_FRAME_WORDS = 3
"""At most so many labels of a frame are told."""


@dataclass(frozen=True)
class FrameLabels:
    """Captions frames by the labels that a classifier finds in each of them.

    Args:
        classifier: sees the labels.
        vocabulary: what it looks for, and from which probability.
        words: the place of the labels in a sentence.
        decode: how files are read.
        batch_size: frames of a forward pass; None for the classifier's own.

    Raises:
        UsageError: the model gives a video one embedding, so that frames have no labels.
    """

    classifier: Classifier
    vocabulary: Vocabulary
    words: LabelWords
    decode: DecodeOptions
    batch_size: int | None = None

    def __post_init__(self) -> None:
        model = self.classifier.model
        black = torch.zeros(1, 3, model.preprocess.size, model.preprocess.size, dtype=torch.uint8)
        if model.prompts_texts or embed_clips(model, [black])[0].rows.ndim != 2:
            raise UsageError(
                f"{model.name} tells labels of a whole video, not of its frames, which a language model would need; "
                "leave it out, or name another captioner",
                option=("llm", "captioner"),
            )

    def __call__(self, videos: Iterable[str]) -> Iterator[CaptionedVideo]:
        """Caption the frames of every file, in order; a bad file is a result without captions."""
        classifier, model = self.classifier, self.classifier.model
        scorer = VideoScorer(
            model=model,
            labels=self.vocabulary.names,
            thresholds=thresholds_for(self.vocabulary),
            options=ScoreOptions(),
            frame_pooling=CAPTION_FRAME_POOLING,
            embeddings=True,
        )
        batch_size = self.batch_size or classifier.default_batch_size
        loader = FrameLoader(videos, preprocess=model.preprocess, options=self.decode)
        with loader.start():  # they decode while the texts are encoded
            bank = classifier.text_bank(build_texts(self.vocabulary, model.templates))
            for batch in loader.batches(batch_size):
                pixels = [video.tensor for video in batch if video.pixels is not None]
                clips = iter(classifier.embed_clips(pixels, batch_size=batch_size))
                for video in batch:
                    if video.pixels is None:
                        yield CaptionedVideo(video, [])
                        continue
                    clip = next(clips)
                    whole = scorer.predict(video, clip, bank)
                    if whole.error is not None:
                        yield CaptionedVideo(video, [], error=ModelError(whole.error.message))
                        continue
                    step = video.decoded  # a model may have a second row for each frame, behind all first ones
                    frames = [
                        scorer.predict(video, VideoEmbedding(clip.rows[frame::step]), bank) for frame in range(step)
                    ]
                    order = {label.label: -label.probability for label in whole.labels}
                    captions = [
                        FrameCaption(round(float(time), 3), text)
                        for time, frame in zip(video.times_s, frames, strict=True)
                        # in one order in all frames, so that frames that show the same have the same caption
                        if (
                            text := as_words(
                                sorted(frame.positives[:MAX_FRAME_WORDS], key=order.__getitem__), self.words
                            )
                        )
                    ]
                    yield CaptionedVideo(video, captions, whole.embedding, caption_of(whole, self.words)[1])
