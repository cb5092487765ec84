"""Random probabilities and truths to measure."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

__all__ = ["Array", "random_pairs", "worlds"]

Array = NDArray[Any]


def random_pairs(seed: int, *, videos: int, labels: int, steps: int, share: float) -> tuple[Array, Array]:
    """Probability [N, C] with many equal values and truth [N, C]."""
    generator = np.random.default_rng(seed)
    truth = generator.random((videos, labels)) < share
    return np.round(generator.random((videos, labels)) * 0.6 + 0.4 * truth, 6) // (1 / steps) / steps, truth


worlds = st.builds(
    random_pairs,
    st.integers(0, 2**32 - 1),
    videos=st.integers(1, 40),
    labels=st.integers(1, 6),
    steps=st.sampled_from([1, 3, 10, 10_000]),
    share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)
