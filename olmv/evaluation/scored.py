"""Scores beside truth: a predictions file of `olmv predict`, joined with a manifest that says what is true."""

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from olmv.data.manifests import ManifestRow, read_manifest
from olmv.errors import InputError
from olmv.evaluation.prediction_files import Predictions, read_predictions

__all__ = ["Joined", "Predictions", "Scored", "join", "read_predictions"]


@dataclass(frozen=True)
class Scored:
    """What a model said of N videos and C labels, beside what is true.

    Attributes:
        videos: N paths.
        labels: C labels, as the user wrote them.
        logit: [N, C].
        probability: [N, C], 0..1.
        truth: [N, C].
        threshold: [C], 0..1, the ones that were used in predicting.
        model: its name.
        notes: what a reader of the figures should know about the videos, one line each.
    """

    videos: tuple[str, ...]
    labels: tuple[str, ...]
    logit: NDArray[np.float64]
    probability: NDArray[np.float64]
    truth: NDArray[np.bool_]
    threshold: NDArray[np.float64]
    model: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Joined:
    """Predictions beside truth, and what has no counterpart.

    Attributes:
        scored: the videos that have both, in the order of the predictions.
        without_prediction: videos of the truth that the predictions do not list.
        without_truth: scored videos that the truth does not list.
        failed: videos whose prediction failed, whether the truth lists them or not.
        unlabelled: videos that the truth lists without saying what is true of them.
        unknown_labels: true labels that were not predicted -> of how many of the scored videos they are true.
    """

    scored: Scored
    without_prediction: tuple[str, ...]
    without_truth: tuple[str, ...]
    failed: tuple[str, ...]
    unlabelled: tuple[str, ...]
    unknown_labels: Mapping[str, int]


def join(predictions: Predictions, truth: Sequence[ManifestRow] | str | Path) -> Joined:
    """Put what was predicted beside what is true.

    Videos are matched by their absolute paths. One without a match by path is matched by its file name, if no other
    video of either side has that name; a note says how many were. Labels are matched as they are written.

    Args:
        predictions: as `read_predictions` gives them.
        truth: rows of a manifest, or its path.

    Raises:
        InputError: a bad manifest; two of its rows for one video; no video in common; no true label was predicted.
    """
    rows = read_manifest(truth) if isinstance(truth, str | Path) else list(truth)
    videos, scored_count = (*predictions.videos, *predictions.failed), len(predictions.videos)
    matches, by_name = _match(videos, rows)
    if not any(row is not None for row in matches):
        there = f" ({rows[0].video} for one)" if rows else ""
        raise InputError(
            f"predictions ({videos[0]} for one) and truth{there} have no video in common; "
            "give the truth of these videos, under the same paths or file names"
        )
    pairs = [(index, rows[row]) for index, row in enumerate(matches[:scored_count]) if row is not None]
    kept = [index for index, row in pairs if row.labels is not None]
    if not kept:
        raise InputError("the truth does not say which labels any scored video has; fill its 'labels' column")
    true, unknown = _truth_matrix(predictions.labels, [row.labels for _, row in pairs if row.labels is not None])
    everything = len(kept) == scored_count  # then the arrays need no copy
    matched = set(matches)
    by_name_note = f"matched by file name, since their paths differ: {by_name} of {len(videos)} videos"
    notes = (by_name_note,) if by_name else ()
    return Joined(
        scored=Scored(
            videos=tuple(predictions.videos[index] for index in kept),
            labels=predictions.labels,
            logit=predictions.logit if everything else predictions.logit[kept],
            probability=predictions.probability if everything else predictions.probability[kept],
            truth=true,
            threshold=predictions.threshold,
            model=predictions.model,
            notes=notes,
        ),
        without_prediction=tuple(row.video for index, row in enumerate(rows) if index not in matched),
        without_truth=tuple(videos[index] for index in range(scored_count) if matches[index] is None),
        failed=predictions.failed,
        unlabelled=tuple(row.video for row in rows if row.labels is None),
        unknown_labels=unknown,
    )


def _match(videos: Sequence[str], rows: Sequence[ManifestRow]) -> tuple[list[int | None], int]:
    """Per video the index of its row of truth, or None; and how many were found by file name only."""
    by_path: dict[str, int] = {}
    for index, row in enumerate(rows):
        earlier = by_path.setdefault(os.path.abspath(row.video), index)  # noqa: PTH100 - keeps links as they are
        if earlier != index:
            raise InputError(
                f"the truth has two rows for {row.video}: {_number(rows, earlier)} and {_number(rows, index)}; "
                "remove one of them"
            )
    matches = [by_path.get(os.path.abspath(video)) for video in videos]  # noqa: PTH100
    if None not in matches:
        return matches, 0
    names_here, names_there = Counter(map(_name, videos)), defaultdict(list)
    for index, row in enumerate(rows):
        names_there[_name(row.video)].append(index)
    by_name = 0
    for index, video in enumerate(videos):
        candidates = names_there.get(_name(video), ())
        if matches[index] is None and len(candidates) == 1 and names_here[_name(video)] == 1:
            matches[index] = candidates[0]
            by_name += 1
    return matches, by_name


def _truth_matrix(labels: Sequence[str], true: Sequence[Sequence[str]]) -> tuple[NDArray[np.bool_], dict[str, int]]:
    """[N, C], and how often each label that is not among the C was true."""
    places = {label: index for index, label in enumerate(labels)}
    matrix = np.zeros((len(true), len(labels)), dtype=bool)
    unknown: Counter[str] = Counter()
    for video, names in enumerate(true):
        for name in set(names):
            if name in places:
                matrix[video, places[name]] = True
            else:
                unknown[name] += 1
    if unknown and not matrix.any():
        raise InputError(
            f"no label of the truth ({min(unknown)!r} for one) was predicted ({labels[0]!r} for one); "
            "write labels as they are in the label file"
        )
    return matrix, dict(sorted(unknown.items(), key=lambda item: (-item[1], item[0])))


def _name(path: str) -> str:
    return os.path.basename(path)  # noqa: PTH119 - paths are text here


def _number(rows: Sequence[ManifestRow], index: int) -> str:
    number = rows[index].number
    return f"row {index + 1}" if number is None else f"line {number}"
