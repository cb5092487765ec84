"""What the optimizer is given: groups of weights, and the learning rate at each step."""

import math
from collections.abc import Mapping
from typing import Any

from torch import nn

from olmv.train.config import Optimizer

__all__ = ["parameter_groups", "rate_factor"]


def parameter_groups(weights: Mapping[str, nn.Parameter], new: set[str], options: Optimizer) -> list[dict[str, Any]]:
    """Group weights by learning rate, and vectors apart: they do not decay.

    A gate is a new scalar, named `gate`, that starts at zero. AdamW moves any weight by at most about its rate a step,
    so at the rate of the other weights a gate stays all but closed for hundreds of steps: it may have one of its own.
    """
    new_lr = options.new_lr or options.lr
    rates = {"old": options.lr, "new": new_lr, "gate": options.gate_lr or new_lr}
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, weight in weights.items():
        kind = "old" if name not in new else "gate" if name.endswith(".gate") else "new"
        groups.setdefault((kind, weight.ndim > 1), []).append(weight)
    return [
        {"params": params, "base_lr": rates[kind], "weight_decay": options.weight_decay if decays else 0.0}
        for (kind, decays), params in groups.items()
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
