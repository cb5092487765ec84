"""Things to review, made up."""

from pathlib import Path

import numpy as np

from olmv.scoring.logits import sigmoid
from olmv.serve.review.session import ReviewSession
from olmv.serve.review.source import ReviewSource


def made_source(videos: int = 40, labels: tuple[str, ...] = ("dog", "rain"), *, seed: int = 0) -> ReviewSource:
    """Videos `clips/000.mp4` and so on, with logits drawn around -1."""
    logit = np.random.default_rng(seed).normal(-1, 2, (videos, len(labels)))
    return ReviewSource.of_scores(
        "films",
        videos=[f"clips/{number:03}.mp4" for number in range(videos)],
        labels=labels,
        logit=logit,
        probability=sigmoid(logit),
        threshold=[0.5] * len(labels),
        model="tiny",
    )


class Clock:
    """Seconds that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def session_in(folder: Path, source: ReviewSource | None = None, clock: Clock | None = None) -> ReviewSession:
    """A session whose files are written when it is closed, or asked to."""
    return ReviewSession(source or made_source(), folder / "films.review", clock=clock or Clock(), export_s=3600)
