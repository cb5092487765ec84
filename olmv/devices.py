"""Which device and dtype to run on, and why.

`auto` is a measured choice, so it comes with its reason; `olmv doctor` prints it and a run logs it once.

The CPU rule: on CPUs with bfloat16 instructions, bfloat16 WEIGHTS encode about twice as fast as float32 at
    a cosine
of 0.9998 or better, while CPU autocast halves the speed (it converts the weights again in every layer). So
olmv casts the weights and never uses autocast on a CPU. Without these instructions bfloat16 is emulated and
slow.
"""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from olmv.errors import UsageError

DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "fp32": torch.float32,
    "float16": torch.float16,
    "fp16": torch.float16,
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
}

# Names in /proc/cpuinfo of the instructions that multiply bfloat16 matrices in hardware.
_BF16_FLAGS = ("amx_bf16", "avx512_bf16")


@dataclass(frozen=True)
class Placement:
    """Where a model runs and in which number format, with the reason for each."""

    device: torch.device
    dtype: torch.dtype
    device_reason: str
    dtype_reason: str

    @property
    def dtype_name(self) -> str:
        """Return the name of the type: `bfloat16`, `float16` or `float32`."""
        return str(self.dtype).removeprefix("torch.")

    def __str__(self) -> str:
        return f"{self.device} ({self.device_reason}), {self.dtype_name} ({self.dtype_reason})"


def choose(device: str | torch.device = "auto", dtype: str | torch.dtype = "auto") -> Placement:
    """Choose the device and the dtype.

    Args:
        device: `auto`, or anything torch accepts: `cpu`, `cuda`, `cuda:1`, `mps`.
        dtype: `auto`, a torch dtype, or one of `float32`, `float16`, `bfloat16` (`fp32`, `fp16`, `bf16`).

    Raises:
        UsageError: the device is unknown or not there, or the dtype is unknown.
    """
    chosen, device_reason = _choose_device(device)
    number, dtype_reason = _choose_dtype(dtype, chosen)
    return Placement(chosen, number, device_reason, dtype_reason)


def cpu_bf16_flag() -> str | None:
    """Return the name of this CPU's bfloat16 matrix instructions, or None where it has none that torch uses."""
    flags = _cpu_flags()
    return next((flag for flag in _BF16_FLAGS if flag in flags), None)


def _choose_device(device: str | torch.device) -> tuple[torch.device, str]:
    if str(device) == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda"), torch.cuda.get_device_name()
        if torch.backends.mps.is_available():
            return torch.device("mps"), "Apple GPU"
        return torch.device("cpu"), "no GPU that torch can use"
    try:
        place = torch.device(device)
    except RuntimeError:
        raise UsageError(f"unknown device '{device}'; use auto, cpu, cuda, cuda:0 or mps") from None
    if place.type == "cuda" and not _has_cuda(place.index):
        raise UsageError(f"device '{place}' is not here (torch sees {torch.cuda.device_count()} GPUs); use auto or cpu")
    if place.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("device 'mps' is not here; use auto or cpu")
    return place, "asked for"


def _has_cuda(index: int | None) -> bool:
    return torch.cuda.is_available() and (index or 0) < torch.cuda.device_count()


def _choose_dtype(dtype: str | torch.dtype, device: torch.device) -> tuple[torch.dtype, str]:
    if isinstance(dtype, torch.dtype):
        return dtype, "asked for"
    if dtype != "auto":
        if dtype not in DTYPES:
            raise UsageError(f"unknown dtype '{dtype}'; use auto, float32, float16 or bfloat16")
        return DTYPES[dtype], "asked for"
    if device.type == "cuda":
        if torch.cuda.get_device_capability(device) >= (8, 0):
            return torch.bfloat16, "Ampere or later"
        return torch.float16, "before Ampere: no bfloat16 hardware"
    if device.type == "cpu":
        flag = cpu_bf16_flag()
        if flag:
            return torch.bfloat16, f"the CPU has {flag}: bfloat16 weights run about twice as fast"
        return torch.float32, "the CPU has no bfloat16 instructions"
    return torch.float32, "the safe choice on this device"


def _cpu_flags() -> set[str]:
    """Read the CPU's instruction set flags as Linux names them; empty elsewhere, which means float32."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return set()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    return next((set(line.split()) for line in lines if line.startswith("flags")), set())


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch work with one thread inside; threads that others start keep what they find at their first call."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
