"""Train in bfloat16 with float32 master weights, and save what was trained."""

import math
from pathlib import Path

import torch
from torch import nn


def save(path: Path, data: dict[str, object]) -> None:
    """Checkpoint, atomically."""
    torch.save(data, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)


class BF16Trainer:
    """AdamW on fp32 copies of a module whose forward and backward run in bf16."""

    def __init__(self, module: nn.Module, *, lr: float, weight_decay: float) -> None:
        self.module, self.lr = module, lr
        self.master = [p.detach().float().clone().requires_grad_() for p in module.parameters()]
        decay = [p for p in self.master if p.ndim > 1]
        rest = [p for p in self.master if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": decay, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}],
            lr=lr,
            betas=(0.9, 0.98),
        )
        module.to(torch.bfloat16)
        self.average = [p.detach().clone() for p in self.master]

    def step(self, progress: float, steps_done: int) -> None:
        """One update; warm-up over 200 steps, then a cosine to zero at progress 1."""
        rate = self.lr * min(1.0, (steps_done + 1) / 200) * (0.5 + 0.5 * math.cos(math.pi * min(progress, 1.0)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        for big, small in zip(self.master, self.module.parameters(), strict=True):
            big.grad = None if small.grad is None else small.grad.float()
            small.grad = None
        nn.utils.clip_grad_norm_(self.master, 1.0)
        self.optimizer.step()
        keep = min(0.998, (steps_done + 1) / (steps_done + 10))
        with torch.no_grad():
            for big, small, mean in zip(self.master, self.module.parameters(), self.average, strict=True):
                small.copy_(big)
                mean.lerp_(big, 1 - keep)

    def state(self) -> dict[str, object]:
        return {"master": self.master, "average": self.average, "optimizer": self.optimizer.state_dict()}

    def load(self, state: dict[str, object]) -> None:
        for name in ("master", "average"):
            for mine, theirs in zip(getattr(self, name), state[name], strict=True):  # type: ignore[call-overload]
                mine.data.copy_(theirs)
        self.optimizer.load_state_dict(state["optimizer"])  # type: ignore[arg-type]
        with torch.no_grad():
            for big, small in zip(self.master, self.module.parameters(), strict=True):
                small.copy_(big)
