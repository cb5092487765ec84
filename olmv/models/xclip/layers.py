"""The parts of X-CLIP: its towers, the integration of frames, and the prompting of texts by a video.

Ni et al., "Expanding Language-Image Pretrained Models for General Video Recognition" (arXiv 2208.02816), section 3;
where paper and code could be read differently, as the code of github.com/microsoft/VideoX does it.

Shapes: B videos, T frames, N tokens a frame (one class token, then the patches), A texts, K labels, L tokens a text,
W width of a tower, D embedding, H heads, S pixels a side.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from olmv.errors import ModelError

__all__ = ["Attention", "Block", "CrossFrameBlock", "Integration", "Mlp", "Prompting", "TextTower", "VisionTower"]

# x sigmoid(s x) is silu(s x) / s, which runs in place: measured, that takes 15 % off an MLP on a CPU
_QUICK_GELU = 1.702


class Mlp(nn.Module):
    """Linear, QuickGELU, linear over [..., W], four times as wide in between."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc = nn.Linear(width, 4 * width)
        self.proj = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Run x [..., W] -> [..., W]."""
        h = F.silu(self.fc(x).mul_(_QUICK_GELU), inplace=True)
        out: Tensor = self.proj(h.mul_(1 / _QUICK_GELU))
        return out


class Attention(nn.Module):
    """Self-attention over [n, L, W] with packed projections."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, *, queries: int | None = None, causal: bool = False) -> Tensor:
        """Run x [n, L, W] -> [n, L, W], or [n, queries, W] where only the first `queries` tokens are asked for."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q[:, :, :queries], k, v, is_causal=causal)
        out: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return out


class Block(nn.Module):
    """CLIP's transformer block, [n, L, W] -> [n, L, W]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)

    def forward(self, x: Tensor, *, causal: bool = False) -> Tensor:
        """Run x [n, L, W] -> [n, L, W]; `causal`: a token sees only those before it."""
        x = x + self.attn(self.ln_1(x), causal=causal)
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class CrossFrameBlock(Block):
    """A block whose frames send each other messages: the paper's cross-frame communication.

    class tokens [T] --message_fc--> messages --attention over T--> one message a frame

    +-- frame t -------------------------+
    | class  patch  patch ... | message  |    spatial attention: all read the message, which is then dropped
    +-------------------------+----------+
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        self.message_fc = nn.Linear(width, width)
        self.message_ln = nn.LayerNorm(width)
        self.message_attn = Attention(width, heads)

    def forward(self, x: Tensor, *, frames: int = 1, **_: Any) -> Tensor:
        """Run x [B * T, N, W], video by video, frames T -> [B * T, N, W]."""
        tokens = x.shape[1]
        message = self.message_fc(x[:, 0]).unflatten(0, (-1, frames))
        message = message + self.message_attn(self.message_ln(message))
        seen = self.ln_1(torch.cat([x, message.flatten(0, 1)[:, None]], dim=1))
        x = x + self.attn(seen, queries=tokens)  # nobody reads what the message itself would become
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class VisionTower(nn.Module):
    """Frames to class features [B * T, D] and patch tokens [B * T, N - 1, W]."""

    def __init__(
        self, *, image_size: int, patch_size: int, width: int, layers: int, heads: int, embed_dim: int
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch_size, stride=patch_size, bias=False)
        self.class_token = nn.Parameter(torch.randn(width) * width**-0.5)
        self.positions = nn.Parameter(torch.randn(1 + (image_size // patch_size) ** 2, width) * width**-0.5)
        self.ln_pre = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(CrossFrameBlock(width, heads) for _ in range(layers))
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Linear(width, embed_dim, bias=False)

    def forward(self, pictures: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        """Encode pictures [B * T, 3, S, S], video by video, frames T -> [B * T, D], [B * T, N - 1, W] (not normed)."""
        x = self.patches(pictures).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), 1, -1), x], dim=1) + self.positions
        x = self.ln_pre(x)
        for block in self.blocks:
            x = block(x, frames=frames)
        return self.proj(self.ln_post(x[:, 0])), x[:, 1:]


class TextTower(nn.Module):
    """CLIP's text encoder: causal, read out at the end-of-text token, which has the highest id of all."""

    def __init__(
        self, *, vocab_size: int, context_length: int, width: int, layers: int, heads: int, embed_dim: int
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocab_size, width)
        nn.init.normal_(self.tokens.weight, std=0.02)
        self.positions = nn.Parameter(torch.randn(context_length, width) * 0.01)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.ln_final = nn.LayerNorm(width)
        self.proj = nn.Linear(width, embed_dim, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Encode ids [A, L] int, padded after the end-of-text token with anything that is no higher -> [A, D].

        Raises ModelError where L is more than the tower's context.
        """
        if ids.shape[1] > len(self.positions):
            raise ModelError(
                f"texts of {ids.shape[1]} tokens do not fit the context of {len(self.positions)}; cut them first"
            )
        ends = ids.argmax(dim=-1)
        ids = ids[:, : int(ends.max()) + 1]  # what comes after is seen by none of the tokens that are read
        x = self.tokens(ids) + self.positions[: ids.shape[1]]
        for block in self.blocks:
            x = block(x, causal=True)
        out: Tensor = self.proj(self.ln_final(x[torch.arange(len(x), device=x.device), ends]))
        return out


class Integration(nn.Module):
    """The multi-frame integration transformer: frame features [B, T, D] to one video feature."""

    def __init__(self, *, width: int, layers: int, heads: int, frames: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(1, frames, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))

    def forward(self, features: Tensor) -> Tensor:
        """Bring features of frames [B, T, D] together -> [B, D], not normalised."""
        x = features + self.positions
        for block in self.blocks:
            x = block(x)
        return (x + features).mean(dim=1)


class _CrossAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Attend from x [B or 1, K, D] to context [B, N - 1, D] -> [B, K, D]."""
        q = self.q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.kv(context).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q.expand(len(context), -1, -1, -1), k, v)
        out: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return out


class _PromptLayer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.cross_attn = _CrossAttention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        x = x + self.cross_attn(self.ln_1(x), context)
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class Prompting(nn.Module):
    """Video-specific prompting: every text looks at the video's patches."""

    def __init__(self, *, vision_width: int, width: int, layers: int, heads: int, alpha: float) -> None:
        super().__init__()
        self.ln_patches = nn.LayerNorm(vision_width)
        self.proj_patches = nn.Linear(vision_width, width, bias=False)
        self.ln_context = nn.LayerNorm(width)
        self.layers = nn.ModuleList(_PromptLayer(width, heads) for _ in range(layers))
        self.alpha = nn.Parameter(torch.full((width,), alpha))

    def context(self, patches: Tensor, frames: int) -> Tensor:
        """Project patches [B * T, N - 1, W] of the last block, frames T -> [B, N - 1, D], the mean over frames."""
        # the projection is linear, so that it can wait for the mean
        out: Tensor = self.proj_patches(self.ln_patches(patches).unflatten(0, (-1, frames)).mean(dim=1))
        return out

    def forward(self, texts: Tensor, context: Tensor) -> Tensor:
        """Prompt texts [K, D], context [B, N - 1, D] -> [B, K, D]: texts + alpha * (texts after the layers)."""
        context = self.ln_context(context)
        x = texts[None]  # the same for all videos until it has met them
        for layer in self.layers:
            x = layer(x, context)
        return texts + self.alpha * x
