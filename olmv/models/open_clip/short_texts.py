"""Texts of a CLIP text transformer, without the padding behind them.

A tower that reads from left to right gives a text the embedding of its end token, which sees nothing of what follows:
of 77 places a label fills about 10. The others cost most of the time and change nothing but the last rounding.
"""

from typing import Any

import torch
from torch import Tensor, nn

from olmv.models.clip.tokens import encode_by_length

__all__ = ["causal_transformer", "encode_short"]

# Lengths are rounded up, so that a text has few neighbours' lengths to be computed with.
_STEP = 8


def causal_transformer(model: Any) -> Any | None:
    """Return open_clip's text transformer of a model where it is causal and pools at the end token; else None.

    The plain `CLIP` has the parts itself, `CustomTextCLIP` a `TextTransformer` with them, whose class token, if it has
    one, comes behind the padding.
    """
    plain = type(model).__name__ == "CLIP"
    text = model if plain else getattr(model, "text", None)
    if not plain and (type(model).__name__, type(text).__name__) != ("CustomTextCLIP", "TextTransformer"):
        return None
    parts = ("token_embedding", "positional_embedding", "transformer", "ln_final")
    is_causal = (
        all(hasattr(text, part) for part in parts)
        and getattr(text, "attn_mask", None) is not None
        and getattr(text, "cls_emb", None) is None
        and getattr(text, "text_pool_type" if plain else "pool_type", None) in ("argmax", "eos")
    )
    return text if is_causal else None


def encode_short(text: Any, ids: Tensor, ends: Tensor) -> Tensor:
    """Encode ids [A, L] with end tokens at `ends` [A] -> [A, D], as the model does; not normalised.

    Args:
        text: of `causal_transformer`.
        ids: padded behind the end token.
        ends: places of the end tokens.
    """
    lengths = [min(-(-(end + 1) // _STEP) * _STEP, ids.shape[1]) for end in ends.tolist()]

    def encode(places: list[int]) -> Tensor:
        length = max((lengths[place] for place in places), default=0)
        return _encode(text, ids[places, :length], ends[places])

    return encode_by_length(lengths, encode, device=ids.device)


def _encode(text: Any, ids: Tensor, ends: Tensor) -> Tensor:
    length = ids.shape[1]
    dtype = text.transformer.get_cast_dtype()
    embedded = text.token_embedding(ids).to(dtype) + text.positional_embedding[:length].to(dtype)
    tokens = text.ln_final(text.transformer(embedded, attn_mask=text.attn_mask[:length, :length]))
    pooled: Tensor = tokens[torch.arange(len(ids), device=ids.device), ends]
    projection = text.text_projection
    if projection is None:
        return pooled
    projected: Tensor = projection(pooled) if isinstance(projection, nn.Linear) else pooled @ projection
    return projected
