"""The protocol `predictions`: rows that `olmv predict` has written, beside a manifest of what is true."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olmv.datasets.benchmarks.multilabel_sets import seen_and_unseen
from olmv.datasets.benchmarks.registry import Benchmark, Split
from olmv.datasets.judged import check_complete
from olmv.evaluate.joined import Joined, Scored, join, read_predictions
from olmv.scoring.logits import logit_of, sigmoid

__all__ = ["benchmark_of", "remarks"]

_NAMED = 3
_SHORT = 1e-4  # a probability is written with six digits


def benchmark_of(
    predictions: Path, truth: Path, *, unseen: Sequence[str] = (), allow_unknown: bool = False
) -> tuple[Benchmark, NDArray[np.float32], list[dict[str, Any]], Scored]:
    """Make a benchmark of the videos that have both a prediction and a truth.

    Args:
        predictions: rows of `olmv predict`.
        truth: a manifest.
        unseen: labels that get figures of their own.
        allow_unknown: as in `join`.

    Returns:
        The benchmark, scores [N, 1, C], a row for every video, and the joined arrays.

    Raises:
        InputError, UsageError: as `read_predictions` and `join`; an unseen label that was not predicted; a truth with
            pairs that nobody has judged.
    """
    joined = join(read_predictions(predictions), truth, allow_unknown=allow_unknown)
    scored = joined.scored
    check_complete(scored.known, "an evaluation")
    benchmark = Benchmark(
        name="predictions",
        kind="multi-label",
        labels=scored.labels,
        classes=scored.labels,
        videos=scored.videos,
        truth=tuple(tuple(np.flatnonzero(row).tolist()) for row in scored.truth),
        splits=(Split("all", tuple(range(len(scored.videos))), tuple(range(len(scored.labels)))),),
        groups=seen_and_unseen(scored.labels, unseen),
        video_groups=scored.groups,
        choices={"predictions": predictions.name, "truth": truth.name},
        notes=(*scored.notes, *remarks(joined)),
    )
    rows = [
        {
            "video": video,
            "status": "ok",
            "error": None,
            "truth": [scored.labels[i] for i in labels],
            "predicted": [
                scored.labels[i] for i in np.argsort(-values, kind="stable") if values[i] >= scored.threshold[i]
            ],
        }
        for video, labels, values in zip(scored.videos, benchmark.truth, scored.probability, strict=True)
    ]
    return benchmark, _logits(scored)[:, None].astype(np.float32), rows, scored


def remarks(joined: Joined) -> list[str]:
    """Say what had no counterpart, one line each, a few named."""
    groups = (
        (joined.without_prediction, "videos of the truth have no prediction"),
        (joined.without_truth, "predicted videos are not in the truth"),
        (joined.failed, "videos failed when they were predicted"),
        (joined.unlabelled, "videos of the truth have no labels column"),
        (tuple(joined.unknown_labels), "true labels were not predicted"),
    )
    return [
        f"{len(names)} {words}: {', '.join(names[:_NAMED])}{', ...' if len(names) > _NAMED else ''}"
        for names, words in groups
        if names
    ]


def _logits(scored: Scored) -> NDArray[np.float64]:
    """Return logits whose sigmoid is the written probability: thresholds with a scaling change the one only."""
    if np.abs(sigmoid(scored.logit) - scored.probability).max() < _SHORT:
        return scored.logit
    return logit_of(np.clip(scored.probability, 1e-9, 1 - 1e-9))
