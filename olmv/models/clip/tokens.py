"""Rows of token ids as tensors."""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["padded", "run_of_places"]


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
