"""Soft tokens through a text tower: vectors in the place of token embeddings."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from olmv.errors import ModelError
from olmv.models.clip.towers import Towers

__all__ = ["soft_text", "token_table"]


def soft_text(towers: Towers, texts: Sequence[str], soft: Tensor) -> Tensor:
    """Run texts with soft tokens behind them through the text tower.

    The tower reads [SOS ; text ; soft ; EOS], adds its positions, and pools where it always does: at EOS, at its last
    place, or over the mean of the real tokens. A text is cut so that soft tokens and EOS fit. The gradient flows to
    `soft`. The tower is changed while it runs: not for use from several threads at once.

    Args:
        towers: olmv's own, or open_clip's with CLIP's own text transformer.
        texts: C texts.
        soft: [C, Q, W], W the width of the text tower.

    Returns:
        [C, D], not normalised, as `towers.text` gives them; the same as it gives when Q is 0.

    Raises:
        ModelError: the text tower is of another kind, or its context has no place for Q soft tokens.
    """
    embedding = towers.token_embedding
    queries, context = soft.shape[1], towers.context_length
    if queries > context - 2:
        raise ModelError(
            f"{queries} soft tokens leave no room for a label in a context of {context} tokens; use fewer queries"
        )
    places, encode = towers.soft_places(texts, queries)
    with _replaced(embedding, soft, places):
        return encode()


def token_table(towers: Towers) -> Tensor:
    """Return the text tower's token embeddings as they are before positions are added, [V, W]."""
    return towers.token_vectors.detach()


@contextmanager
def _replaced(embedding: nn.Module, soft: Tensor, places: Tensor) -> Iterator[None]:
    """Make `embedding` give, while open, `soft` [C, Q, W] at `places` [C, L], Q of them True in every row."""

    def replace(_module: nn.Module, _inputs: object, out: Tensor) -> Tensor:
        return out.masked_scatter(places[..., None], soft.to(out.dtype))

    handle = embedding.register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()
