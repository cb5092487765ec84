"""`--log-format json`: what a program reads of a run."""

import json
import logging
from typing import Any

import pytest

from olmv.cli import main
from olmv.cli.views.log import LogFormat, set_log_format


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_every_line_of_a_run_is_an_object(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    arguments = ["predict", str(tmp_path / "broken.mp4"), "-l", "dog", "-m", "olmv-mini", "-o", str(tmp_path / "x.csv")]
    assert main(["--log-format", "json", *arguments]) == 1
    told = lines(capsys.readouterr().err)
    assert {line["level"] for line in told} == {"info", "warning"}
    assert any("drawings" in line["message"] for line in told if line["level"] == "warning")
    assert any(line["message"].startswith("wrote ") for line in told)
    assert all(line["time"].endswith("+00:00") for line in told)


def test_an_error_has_its_exit_code(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLMV_LOG_FORMAT", "json")
    assert main(["predict", "gone\n.mp4", "-l", "dog"]) == 2
    *_, line = lines(capsys.readouterr().err)
    assert (line["level"], line["exit_code"]) == ("error", 2)
    assert "gone" in line["message"]


def test_what_libraries_log_is_a_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    set_log_format(LogFormat.json)
    try:
        logging.getLogger("somebody").warning("half of it is %s", "missing")
    finally:
        set_log_format(LogFormat.text)
    (line,) = lines(capsys.readouterr().err)
    assert (line["level"], line["message"]) == ("warning", "half of it is missing")


def test_another_format_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--log-format", "xml", "doctor"]) == 2
    assert "xml" in capsys.readouterr().err
