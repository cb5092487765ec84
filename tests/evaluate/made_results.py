"""Small results with random scores."""

from dataclasses import replace
from typing import Any

import numpy as np

from olmv.evaluate.results import Result

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


def made_result(
    kind: str = "multi-label", *, videos: int = 40, labels: int = 6, seed: int = 0, **fields: Any
) -> Result:
    """`videos` videos in 2 views, of which number 3 failed; what is true does not depend on the seed."""
    world = np.random.default_rng(99)
    if kind == "multi-label":
        truth = world.random((videos, labels)) < 0.4
        truth[0], truth[1] = True, False  # no label is always or never true
    elif kind == "single-label":
        truth = np.eye(labels, dtype=bool)[np.arange(videos) % labels]
    else:
        labels, truth = videos, np.eye(videos, dtype=bool)
    names = [f"label {index}" for index in range(labels)]
    noise = np.random.default_rng(seed).normal(size=(videos, 2, labels))
    scores = (2.0 * truth[:, None] + noise - 1).astype(np.float32)
    scores[3] = np.nan
    rows = [
        {
            "video": f"/videos/{index:03d}.mp4",
            "status": "error" if index == 3 else "ok",
            "error": {"type": "DecodeError", "message": "no frame; convert it"} if index == 3 else None,
            "truth": [names[label] for label in np.flatnonzero(true)],
            "predicted": [],
        }
        for index, true in enumerate(truth)
    ]
    result = Result(
        protocol="some-benchmark",
        kind=kind,  # type: ignore[arg-type]
        model="a-model",
        created="2026-11-21T18:40:05+00:00",
        labels=tuple(names),
        videos=tuple(rows),
        metrics={"top1": 0.5},
        thresholds=(0.5,) * labels if kind == "multi-label" else (),
        settings={"frames": 8},
        counts={"videos": videos, "failed": 1, "labels": labels},
        scores=scores,
    )
    return replace(result, **fields)
