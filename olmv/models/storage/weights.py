"""Weights from a file into modules: checked before memory is given to them, told in one line where they do not fit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from olmv.errors import ModelError, reason
from olmv.models.storage.folder import CURE

__all__ = ["NoRandomWeights", "check_claims", "check_shapes", "fill"]


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


class NoRandomWeights(TorchFunctionMode):
    """Make modules without drawing their first weights, for those that are filled from a file at once.

    Drawing takes longer than reading the weights that replace what is drawn, and on the device `meta` it would import
    torch's compiler (`tests/models/test_lite.py` sees that none does).
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init" or func in (Tensor.normal_, Tensor.uniform_):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def fill(module: nn.Module, state: Mapping[str, Tensor], folder: Path) -> None:
    """Put a state dict's own tensors into a module, without a copy.

    Raises:
        ModelError: it does not fit the module.
    """
    try:
        module.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise ModelError(f"the weights in '{folder}' do not fit its config: {reason(error)}; {CURE}") from None
