"""From frame embeddings to one video embedding."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

__all__ = ["TEMPORALS", "AttentionPool", "MeanPool", "build_temporal"]


class MeanPool(nn.Module):
    """The published baseline: the mean of the frames' unit vectors, made a unit vector again."""

    def forward(self, frames: Tensor, mask: Tensor | None = None) -> Tensor:
        """frames [B, T, D], mask [B, T] True for real frames -> [B, D], L2-normalised."""
        if mask is None:
            return normalize(frames.mean(1), dim=-1)
        weights = mask.to(frames.dtype)[..., None]
        return normalize((frames * weights).sum(1) / weights.sum(1).clamp(min=1), dim=-1)


class AttentionPool(nn.Module):
    """A weighted mean of frames, the weights from a learned query; the weights are equal while `gate` is zero.

        score_t = gate * <query, key(LN(frame_t))> / sqrt(D)        video = normalise(sum_t softmax(score)_t frame_t)

    `gate` starts at zero, so a fresh module gives frame averaging and training moves away from there.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.key = nn.Linear(dim, dim, bias=False)
        self.query = nn.Parameter(torch.randn(dim) * dim**-0.5)
        self.gate = nn.Parameter(torch.zeros(()))

    def weights(self, frames: Tensor, mask: Tensor | None = None) -> Tensor:
        """frames [B, T, D] -> [B, T], each row sums to 1 over its real frames."""
        scores: Tensor = self.gate * (self.key(self.norm(frames)) @ self.query) * frames.shape[-1] ** -0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        return scores.softmax(-1)

    def forward(self, frames: Tensor, mask: Tensor | None = None) -> Tensor:
        """frames [B, T, D], mask [B, T] True for real frames -> [B, D], L2-normalised."""
        pooled = (self.weights(frames, mask)[..., None] * frames).sum(1)
        return normalize(pooled, dim=-1)


TEMPORALS = ("mean", "attention")


def build_temporal(name: str, dim: int) -> nn.Module:
    """The temporal module of this name for embeddings of size `dim`.

    Raises:
        ValueError: unknown name.
    """
    if name == "mean":
        return MeanPool()
    if name == "attention":
        return AttentionPool(dim)
    raise ValueError(f"unknown temporal module '{name}'; choose from {', '.join(TEMPORALS)}")
