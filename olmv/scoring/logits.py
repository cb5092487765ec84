"""Between logits and probabilities in numpy, without overflow at either end."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["log_softmax", "log_sum_exp", "logit_of", "sigmoid", "softmax"]

Floats = NDArray[np.float64]

# Probabilities of 0 and 1 have no logit; float64 tells this number from both.
_EDGE = 1e-15


def sigmoid(logit: NDArray[np.floating]) -> Floats:
    """Return 1 / (1 + exp(-logit)) [...], float64; NaN stays NaN."""
    small = np.exp(-np.abs(np.asarray(logit, dtype=np.float64)))  # never overflows
    return np.asarray(np.where(np.asarray(logit) < 0, small, 1.0) / (1.0 + small))


def logit_of(probability: NDArray[np.floating]) -> Floats:
    """Return log(p / (1 - p)) [...], float64; finite also where p is 0 or 1."""
    clipped = np.clip(np.asarray(probability, dtype=np.float64), _EDGE, 1 - _EDGE)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def softmax(logit: NDArray[np.floating], axis: int) -> Floats:
    """Return exp(logit) over its sum along the axis [...], float64."""
    shifted = np.asarray(logit, dtype=np.float64)
    exponents = np.exp(shifted - shifted.max(axis=axis, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=axis, keepdims=True))


def log_softmax(logit: NDArray[np.floating], axis: int) -> Floats:
    """Return the logarithm of `softmax` [...], float64, exact also where the softmax itself is 0."""
    shifted = np.asarray(logit, dtype=np.float64)
    shifted = shifted - shifted.max(axis=axis, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)))


def log_sum_exp(values: NDArray[np.floating], axis: int) -> Floats:
    """Return log(sum(exp(values))) along the axis, which is dropped; float64."""
    values = np.asarray(values, dtype=np.float64)
    most = values.max(axis=axis, keepdims=True)
    return np.asarray(np.log(np.exp(values - most).sum(axis=axis)) + most.squeeze(axis))
