"""What mixes frames inside the image tower: `cross-frame`, `divided` and `st-adapter`.

All read a `FrameGrouping`, which tells the blocks which pictures of a batch [B * T, ...] are the frames of one video.
All work on every vision transformer whose blocks have one self-attention that this module can take apart: olmv-mini's,
open_clip's own, and timm's (SigLIP, Perception Encoder, EVA).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from olmv.errors import ModelError
from olmv.models.clip.attention import can_take_apart, finish, project
from olmv.models.clip.positions import POSITIONS_STD, TABLE_SIZE, time_positions
from olmv.models.clip.st_adapter import STAdapter
from olmv.models.clip.towers import Towers

__all__ = [
    "EDGES",
    "CrossFrameAttention",
    "FrameGrouping",
    "TemporalBranch",
    "attach",
    "neighbour_attention",
    "refuse_attached",
]

EDGES = ("zero", "mask")


@dataclass(frozen=True)
class _Frames:
    time: int
    mask: Tensor | None  # [B, T], True for real frames


class FrameGrouping:
    """Which pictures belong together; shared by a `VideoCLIP` and the blocks of its image tower.

    A tower called outside of `frames` takes every picture for a video of one frame. Activation checkpointing calls a
    block again during the backward pass, long after `frames` has ended: so every block's input carries its group.
    """

    def __init__(self) -> None:
        self.active: _Frames | None = None
        self.current: _Frames | None = None

    @contextmanager
    def frames(self, time: int, mask: Tensor | None = None) -> Iterator[None]:
        """Take pictures as [B * T, ...], clip by clip, while open. mask [B, T], True for real frames."""
        self.active = _Frames(time, mask)
        try:
            yield
        finally:
            self.active = self.current = None

    def bind(self, tokens: Tensor) -> None:
        """Bind the grouping to the input of a block [B * T, N, W]; called before anything in the block runs."""
        if self.active is not None:
            tokens.olmv_grouping = self.active  # type: ignore[attr-defined]
        self.current = getattr(tokens, "olmv_grouping", None)

    @property
    def time(self) -> int:
        """Return T, the frames of a video."""
        return 1 if self.current is None else self.current.time

    @property
    def mask(self) -> Tensor | None:
        """Return [B, T] True for real frames, or None when all are."""
        return None if self.current is None else self.current.mask


def neighbour_attention(
    q: Tensor, k: Tensor, v: Tensor, *, time: int, mask: Tensor | None = None, edges: str = "zero"
) -> Tensor:
    """Attend from each frame to the tokens of t - 1, t and t + 1 (Open-VCLIP, arXiv 2302.00624, eq. 3).

    Args:
        q, k, v: [B * T, H, N, d], after projection; clip by clip.
        time: T.
        mask: [B, T] True for real frames; a padded frame is nobody's neighbour.
        edges: what a neighbour that does not exist is: `zero`, N tokens whose key and value are zero, which still
            take their share of the softmax, as the published weights were trained; or `mask`, nothing.

    Returns:
        [B * T, H, N, d].
    """
    tokens = q.shape[2]

    def gather(x: Tensor) -> Tensor:
        clips = x.view(-1, time, *x.shape[1:])  # [B, T, H, N, d]
        if mask is not None:
            clips = clips * mask[:, :, None, None, None].to(x.dtype)
        clips = F.pad(clips, (0, 0, 0, 0, 0, 0, 1, 1))
        return torch.cat([clips[:, :-2], clips[:, 1:-1], clips[:, 2:]], dim=3).flatten(0, 1)

    seen = None
    if edges == "mask":
        there = q.new_ones(len(q) // time, time, dtype=torch.bool) if mask is None else mask
        there = F.pad(there, (1, 1), value=False)
        near = torch.stack([there[:, :-2], torch.ones_like(there[:, 1:-1]), there[:, 2:]], dim=-1)  # [B, T, 3]
        seen = near.flatten(0, 1).repeat_interleave(tokens, dim=1)[:, None, None]
    return F.scaled_dot_product_attention(q, gather(k), gather(v), attn_mask=seen)


class CrossFrameAttention(nn.Module):
    """A self-attention over the tokens of the frame and of its two neighbours, with the parameters of the given one.

    Parameters, buffers and sub-modules keep their names, so a state dict fits with and without it. Attention dropout
    is not applied (no CLIP tower has any).
    """

    def __init__(self, attention: nn.Module, grouping: FrameGrouping, edges: str) -> None:
        super().__init__()
        self.__dict__.update(vars(attention))  # the very same parameters
        self.grouping = grouping
        self.edges = edges
        self.gives_pair = isinstance(attention, nn.MultiheadAttention)

    def forward(self, x: Tensor, *_: Any, rope: Tensor | None = None, **__: Any) -> Any:
        """Run x [B * T, N, W] -> [B * T, N, W], in a pair with None where it stands for torch's own attention."""
        q, k, v = project(self, x, rope)
        mixed = neighbour_attention(q, k, v, time=self.grouping.time, mask=self.grouping.mask, edges=self.edges)
        out = finish(self, mixed, x)
        return (out, None) if self.gives_pair else out


