"""What tests of the service share."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from olmv.models.base import VideoModel
from olmv.serve.options import ServeOptions
from tests.support.browser import browser, open_page
from tests.support.samples import write_clip
from tests.support.server import RunningServer, running_server
from tests.support.tiny import tiny_model

__all__ = ["browser", "clips", "http", "open_page", "served_model", "server"]


@pytest.fixture(scope="session")
def served_model() -> VideoModel:
    return tiny_model()


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that a server allows: two clips, and a text that is none."""
    folder = tmp_path_factory.mktemp("clips")
    for name, seed in (("a.mp4", 0), ("b.mp4", 1)):
        write_clip(folder / name, seed=seed)
    (folder / "notes.txt").write_text("no video", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def server(served_model: VideoModel, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    options = ServeOptions(workers=2, root=clips, queue=8)
    with running_server(served_model, tmp_path_factory.mktemp("uploads"), options=options) as running:
        yield running


@pytest.fixture
def http(server: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client
