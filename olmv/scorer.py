"""From what a model made of one video to the labels that are true of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from olmv.io.curves import Curve
from olmv.models.base import VideoEmbedding, VideoModel
from olmv.models.embed import video_vector
from olmv.predictions import Failure, FrameCounts, LabelPrediction, VideoPrediction, round_all
from olmv.scoring.bank import TextBank
from olmv.scoring.explain import Explanation, explain
from olmv.scoring.options import FramePooling, ScoreOptions
from olmv.scoring.probabilities import to_probabilities
from olmv.scoring.prompted import PromptedBank
from olmv.scoring.scaling import Scaler
from olmv.scoring.score import score_ragged
from olmv.scoring.segments import Segment, find_segments
from olmv.scoring.windows import TimelineOptions, Windows, whole
from olmv.video.decode import VideoFrames
from olmv.video_scores import PartScores, ScoredWindow, VideoScores

__all__ = ["EXPLAINED", "EmbeddedPart", "VideoScorer"]

# At most so many labels of a video are explained, the most probable first.
EXPLAINED = 50


@dataclass(frozen=True, eq=False)
class EmbeddedPart:
    """A part of a video and what the model made of it, whether it was decoded just now or is kept in a library.

    Attributes:
        video: what was decoded of it, or why it was not; its pixels may be gone.
        windows: over its moments.
        embeddings: of the windows; none where nothing was decoded.
        encoded: how many pictures the model saw.
    """

    video: VideoFrames
    windows: Windows
    embeddings: Sequence[VideoEmbedding]
    encoded: int


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
        timeline: tell when labels are true, and how; None to tell whether.
        leaves: [C] the probability below which a label's segment ends; None for what suits its threshold.
    """

    model: VideoModel
    labels: Sequence[str]
    thresholds: Sequence[float]
    options: ScoreOptions
    frame_pooling: FramePooling
    embeddings: bool = False
    scaler: Scaler | None = None
    timeline: TimelineOptions | None = None
    leaves: Sequence[float] | None = None

    def predict(
        self, video: VideoFrames, embedding: VideoEmbedding | None, texts: TextBank | PromptedBank
    ) -> VideoPrediction:
        """Score one video that is one clip against the texts; a video without an embedding becomes an error.

        Args:
            video: what was decoded, or why it was not.
            embedding: of its frames; None where there are none.
            texts: the bank of the labels.
        """
        scores = VideoScores(explained=self.explained)
        clips = [] if embedding is None else [embedding]
        encoded = 0 if video.pixels is None else len(video.pixels)
        scores.add(self.score_part(EmbeddedPart(video, whole(len(video.times_s)), clips, encoded), texts))
        return self.decide(video.path, scores, texts)

    @property
    def explained(self) -> int:
        """Return how many labels are explained, the most probable ones."""
        return min(self.options.top_k or EXPLAINED, EXPLAINED) if self.options.explain else 0

    def score_part(self, embedded: EmbeddedPart, texts: TextBank | PromptedBank) -> PartScores:
        """Score a part of a video against the texts; see `score_parts`."""
        return self.score_parts([embedded], texts)[0]

    def score_parts(
        self, parts: Sequence[EmbeddedPart], texts: TextBank | PromptedBank, *, together: int | None = None
    ) -> list[PartScores]:
        """Score parts of one or more videos against the texts.

        Args:
            parts: in any order.
            texts: the bank of the labels.
            together: windows that are scored at once, always so many: matrix kernels are chosen by size and add up in
                different orders, and what a video gets should not depend on its mates. None for all, as many as they
                are.
        """
        windows = [embedding for part in parts for embedding in part.embeddings]
        if not windows:
            return [self._unscored(part) for part in parts]
        columns = self._score(windows, texts, together)
        scores, first = [], 0
        for part in parts:
            stop = first + len(part.embeddings)
            own = [column[first:stop] for column in columns]
            scores.append(self._scored(part, *own) if part.embeddings else self._unscored(part))
            first = stop
        return scores

    @staticmethod
    def _bare(embedded: EmbeddedPart) -> PartScores:
        """Make what is told of a part before it is scored."""
        video = embedded.video
        return PartScores(
            part=video.part,
            parts=video.parts,
            frames=FrameCounts(
                video.requested,
                video.decoded,
                video.corrupt,
                embedded.encoded,
                video.widest_gap_s,
                video.capped,
            ),
            duration_s=video.info.duration_s if video.info else None,
            shots=video.shots,
            times_s=[float(time) for time in video.times_s],
            thumbnails=video.thumbnails,
            thumbnail_times_s=video.thumbnail_times_s,
        )

    def _unscored(self, embedded: EmbeddedPart) -> PartScores:
        video, scores = embedded.video, self._bare(embedded)
        assert video.error is not None, "a video without pixels has an error"
        if self.timeline is not None and video.info is not None:  # what cannot be seen is not true
            unseen = np.zeros((1, len(self.labels)), np.float32)
            scores = replace(scores, starts_s=np.array(video.span_s[:1]), curve=unseen)
        return replace(scores, error=Failure(type(video.error).__name__, str(video.error)))

    def _scored(self, embedded: EmbeddedPart, similarity: Tensor, logits: Tensor, probabilities: Tensor) -> PartScores:
        """Tell of a part with W windows what is [W, C] of them."""
        video, windows, embeddings = embedded.video, embedded.windows, embedded.embeddings
        scores = self._bare(embedded)
        if not bool(probabilities.isfinite().all()):
            message = f"{self.model.name} makes no finite numbers of it; use dtype float32 or another model"
            return replace(scores, error=Failure("ModelError", message))
        best, window_of = logits.max(dim=0)
        scores = replace(
            scores,
            logits=best.numpy(),
            similarity=similarity.gather(0, window_of[None])[0].numpy(),
            starts_s=windows.starts_s,
        )
        if self.timeline is not None:
            any_frame = self.frame_pooling in ("max", "softmax") and self.options.mode == "multi-label"
            curve = windows.curve(probabilities.double().numpy(), any_frame=any_frame)
            scores = replace(scores, curve=curve)
        if self.embeddings:
            scores = replace(scores, vector=torch.stack([video_vector(item) for item in embeddings]).sum(0))
        if self.explained:
            seen = [
                ScoredWindow(embedding, video.times_s[moments].tolist(), moments.tolist())
                for embedding, moments in zip(embeddings, windows.moments, strict=True)
            ]
            scores = replace(scores, windows=seen, window_of=window_of.numpy())
        return scores

    def decide(self, path: str, scores: VideoScores, texts: TextBank | PromptedBank) -> VideoPrediction:
        """Make the prediction of a video of which all parts are scored.

        Args:
            path: as given.
            scores: of its parts.
            texts: as they were scored against.
        """
        common: dict[str, Any] = {
            "video": path,
            "duration_s": max((part.duration_s for part in scores.parts if part.duration_s is not None), default=None),
            "frames": scores.frames,
            "model": self.model.name,
        }
        if scores.error is not None or scores.logits is None or scores.similarity is None:
            return VideoPrediction(status="error", error=scores.error, **common)
        logits = torch.from_numpy(scores.logits)
        probabilities = self._probabilities(logits[None])[0]
        order = probabilities.argsort(descending=True, stable=True).tolist()
        shown = range(len(self.labels)) if self.options.top_k is None else order[: self.options.top_k]
        # The verdict is that of the number as it is written, so that a row never contradicts itself.
        written = round_all(probabilities.numpy())
        similarity = scores.similarity.tolist()
        told = list(zip(self.labels, similarity, logits.tolist(), written, self.thresholds, strict=True))
        labels = tuple(
            LabelPrediction(label, cosine, logit, probability, threshold, positive=probability >= threshold)
            for label, cosine, logit, probability, threshold in map(told.__getitem__, shown)
        )
        timed: dict[str, Any] = {}
        if self.timeline is not None:
            starts, curve = scores.curve
            end = common["duration_s"]
            timed = {
                "segments": tuple(self._segments(starts, end, curve, list(shown))),
                "shots_s": scores.shots_s,
                "curve": Curve(path, tuple(self.labels), starts, curve),
            }
        return VideoPrediction(
            status="ok",
            error=None,
            labels=labels,
            explanations=tuple(self._explanations(scores, texts, order[: self.explained])),
            thumbnails=tuple(jpeg for part in scores.parts for jpeg in part.thumbnails),
            thumbnail_times_s=tuple(time for part in scores.parts for time in part.thumbnail_times_s),
            times_s=tuple(time for part in scores.parts for time in part.times_s),
            embedding=scores.vector if self.embeddings else None,
            **timed,
            **common,
        )

    def _segments(self, starts_s: Any, end_s: float, curve: Any, shown: Sequence[int]) -> Iterator[Segment]:
        assert self.timeline is not None
        peaks = curve.max(axis=0)
        for index in shown:
            enter = self.thresholds[index]
            if peaks[index] < enter:
                continue
            yield from find_segments(
                self.labels[index],
                starts_s,
                end_s,
                curve[:, index],
                enter=enter,
                leave=None if self.leaves is None else self.leaves[index],
                options=self.timeline.segments,
            )

    def _score(
        self, embeddings: Sequence[VideoEmbedding], texts: TextBank | PromptedBank, together: int | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return similarity, logits and probabilities of W windows, each [W, C], on the CPU."""
        similarity, logits = score_ragged(
            self.model,
            embeddings,
            texts,
            mode=self.options.mode,
            pooling=self.options.pooling,
            frame_pooling=self.frame_pooling,
            together=together,
        )
        return similarity, logits, self._probabilities(logits)

    def _probabilities(self, logits: Tensor) -> Tensor:
        """Return [W, C] of [W, C], calibrated where the thresholds say how."""
        probabilities = to_probabilities(logits, mode=self.options.mode)
        return probabilities if self.scaler is None else torch.from_numpy(self.scaler(probabilities.double().numpy()))

    def _explanations(
        self, scores: VideoScores, texts: TextBank | PromptedBank, labels: Sequence[int]
    ) -> Iterator[Explanation]:
        """Explain labels, each by its best window; those whose window is not known any more are left out."""
        together: dict[int, tuple[ScoredWindow, int, list[int]]] = {}
        for label in labels:
            if (owner := scores.window_of.get(label)) is not None:
                together.setdefault(id(owner[0]), (*owner, []))[2].append(label)
        explained: dict[int, Explanation] = {}
        for window, offset, own in together.values():
            with torch.inference_mode():
                bank = texts.for_video(window.embedding.context)
            rows = window.embedding.rows
            explanations = explain(
                rows,
                bank,
                labels=own,
                times_s=None if rows.ndim == 1 else window.times_s,
                pooling=self.options.pooling,
                frame_pooling=self.frame_pooling,
            )
            numbers = [offset + number for number in window.frames]
            explained.update(zip(own, (_numbered(item, numbers) for item in explanations), strict=True))
        yield from (explained[label] for label in labels if label in explained)


def _numbered(explanation: Explanation, numbers: Sequence[int]) -> Explanation:
    """Tell frames by their numbers among all of the video's."""
    frames = tuple(frame._replace(frame=numbers[frame.frame]) for frame in explanation.frames)
    return replace(explanation, frames=frames)
