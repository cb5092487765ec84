"""Places for soft tokens in the texts of CLIP's own text transformer."""

from typing import Any

import torch
from torch import Tensor, nn

from olmv.errors import ModelError

__all__ = ["end_places", "soft_embedding", "with_places"]


def soft_embedding(model: Any, tokenizer: Any) -> nn.Embedding:
    """Return the embedding of the text transformer's tokens, whose output, [A, L, W], the positions are added to.

    Raises:
        ModelError: the text tower is of a kind that soft tokens cannot go into.
    """
    text = _text_transformer(model)
    embedding: object = getattr(text, "token_embedding", None)
    # CoCa pools at a token of its own behind the text; CLIPS moves its class token to the end
    moved = getattr(text, "cls_emb", None) is not None or bool(getattr(tokenizer, "tokenizer_mode", ""))
    if not isinstance(embedding, nn.Embedding) or moved:
        raise ModelError(
            f"soft tokens cannot go into a text tower of class {type(text).__name__}; "
            "use olmv-mini or a model with CLIP's own text transformer, such as ViT-B-32/openai"
        )
    return embedding


def _text_transformer(model: Any) -> Any:
    """Return the text transformer; the `CLIP` class is its own, `CustomTextCLIP` holds one."""
    return getattr(model, "text", model)


def end_places(model: Any, tokenizer: Any, ids: Tensor) -> Tensor:
    """Find where EOS stands in ids [C, L] -> [C].

    Raises:
        ModelError: a text has no end token.
    """
    text = _text_transformer(model)
    pool = getattr(text, "pool_type", None) or getattr(text, "text_pool_type", "argmax")
    if pool == "argmax":
        return ids.argmax(-1)
    inner = getattr(tokenizer, "tokenizer", tokenizer)
    names = ("eos_token_id", "sep_token_id", "eot_token_id")
    end = next((token for name in names if (token := getattr(inner, name, None)) is not None), None)
    if pool == "eos":
        end = getattr(text, "eos_id", None)
    elif getattr(tokenizer, "strip_sep_token", False):  # CLIPA writes 0 in its place
        end = 0
    there = ids == (-1 if end is None else end)
    if not bool(there.any(-1).all()):
        raise ModelError("this model's tokenizer ends a text without an end token; use another model for soft tokens")
    return there.int().argmax(-1)


def with_places(ids: Tensor, ends: Tensor, queries: int) -> tuple[Tensor, Tensor]:
    """Give ids [C, L] with EOS at `ends` [C] `queries` places before EOS -> ids [C, L], and where they start [C].

    A place holds an earlier token of the text: never EOS, which towers look for by its id, and never padding.
    """
    length = ids.shape[1]
    starts = ends.clamp(max=length - queries - 1)
    column = torch.arange(length, device=ids.device).expand_as(ids)
    source = torch.where(column < starts[:, None], column, column + (ends - starts)[:, None] - queries)
    return ids.gather(1, source.clamp(min=0)), starts
