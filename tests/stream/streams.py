"""Long videos in parts, by a classifier and by hand."""

from typing import Any

import torch
from torch import Tensor

from olmv import Classifier
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.models.base import VideoModel
from olmv.models.embed import embed_clips
from olmv.predictions import VideoPrediction
from olmv.scoring.options import ScoreOptions
from olmv.scoring.score import score_clips
from olmv.scoring.windows import TimelineOptions
from olmv.video.decode import VideoFrames
from olmv.video.options import DecodeOptions
from olmv.video.workers.loader import FrameLoader

LABELS = ["dog", "guitar", "rain", "a red kite"]
WORDS = Vocabulary.from_names(LABELS)
LONG = DecodeOptions(frames=8, every_s=2.0, workers=0)
ONE_LABEL = ScoreOptions(mode="single-label")  # without everyday words to measure against, so quick
TIMELINE = TimelineOptions(window_s=8.0, step_s=4.0)
TIMED = DecodeOptions(frames=1, every_s=1.0, timeline=True, workers=0)


def predict(classifier: Classifier, paths: Any, decode: DecodeOptions = LONG, **options: Any) -> list[VideoPrediction]:
    score = options.pop("score", ScoreOptions())
    return list(classifier.stream(paths, WORDS, decode=decode, score=score, **options))


def decoded(path: str, model: VideoModel, decode: DecodeOptions) -> list[VideoFrames]:
    return list(FrameLoader(path, preprocess=model.preprocess, options=decode))


def by_hand(classifier: Classifier, clips: list[Tensor]) -> tuple[Tensor, list[Any]]:
    """The logits [W, C] of clips that are encoded one by one, and their embeddings."""
    model, mode = classifier.model, ONE_LABEL.mode
    bank = classifier.text_bank(build_texts(WORDS, model.templates), mode=mode)
    pooling: Any = model.frame_pooling
    logits, embeddings = [], []
    for clip in clips:
        (embedding,) = embed_clips(model, [clip])
        _, own = score_clips(model, [embedding], bank, mode=mode, pooling="mean", frame_pooling=pooling)
        logits.append(own[0])
        embeddings.append(embedding)
    return torch.stack(logits), embeddings
