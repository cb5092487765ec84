"""Libraries of the clips, for tests of the commands that take them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from olmv.models.registry import load_model
from olmv.scoring.windows import TimelineOptions
from tests.support.libraries import clip_library

WINDOWS = TimelineOptions(window_s=0.5, step_s=0.25)
WINDOWED = ("--timeline", "--window", "500ms", "--step", "250ms")


@pytest.fixture
def library(here: Path, model: str) -> str:
    """A library of three clips and a file that is none, which predict decodes as `videos.jsonl`."""
    _write(here, model, "library", None)
    return "library"


@pytest.fixture
def timed_library(here: Path, model: str) -> str:
    """The same with short windows."""
    _write(here, model, "timed", WINDOWS)
    return "timed"


def _write(here: Path, model: str, name: str, timeline: TimelineOptions | None) -> None:
    (here / "bad.mp4").write_text("a letter")
    paths = ["clips/0.mp4", "clips/1.mp4", "bad.mp4", "clips/2.mp4"]
    (here / "videos.jsonl").write_text("".join(json.dumps({"video": path}) + "\n" for path in paths))
    clip_library(here / name, load_model(model, dtype="float32"), paths, timeline=timeline)


def rows(path: str | Path) -> list[dict[str, Any]]:
    """Read rows."""
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def assert_same(one: Mapping[str, Any], other: Mapping[str, Any], *, tolerance: float = 1e-3) -> None:
    """Check that two rows tell the same, their numbers to a tolerance."""
    numbers = ("similarity", "logit", "probability", "peak", "mean", "contribution")
    if one.keys() != other.keys():
        raise AssertionError(f"{one.keys()} and {other.keys()}")
    for name, value in one.items():
        if isinstance(value, dict):
            assert_same(value, other[name], tolerance=tolerance)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            assert len(value) == len(other[name]), name
            for first, second in zip(value, other[name], strict=True):
                assert_same(first, second, tolerance=tolerance)
        elif name in numbers:
            assert value == pytest.approx(other[name], abs=tolerance * (10 if name == "logit" else 1)), name
        else:
            assert value == other[name], name
