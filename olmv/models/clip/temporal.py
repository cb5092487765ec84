"""Temporal modules: how the frames of a video come together.

    mean          the mean of the frames' unit vectors: the published baseline without anything over time
    attention     a weighted mean, the weights from a learned query
    transformer   a light transformer over the frames' embeddings, before the mean
    cross-frame   attention to the neighbouring frames in every layer of the image tower (`olmv.models.clip.in_tower`)
    divided       a second attention, over time, in every layer of the image tower (`olmv.models.clip.in_tower`)
    st-adapter    a small convolution over time before every layer of the image tower (`olmv.models.clip.st_adapter`):
                  the published baseline of what trains beside a frozen tower

All but `cross-frame` start as frame averaging: their gates, and the convolutions of `st-adapter`, are zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, gelu, normalize

from olmv.errors import ModelError, UsageError
from olmv.models.clip.block import Block
from olmv.models.clip.in_tower import EDGES
from olmv.models.clip.positions import POSITIONS_STD, TABLE_SIZE, time_positions
from olmv.models.clip.towers import Towers

__all__ = [
    "IN_TOWER",
    "TEMPORALS",
    "AttentionPool",
    "FrameFeatures",
    "FrameTransformer",
    "MeanPool",
    "build_context",
    "build_pool",
    "check_temporal",
    "is_temporal_key",
    "new_parameters",
]

TEMPORALS = ("mean", "attention", "transformer", "cross-frame", "divided", "st-adapter")
# those that act inside the image tower, so that it encodes a video as a whole
IN_TOWER = ("cross-frame", "divided", "st-adapter")
_DEFAULTS: dict[str, dict[str, Any]] = {
    "transformer": {"layers": 2, "heads": 4, "width": None, "layout": 0, "cell": 8, "keep": False},
    "cross-frame": {"edges": "zero"},
    "st-adapter": {"width": None, "kernel": 3},  # None: half of the tower's
}
_MOST = {"layers": 64, "heads": 1024, "width": 65536, "layout": 64, "cell": 4096, "kernel": 255}


@dataclass(frozen=True)
class FrameFeatures:
    """What the image tower gives for the frames of B videos, before any temporal module outside of it.

    embeddings [B, T, D], not normalised; tokens [B, T, G * G, W] where a layout of G x G cells is asked for.
    """

    embeddings: Tensor
    tokens: Tensor | None = None

    @classmethod
    def join(cls, parts: Sequence["FrameFeatures"]) -> "FrameFeatures":
        """Join the videos of several batches."""
        tokens = [part.tokens for part in parts if part.tokens is not None]
        return cls(torch.cat([part.embeddings for part in parts]), torch.cat(tokens) if tokens else None)

    def frames(self, indices: Tensor) -> "FrameFeatures":
        """Return the features of these frames of every video."""
        return FrameFeatures(self.embeddings[:, indices], None if self.tokens is None else self.tokens[:, indices])

    def windows(self, indices: Tensor) -> "FrameFeatures":
        """Return, of one video, frames [W, T] as W videos of T frames each."""
        return FrameFeatures(self.embeddings[0][indices], None if self.tokens is None else self.tokens[0][indices])

    def first(self, count: int) -> "FrameFeatures":
        """Return the features of the first `count` videos."""
        return FrameFeatures(self.embeddings[:count], None if self.tokens is None else self.tokens[:count])

    def as_video(self, start: int, stop: int) -> "FrameFeatures":
        """Return, of N videos of one frame, those from `start` to `stop` as one video [1, stop - start, ...]."""
        tokens = None if self.tokens is None else self.tokens[start:stop].transpose(0, 1)
        return FrameFeatures(self.embeddings[start:stop].transpose(0, 1), tokens)


class MeanPool(nn.Module):
    """The published baseline: the mean of the frames' unit vectors, made a unit vector again."""

    def forward(self, frames: Tensor, mask: Tensor | None = None) -> Tensor:
        """Pool frames [B, T, D], mask [B, T] True for real frames -> [B, D], L2-normalised."""
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
        """Weigh frames [B, T, D] -> [B, T], each row sums to 1 over its real frames."""
        # factors before the product: OpenVINO 2026.4 fails on a scalar after one with a vector
        scores: Tensor = self.key(self.norm(frames)) @ (self.gate * frames.shape[-1] ** -0.5 * self.query)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        return scores.softmax(-1)

    def forward(self, frames: Tensor, mask: Tensor | None = None) -> Tensor:
        """Pool frames [B, T, D], mask [B, T] True for real frames -> [B, D], L2-normalised."""
        pooled = (self.weights(frames, mask)[..., None] * frames).sum(1)
        return normalize(pooled, dim=-1)


