"""Which model runs where nobody names one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

import olmv
from olmv.models import default
from olmv.models.default import DEFAULT_MODEL, DEFAULT_REPO, chosen_model, default_model


@pytest.fixture(autouse=True)
def _asked_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    default_model.cache_clear()
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    yield
    default_model.cache_clear()


def test_the_repository_is_that_of_open_clip() -> None:
    import open_clip

    told = open_clip.get_pretrained_cfg(*DEFAULT_MODEL.split("/"))
    assert told["hf_hub"].strip("/") == DEFAULT_REPO


def test_a_name_stays_and_nothing_is_said() -> None:
    assert chosen_model("ViT-B-32/openai") == ("ViT-B-32/openai", None)
    assert chosen_model(Path("runs/mine")) == ("runs/mine", None)


def test_without_a_network_what_ships_runs_and_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(default, "is_online", lambda: False)
    name, note = chosen_model(None)
    assert name == "olmv-lite"
    assert note is not None
    assert DEFAULT_MODEL in note
    assert "olmv-lite" in note
    assert "\n" not in note


def test_weights_in_the_cache_need_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(default, "is_online", lambda: False)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: str(tmp_path))
    assert chosen_model(None) == (DEFAULT_MODEL, None)


@pytest.mark.parametrize("refused", [True, False])
def test_a_hub_that_answers_is_asked_for_the_weights(refused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def metadata(url: str, **_: Any) -> None:
        asked.append(url)
        if refused:
            raise OSError("blocked by the proxy")

    monkeypatch.setattr(default, "is_online", lambda: True)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", metadata)
    assert default_model() == ("olmv-lite" if refused else DEFAULT_MODEL)
    assert all(DEFAULT_REPO in url for url in asked)
    assert len(asked) == (2 if refused else 1)


def test_the_library_warns(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(default, "is_online", lambda: False)
    with caplog.at_level("WARNING"):
        assert olmv.load_model(device="cpu").name == "olmv-lite"
    assert "cannot be had here: running olmv-lite" in caplog.text


def test_a_revision_needs_a_name() -> None:
    with pytest.raises(olmv.UsageError, match="a revision goes with a model's name; name the model"):
        olmv.Classifier.from_pretrained(revision="v1")
