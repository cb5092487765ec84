"""Ways to make a multi-label logit of a similarity without data, as `bench_score.py` compares them.

Shapes: N videos, T frames, C labels, W background words, P null prompts, D embedding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from olmv.scoring.bank import TextBank
from olmv.scoring.options import FramePooling
from olmv.scoring.pooling import average_frames, frame_weights, score
from olmv.scoring.probabilities import DEVIATIONS, SLOPE, Background, to_logits

__all__ = ["KEPT", "NULL_PROMPTS", "Similarities", "similarities", "variants"]

KEPT = "background"

# what olmv measured labels against until it had a background
NULL_PROMPTS = (
    "a video.", "a video of something.", "something.", "footage.", "a scene.", "a picture of a thing.",
    "somebody doing something.", "a place.",
)  # fmt: skip


@dataclass(frozen=True)
class Similarities:
    """What every variant is made of.

    Attributes:
        labels: [N, C] of videos to labels.
        words: [N, W] of videos to background words.
        null: [N, C], the log-mean-exp over null prompts, read in the frames that each label attends to.
    """

    labels: Tensor
    words: Tensor
    null: Tensor


def similarities(
    videos: Sequence[Tensor], bank: TextBank, null: Tensor, scale: float, frame_pooling: FramePooling
) -> Similarities:
    """Score videos, each of rows [T, D] or [D], against a bank with a background and against null prompts [P, D]."""
    assert bank.background is not None
    found: list[tuple[Tensor, ...]] = []
    for rows in videos:
        frames = rows.reshape(1, -1, rows.shape[-1])
        labels, words = (score(frames, None, b, frame_pooling=frame_pooling) for b in (bank, bank.background))
        found.append((labels, words, _null_similarity(frames, bank, null, scale, frame_pooling)))
    return Similarities(*(torch.cat(part) for part in zip(*found, strict=True)))


def _null_similarity(frames: Tensor, bank: TextBank, null: Tensor, scale: float, frame_pooling: FramePooling) -> Tensor:
    """frames [1, T, D] -> [1, C]."""
    if frame_pooling == "mean":
        frames, frame_pooling = average_frames(frames).unsqueeze(1), "logits"
    weights = frame_weights(frames @ bank.means.T, pooling=frame_pooling)
    per_frame = ((scale * frames @ null.T).logsumexp(-1) - torch.tensor(float(len(null))).log()) / scale
    return torch.einsum("btc,bt->bc", weights, per_frame)


def variants(found: Similarities, scale: float) -> dict[str, Tensor]:
    """Name -> logits [N, C].

    null                what olmv had: the model's scale times the similarity less that to null prompts
    similarity          as it is; it ranks, and has no threshold
    background          what olmv has: the standard score among the words (`olmv.scoring.probabilities`)
    background/k=K      with another number of deviations at 0.5; /slope=S: another logit a deviation
    background/third    of every third word; /median: of median and median absolute deviation
    shift/k=K           the model's scale times the similarity less mean and K deviations
    best/n=N            the model's scale times the similarity less the mean of the N best words
    log-mean-exp        the two-way softmax of a label against the words
    label-over-videos   the standard score of a label among its other videos; none for a single one
    """
    labels, words = found.labels.double(), found.words.double()
    deviation, mean = torch.std_mean(words, dim=1, correction=0, keepdim=True)
    z = (labels - mean) / deviation
    third_deviation, third_mean = torch.std_mean(words[:, ::3], dim=1, correction=0, keepdim=True)
    median = words.median(1, keepdim=True).values
    median_deviation = 1.4826 * (words - median).abs().median(1, keepdim=True).values
    kept = {KEPT: to_logits(labels, scale=scale, background=Background(mean, deviation))}
    return {
        "null": scale * (labels - found.null.double()),
        "similarity": scale * labels,
        **kept,
        **{f"{KEPT}/k={k:g}": SLOPE * (z - k) for k in (2, 2.5, 3.5, 4)},
        **{f"{KEPT}/slope={slope:g}": slope * (z - DEVIATIONS) for slope in (1, 1.5, 3)},
        f"{KEPT}/third": SLOPE * ((labels - third_mean) / third_deviation - DEVIATIONS),
        f"{KEPT}/median": SLOPE * ((labels - median) / median_deviation - DEVIATIONS),
        **{f"shift/k={k}": scale * (labels - mean - k * deviation) for k in (1, 2, 3, 4)},
        **{f"best/n={n}": scale * (labels - words.topk(n).values.mean(1, keepdim=True)) for n in (3, 10)},
        "log-mean-exp": scale * labels - (scale * words).exp().mean(1, keepdim=True).log(),
        "label-over-videos": SLOPE * ((labels - labels.mean(0)) / labels.std(0) - 2),
    }
