"""Losses. Shapes: B videos, C labels, D embedding; similarities are cosines, logits are scale * cosine (+ bias)."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "LABEL_OBJECTIVES",
    "asymmetric",
    "bce",
    "caption_contrast",
    "cross_entropy",
    "initial_bias",
    "relation_distillation",
]


def bce(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the binary cross-entropy, summed over labels and averaged over videos.

    A sum over labels: the gradient of a label does not shrink because the vocabulary grows.

    Args:
        logits: [B, C].
        targets: [B, C], 0 or 1.
    """
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(-1).mean()


def asymmetric(
    logits: Tensor, targets: Tensor, *, gamma_pos: float = 0.0, gamma_neg: float = 4.0, margin: float = 0.05
) -> Tensor:
    """Return the asymmetric loss (Ridnik et al., arXiv 2009.14119, eq. 4-7), summed over labels, averaged over videos.

        positive: -(1 - p)^gamma_pos log p         negative: -q^gamma_neg log(1 - q),  q = max(p - margin, 0)

    Easy negatives, most of a large vocabulary, fade out.

    Args:
        logits: [B, C].
        targets: [B, C], 0 or 1.
        gamma_pos, gamma_neg: focusing of positives and negatives.
        margin: probability below which a negative costs nothing.
    """
    p = logits.sigmoid()
    q = (p - margin).clamp(min=0)
    positive = targets * (1 - p) ** gamma_pos * F.logsigmoid(logits)
    negative = (1 - targets) * q**gamma_neg * torch.log1p(-q.clamp(max=1 - 1e-6))
    return -(positive + negative).sum(-1).mean()


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the softmax cross-entropy over all labels, averaged over videos (Open-VCLIP 2.3).

    A video with several labels shares its target evenly among them.

    Args:
        logits: [B, C], without a bias.
        targets: [B, C], 0 or 1; every video has at least one 1.
    """
    share = targets / targets.sum(-1, keepdim=True).clamp(min=1)
    return F.cross_entropy(logits, share)


def caption_contrast(videos: Tensor, captions: Tensor, scale: Tensor) -> Tensor:
    """Return the symmetric InfoNCE between videos and their captions (Open-VCLIP++, arXiv 2310.05010; CLIP's loss).

    The paper does not say whether it is symmetric nor at which temperature: both directions, the model's scale.

    Args:
        videos: [B, D], L2-normalised, of all processes.
        captions: [B, D], L2-normalised, one a video. Equal captions in a batch count as one: each is right for both
            videos.
        scale: the model's logit scale.

    Raises:
        ValueError: not a caption for every video.
    """
    if len(captions) != len(videos):
        raise ValueError(f"{len(captions)} captions for {len(videos)} videos; give one a video")
    logits = scale * videos @ captions.T
    same = (captions @ captions.T > 1 - 1e-4).to(logits.dtype)
    right = same / same.sum(-1, keepdim=True)
    return (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2


def relation_distillation(videos: Tensor, original: Tensor, words: Tensor, scale: Tensor) -> Tensor:
    """Return how far videos have moved from what the original model saw in them, averaged over videos.

        KL(softmax(scale original words^T) || softmax(scale videos words^T)) + 1 - <videos, original>

    The first part keeps what a video is like among everyday words, which are none of the trained labels: what a label
    that nobody thought of is made of. The second keeps the rest of the embedding. Distillation of a model's own former
    outputs is of Li and Hoiem (arXiv 1606.09282, there over earlier labels), of features FROSTER's (arXiv 2402.03241).

    Args:
        videos: [B, D], L2-normalised.
        original: [B, D], L2-normalised: of the same clips, with the original's weights.
        words: [K, D], L2-normalised.
        scale: the original's logit scale.
    """
    before = F.log_softmax(scale * original @ words.T, dim=-1)
    after = F.log_softmax(scale * videos @ words.T, dim=-1)
    relation = F.kl_div(after, before, reduction="batchmean", log_target=True)
    return relation + (1 - (videos * original).sum(-1)).mean()


def initial_bias(similarity: Tensor, targets: Tensor, scale: float) -> float:
    """Find the bias that makes the mean probability of a first batch equal the share of true labels.

    For sigmoid fine-tuning of a model that was trained with a softmax and has no bias. Found by bisection.

    Args:
        similarity: [B, C] cosines.
        targets: [B, C], 0 or 1.
        scale: the model's logit scale.
    """
    share = float(targets.mean().clamp(1e-6, 1 - 1e-6))
    low, high = -2.0 * scale - 20.0, 2.0 * scale + 20.0
    for _ in range(60):
        middle = (low + high) / 2
        too_low = float((scale * similarity + middle).sigmoid().mean()) < share
        low, high = (middle, high) if too_low else (low, middle)
    return (low + high) / 2


LABEL_OBJECTIVES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "bce": bce,
    "asymmetric": asymmetric,
    "cross-entropy": cross_entropy,
}
