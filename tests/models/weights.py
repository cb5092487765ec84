"""Small sets of random weights, as the state of a model."""

from collections.abc import Mapping

import torch
from torch import Tensor


def weights(seed: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    return {
        "a": torch.randn(3, 4, generator=random).to(dtype),
        "b": (torch.randn(5, generator=random) * 1e4).to(dtype),
        "gate": torch.randn((), generator=random).to(dtype),
    }


def equal(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    """Bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
