"""Rows of token ids as tensors, and which of them go through a text tower together."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["encode_by_length", "padded", "run_of_places"]

# Texts that are encoded at once on a CPU: of fewer, matrices are too small to be multiplied at full speed, which costs
# more than some padding does.
_LEAST = 32


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
    least = _LEAST if device.type == "cpu" else len(lengths)
    groups: list[list[int]] = [[]]
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if len(groups[-1]) >= least and lengths[place] > lengths[groups[-1][-1]]:
            groups.append([])
        groups[-1].append(place)
    encoded = torch.cat([encode(group) for group in groups])
    order = torch.tensor([place for group in groups for place in group], dtype=torch.long, device=encoded.device)
    return encoded[order.argsort()]
