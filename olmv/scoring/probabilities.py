"""From similarities to logits, and from there to probabilities.

A model trained with a sigmoid loss has logits of its own: scale * similarity + bias. One trained with a softmax (CLIP)
only ranks the labels of a list. What its similarities are worth differs from video to video, so each is told in the
terms of its own video, as a standard score among everyday words (`olmv.labels.background`):

    logit_c(v) = 2 ((s_c(v) - mean_B(v)) / sd_B(v) - 3)

mean_B and sd_B are over the similarities of video v to the words B, worded and pooled over frames as labels are. No
data are needed, the order of a video's labels is that of their similarities, and the other labels of the list do not
matter. Neither do the model's scale and the length of a video's vector: `mean` and `logits` over frames are the same
here. Speaker verification knows such a score among a cohort as test normalisation (Auckenthaler, Carey and Lloyd-Thomas
2000). `scripts/benchmarks/bench_score.py` compares it with others.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from olmv.scoring.bank import TextBank
from olmv.scoring.options import MODES, FramePooling, Mode
from olmv.scoring.pooling import TEMPERATURE, score

__all__ = ["DEVIATIONS", "SLOPE", "Background", "measure_background", "to_logits", "to_probabilities"]

DEVIATIONS = 3.0
"""Standard deviations above the mean of the background, where a label is as likely as not."""

SLOPE = 2.0
"""Logit a standard deviation. A CLIP with its usual scale of 100 and deviation of 0.02 has the same."""

_LEAST_DEVIATION = 1e-6  # where a video is as similar to all words, such as to none


@dataclass(frozen=True)
class Background:
    """How similar everyday words are to B videos, what labels of softmax-trained models are measured against.

    Attributes:
        mean: `[B, 1]` over the words.
        deviation: `[B, 1]`, the standard deviation over the words.
    """

    mean: Tensor
    deviation: Tensor


def measure_background(
    frames: Tensor,
    mask: Tensor | None,
    bank: TextBank,
    *,
    frame_pooling: FramePooling = "mean",
    frame_temperature: float = TEMPERATURE,
) -> Background:
    """Measure how similar the background of a bank is to videos; every word attends to frames as a label does.

    Args:
        frames, mask, frame_pooling, frame_temperature: as `score`.
        bank: with a background.

    Raises:
        ValueError: as `score`, or the bank has no background.
    """
    if bank.background is None:
        raise ValueError("this text bank has no background; build it with background=...")
    similarity = score(frames, mask, bank.background, frame_pooling=frame_pooling, frame_temperature=frame_temperature)
    deviation, mean = torch.std_mean(similarity, dim=1, correction=0, keepdim=True)
    return Background(mean, deviation)


def to_logits(
    similarity: Tensor,
    *,
    scale: float,
    bias: float | None = None,
    background: Background | None = None,
    mode: Mode = "multi-label",
) -> Tensor:
    """Make logits of similarities.

    Args:
        similarity: `[B, C]`.
        scale: the model's logit scale.
        bias: the logit bias of a model trained with a sigmoid loss; None for a softmax-trained one.
        background: of the same videos; needed for multi-label without a bias.
        mode: `multi-label`: scale * similarity + bias, or the standard score among the background (see the module).
            `single-label`: scale * similarity.

    Returns:
        `[B, C]`.

    Raises:
        ValueError: no such mode, or neither bias nor background for multi-label.
    """
    _check_mode(mode)
    if mode == "single-label":
        return scale * similarity
    if bias is not None:
        return scale * similarity + bias
    if background is None:
        raise ValueError("multi-label logits of a softmax-trained model need the background")
    deviation = background.deviation.clamp_min(_LEAST_DEVIATION)
    return SLOPE * ((similarity - background.mean) / deviation - DEVIATIONS)


def to_probabilities(logits: Tensor, *, mode: Mode = "multi-label") -> Tensor:
    """Make probabilities `[B, C]` of logits `[B, C]`: one sigmoid a label, or a softmax over the labels.

    Raises:
        ValueError: no such mode.
    """
    _check_mode(mode)
    return logits.sigmoid() if mode == "multi-label" else logits.softmax(dim=-1)


def _check_mode(mode: str) -> None:
    if mode not in MODES:
        raise ValueError(f"no mode {mode!r}; choose {' or '.join(MODES)}")
