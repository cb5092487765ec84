"""Scores beside truth: a predictions file of `olmv predict`, joined with a manifest that says what is true."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from olmv.datasets.groups import group_note, groups_of
from olmv.datasets.judged import judged_pairs
from olmv.datasets.manifests import ManifestRow, join_rows, misnamed_group_note, read_manifest
from olmv.errors import InputError
from olmv.io.path_matching import match_paths
from olmv.io.prediction_table import Predictions, read_predictions
from olmv.labels.lookup import LabelLookup, check_known

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
        groups: the name of each video's group, "" for none; () where the truth has no groups.
        known: [N, C], False where nobody has judged whether the label is true of the video; None where all is known.
    """

    videos: tuple[str, ...]
    labels: tuple[str, ...]
    logit: NDArray[np.float64]
    probability: NDArray[np.float64]
    truth: NDArray[np.bool_]
    threshold: NDArray[np.float64]
    model: str
    notes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    known: NDArray[np.bool_] | None = None


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


def join(predictions: Predictions, truth: Sequence[ManifestRow] | str | Path, *, allow_unknown: bool = False) -> Joined:
    """Put what was predicted beside what is true.

    Videos are matched by their absolute paths, else by as much of the path's end as tells them apart on both sides; a
    note says how many were. Several rows for one video are put together. Labels are matched as they are written, else
    whatever their case and white space, which a note tells.

    Args:
        predictions: as `read_predictions` gives them.
        truth: rows of a manifest, or its path.
        allow_unknown: go on where many true labels were not predicted; they are left out.

    Raises:
        InputError: a bad manifest; no video in common; no true label was predicted, or too many were not; a video with
            two groups.
    """
    notes: list[str] = []
    if isinstance(truth, str | Path):
        path, truth = truth, read_manifest(truth, labels=predictions.labels, note=notes.append)
        notes += misnamed_group_note(path)
    rows, repeated = join_rows([replace(row, split=None, caption=None) for row in truth])
    if repeated:
        notes.append(f"{repeated} rows of the truth are for a video met before; their labels were put together")
    videos, scored_count = (*predictions.videos, *predictions.failed), len(predictions.videos)
    matches, by_name = match_paths(videos, [row.video for row in rows])
    if not any(row is not None for row in matches):
        there = f" ({rows[0].video} for one)" if rows else ""
        raise InputError(
            f"predictions ({videos[0]} for one) and truth{there} have no video in common; "
            "give the truth of these videos, under the same paths or file names"
        )
    pairs = [(index, rows[row]) for index, row in enumerate(matches[:scored_count]) if row is not None]
    labelled = [(index, row) for index, row in pairs if row.labels is not None]
    indices = [index for index, _ in labelled]
    if not indices:
        raise InputError("the truth does not say which labels any scored video has; fill its 'labels' column")
    lookup = LabelLookup(predictions.labels)
    label_lists = [row.labels or () for _, row in labelled]
    groups = groups_of(((row.video, row.group) for row in truth), [row.video for _, row in labelled])
    true, unknown = _truth_matrix(lookup, label_lists, allow_unknown=allow_unknown)
    known = judged_pairs([row for _, row in labelled], lookup)
    everything = len(indices) == scored_count  # then the arrays need no copy
    matched = set(matches)
    if by_name:
        notes.append(f"matched by file name, since their paths differ: {by_name} of {len(videos)} videos")
    notes += [*lookup.notes(), *group_note(groups)]
    return Joined(
        scored=Scored(
            videos=tuple(predictions.videos[index] for index in indices),
            labels=predictions.labels,
            logit=predictions.logit if everything else predictions.logit[indices],
            probability=predictions.probability if everything else predictions.probability[indices],
            truth=true,
            threshold=predictions.threshold,
            model=predictions.model,
            notes=tuple(notes),
            groups=groups,
            known=known,
        ),
        without_prediction=tuple(row.video for index, row in enumerate(rows) if index not in matched),
        without_truth=tuple(videos[index] for index in range(scored_count) if matches[index] is None),
        failed=predictions.failed,
        unlabelled=tuple(row.video for row in rows if row.labels is None),
        unknown_labels=unknown,
    )


def _truth_matrix(
    lookup: LabelLookup, true: Sequence[Sequence[str]], *, allow_unknown: bool
) -> tuple[NDArray[np.bool_], dict[str, int]]:
    """Return [N, C], and how often each label that is not among the C was true."""
    matrix = np.zeros((len(true), len(lookup.labels)), dtype=bool)
    unknown: Counter[str] = Counter()
    for video, names in enumerate(true):
        for name in set(names):
            place = lookup.find(name)
            if place is None:
                unknown[name] += 1
            else:
                matrix[video, place] = True
    if unknown and not matrix.any():
        raise InputError(
            f"no label of the truth ({min(unknown)!r} for one) was predicted ({lookup.labels[0]!r} for one); "
            "write labels as they are in the label file"
        )
    total = unknown.total() + int(matrix.sum())
    problem = check_known(unknown, total, known=lookup.labels[0], where="the truth")
    if problem is not None and not allow_unknown:
        raise InputError(f"{problem}, or leave unknown labels out", option="allow_unknown")
    return matrix, dict(sorted(unknown.items(), key=lambda item: (-item[1], item[0])))
