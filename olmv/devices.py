"""Which device and dtype to run on, and why.

`auto` is a measured choice, so it comes with its reason; `olmv doctor` prints it and a run logs it once.

The CPU rule: bfloat16 WEIGHTS, where the CPU has instructions for them and they are faster. That is measured, once for
a machine and a version of torch, because the flags do not tell: of CPUs with avx512_bf16, some encode twice as fast as
in float32, at a cosine of 0.9998 or better, and one without AMX at 0.56 of the speed. CPU autocast halves the speed (it
converts the weights again in every layer), so olmv casts the weights and never uses autocast on a CPU. Without these
instructions bfloat16 is emulated and slow.
"""

import contextlib
import json
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from olmv.errors import OutputError, UsageError
from olmv.io.atomic import write_atomic
from olmv.io.paths import cache_dir

DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "fp32": torch.float32,
    "float16": torch.float16,
    "fp16": torch.float16,
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
}

# bfloat16 must be so many times as fast, to be worth its rounding.
_LEAST_GAIN = 1.2

# Names in /proc/cpuinfo of the instructions that multiply bfloat16 matrices in hardware.
_BF16_FLAGS = ("amx_bf16", "avx512_bf16")


@dataclass(frozen=True)
class Placement:
    """Where a model runs and in which number format, with the reason for each.

    Attributes:
        device: where.
        dtype: of its weights; where it is `quantised`, of those that stay as they are.
        device_reason, dtype_reason: why.
        runtime: what encodes frames: `torch`, `onnx` or `openvino`.
        quantised: frames are encoded in int8.
    """

    device: torch.device
    dtype: torch.dtype
    device_reason: str
    dtype_reason: str
    runtime: str = "torch"
    quantised: bool = False

    @property
    def dtype_name(self) -> str:
        """Return the name of the type: `bfloat16`, `float16`, `float32` or `int8`."""
        return "int8" if self.quantised else str(self.dtype).removeprefix("torch.")

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


@lru_cache(maxsize=1)
def bf16_gain() -> float:
    """Return how many times as fast as in float32 this CPU multiplies in bfloat16; measured once, then kept on disk."""
    path = cache_dir() / "bfloat16.json"
    key = f"{_cpu_model()}, torch {torch.__version__}"
    measured: dict[str, float] = {}
    with contextlib.suppress(OSError, ValueError, TypeError):
        content = json.loads(path.read_text(encoding="utf-8"))
        measured = {k: float(v) for k, v in content.items()} if isinstance(content, dict) else {}
    if key not in measured:
        measured[key] = round(_measured_gain(), 2)
        with contextlib.suppress(OSError, OutputError):  # without a cache it is measured every time
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, json.dumps(measured, indent=1) + "\n")
    return measured[key]


def _measured_gain() -> float:
    """Time the largest layer of a ViT-B on 4 frames, the best of some rounds in turn: about 0.1 s."""
    pixels, weights = torch.ones(200, 768), torch.ones(3072, 768)
    best: dict[torch.dtype, float] = {}
    with one_thread(), torch.inference_mode():
        for dtype in (torch.float32, torch.bfloat16) * 6:
            a, b = pixels.to(dtype), weights.to(dtype)
            started = time.perf_counter()
            torch.nn.functional.linear(a, b)
            best[dtype] = min(time.perf_counter() - started, best.get(dtype, float("inf")))
    return best[torch.float32] / best[torch.bfloat16]


def _choose_device(device: str | torch.device) -> tuple[torch.device, str]:
    if str(device) == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda"), torch.cuda.get_device_name()
        if torch.backends.mps.is_available():
            return torch.device("mps"), "Apple GPU"
        return torch.device("cpu"), "no GPU that torch can use"
    try:
        place = torch.device(device)
    except (RuntimeError, TypeError):
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
        if flag is None:
            return torch.float32, "the CPU has no bfloat16 instructions"
        gain = bf16_gain()
        reason = f"the CPU has {flag}; bfloat16 weights were measured to run {gain:.2g} times as fast"
        return (torch.bfloat16 if gain > _LEAST_GAIN else torch.float32), reason
    return torch.float32, "the safe choice on this device"


def _cpu_flags() -> set[str]:
    """Read the CPU's instruction set flags as Linux names them; empty elsewhere, which means float32."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return set()
    return set(_cpu_info("flags").split())


def _cpu_model() -> str:
    return _cpu_info("model name") or platform.machine()


def _cpu_info(key: str) -> str:
    """Return what Linux says of the first core under this key; nothing elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch work with one thread inside; threads that others start keep what they find at their first call."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
