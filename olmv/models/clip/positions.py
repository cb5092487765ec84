"""Learned positions in time for any number of frames."""

import torch
from torch import Tensor

__all__ = ["POSITIONS_STD", "TABLE_SIZE", "time_positions"]

TABLE_SIZE = 16  # entries over the whole video, from its start to its end
# of the first entries, normally distributed: at a fiftieth of it a module hardly sees the order of the frames, and its
# first hundreds of steps learn nothing of it (scripts/research/lab.py, temporal)
POSITIONS_STD = 0.5


def time_positions(table: Tensor, time: int, mask: Tensor | None = None) -> Tensor:
    """Interpolate rows of a learned table [P, W] linearly at each frame's progress (t + 0.5) / T.

    T is the number of the video's real frames, so padding moves nothing. The table's own rows lie at (i + 0.5) / P:
    P frames hit them exactly, and a single frame gets the middle of the table.

    Args:
        table: [P, W].
        time: frames in the batch, padding included.
        mask: [B, T] True for real frames, which come first; None when all are real.

    Returns:
        [B, T, W] ([1, T, W] without a mask), in the table's dtype.
    """
    device, size = table.device, len(table)
    frames = torch.arange(time, device=device, dtype=torch.float32)[None]
    real = torch.full((1, 1), float(time), device=device) if mask is None else mask.sum(1, keepdim=True).float()
    where = ((frames + 0.5) / real.clamp(min=1) * size - 0.5).clamp(0, size - 1)
    low = where.floor().long()
    weight = (where - low)[..., None].to(table.dtype)
    return torch.lerp(table[low], table[(low + 1).clamp(max=size - 1)], weight)
