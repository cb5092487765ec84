"""Texts that are encoded for nobody: the client has gone, or the service ends."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from torch import Tensor

from olmv.library.library import Library
from olmv.models import text_cache
from olmv.models.base import VideoModel
from olmv.serve import service as service_module
from olmv.serve.api import cancellation
from tests.support.libraries import clip_library
from tests.support.samples import write_clip
from tests.support.server import running_server
from tests.support.tiny import tiny_model

TEXTS = [f"text {number}" for number in range(20)]
PATIENCE_S = 30


class SlowTower:
    """A text tower that stays at its first texts until it may go on.

    Attributes:
        begun: it has met them.
        released: it may go on.
        calls: how often it was asked.
    """

    def __init__(self, encode: Callable[[Sequence[str]], Tensor]) -> None:
        self.begun, self.released = threading.Event(), threading.Event()
        self.calls = 0
        self._encode = encode

    def __call__(self, texts: Sequence[str]) -> Tensor:
        self.calls += 1
        self.begun.set()
        assert self.released.wait(PATIENCE_S)
        return self._encode(texts)


@pytest.fixture
def model() -> VideoModel:
    return tiny_model()


@pytest.fixture
def tower(model: VideoModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SlowTower:
    """Of the model, which has not met a text before and reports after every fourth."""
    monkeypatch.setenv("OLMV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(text_cache, "_CHUNK", 4)
    monkeypatch.setattr(cancellation, "_LOOK_S", 0.01)
    monkeypatch.setattr(service_module, "_GONE_S", 0.01)
    slow = SlowTower(model.encode_texts)
    monkeypatch.setattr(model, "encode_texts", slow)
    return slow


@pytest.fixture
def library(model: VideoModel, tmp_path: Path) -> Library:
    clip_library(tmp_path / "clips.olmv", model, [str(write_clip(tmp_path / "a.mp4"))])
    library = Library.open(tmp_path / "clips.olmv")
    library.model(model)
    return library


def _gone_then(tower: SlowTower) -> Any:
    async def is_gone(_: Request) -> bool:
        return tower.begun.is_set()

    return is_gone


def _posted(url: str, tower: SlowTower, route: str, body: dict[str, Any]) -> int:
    """Return the status of an answer that comes while the tower is at its first texts still."""
    try:
        return httpx.post(url + route, json=body, timeout=PATIENCE_S).status_code
    finally:
        tower.released.set()


def test_texts_are_not_embedded_for_a_client_that_has_gone(
    model: VideoModel, tower: SlowTower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Request, "is_disconnected", _gone_then(tower))
    with running_server(model, tmp_path / "uploads") as running:
        assert _posted(running.url, tower, "/v1/embed", {"texts": TEXTS}) == 499
    assert tower.calls == 1  # the service ended after its threads


def test_nothing_is_searched_for_a_client_that_has_gone(
    library: Library, model: VideoModel, tower: SlowTower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Request, "is_disconnected", _gone_then(tower))
    with running_server(model, tmp_path / "uploads", library=library) as running:
        assert _posted(running.url, tower, "/v1/search", {"query": TEXTS[:10]}) == 499
    assert tower.calls == 1


def test_labels_are_not_encoded_for_a_client_that_has_gone(
    model: VideoModel, tower: SlowTower, tmp_path: Path, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Request, "is_disconnected", _gone_then(tower))
    with running_server(model, tmp_path / "uploads") as running:
        files = {"files": ("a.mp4", (clips / "a.mp4").read_bytes())}
        data = {"labels": "\n".join(TEXTS)}
        answer = httpx.post(f"{running.url}/v1/predict", files=files, data=data, timeout=PATIENCE_S)
        tower.released.set()
        assert answer.status_code == 499
    assert tower.calls == 1


@pytest.mark.parametrize("route", ["/v1/embed", "/v1/search"])
def test_the_end_of_the_service_is_not_held_up(
    route: str, library: Library, model: VideoModel, tower: SlowTower, tmp_path: Path
) -> None:
    body = {"texts": TEXTS} if route == "/v1/embed" else {"query": TEXTS[:10]}
    answers: list[int] = []
    with running_server(model, tmp_path / "uploads", library=library) as running:
        client = threading.Thread(target=lambda: answers.append(_posted(running.url, tower, route, body)))
        client.start()
        assert tower.begun.wait(PATIENCE_S)
    client.join(PATIENCE_S)
    assert (answers, tower.calls) == ([503], 1)


def test_who_waits_gets_an_answer(model: VideoModel, tower: SlowTower, tmp_path: Path) -> None:
    tower.released.set()
    with running_server(model, tmp_path / "uploads") as running:
        answer = httpx.post(f"{running.url}/v1/embed", json={"texts": TEXTS}, timeout=PATIENCE_S).json()
    assert (len(answer["embeddings"]), tower.calls) == (20, 5)
