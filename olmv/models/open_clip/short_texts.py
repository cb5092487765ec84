"""Texts of a CLIP text transformer, without the padding behind them.

A tower that reads from left to right gives a text the embedding of its end token, which sees nothing of what follows:
of 77 places a label fills about 10. The others cost most of the time and change nothing but the last rounding.
"""

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["encode_short", "reads_left_to_right"]

# Lengths are rounded up, so that a text has few neighbours' lengths to be computed with.
_STEP = 8


def reads_left_to_right(model: Any) -> bool:
    """Tell whether a model is open_clip's plain `CLIP`, whose text transformer is causal and pools at the end token."""
    parts = ("token_embedding", "positional_embedding", "transformer", "ln_final")
    return (
        type(model).__name__ == "CLIP"
        and all(hasattr(model, part) for part in parts)
        and getattr(model, "attn_mask", None) is not None
        and model.text_pool_type in ("argmax", "eos")
    )


def encode_short(model: Any, ids: Tensor, ends: Tensor) -> Tensor:
    """Encode ids [A, L] with end tokens at `ends` [A] -> [A, D], as `encode_text` of the model does; not normalised."""
    length = min(-(-(int(ends.max()) + 1) // _STEP) * _STEP, ids.shape[1])
    dtype = model.transformer.get_cast_dtype()
    embedded = model.token_embedding(ids[:, :length]).to(dtype) + model.positional_embedding[:length].to(dtype)
    tokens = model.ln_final(model.transformer(embedded, attn_mask=model.attn_mask[:length, :length]))
    pooled: Tensor = tokens[torch.arange(len(ids), device=ids.device), ends]
    projection = model.text_projection
    if projection is None:
        return pooled
    projected: Tensor = projection(pooled) if isinstance(projection, nn.Linear) else pooled @ projection
    return projected
