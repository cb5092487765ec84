"""Labels of a classifier as frame captions: what each frame shows, for a language model to make a sentence of.

A frame's caption lists its positive labels, in the order of the whole video's: "a laptop, a cup". Few are told: the
further down the list, the more often a label is wrong (`frame_words_right` of
scripts/benchmarks/bench_caption_llm.py).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from olmv.caption.captioner import FrameCaption
from olmv.caption.frame_captions import CaptionedVideo
from olmv.caption.from_labels import CAPTION_FRAME_POOLING, LabelWords, as_words, caption_of
from olmv.classifier import Classifier
from olmv.errors import ModelError, UsageError
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.library.source import StoredVideos
from olmv.models.base import VideoEmbedding
from olmv.models.embed import embed_clips
from olmv.predictions import VideoPrediction
from olmv.scorer import VideoScorer
from olmv.scoring.bank import TextBank
from olmv.scoring.options import ScoreOptions
from olmv.scoring.prompted import PromptedBank
from olmv.scoring.thresholds import thresholds_for
from olmv.video.decode import VideoFrames
from olmv.video.options import DecodeOptions
from olmv.video.workers.loader import FrameLoader
from olmv.video_scores import VideoScores

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
        stored: has the videos, which are not decoded then.

    Raises:
        UsageError: the model gives a video one embedding, so that frames have no labels.
    """

    classifier: Classifier
    vocabulary: Vocabulary
    words: LabelWords
    decode: DecodeOptions
    batch_size: int | None = None
    stored: StoredVideos | None = None

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
        if self.stored is not None:
            yield from self._of_stored(self.stored, videos, scorer)
            return
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
                    step = video.decoded  # a model may have a second row for each frame, behind all first ones
                    frames = [VideoEmbedding(clip.rows[frame::step]) for frame in range(step)]
                    yield self._captioned(video, scorer.predict(video, clip, bank), frames, scorer, bank)

    def _of_stored(self, stored: StoredVideos, videos: Iterable[str], scorer: VideoScorer) -> Iterator[CaptionedVideo]:
        bank = self.classifier.text_bank(build_texts(self.vocabulary, self.classifier.model.templates))
        scores = VideoScores()
        frames: list[VideoEmbedding] = []
        times: list[float] = []
        for embedded in stored.parts(videos, self.classifier.model, self.decode):
            part = scorer.score_part(embedded, bank)
            scores.add(part)
            of_moment = {
                int(moment): VideoEmbedding(embedding.rows[place :: len(moments)])
                for moments, embedding in zip(embedded.windows.moments, embedded.embeddings, strict=False)
                for place, moment in enumerate(moments)
            }
            frames += [of_moment[moment] for moment in sorted(of_moment)]
            times += part.times_s
            if part.is_last:
                counts = scores.frames
                video = replace(
                    embedded.video,
                    times_s=np.array(times),
                    decoded=counts.decoded,
                    requested=counts.requested,
                    corrupt=counts.corrupt,
                )
                whole = scorer.decide(video.path, scores, bank)
                yield self._captioned(video, whole, frames, scorer, bank)
                scores, frames, times = VideoScores(), [], []

    def _captioned(
        self,
        video: VideoFrames,
        whole: VideoPrediction,
        frames: Sequence[VideoEmbedding],
        scorer: VideoScorer,
        bank: TextBank | PromptedBank,
    ) -> CaptionedVideo:
        """Make captions of the labels of frames, in the order of those of the whole video."""
        if video.error is not None:
            return CaptionedVideo(video, [])
        if whole.error is not None:
            return CaptionedVideo(video, [], error=ModelError(whole.error.message))
        order = {label.label: -label.probability for label in whole.labels}
        captions = []
        for time, frame in zip(video.times_s, frames, strict=True):
            positives = scorer.predict(video, frame, bank).positives[:MAX_FRAME_WORDS]
            # in one order in all frames, so that frames that show the same have the same caption
            if text := as_words(sorted(positives, key=order.__getitem__), self.words):
                captions.append(FrameCaption(round(float(time), 3), text))
        return CaptionedVideo(video, captions, whole.embedding, caption_of(whole, self.words)[1])
