"""Tiny captioning models, built once a module."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.caption.tiny_blip2 import build, build_chat


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """On a busy machine the threads of so small a model wait for each other: seconds become a minute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def blip2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("blip2"))


@pytest.fixture(scope="module")
def blip2_t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("blip2_t5"), t5=True)


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_chat(tmp_path_factory.mktemp("chat"))


@pytest.fixture(params=["blip2", "blip2_t5", "chat"])
def spec(request: pytest.FixtureRequest) -> str:
    """Every family in turn."""
    folder = request.getfixturevalue(request.param)
    return f"{'hf' if request.param == 'chat' else 'blip2'}:{folder}"


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[Path], Path]:
    """Makes copies of a model that a test may spoil."""

    def copied(folder: Path) -> Path:
        return Path(shutil.copytree(folder, tmp_path / "copy"))

    return copied
