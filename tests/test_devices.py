"""Device and dtype: the choice and its reason."""

import pytest
import torch

import olmv.devices
from olmv.devices import choose, cpu_bf16_flag
from olmv.errors import UsageError


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "NVIDIA T4")


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(
    ("flags", "dtype", "reason"),
    [
        ({"avx512f", "avx512_bf16"}, torch.bfloat16, "avx512_bf16"),
        ({"amx_bf16", "avx512_bf16"}, torch.bfloat16, "amx_bf16"),
        ({"avx512f"}, torch.float32, "no bfloat16 instructions"),
        (set(), torch.float32, "no bfloat16 instructions"),
    ],
)
def test_cpu(monkeypatch: pytest.MonkeyPatch, flags: set[str], dtype: torch.dtype, reason: str) -> None:
    monkeypatch.setattr(olmv.devices, "_cpu_flags", lambda: flags)
    placement = choose()
    assert placement.device.type == "cpu"
    assert placement.dtype is dtype
    assert reason in placement.dtype_reason
    assert placement.dtype_name in str(placement)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(("capability", "dtype"), [((8, 0), torch.bfloat16), ((7, 5), torch.float16)])
def test_cuda(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: torch.dtype) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
    placement = choose()
    assert (placement.device.type, placement.dtype, placement.device_reason) == ("cuda", dtype, "NVIDIA T4")


@pytest.mark.usefixtures("gpu")
def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(UsageError, match=r"device 'cuda:3' is not here \(torch sees 1 GPUs\); use auto or cpu"):
        choose("cuda:3")


@pytest.mark.usefixtures("no_gpu")
def test_what_was_asked_for_wins() -> None:
    assert choose("cpu", "fp16").dtype is torch.float16
    assert choose(torch.device("cpu"), torch.float64).dtype is torch.float64
    with pytest.raises(UsageError, match="unknown device 'gpu'; use auto, cpu"):
        choose("gpu")
    with pytest.raises(UsageError, match="device 'mps' is not here"):
        choose("mps")
    with pytest.raises(UsageError, match="unknown dtype 'int8'; use auto, float32"):
        choose("cpu", "int8")


def test_this_cpu_can_be_asked() -> None:
    assert cpu_bf16_flag() in {None, "amx_bf16", "avx512_bf16"}
