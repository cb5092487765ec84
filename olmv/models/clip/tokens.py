"""Rows of token ids as tensors, and which of them go through a text tower together."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["encode_by_length", "padded", "run_of_places"]

# Texts that are encoded at once on a CPU. Of fewer, matrices are too small to be multiplied at full speed; and always
# the same number, for oneDNN prepares for each new shape of a matrix, and keeps that.
_TOGETHER = 64


def padded(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Pad rows of token ids with 0 at the end -> ids [A, L], and mask [A, L] True for real ones."""
    longest = max(map(len, rows), default=0)
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], dtype=torch.long, device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return ids.view(len(rows), longest), torch.arange(longest, device=device)[None] < lengths[:, None]


def run_of_places(starts: Tensor, count: int, length: int) -> Tensor:
    """Mark `count` places from `starts` [A] on in rows of `length` -> [A, L] True there."""
    place = torch.arange(length, device=starts.device)[None] - starts[:, None]
    return (place >= 0) & (place < count)


def encode_by_length(lengths: Sequence[int], encode: Callable[[list[int]], Tensor], *, device: torch.device) -> Tensor:
    """Encode texts beside others of their length, so that little padding is computed -> [A, D], in their own order.

    Args:
        lengths: of A texts, in tokens.
        encode: called with the places of some of the texts -> [a, D].
        device: that encodes; only a CPU minds padding, elsewhere all go at once.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    together = _TOGETHER if device.type == "cpu" else max(len(lengths), 1)
    encoded = torch.cat([encode(order[k : k + together]) for k in range(0, max(len(order), 1), together)])
    return encoded[torch.tensor(order, dtype=torch.long, device=encoded.device).argsort()]
