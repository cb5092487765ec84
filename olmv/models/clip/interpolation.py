"""Weights between the original and the tuned model, for patching at test time and for training between the two.

`ratio` is always the weight of the ORIGINAL model:  ratio * original + (1 - ratio) * tuned.
Sources: Open-VCLIP, arXiv 2302.00624, equation 6; WiSE-FT, arXiv 2109.01903.
"""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from olmv.errors import ModelError

__all__ = ["check_alike", "interpolate"]


def interpolate(
    original: Mapping[str, Tensor], tuned: Mapping[str, Tensor], ratio: float, *, unmixed: Collection[str] = ()
) -> dict[str, Tensor]:
    """Compute ratio * original + (1 - ratio) * tuned, weight by weight, in float32.

    Exact at the ends: ratio 1 gives the original's bits, ratio 0 those of the tuned weights. Weights that the original
    model did not have, a new temporal module's, are taken as they were tuned whatever the ratio, as the authors' code
    of Open-VCLIP takes what only the checkpoint has.

    Args:
        original: weights before fine-tuning, by name.
        tuned: weights after it; the same names, shapes and dtypes.
        ratio: weight of the original, 0 to 1.
        unmixed: names of weights that the original model did not have.

    Raises:
        ValueError: the ratio is out of range.
        ModelError: names, shapes or dtypes differ.
    """
    if not 0 <= ratio <= 1:
        raise ValueError(f"ratio is {ratio}; it is the weight of the original, from 0 to 1")
    check_alike(original, tuned)
    mixed: dict[str, Tensor] = {}
    for name, new in tuned.items():
        if ratio == 0 or name in unmixed:
            mixed[name] = new.clone()
        elif ratio == 1:
            mixed[name] = original[name].clone()
        else:
            mixed[name] = torch.lerp(new.float(), original[name].to(new.device).float(), ratio).to(new.dtype)
    return mixed


def check_alike(original: Mapping[str, Tensor], tuned: Mapping[str, Tensor]) -> None:
    """Raise ModelError, naming the first weight, unless both have the same names, shapes and dtypes."""
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
