"""What the optimizer is given: groups of weights, and the learning rate at each step."""

import math
from collections.abc import Mapping
from typing import Any

from torch import nn

from olmv.train.config import Optimizer

__all__ = ["parameter_groups", "rate_factor"]


def parameter_groups(
    weights: Mapping[str, nn.Parameter], new: set[str], *, lr: float, new_lr: float | None, decay: float
) -> list[dict[str, Any]]:
    """Group weights by learning rate, and vectors apart: they do not decay."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, weight in weights.items():
        groups.setdefault((name in new, weight.ndim > 1), []).append(weight)
    return [
        {
            "params": params,
            "base_lr": new_lr if is_new and new_lr is not None else lr,
            "weight_decay": decay if decays else 0.0,
        }
        for (is_new, decays), params in groups.items()
    ]


def rate_factor(options: Optimizer, *, step: int, steps_per_epoch: int, total: int) -> float:
    """Return what the learning rates are multiplied by at a step: a linear warm-up, then a cosine to `options.end`.

    Source: Open-VCLIP, section 2.6.

    Args:
        options: warm-up and end.
        step: the steps done.
        steps_per_epoch: of the run.
        total: steps of the whole run.
    """
    warmup = options.warmup_epochs * steps_per_epoch
    if step < warmup:
        return options.warmup_start + (1 - options.warmup_start) * step / warmup
    progress = (step - warmup) / max(1.0, total - warmup)
    return options.end + (1 - options.end) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