class TemporalBranch(nn.Module):
    """gate * TA(LN_t x + positions): every token attends to the tokens at its own place in all frames of the clip.

    Attention and norm start as copies of the block's spatial ones, the gate at zero: a fresh branch changes nothing.
    The time positions start at random: at zero they would get no gradient before the gate opens, and the gate none that
    tells before from after.
    """

    pending: Tensor | None = None

    def __init__(self, norm: nn.Module, attention: nn.Module, width: int, grouping: FrameGrouping) -> None:
        super().__init__()
        self.norm, self.attn = deepcopy(norm), deepcopy(attention)
        like = next(attention.parameters())
        self.positions = nn.Parameter(torch.randn(TABLE_SIZE, width).mul(POSITIONS_STD).to(like))
        self.gate = nn.Parameter(like.new_zeros(()))
        self.grouping = grouping

    def forward(self, x: Tensor) -> Tensor:
        """Run x [B * T, N, W] -> [B * T, N, W]."""
        time, mask = self.grouping.time, self.grouping.mask
        tokens, width = x.shape[1:]
        h = self.norm(x).view(-1, time, tokens, width)
        h = h + time_positions(self.positions, time, mask)[:, :, None].to(h.dtype)
        h = h.transpose(1, 2).reshape(-1, time, width)  # [B * N, T, W]
        seen = None if mask is None else mask.repeat_interleave(tokens, 0)[:, None, None]
        q, k, v = project(self.attn, h, None)
        out = finish(self.attn, F.scaled_dot_product_attention(q, k, v, attn_mask=seen), h)
        return self.gate * out.view(-1, tokens, time, width).transpose(1, 2).reshape(x.shape)


class _Enter:
    """Before a block: its attention learns the grouping, and the block's temporal module, where there is one, runs."""

    def __init__(self, grouping: FrameGrouping) -> None:
        self.grouping = grouping

    def __call__(self, block: Any, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        self.grouping.bind(args[0])
        temporal = getattr(block, "temporal", None)
        if isinstance(temporal, STAdapter):
            return temporal(args[0], self.grouping.time, self.grouping.mask), *args[1:]
        if isinstance(temporal, TemporalBranch):
            temporal.pending = temporal(args[0])
        return None


class _AddBranch:
    """After a block's spatial attention: adds what the temporal branch made of the same input.

    So a layer scale, which scales what a block's attention adds, scales both alike.
    """

    def __init__(self, branch: TemporalBranch) -> None:
        self.branch = branch

    def __call__(self, _: nn.Module, __: tuple[Any, ...], out: Any) -> Any:
        extra, self.branch.pending = self.branch.pending, None
        return (out[0] + extra, *out[1:]) if isinstance(out, tuple) else out + extra


def attach(towers: Towers, temporal: str, options: Mapping[str, Any], grouping: FrameGrouping) -> None:
    """Change every self-attention block of the image tower for `cross-frame`, `divided` or `st-adapter`.

        cross-frame    keys and values from frames t - 1, t, t + 1; no new parameters
        divided        x <- x + SA(LN1 x) + gate TA(LN_t x); new parameters under `temporal.` of the block
        st-adapter     x <- x + DWConv(x W_down) W_up, then the block; new parameters under `temporal.` of the block

    Raises:
        ModelError: the tower is no vision transformer of a known kind, or has no square grid of patches for
            `st-adapter`.
    """
    blocks: list[Any] = towers.image_blocks()  # of three libraries, without a common class
    if not blocks or not all(can_take_apart(block.attn) for block in blocks):
        raise ModelError(
            f"temporal module '{temporal}' works inside vision transformers, and the image tower {towers.architecture}"
            " is none that it knows; use the temporal module transformer or attention, which work with every tower"
        )
    side = towers.grid_side or 0
    if temporal == "st-adapter" and not side:
        raise ModelError(
            f"the image tower {towers.architecture} has no square grid of patch tokens, which the temporal module "
            "'st-adapter' needs; use divided"
        )
    for block in blocks:
        if temporal == "cross-frame":
            block.attn = CrossFrameAttention(block.attn, grouping, options["edges"])
        elif temporal == "divided":
            norm = block.ln_1 if hasattr(block, "ln_1") else block.norm1
            block.temporal = TemporalBranch(norm, block.attn, norm.normalized_shape[-1], grouping)
            block.attn.register_forward_hook(_AddBranch(block.temporal))
        else:
            width = towers.token_width
            block.temporal = STAdapter(
                width,
                bottleneck=options["width"] or width // 2,
                kernel=options["kernel"],
                patches=side**2,
                like=next(block.attn.parameters()),
            )
        block.register_forward_pre_hook(_Enter(grouping))


def refuse_attached(towers: Towers) -> None:
    """Raise ModelError where `attach` has changed these towers before: they belong to another `VideoCLIP`."""
    blocks = towers.image_blocks()
    if any(hasattr(block, "temporal") or isinstance(block.attn, CrossFrameAttention) for block in blocks):
        raise ModelError("these towers already attend across frames; load the model again for another module")
