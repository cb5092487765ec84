"""Where a model runs: every option once, with its default."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["PlacementOptions", "Runtime"]

Runtime = Literal["torch", "onnx", "openvino"]


@dataclass(frozen=True, kw_only=True)
class PlacementOptions:
    """Where a model runs, in which numbers, and how much at a time; `olmv.models.registry.placement_for` resolves it.

    Attributes:
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        dtype: `auto`, `float32`, `float16`, `bfloat16` or, on a CPU, `int8`.
        runtime: what encodes frames: `torch`, `onnx` or `openvino`.
        batch_size: frames per forward pass; None for 64 on a GPU and 16 on a CPU.
    """

    device: str = "auto"
    dtype: str = "auto"
    runtime: Runtime = "torch"
    batch_size: int | None = None
