"""A film of a minute, a classifier, and how long a part is."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from olmv import Classifier
from olmv.video import frame_plan
from tests.support.tiny import tiny_model
from tests.support.videos import make_video


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLMV_CACHE", str(cache))


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Sixty seconds at one frame a second, each of another colour, with a cut at 31 s."""

    def draw(number: int) -> np.ndarray:
        picture = np.full((48, 64, 3), (30 + number, 60, 200 - number), np.uint8)
        if number >= 31:
            picture[:] = (230 - number, 220, number)
        picture[12:24, : 1 + number] += 20
        return picture

    path = tmp_path_factory.mktemp("film") / "film.mp4"
    times = [number * 1000 for number in range(60)]
    return str(make_video(path, frames=60, gop=5, width=64, height=48, draw=draw, times=times))


@pytest.fixture
def parts_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set how many frames a part has."""
    return lambda frames: monkeypatch.setattr(frame_plan, "PART_FRAMES", frames)


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    return Classifier(tiny_model(temporal="transformer"))
