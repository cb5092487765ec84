"""Why a label got its score: the texts and the frames that carried it.

Under every pooling a label's similarity is a weighted sum over frames t and texts a,

    similarity = sum_t sum_a  w[t, a] * (f_t . e_a)

so the contribution of a text is its share summed over frames, that of a frame its share summed over texts;
each list adds up to the similarity exactly. With `mean`, and with `logits` over frames, the weights are equal for all
texts and frames; with `max`, `topk` and `softmax` they are what the pooling selected: a contribution of 0 means "not
looked at".

The shares explain the logit too, which rises with the similarity along one line for all labels of a video: that of the
model's own scale and bias, or of the video's background (`olmv.scoring.probabilities`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from olmv.scoring.options import FramePooling, Pooling
from olmv.scoring.pooling import TEMPERATURE, TOP_K, TextBank, frame_weights

__all__ = ["Explanation", "FrameContribution", "TextContribution", "explain"]


class TextContribution(NamedTuple):
    """What one text (a label's name, alias or attribute) added to the similarity."""

    text: str
    contribution: float


class FrameContribution(NamedTuple):
    """What one frame added to the similarity; `frame` counts the sampled frames from 0."""

    frame: int
    time_s: float
    contribution: float


@dataclass(frozen=True)
class Explanation:
    """Why a label got its similarity: largest contributions first.

    `frames` is empty where one embedding stands for the whole video.
    """

    label: str
    similarity: float
    texts: tuple[TextContribution, ...]
    frames: tuple[FrameContribution, ...]


def explain(
    frames: Tensor,
    bank: TextBank,
    *,
    labels: Sequence[int] | None = None,
    times_s: Sequence[float] | None = None,
    pooling: Pooling = "mean",
    frame_pooling: FramePooling = "mean",
    top_k: int = TOP_K,
    temperature: float = TEMPERATURE,
    frame_temperature: float = TEMPERATURE,
    top_texts: int | None = 5,
    top_frames: int | None = 5,
) -> list[Explanation]:
    """Explain the similarity of one video to labels.

    Args:
        frames: `[T, D]` frame embeddings, L2-normalised; `[2T, D]` where every frame has two, one after all the others;
            or `[D]`, the one embedding of a video.
        bank: the texts.
        labels: which labels to explain, as indices; None for all (with many labels, name those you show).
        times_s: `[T]` when the frames are shown, in seconds; not needed for `[D]`.
        pooling, frame_pooling, top_k, temperature, frame_temperature: as the score was made.
        top_texts, top_frames: how many to keep; None for all.

    Returns:
        One explanation per label, in the order of `labels`.

    Raises:
        ValueError: shapes that do not fit, or an unknown pooling.
    """
    whole_video = frames.ndim == 1
    if whole_video:
        frames = frames.unsqueeze(0)
    if frames.ndim != 2 or len(frames) == 0 or frames.shape[1] != bank.embeddings.shape[1]:
        raise ValueError(f"frames {list(frames.shape)} do not fit a bank of {list(bank.embeddings.shape)}")
    times = [] if times_s is None else [float(time_s) for time_s in times_s]
    if not whole_video and len(frames) not in (len(times), 2 * len(times)):
        raise ValueError(f"{len(times)} times for {len(frames)} frames")
    frames = frames.to(bank.embeddings.dtype)
    explanations = []
    for label in range(len(bank.labels)) if labels is None else labels:
        first, last = bank.offsets[label], bank.offsets[label + 1]
        texts = bank.embeddings[first:last]
        shares = _shares(
            frames,
            texts,
            pooling=pooling,
            frame_pooling=frame_pooling,
            top_k=top_k,
            temperature=temperature,
            frame_temperature=frame_temperature,
        )
        explanations.append(
            Explanation(
                label=bank.labels[label],
                similarity=float(shares.sum()),
                texts=tuple(
                    TextContribution(bank.texts[first + index], value)
                    for index, value in _largest(shares.sum(dim=0), top_texts)
                ),
                frames=()
                if whole_video
                else tuple(
                    FrameContribution(index, times[index], value)
                    for index, value in _largest(shares.sum(dim=1).view(-1, len(times)).sum(dim=0), top_frames)
                ),
            )
        )
    return explanations


def _shares(
    frames: Tensor,
    texts: Tensor,
    *,
    pooling: Pooling,
    frame_pooling: FramePooling,
    top_k: int,
    temperature: float,
    frame_temperature: float,
) -> Tensor:
    """Return what every pair of frame and text adds: frames `[T, D]`, texts `[n, D]` -> `[T, n]`."""
    similarity = frames @ texts.T
    if frame_pooling == "mean":
        # the video is the sum of frames over this length; all frames share one choice of texts
        length = torch.linalg.vector_norm(frames.sum(dim=0)).clamp_min(1e-12)
        video = similarity.sum(dim=0, keepdim=True) / length
        weights = _text_weights(video, texts, pooling=pooling, top_k=top_k, temperature=temperature)
        averaged: Tensor = weights * similarity / length
        return averaged
    shares = similarity * _text_weights(similarity, texts, pooling=pooling, top_k=top_k, temperature=temperature)
    per_frame = shares.sum(dim=1)[None, :, None]
    attention = frame_weights(per_frame, pooling=frame_pooling, temperature=frame_temperature)
    attended: Tensor = shares * attention[0]
    return attended


def _text_weights(similarity: Tensor, texts: Tensor, *, pooling: Pooling, top_k: int, temperature: float) -> Tensor:
    """Return the weight of every text: similarity `[M, n]` -> `[M, n]`."""
    if pooling == "mean":
        length = torch.linalg.vector_norm(texts.sum(dim=0)).clamp_min(1e-12)
        equal: Tensor = torch.ones_like(similarity) / length
        return equal
    if pooling == "softmax":
        weights: Tensor = (similarity / temperature).softmax(dim=1)
        return weights
    if pooling not in ("max", "topk"):
        raise ValueError(f"no pooling {pooling!r}; choose from mean, max, topk, softmax")
    count = 1 if pooling == "max" else min(top_k, similarity.shape[1])
    chosen = similarity.topk(count, dim=1).indices
    selected: Tensor = torch.zeros_like(similarity).scatter_(1, chosen, 1.0 / count)
    return selected


def _largest(values: Tensor, most: int | None) -> list[tuple[int, float]]:
    order = values.argsort(descending=True, stable=True)
    return [(int(index), float(values[index])) for index in order[:most]]
