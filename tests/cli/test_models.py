"""`olmv models`."""

from pathlib import Path
from typing import Any

import pytest

from olmv.models.registry import SHIPPED
from tests.cli.test_help import saved_model


@pytest.fixture(autouse=True)
def _mini(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHIPPED, "olmv-mini", saved_model(tmp_path))


def test_list(olmv: Any) -> None:
    code, out, _ = olmv("models", "list")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].split() == ["olmv-lite", "260", "px", "ships", "with", "olmv"]
    assert lines[1].split() == ["olmv-mini", "64", "px", "ships", "with", "olmv"]
    assert lines[2].endswith("default")
    assert len(lines) > 100


def test_list_by_words(olmv: Any) -> None:
    _, out, _ = olmv("models", "list", "siglip", "B-16")
    assert out
    assert all("siglip" in line.lower() and "b-16" in line.lower() for line in out.splitlines())


def test_info(olmv: Any) -> None:
    code, out, _ = olmv("models", "info", "ViT-B-32/openai")
    assert code == 0
    facts = dict(line.split("  ", 1) for line in out.splitlines())
    assert facts["name"].strip() == "ViT-B-32/openai"
    assert facts["image size"].strip() == "224"
    assert facts["ships with olmv"].strip() == "no"


def test_unknown_model_names_close_matches(olmv: Any) -> None:
    code, out, err = olmv("models", "info", "ViT-B32/openia")
    assert (code, out) == (2, "")
    assert "did you mean ViT-B-32/openai" in err
    assert err.count("\n") == 1