class FrameTransformer(nn.Module):
    """A light pre-norm transformer over the frames of a video, residual, with a gate that starts at zero.

        x_t = in(frame_t) + position(t) [+ layout(tokens_t)]        y_t = LN(blocks(x)_t)
        out_t = frame_t + gate * T * softmax_t(<share, y_t>) * proj(y_t)

    `share` starts at zero, every frame getting the same; it may learn to write into few frames and to leave what the
    others show as it was.

    A CLIP embedding forgets where in the picture things are, and motion is where things go. So with `layout` = G
    every frame also brings its patch tokens, averaged down to a grid of G x G cells, a few features of each.

    Args:
        dim: D, of the frame embeddings.
        layers, heads: of the transformer.
        width: of the transformer; None for D.
        layout: G; 0 for none.
        cell: features of a cell.
        token_width: W, of the patch tokens; needed where there is a layout.
        keep: the frames as they were stay, before what the transformer makes of them: 2T rows in place of T. Poolings
            that choose (`max`, `softmax`) then find objects in the ones and motions in the others.

    Raises:
        UsageError: the width is no multiple of the heads.
    """

    def __init__(
        self,
        dim: int,
        *,
        layers: int = 2,
        heads: int = 4,
        width: int | None = None,
        layout: int = 0,
        cell: int = 8,
        token_width: int = 0,
        keep: bool = False,
    ) -> None:
        super().__init__()
        self.keep = keep
        width = width or dim
        if width % heads:
            raise UsageError(f"a transformer of width {width} cannot have {heads} heads; choose a divisor of its width")
        self.enter = nn.Linear(dim, width)
        self.positions = nn.Parameter(torch.randn(TABLE_SIZE, width) * POSITIONS_STD)
        self.layout: nn.Module | None = None
        if layout:
            self.layout = nn.ModuleDict(
                {
                    "norm": nn.LayerNorm(token_width),
                    "cell": nn.Linear(token_width, cell),
                    "out": nn.Linear(layout * layout * cell, width),
                }
            )
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.proj = nn.Linear(width, dim)
        self.share = nn.Parameter(torch.zeros(width))
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, frames: Tensor, tokens: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Mix frames [B, T, D], tokens [B, T, G * G, W], mask [B, T] True where real -> [B, T, D] or [B, 2T, D]."""
        x = self.enter(frames) + time_positions(self.positions, frames.shape[1], mask)
        if isinstance(self.layout, nn.ModuleDict) and tokens is not None:
            cells = gelu(self.layout["cell"](self.layout["norm"](tokens)))  # [B, T, G * G, cell]
            x = x + self.layout["out"](cells.flatten(2))
        padding = None if mask is None else ~mask
        for block in self.blocks:
            x = block(x, padding)
        x = self.norm(x)
        score = x @ self.share
        count: Tensor | int = frames.shape[1]
        if mask is not None:
            score, count = score.masked_fill(~mask, -torch.inf), mask.sum(1, keepdim=True)
        share = (count * score.softmax(-1))[..., None]
        out: Tensor = frames + self.gate * share * self.proj(x)
        return torch.cat([frames, out], dim=1) if self.keep else out


def to_cells(tokens: Tensor, layout: int) -> Tensor:
    """Average patch tokens [N, side * side, W] -> [N, layout * layout, W], over the patches in each cell."""
    count, patches, width = tokens.shape
    side = round(patches**0.5)
    pictures = tokens.transpose(1, 2).reshape(count, width, side, side)
    return adaptive_avg_pool2d(pictures, layout).flatten(2).transpose(1, 2)


def check_temporal(name: str, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return all options of the temporal module, the given ones and the defaults of the others.

    Raises:
        UsageError: unknown module or option, or a value out of range.
    """
    if name not in TEMPORALS:
        raise UsageError(f"unknown temporal module {name!r:.40}; choose from {', '.join(TEMPORALS)}")
    defaults = _DEFAULTS.get(name, {})
    overrides = dict(options or {})
    for key in overrides:
        if key not in defaults:
            allowed = f"choose from {', '.join(defaults)}" if defaults else "it has none, so leave it out"
            raise UsageError(f"unknown option {key!r:.40} of temporal module '{name}'; {allowed}")
    resolved = defaults | overrides
    if name == "cross-frame" and resolved["edges"] not in EDGES:
        raise UsageError(f"edges is {resolved['edges']!r:.40}; choose from {', '.join(EDGES)}")
    if name == "transformer" and not isinstance(resolved["keep"], bool):
        raise UsageError(f"keep of the temporal transformer is {resolved['keep']!r:.40}; it is true or false")
    if name in ("transformer", "st-adapter"):
        whose = "the temporal transformer" if name == "transformer" else "the temporal module st-adapter"
        for key, value in resolved.items():
            if key == "keep" or (key == "width" and value is None):
                continue
            least = 0 if key == "layout" else 1
            if type(value) is not int or not least <= value <= _MOST[key]:
                raise UsageError(f"{key} of {whose} is {value!r:.40}; give a whole number from {least} to {_MOST[key]}")
            if key == "kernel" and value % 2 == 0:
                raise UsageError(f"kernel of {whose} is {value}; give an odd number: as many frames before as after")
    return resolved


def build_pool(temporal: str, dim: int) -> nn.Module:
    """Build the pool of frame embeddings [B, T, D] to [B, D]: what is left to do after the tower and the context."""
    return AttentionPool(dim) if temporal == "attention" else MeanPool()


def build_context(temporal: str, options: Mapping[str, Any], towers: Towers) -> FrameTransformer | None:
    """Build the module between the image tower and the pool; only `transformer` has one.

    Raises:
        ModelError: a layout is asked for and the tower has no grid of patches, or a coarser one.
        UsageError: sizes that do not go together.
    """
    if temporal != "transformer":
        return None
    layout = options["layout"]
    if layout and not towers.grid_side:
        raise ModelError(
            f"the image tower {towers.architecture} has no square grid of patch tokens; "
            "use the temporal transformer with layout 0"
        )
    if layout > (towers.grid_side or 0):
        raise ModelError(
            f"a layout of {layout} x {layout} is finer than the {towers.grid_side} x {towers.grid_side} patches of "
            f"{towers.architecture}; choose a layout of at most {towers.grid_side}"
        )
    return FrameTransformer(towers.embed_dim, token_width=towers.token_width, **options)


def is_temporal_key(name: str) -> bool:
    """Tell whether this name in a `VideoCLIP`'s state dict belongs to its temporal module, not to the original."""
    return name.startswith(("pool.", "context.")) or ".temporal." in name


def new_parameters(model: nn.Module) -> list[str]:
    """Name, as `model.named_parameters()` does, a `VideoCLIP`'s parameters that the original did not have."""
    return [name for name, _ in model.named_parameters() if is_temporal_key(name)]
