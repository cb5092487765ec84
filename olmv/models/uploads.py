"""Frames to a GPU while it computes: through pinned memory, two buffers in turn."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import cycle
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["Event", "Uploads", "upload"]


class Event(Protocol):
    """What is used of `torch.cuda.Event`."""

    def record(self) -> None:
        """Mark what the device has been asked to do so far."""

    def synchronize(self) -> None:
        """Wait until that is done; an event that was never recorded is done."""


@dataclass
class _Slot:
    buffer: Tensor
    event: Event


class Uploads:
    """Copies batches into a buffer of pinned memory, from where the device takes them without the caller waiting.

    A copy from ordinary memory would keep the caller, and the next batch, until it is done. A buffer is written again
    only when the device has read it. Safe to share between threads.

    Args:
        device: where to.
        make_event: of the device.
        pinned: whether the buffers are of memory that cannot be swapped out; a GPU needs that to read by itself.
    """

    BUFFERS = 2

    def __init__(self, device: torch.device, make_event: Callable[[], Event], *, pinned: bool = True) -> None:
        self._device, self._pinned = device, pinned
        self._lock = threading.Lock()
        self._slots = cycle([_Slot(torch.empty(0, dtype=torch.uint8), make_event()) for _ in range(self.BUFFERS)])

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return the pixels [...] uint8 or float32, on the device; they may be changed at once."""
        with self._lock:
            slot = next(self._slots)
            slot.event.synchronize()
            if len(slot.buffer) < pixels.nbytes:
                slot.buffer = torch.empty(pixels.nbytes, dtype=torch.uint8, pin_memory=self._pinned)
            staged = slot.buffer[: pixels.nbytes].view(pixels.dtype).view(pixels.shape)
            staged.copy_(pixels)
            moved = staged.to(self._device, non_blocking=True, copy=True)
            slot.event.record()
            return moved


def upload(pixels: Tensor, device: torch.device) -> Tensor:
    """Return the pixels on the device; on a GPU of NVIDIA's without waiting for the copy."""
    if device.type != "cuda" or pixels.device.type != "cpu":
        return pixels.to(device)
    with torch.cuda.device(device):  # events are recorded on a stream of the current device
        return _uploads(device)(pixels)


@lru_cache
def _uploads(device: torch.device) -> Uploads:
    return Uploads(device, torch.cuda.Event)
