"""From what a model made of one video to the labels that are true of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from olmv.models.base import VideoEmbedding, VideoModel
from olmv.models.embed import video_vector
from olmv.predictions import Failure, FrameCounts, LabelPrediction, VideoPrediction, round_significant
from olmv.scoring.bank import TextBank
from olmv.scoring.explain import Explanation, explain
from olmv.scoring.options import FramePooling, ScoreOptions
from olmv.scoring.probabilities import to_probabilities
from olmv.scoring.prompted import PromptedBank
from olmv.scoring.scaling import Scaler
from olmv.scoring.score import score_clips
from olmv.video.decode import VideoFrames

__all__ = ["EXPLAINED", "VideoScorer"]

# At most so many labels of a video are explained, the most probable first.
EXPLAINED = 50


@dataclass(frozen=True, kw_only=True)
class VideoScorer:
    """Turns the embeddings of one video into its prediction.

    Attributes:
        model: that made the embeddings.
        labels, thresholds: [C], in the vocabulary's order.
        options: mode, poolings, how many labels are told and explained.
        frame_pooling: of the options, or what the model was trained with.
        embeddings: keep the video's embedding in its prediction.
        scaler: makes calibrated probabilities of the model's; None leaves them.
    """

    model: VideoModel
    labels: Sequence[str]
    thresholds: Sequence[float]
    options: ScoreOptions
    frame_pooling: FramePooling
    embeddings: bool = False
    scaler: Scaler | None = None

    def predict(
        self, video: VideoFrames, embedding: VideoEmbedding | None, texts: TextBank | PromptedBank
    ) -> VideoPrediction:
        """Score one video against the texts; a video without an embedding becomes an error.

        Args:
            video: what was decoded, or why it was not.
            embedding: of its frames; None where there are none.
            texts: the bank of the labels.
        """
        common: dict[str, Any] = {
            "video": video.path,
            "duration_s": video.info.duration_s if video.info else None,
            "frames": FrameCounts(video.requested, video.decoded, video.corrupt),
            "model": self.model.name,
        }
        if embedding is None:
            assert video.error is not None, "a video without pixels has an error"
            failure = Failure(type(video.error).__name__, str(video.error))
            return VideoPrediction(status="error", error=failure, **common)
        with torch.inference_mode():
            bank = texts.for_video(embedding.context)
        similarity, logits, probabilities = self._score(embedding, bank)
        if not bool(probabilities.isfinite().all()):
            message = f"{self.model.name} makes no finite numbers of it; use dtype float32 or another model"
            return VideoPrediction(status="error", error=Failure("ModelError", message), **common)
        order = probabilities.argsort(descending=True, stable=True).tolist()
        shown = range(len(self.labels)) if self.options.top_k is None else order[: self.options.top_k]
        values = [column.tolist() for column in (similarity, logits, probabilities)]
        explained = order[: min(self.options.top_k or EXPLAINED, EXPLAINED)] if self.options.explain else []
        return VideoPrediction(
            status="ok",
            error=None,
            labels=tuple(self._label(index, *(column[index] for column in values)) for index in shown),
            explanations=tuple(self._explain(embedding.rows, bank, explained, video)),
            thumbnails=tuple(video.thumbnails),
            times_s=tuple(float(time) for time in video.times_s),
            embedding=video_vector(embedding) if self.embeddings else None,
            **common,
        )

    def _score(self, embedding: VideoEmbedding, bank: TextBank) -> tuple[Tensor, Tensor, Tensor]:
        """Return similarity, logits and probabilities, each [C]."""
        similarity, logits = score_clips(
            self.model,
            [embedding],
            bank,
            mode=self.options.mode,
            pooling=self.options.pooling,
            frame_pooling=self.frame_pooling,
        )
        probabilities = to_probabilities(logits, mode=self.options.mode)[0].cpu()
        if self.scaler is not None:
            probabilities = torch.from_numpy(self.scaler(probabilities.double().numpy()))
        return similarity[0].cpu(), logits[0].cpu(), probabilities

    def _label(self, index: int, similarity: float, logit: float, probability: float) -> LabelPrediction:
        # The verdict is that of the number as it is written, so that a row never contradicts itself.
        written = round_significant(probability)
        threshold = self.thresholds[index]
        return LabelPrediction(self.labels[index], similarity, logit, written, threshold, positive=written >= threshold)

    def _explain(self, rows: Tensor, bank: TextBank, labels: Sequence[int], video: VideoFrames) -> list[Explanation]:
        if not labels:
            return []
        return explain(
            rows,
            bank,
            labels=labels,
            times_s=None if rows.ndim == 1 else [float(time) for time in video.times_s],
            pooling=self.options.pooling,
            frame_pooling=self.frame_pooling,
        )
