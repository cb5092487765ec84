"""`olmv doctor`."""

from pathlib import Path
from typing import Any

import pytest

from olmv import doctor as diagnosis
from olmv.models.hub.download import download
from olmv.models.hub.upload import push_to_hub
from olmv.models.registry import SHIPPED
from olmv.models.storage.saving import save_pretrained
from tests.support.hub_server import HubServer, client_at
from tests.support.tiny import tiny_model


def test_it_says_what_is_here_and_ends_with_a_verdict(olmv: Any, here: Path) -> None:
    code, out, _ = olmv("doctor")
    assert code == 0
    for word in ("packages", "torch ", "decoders", "pyav", "device", "dtype", "models that load offline"):
        assert word in out
    assert out.rstrip().splitlines()[-1].startswith("Ready")


def test_olmv_mini_is_honest_about_itself(olmv: Any, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "model.safetensors").touch()
    monkeypatch.setitem(SHIPPED, "olmv-mini", here)
    out = olmv("doctor")[1]
    assert "knows drawings, not footage" in out
    assert "Without a network olmv-lite runs in its place" in out


def test_a_missing_package_is_not_ready(olmv: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    version = diagnosis._version
    monkeypatch.setattr(diagnosis, "_version", lambda name: None if name == "av" else version(name))
    code, out, _ = olmv("doctor")
    assert code == 1
    assert "Not ready: av missing. Run: pip install --upgrade olmv" in out


def test_the_packages_are_those_of_the_metadata(olmv: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    needed, optional = diagnosis.requirements()
    assert {"torch", "transformers", "datasets", "typer"} <= set(needed)
    assert {"matplotlib", "scikit-learn", "tensorboard", "vllm", "openvino", "xlsxwriter"} <= set(optional)
    assert not {"pytest", "ruff", "olmv"} & {*needed, *optional}
    version = diagnosis._version
    monkeypatch.setattr(diagnosis, "_version", lambda name: None if name in optional else version(name))
    code, out, _ = olmv("doctor")
    assert code == 0
    assert "scikit-learn  " in out
    assert "not installed (evaluate and calibrate: pip install 'olmv[evaluate]')" in out
    if "decord" in optional:
        assert "not installed (a second decoder)" in out


def test_a_decoder_that_is_not_usable_is_not_ready(olmv: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("olmv.video.readers.open.available_decoders", lambda: {"pyav": None, "decord": None})
    code, out, _ = olmv("doctor")
    assert code == 1
    assert "Not ready: pyav: not usable here" in out


def test_cached_models_load_offline(olmv: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from olmv.models.registry import DEFAULT_MODEL

    monkeypatch.setattr(diagnosis, "offline_open_clip_models", lambda: [DEFAULT_MODEL])
    out = olmv("doctor")[1]
    assert f"{DEFAULT_MODEL}  in the cache; the default" in out
    assert "Ready, also offline. Try: olmv predict" in out


def test_the_cache_is_looked_into(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    asked: list[tuple[str, str]] = []

    def cached(repo: str, file: str) -> str | None:
        asked.append((repo, file))
        return "/cache/file" if repo == "timm/vit_base_patch32_clip_224.openai" else None

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", cached)
    found = diagnosis.offline_open_clip_models()
    assert "ViT-B-32/openai" in found
    assert "ViT-L-14/openai" not in found
    assert all(repo and file for repo, file in asked)


def test_models_fetched_from_the_hub_load_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "none"))
    assert diagnosis.offline_hub_models() == []
    save_pretrained(tiny_model(), tmp_path / "m")
    with HubServer(tmp_path / "hub") as server, client_at(server.url, tmp_path / "cache", monkeypatch):
        push_to_hub(tmp_path / "m", "me/pets")
        push_to_hub(tmp_path / "m", "me/pets", revision="v1")
        for revision in (None, "v1"):
            download("me/pets", revision)
        assert diagnosis.offline_hub_models() == ["hf:me/pets", "hf:me/pets@v1"]
        for config in (tmp_path / "cache").rglob("config.json"):
            config.unlink()
        assert diagnosis.offline_hub_models() == []
