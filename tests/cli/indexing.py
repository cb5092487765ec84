"""Libraries that olmv index makes of three clips of the test's own."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from olmv.library.library import Library

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def index(olmv: Run, here: Path, clips: Path, model: str) -> Run:
    """Run `olmv index` with the tiny model, decoding in this process, into `library`."""
    (here / "clips").unlink()
    (here / "clips").mkdir()
    for seed in range(3):
        shutil.copy(clips / f"{seed}.mp4", here / "clips")

    def run(*arguments: str, output: str = "library") -> tuple[int, str, str]:
        named = () if {"-m", "--update", "--compact"} & {*arguments} else ("-m", model)
        return olmv("index", *arguments, *named, "-o", output, "--workers", "0")

    return run


def videos(folder: str | Path = "library") -> dict[str, int]:
    """Return how many windows each video has, by its name."""
    library = Library.open(folder)
    return {
        entry.video: int(
            library.fragments[entry.fragment].window_bounds[entry.stop]
            - library.fragments[entry.fragment].window_bounds[entry.first]
        )
        for entry in library
    }
