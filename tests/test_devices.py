"""Device and dtype: the choice and its reason."""

import json
from pathlib import Path

import pytest
import torch

import olmv.devices
from olmv.devices import bf16_gain, choose, cpu_bf16_flag  # as it is: the fixture for all tests may replace it
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
    ("flags", "gain", "dtype", "reason"),
    [
        (
            {"avx512f", "avx512_bf16"},
            2.0,
            torch.bfloat16,
            "avx512_bf16; bfloat16 weights were measured to run 2 times",
        ),
        (
            {"avx512f", "avx512_bf16"},
            0.56,
            torch.float32,
            "avx512_bf16; bfloat16 weights were measured to run 0.56",
        ),
        ({"amx_bf16", "avx512_bf16"}, 2.1, torch.bfloat16, "amx_bf16"),
        ({"avx512f"}, 2.0, torch.float32, "no bfloat16 instructions"),
        (set(), 2.0, torch.float32, "no bfloat16 instructions"),
    ],
)
def test_cpu(monkeypatch: pytest.MonkeyPatch, flags: set[str], gain: float, dtype: torch.dtype, reason: str) -> None:
    monkeypatch.setattr(olmv.devices, "_cpu_flags", lambda: flags)
    monkeypatch.setattr(olmv.devices, "bf16_gain", lambda: gain)
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


def test_the_gain_of_bfloat16_is_measured_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OLMV_CACHE", str(tmp_path))
    bf16_gain.cache_clear()
    first = bf16_gain()
    assert 0.01 < first < 20
    bf16_gain.cache_clear()
    monkeypatch.setattr(olmv.devices, "_measured_gain", lambda: 99.0)
    assert bf16_gain() == first  # read from the cache
    for damaged in ("[broken", '{"a": null}'):
        (tmp_path / "bfloat16.json").write_text(damaged)
        bf16_gain.cache_clear()
        assert bf16_gain() == 99.0
    monkeypatch.setattr(torch, "__version__", "another")
    bf16_gain.cache_clear()
    assert bf16_gain() == 99.0
    assert len(json.loads((tmp_path / "bfloat16.json").read_text())) == 2
    bf16_gain.cache_clear()


def test_this_cpu_can_be_asked() -> None:
    assert cpu_bf16_flag() in {None, "amx_bf16", "avx512_bf16"}
