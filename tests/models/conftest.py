"""Language models and text towers for the tests of soft attributes; a stand-in of the Hub."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from olmv.models.clip.model import VideoCLIP
from olmv.models.registry import load_video_clip
from olmv.models.soft_attributes.language_model import LanguageModel, load_language_model
from tests.models.text_towers import custom_text_clip, siglip
from tests.support.hub_server import HubServer, client_at
from tests.support.tiny import tiny_model, write_open_clip_folder
from tests.support.tiny_lm import write_language_model


@pytest.fixture(scope="module")
def lm_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("lm")
    return {kind: write_language_model(root / kind, kind) for kind in ("llama", "bert", "t5")}


@pytest.fixture(scope="module", params=["llama", "bert"])
def lm(request: pytest.FixtureRequest, lm_folders: dict[str, Path]) -> LanguageModel:
    return load_language_model(lm_folders[request.param])


@pytest.fixture(scope="module")
def llama(lm_folders: dict[str, Path]) -> LanguageModel:
    return load_language_model(lm_folders["llama"])


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> VideoCLIP:
    folder = write_open_clip_folder(tmp_path_factory.mktemp("clip") / "oc")
    return load_video_clip(f"local-dir:{folder}", device="cpu", dtype="float32")


@pytest.fixture(params=["mini", "clip", "custom", "siglip"])
def towers(request: pytest.FixtureRequest, clip: VideoCLIP) -> Any:
    make: dict[str, Callable[[], Any]] = {
        "mini": lambda: tiny_model().towers, "clip": lambda: clip.towers, "custom": custom_text_clip, "siglip": siglip,
    }  # fmt: skip
    return make[request.param]()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with HubServer(tmp_path / "hub") as server, client_at(server.url, tmp_path / "cache", monkeypatch):
        yield server
