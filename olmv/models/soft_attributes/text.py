"""Soft tokens through a text tower: vectors in the place of token embeddings."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from olmv.errors import ModelError
from olmv.models.clip.own_towers import OwnTowers
from olmv.models.clip.towers import OpenClipTowers
from olmv.models.soft_attributes.language_model import padded

__all__ = ["soft_text", "token_table"]


def soft_text(towers: Any, texts: Sequence[str], soft: Tensor) -> Tensor:
    """Texts with soft tokens behind them through the text tower.

    The tower reads [SOS ; text ; soft ; EOS], adds its positions, and pools where it always does: at EOS, at its last
    place, or over the mean of the real tokens. A text is cut so that soft tokens and EOS fit. The gradient flows to
    `soft`. The tower is changed while it runs: not for use from several threads at once.

    Args:
        towers: `OwnTowers`, or `OpenClipTowers` with CLIP's own text transformer.
        texts: C texts.
        soft: [C, Q, W], W the width of the text tower.

    Returns:
        [C, D], not normalised, as `towers.text` gives them; the same as it gives when Q is 0.

    Raises:
        ModelError: the text tower is of another kind, or its context has no place for Q soft tokens.
    """
    embedding = _embedding(towers)
    queries, context = soft.shape[1], towers.context_length
    if queries > context - 2:
        raise ModelError(
            f"{queries} soft tokens leave no room for a label in a context of {context} tokens; use fewer queries"
        )
    run: Callable[[], Tensor]
    device = towers.logit_scale.device
    if isinstance(towers, OwnTowers):
        encoded = [e.ids for e in towers.tokenizer.encode_batch(list(texts))]
        kept = [min(len(ids) - 1, context - queries - 1) for ids in encoded]
        rows = [ids[:k] + [0] * queries + ids[-1:] for ids, k in zip(encoded, kept, strict=True)]
        ids, mask = padded(rows, device)
        starts = torch.tensor(kept, device=device)
        run = partial(towers.textual, ids, mask)
    else:
        plain = towers.tokenizer(list(texts)).to(device)
        ids, starts = _with_places(plain, _ends(towers, plain), queries)
        run = partial(towers.model.encode_text, ids, normalize=False)
    place = torch.arange(ids.shape[1], device=device)[None] - starts[:, None]
    with _put(embedding, soft, (place >= 0) & (place < queries)):
        out: Tensor = run()
    return out


def token_table(towers: Any) -> Tensor:
    """The text tower's token embeddings as they are before positions are added, [V, W]."""
    embedding = _embedding(towers)
    table: Any = towers.token_vectors if isinstance(towers, OwnTowers) else embedding.weight
    detached: Tensor = table.detach()
    return detached


def _embedding(towers: Any) -> nn.Module:
    """The module whose output, [A, L, W], the positions are added to."""
    if isinstance(towers, OwnTowers):
        return towers.token_embedding
    text = _clip_text(towers)
    embedding: object = getattr(text, "token_embedding", None)
    # CoCa pools at a token of its own behind the text; CLIPS moves its class token to the end
    moved = getattr(text, "cls_emb", None) is not None or bool(getattr(towers.tokenizer, "tokenizer_mode", ""))
    if not isinstance(embedding, nn.Embedding) or moved:
        raise ModelError(
            f"soft tokens cannot go into a text tower of class {type(text).__name__}; "
            "use olmv-mini or a model with CLIP's own text transformer, such as ViT-B-32/openai"
        )
    return embedding


def _clip_text(towers: OpenClipTowers) -> Any:
    """The text transformer; the `CLIP` class is its own, `CustomTextCLIP` holds one."""
    return getattr(towers.model, "text", towers.model)


def _ends(towers: OpenClipTowers, ids: Tensor) -> Tensor:
    """ids [C, L] -> [C], where EOS stands."""
    text, tokenizer = _clip_text(towers), towers.tokenizer
    pool = getattr(text, "pool_type", None) or getattr(text, "text_pool_type", "argmax")
    if pool == "argmax":
        return ids.argmax(-1)
    inner = getattr(tokenizer, "tokenizer", tokenizer)
    names = ("eos_token_id", "sep_token_id", "eot_token_id")
    end = next((found for name in names if (found := getattr(inner, name, None)) is not None), None)
    if pool == "eos":
        end = getattr(text, "eos_id", None)
    elif getattr(tokenizer, "strip_sep_token", False):  # CLIPA writes 0 in its place
        end = 0
    there = ids == (-1 if end is None else end)
    if not bool(there.any(-1).all()):
        raise ModelError("this model's tokenizer ends a text without an end token; use another model for soft tokens")
    return there.int().argmax(-1)


def _with_places(ids: Tensor, ends: Tensor, queries: int) -> tuple[Tensor, Tensor]:
    """ids [C, L] with EOS at `ends` [C] -> ids [C, L] with `queries` places before EOS, and where they start [C].

    A place holds an earlier token of the text: never EOS, which towers look for by its id, and never padding.
    """
    length = ids.shape[1]
    starts = ends.clamp(max=length - queries - 1)
    column = torch.arange(length, device=ids.device).expand_as(ids)
    source = torch.where(column < starts[:, None], column, column + (ends - starts)[:, None] - queries)
    return ids.gather(1, source.clamp(min=0)), starts


@contextmanager
def _put(embedding: nn.Module, soft: Tensor, places: Tensor) -> Iterator[None]:
    """While open, `embedding` gives `soft` [C, Q, W] at `places` [C, L], Q of them True in every row."""

    def replace(_module: nn.Module, _inputs: object, out: Tensor) -> Tensor:
        return out.masked_scatter(places[..., None], soft.to(out.dtype))

    handle = embedding.register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()
