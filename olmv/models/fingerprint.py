"""Stable names for weights and bytes, for caches and for telling models apart."""

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor

__all__ = ["digest_weights", "sha256_bytes"]


def sha256_bytes(content: bytes) -> str:
    """Return the SHA-256 of bytes, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def digest_weights(weights: Iterable[tuple[str, Tensor]], *facts: object) -> str:
    """Return a stable name (hexadecimal) for named weights, by their bytes, and for whatever else is given.

    Sums would depend on the number of threads that add them up.
    """
    digest = hashlib.sha256(repr(facts).encode())
    for name, weight in weights:
        digest.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
        digest.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
