"""The newest frames, encoded once each."""

from typing import Any

import numpy as np
import pytest
import torch

from olmv.errors import UsageError
from olmv.models.embed import embed_clips
from olmv.watch.rolling_window import RollingWindow
from tests.support.tiny import tiny_model

TEMPORALS = ["mean", "attention", "transformer", "cross-frame"]


def frames(count: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)


@pytest.mark.parametrize("temporal", TEMPORALS)
def test_a_window_is_what_the_model_makes_of_its_frames(temporal: str) -> None:
    model = tiny_model(temporal=temporal)
    window = RollingWindow(model, window_s=2.0, fps=2.0)
    pixels = frames(7)
    for number, frame in enumerate(pixels):
        window.add(frame, number * 0.5)
        first = max(number - 3, 0)
        expected = embed_clips(model, [torch.from_numpy(pixels[first : number + 1])])[0]
        assert len(window) == number + 1 - first
        torch.testing.assert_close(window.embedding().rows, expected.rows, rtol=1e-4, atol=1e-5)


def test_old_frames_leave_by_their_time() -> None:
    window = RollingWindow(tiny_model(), window_s=1.0, fps=10.0)
    for at_s in (0.0, 0.2, 5.0):
        window.add(frames(1)[0], at_s)
    assert len(window) == 1
    window.clear()
    assert len(window) == 0


def test_its_memory_has_a_limit() -> None:
    window = RollingWindow(tiny_model(), window_s=1.0, fps=2.0)
    for _ in range(50):
        window.add(frames(1)[0], 0.0)  # a clock that stands
    assert len(window) == 3
    with pytest.raises(UsageError, match="a window of 600 s at 2 frames a second is 1201 frames; the most is 512"):
        RollingWindow(tiny_model(), window_s=600.0, fps=2.0)


def test_a_model_made_for_a_number_of_frames_gets_that_many(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model(temporal="cross-frame")
    model.frames = 4
    shapes = []

    def embed(model: Any, pixels: Any) -> Any:
        shapes.append(tuple(pixels[0].shape))
        return embed_clips(model, pixels)

    monkeypatch.setattr("olmv.watch.rolling_window.embed_clips", embed)
    window = RollingWindow(model, window_s=4.0, fps=2.0)
    for number in range(9):
        window.add(frames(1)[0], number * 0.5)
        window.embedding()
    assert set(shapes) == {(4, 3, 32, 32)}
