"""Rows as `olmv predict` writes them, for the rooms that read, write or show them."""

from typing import Any

import pytest


def make_row(video: str, **probabilities: float) -> dict[str, Any]:
    """Make the row of a video with these probabilities, threshold 0.5."""
    return {
        "video": video,
        "status": "ok",
        "error": None,
        "duration_s": 9.8,
        "frames": {"requested": 8, "decoded": 7, "corrupt": 1},
        "model": "olmv-mini",
        "labels": [
            {
                "label": label,
                "similarity": 0.3,
                "logit": 2.1,
                "probability": probability,
                "threshold": 0.5,
                "positive": probability >= 0.5,
            }
            for label, probability in probabilities.items()
        ],
    }


@pytest.fixture
def good_row() -> dict[str, Any]:
    return make_row("clips/a.mp4", dog=0.89, rain=0.1)


@pytest.fixture
def bad_row() -> dict[str, Any]:
    return {
        "video": "clips/b.mp4",
        "status": "error",
        "error": {"type": "NotAVideoError", "message": "clips/b.mp4 is a text; give a video"},
        "duration_s": None,
        "frames": {"requested": 8, "decoded": 0, "corrupt": 0},
        "model": "olmv-mini",
        "labels": [],
    }
