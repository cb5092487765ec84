"""What holds for every test."""

import pytest

import olmv.devices

BF16_FLAGS = {"avx512_bf16"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cpu",
        choices=("here", "plain", "bf16"),
        default="here",
        help="whether the CPU is said to multiply bfloat16, which decides what dtype `auto` is (default: ask it)",
    )


@pytest.fixture(autouse=True)
def _cpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` is bfloat16 on some CPUs and float32 on others: the tests hold for both, whatever they run on."""
    answer = request.config.getoption("--cpu")
    if answer != "here":
        monkeypatch.setattr(olmv.devices, "_cpu_flags", lambda: BF16_FLAGS if answer == "bf16" else set())
        monkeypatch.setattr(olmv.devices, "bf16_gain", lambda: 2.0)
