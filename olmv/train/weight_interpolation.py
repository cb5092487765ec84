"""Training between the original and the tuned weights (IWR), averaging, the distance to the original.

`ratio` is always the weight of the ORIGINAL model, as in `olmv.models.clip.interpolation`.
Source: Open-VCLIP, arXiv 2302.00624, equations 5-10.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from olmv.models.clip.interpolation import check_alike

__all__ = ["InterpolatedWeights", "WeightAverage", "distance_to"]


class InterpolatedWeights:
    """Interpolated weight regularisation (Open-VCLIP, equations 5-9).

        min  L(theta) + E_a [ C / (1 - a) * L(a * original + (1 - a) * theta) ],     a ~ U(0, R)

    The gradient of the second term in theta is C * dL at the interpolated weights: the 1 / (1 - a) cancels the
    chain rule. So a step runs the loss twice, first at the interpolated weights with the loss times C:

        with iwr.at(ratio):
            (strength * loss()).backward()
        loss().backward()

    Weights are interpolated in place and restored bit for bit; one copy of the mixed weights is kept for it.
    Weights that the original model did not have stay as they are, as in `interpolate`.

    Args:
        weights: the trainable weights, by name.
        original: what they were before training, by name.
        strength: C.
        max_ratio: R, below 1.
        unmixed: names of weights that the original model did not have.

    Raises:
        ModelError: names, shapes or dtypes differ.
    """

    def __init__(
        self,
        weights: Mapping[str, nn.Parameter],
        original: Mapping[str, Tensor],
        *,
        strength: float = 0.5,
        max_ratio: float = 0.6,
        unmixed: Collection[str] = (),
    ) -> None:
        check_alike(original, {name: weight.detach() for name, weight in weights.items()})
        self.strength, self.max_ratio = strength, max_ratio
        mixed = [name for name in weights if name not in unmixed]
        self._weights: list[Tensor] = [weights[name] for name in mixed]
        self._original = [original[name] for name in mixed]
        self._kept: list[Tensor] = []

    def draw(self, *key: int) -> float:
        """Draw the ratio of a step, U(0, R), a pure function of `key` (seed, step, process)."""
        return float(np.random.default_rng([*key, 0x1D]).uniform(0.0, self.max_ratio))

    @contextmanager
    def at(self, ratio: float) -> Iterator[None]:
        """Set the weights to ratio * original + (1 - ratio) * theta inside, and theta again after."""
        if not self._kept:
            self._kept = [torch.empty_like(weight) for weight in self._weights]
        with torch.no_grad():
            torch._foreach_copy_(self._kept, self._weights)
            torch._foreach_lerp_(self._weights, self._original, ratio)
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(self._weights, self._kept)


class WeightAverage:
    """Uniform running mean of checkpoints in float32 (SWA, arXiv 1803.05407; Open-VCLIP averages epochs).

    The original is not one of them. Averaging and patching commute (Open-VCLIP, equation 10).
    """

    def __init__(self) -> None:
        self.count = 0
        self.weights: dict[str, Tensor] = {}

    @torch.no_grad()
    def update(self, weights: Mapping[str, Tensor]) -> None:
        """Take one more checkpoint into the mean."""
        self.count += 1
        if self.count == 1:
            self.weights = {name: weight.detach().float().clone() for name, weight in weights.items()}
            return
        for name, weight in weights.items():
            self.weights[name].lerp_(weight.detach().to(self.weights[name].device).float(), 1 / self.count)


def distance_to(weights: Mapping[str, Tensor], original: Mapping[str, Tensor]) -> Tensor:
    """Return the sum of squared differences to the original, a scalar: the L2-SP penalty (arXiv 1802.01483)."""
    parts = [(weight - original[name]).square().sum() for name, weight in weights.items()]
    return torch.stack(parts).sum()
