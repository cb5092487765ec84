import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

from olmv.io import network


def unreachable(*_: object, **__: object) -> socket.socket:
    raise OSError("no route")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def bars() -> Iterator[None]:
    """Other libraries switch them off for the whole process."""
    before = are_progress_bars_disabled()
    enable_progress_bars()
    yield
    if before:
        disable_progress_bars()


def test_without_a_network_only_the_cache_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", unreachable)
    assert not network.is_online()
    with network.fetching():
        assert constants.HF_HUB_OFFLINE
    assert not constants.HF_HUB_OFFLINE


def test_behind_a_proxy_only_a_request_can_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", unreachable)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert network.is_online()


def test_the_users_own_offline_switch_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert not network.is_online()
    with network.fetching():
        assert constants.HF_HUB_OFFLINE
    assert constants.HF_HUB_OFFLINE


def test_logs_are_held_back_and_come_back(caplog: pytest.LogCaptureFixture) -> None:
    with network.quiet():
        logging.getLogger("somebody").warning("noise")
    logging.getLogger("somebody").warning("news")
    assert [r.message for r in caplog.records] == ["news"]


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_bars_are_for_a_terminal(monkeypatch: pytest.MonkeyPatch, terminal: bool, bars: None) -> None:
    monkeypatch.setattr(network, "is_online", lambda: True)
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    assert not are_progress_bars_disabled()
    with network.fetching():
        assert are_progress_bars_disabled() != terminal
    assert not are_progress_bars_disabled()


def test_progress_bars_that_the_user_asked_for_stay(monkeypatch: pytest.MonkeyPatch, bars: None) -> None:
    monkeypatch.setattr(network, "is_online", lambda: True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", False)
    with network.fetching():
        assert not are_progress_bars_disabled()


def test_code_that_comes_with_a_tokenizer_is_refused_and_nobody_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoTokenizer, dynamic_module_utils

    before = dynamic_module_utils.TIME_OUT_REMOTE_CODE
    named = {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["somebody/evil--evil.Evil", None]}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(named))
    asked: list[str] = []

    def answer(question: str = "") -> str:
        asked.append(question)
        return "n"

    monkeypatch.setattr("builtins.input", answer)
    with network.no_remote_code(), pytest.raises(ValueError, match="custom code"):
        AutoTokenizer.from_pretrained(tmp_path)
    assert not asked
    assert before == dynamic_module_utils.TIME_OUT_REMOTE_CODE
