"""Weights between the original and the tuned model: IWR, averaging, patching.

`ratio` is always the weight of the ORIGINAL model:  ratio * original + (1 - ratio) * tuned.
Sources: Open-VCLIP, arXiv 2302.00624, equations 5-10; WiSE-FT, arXiv 2109.01903.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from olmv.errors import ModelError

__all__ = ["InterpolatedWeights", "WeightAverage", "distance_to", "interpolate"]


def interpolate(original: Mapping[str, Tensor], tuned: Mapping[str, Tensor], ratio: float) -> dict[str, Tensor]:
    """ratio * original + (1 - ratio) * tuned, weight by weight, in float32.

    Exact at the ends: ratio 1 gives the original's bits, ratio 0 those of the tuned weights.

    Args:
        original: weights before fine-tuning, by name.
        tuned: weights after it; the same names, shapes and dtypes.
        ratio: weight of the original, 0 to 1.

    Raises:
        ValueError: the ratio is out of range.
        ModelError: names, shapes or dtypes differ.
    """
    if not 0 <= ratio <= 1:
        raise ValueError(f"ratio is {ratio}; it is the weight of the original, from 0 to 1")
    _check_alike(original, tuned)
    if ratio in (0, 1):
        return {name: (original if ratio == 1 else tuned)[name].clone() for name in tuned}
    return {
        name: torch.lerp(new.float(), original[name].to(new.device).float(), ratio).to(new.dtype)
        for name, new in tuned.items()
    }


def _check_alike(original: Mapping[str, Tensor], tuned: Mapping[str, Tensor]) -> None:
    if missing := sorted(set(tuned) ^ set(original)):
        where = "the original" if missing[0] in tuned else "the tuned model"
        raise ModelError(
            f"{where} has no weight '{missing[0]}' ({len(missing)} names differ); are they one architecture?"
        )
    for name, new in tuned.items():
        old = original[name]
        if old.shape != new.shape:
            raise ModelError(f"weight '{name}' is {list(old.shape)} in the original and {list(new.shape)} when tuned")
        if old.dtype != new.dtype:
            raise ModelError(
                f"weight '{name}' is {_name(old)} in the original and {_name(new)} when tuned; convert to float32 first"
            )


def _name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


class InterpolatedWeights:
    """Interpolated weight regularisation (Open-VCLIP, equations 5-9).

        min  L(theta) + E_a [ C / (1 - a) * L(a * original + (1 - a) * theta) ],     a ~ U(0, R)

    The gradient of the second term in theta is C * dL at the interpolated weights: the 1 / (1 - a) cancels the
    chain rule. So a step runs the loss twice, first at the interpolated weights with the loss times C:

        with iwr.at(ratio):
            (strength * loss()).backward()
        loss().backward()

    Weights are interpolated in place and restored bit for bit; one copy of the trainable weights is kept for it.
    Weights that the original did not have are interpolated towards their zero-gated first state.

    Args:
        weights: the trainable weights, by name.
        original: what they were before training, by name.
        strength: C.
        max_ratio: R, below 1.

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
    ) -> None:
        _check_alike(original, {name: weight.detach() for name, weight in weights.items()})
        self.strength, self.max_ratio = strength, max_ratio
        self._weights: list[Tensor] = [weights[name] for name in weights]
        self._original = [original[name] for name in weights]
        self._kept: list[Tensor] = []

    def draw(self, *key: int) -> float:
        """The ratio of a step, U(0, R), a pure function of `key` (seed, step, process)."""
        return float(np.random.default_rng([*key, 0x1D]).uniform(0.0, self.max_ratio))

    @contextmanager
    def at(self, ratio: float) -> Iterator[None]:
        """The weights are ratio * original + (1 - ratio) * theta inside, and theta again after."""
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
    """Sum of squared differences to the original, a scalar: the L2-to-original penalty (L2-SP, arXiv 1802.01483)."""
    parts = [(weight - original[name]).square().sum() for name, weight in weights.items()]
    return torch.stack(parts).sum()
