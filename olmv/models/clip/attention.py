"""Self-attention of image towers taken apart: projections, [attention], output; whatever library it comes from."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["can_take_apart", "finish", "project"]

_TIMM = ("Attention", "AttentionRope", "EvaAttention")


def can_take_apart(attention: nn.Module) -> bool:
    """Tell whether `project` and `finish` know this module: torch's, open_clip's or one of timm's attentions."""
    if isinstance(attention, nn.MultiheadAttention):
        return attention.batch_first and attention.in_proj_weight is not None and attention.bias_k is None
    package, name = type(attention).__module__.partition(".")[0], type(attention).__name__
    if package == "timm":
        return name in _TIMM and getattr(attention, "num_kv_groups", 1) == 1
    # open_clip's own attention with cosine logits is left out: it does not run in open_clip either
    return package == "open_clip" and name == "Attention" and attention.logit_scale is None


def project(a: Any, x: Tensor, rope: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Project x [n, L, W] -> queries, keys, values, each [n, H, L, d], normalised and rotated as the tower does."""

    def split(y: Tensor) -> Tensor:
        return y.view(*y.shape[:2], a.num_heads, -1).transpose(1, 2)

    if hasattr(a, "in_proj_weight"):  # torch's and open_clip's
        q, k, v = map(split, F.linear(x, a.in_proj_weight, a.in_proj_bias).chunk(3, dim=-1))
        return (a.ln_q(q), a.ln_k(k), v) if hasattr(a, "ln_q") else (q, k, v)
    if getattr(a, "qkv", None) is None:
        q, k, v = split(a.q_proj(x)), split(a.k_proj(x)), split(a.v_proj(x))
    else:
        packed = a.qkv(x)
        if getattr(a, "q_bias", None) is not None:
            packed = packed + torch.cat([a.q_bias, torch.zeros_like(a.q_bias), a.v_bias])
        q, k, v = map(split, packed.chunk(3, dim=-1))
    q, k = a.q_norm(q), a.k_norm(k)
    if rope is not None:
        q, k = _rotate(a, q, rope).type_as(v), _rotate(a, k, rope).type_as(v)
    return q, k, v


def _rotate(a: Any, x: Tensor, rope: Tensor) -> Tensor:
    """Rotate the patch tokens by their positions; class and register tokens have none."""
    from timm.layers import apply_rot_embed_cat

    first = a.num_prefix_tokens
    turned = apply_rot_embed_cat(x[:, :, first:], rope, half=getattr(a, "rotate_half", False))
    return torch.cat([x[:, :, :first], turned], dim=2)


def finish(a: Any, y: Tensor, x: Tensor) -> Tensor:
    """Project y [n, H, L, d], what attention gave for x [n, L, W], back -> [n, L, W]."""
    if hasattr(a, "in_proj_weight"):
        if getattr(a, "head_scale", None) is not None:
            y = y * a.head_scale
        joined = y.transpose(1, 2).flatten(2)
        out: Tensor = a.out_proj(a.ln_inner(joined) if hasattr(a, "ln_inner") else joined)
        return out
    joined = a.norm(y.transpose(1, 2).flatten(2))
    if getattr(a, "gate", None) is not None:
        joined = joined * a.gate(x).sigmoid()
    projected: Tensor = a.proj(joined)
    return projected
