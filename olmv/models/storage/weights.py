"""Weights from a file into modules: checked before memory is given to them, told in one line where they do not fit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from olmv.errors import ModelError, reason
from olmv.models.storage.folder import CURE

__all__ = ["check_claims", "check_shapes", "fill"]


def check_shapes(expected: Mapping[str, Tensor], saved: Mapping[str, Tensor], folder: Path) -> None:
    """Raise ModelError where the weights are not those of the config; asked before it is given memory."""
    for name, tensor in expected.items():
        shape = list(saved[name].shape) if name in saved else None
        if shape != list(tensor.shape):
            raise ModelError(
                f"the weights in '{folder}' do not fit its config: '{name}' is {shape or 'missing'}, not "
                f"{list(tensor.shape)}; {CURE}"
            )


def check_claims(claims: Mapping[str, Any], saved: Mapping[str, Tensor], folder: Path) -> None:
    """Raise ModelError where no tensor has the width that a config claims, or there are fewer than its layers.

    For modules that cannot be built without memory.
    """
    sides = {side for tensor in saved.values() for side in tensor.shape}
    width, layers = claims.get("width"), claims.get("layers", 0)
    if (type(width) is int and width not in sides) or (type(layers) is int and layers > len(saved)):
        raise ModelError(
            f"the weights in '{folder}' do not fit its config: none are of width {width!r:.40} and {layers!r:.40} "
            f"layers; {CURE}"
        )


def fill(module: nn.Module, state: Mapping[str, Tensor], folder: Path) -> None:
    """Load a state dict; raises ModelError where it does not fit the module."""
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(f"the weights in '{folder}' do not fit its config: {reason(error)}; {CURE}") from None
