"""Rows of `olmv predict --timeline` and the curves beside them, joined with a truth over time."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olmv.datasets.manifests import ManifestRow
from olmv.datasets.timed import read_timed
from olmv.datasets.timed_video import TimedVideo, joined_spans
from olmv.errors import InputError, UsageError
from olmv.evaluate.joined import Joined, join, read_predictions
from olmv.io.curves import Curve, curves_path, read_curves
from olmv.io.path_matching import match_paths
from olmv.io.prediction_rows import read_rows, valid_text
from olmv.labels.lookup import LabelLookup
from olmv.metrics.temporal import Timeline

__all__ = ["Timed", "join_timed", "timeline_of"]

Floats = NDArray[np.float64]

_AGAIN = "predict again with a timeline, into .jsonl"
_SLACK_S = 1.0  # by which a truth may go beyond the end that the file tells: players and tools round it


@dataclass(frozen=True, eq=False)
class Timed:
    """Predictions over time beside the truth: N videos, C labels.

    Attributes:
        joined: the same of whole videos: a label is true of one where it is true at some time; and what is left out.
        timelines: N, in the order of `joined.scored.videos`.
        notes: what a reader of the figures should know, one line each.
    """

    joined: Joined
    timelines: tuple[Timeline, ...]
    notes: tuple[str, ...] = ()


def join_timed(rows: str | Path, truth: str | Path | Sequence[TimedVideo], *, allow_unknown: bool = False) -> Timed:
    """Put rows with segments, and their curves, beside what is true when.

    Videos and labels are matched as `olmv.evaluate.joined.join` does; ids of ActivityNet by the stems of file names.
    True segments of one label that overlap are joined; what goes beyond the end of the video is cut.

    Args:
        rows: a `.jsonl` file of rows with segments, its curves beside it.
        truth: a file as `read_timed` takes it, or what that returned.
        allow_unknown: as in `join`.

    Raises:
        InputError: a bad truth, no curves, nothing in common; a true segment that begins after its video's end.
        UsageError: rows without segments, or that do not fit their curves.
    """
    path = Path(rows)
    if path.suffix.lower() != ".jsonl":
        raise UsageError(f"{path} has no segments: they are in .jsonl only; {_AGAIN}")
    predictions = read_predictions(path)
    notes: tuple[str, ...] = ()
    if isinstance(truth, str | Path):
        truth, notes = read_timed(truth)
    names = (*predictions.videos, *predictions.failed)
    truth = _named_as(truth, names)
    listed = [ManifestRow(video.video, labels=tuple({item.label: None for item in video.segments})) for video in truth]
    joined = join(predictions, listed, allow_unknown=allow_unknown)
    matches, _ = match_paths(names, [video.video for video in truth])
    true = {name: truth[place] for name, place in zip(names, matches, strict=True) if place is not None}
    segments = _segments(path)
    curves = {curve.video: curve for curve in read_curves(curves_path(path))}
    lookup = LabelLookup(predictions.labels)
    counts: Counter[str] = Counter()
    timelines = []
    for video in joined.scored.videos:
        curve = curves.get(valid_text(video))
        if curve is None:
            raise UsageError(f"{curves_path(path)} has no curve of {video}; {_AGAIN}")
        predicted, duration = segments[video]
        timelines.append(timeline_of(true[video], predicted, curve, lookup, duration_s=duration, counts=counts))
    notes += tuple(f"{count} {what}" for what, count in sorted(counts.items()) if count)
    return Timed(joined, tuple(timelines), (*joined.scored.notes, *notes))


def timeline_of(
    truth: TimedVideo,
    segments: Sequence[Mapping[str, Any]],
    curve: Curve,
    labels: LabelLookup | Sequence[str],
    *,
    duration_s: float | None = None,
    counts: "Counter[str] | None" = None,
) -> Timeline:
    """Put the segments and the curve of one video beside what is true of it.

    Args:
        truth: of the video; labels that were not predicted are left out.
        segments: as in a row: `label`, `start_s`, `end_s`, `peak`.
        curve: of the video.
        labels: C, in the order of the columns.
        duration_s: of the video, where its curve ends; None for as long after its last cell as that is after the one
            before.
        counts: is told what was joined or cut, and how often.

    Raises:
        InputError: a true segment begins after the end of the video.
        UsageError: segments or a curve that do not fit each other or the labels.
    """
    lookup = labels if isinstance(labels, LabelLookup) else LabelLookup(labels)
    counts = Counter() if counts is None else counts
    edges, probability = _cells(curve, lookup.labels, duration_s)
    true: list[list[tuple[float, float]]] = [[] for _ in lookup.labels]
    for item in truth.segments:
        place = lookup.find(item.label)
        if place is None:
            continue
        if item.start_s >= edges[-1] + _SLACK_S:
            raise InputError(
                f"'{item.label:.80}' begins at {item.start_s:g} s of {truth.video}, which ends at {edges[-1]:g} s; "
                "correct the truth: its times are in seconds from the first frame"
            )
        counts["true segments go beyond the end of their video and were cut"] += item.end_s > edges[-1] + _SLACK_S
        if item.start_s < edges[-1]:
            true[place].append((item.start_s, min(item.end_s, float(edges[-1]))))
    spans = []
    for pairs in true:
        joined, overlaps = joined_spans(pairs)
        counts["true segments overlap another of their label and were joined with it"] += overlaps
        spans.append(joined)
    predicted, score = _predicted(curve.video, segments, lookup.labels)
    return Timeline(tuple(spans), predicted, score, edges, probability)


def _named_as(truth: Sequence[TimedVideo], names: Sequence[str]) -> list[TimedVideo]:
    """Give ids the path of the video whose name they are the stem of; one that no video has stays as it is."""
    stems: dict[str, list[str]] = {}
    for name in names if any(video.is_id for video in truth) else ():
        stem = PurePath(name).stem
        for key in {stem, stem.removeprefix("v_")}:
            stems.setdefault(key, []).append(name)
    return [
        replace(video, video=there[0]) if video.is_id and len(there := stems.get(video.video, [])) == 1 else video
        for video in truth
    ]


def _segments(path: Path) -> dict[str, tuple[list[Any], float | None]]:
    """Read video -> its segments and duration, of the videos that did not fail."""
    segments = {}
    for row in read_rows(path):
        if row["status"] != "ok":
            continue
        if not isinstance(row.get("segments"), list):
            raise UsageError(f"{path} has no segments of {row['video']}; {_AGAIN}")
        segments[row["video"]] = (row["segments"], row["duration_s"])
    return segments


def _cells(curve: Curve, labels: Sequence[str], duration_s: float | None) -> tuple[Floats, NDArray[np.float32]]:
    """Return the edges [N + 1] of a curve's cells, and its probabilities [N, C] in the order of the labels."""
    starts, places = curve.starts_s, {label: place for place, label in enumerate(curve.labels)}
    missing = [label for label in labels if label not in places]
    if missing:
        raise UsageError(f"the curves of {curve.video} lack the label {missing[0]!r:.80}; {_AGAIN}")
    sound = len(starts) > 0 and bool(np.isfinite(starts).all() and (np.diff(starts) > 0).all() and starts[0] >= 0)
    if not sound or not ((curve.probability >= 0) & (curve.probability <= 1)).all():
        raise UsageError(f"the curves of {curve.video} are damaged; {_AGAIN}")
    end = starts[-1] if duration_s is None else duration_s
    if not starts[-1] < end < np.inf:
        end = starts[-1] + (starts[-1] - starts[-2] if len(starts) > 1 else 1.0)
    return np.append(starts, end), curve.probability[:, [places[label] for label in labels]]


def _predicted(
    video: str, segments: Sequence[Mapping[str, Any]], labels: Sequence[str]
) -> tuple[tuple[Floats, ...], tuple[Floats, ...]]:
    """Return spans [D, 2] and scores [D] of every label; the score is the peak."""
    by_label: dict[str, list[tuple[float, float, float]]] = {label: [] for label in labels}
    for item in segments:
        if item["label"] not in by_label:
            raise UsageError(
                f"the segments of {video} have another label than its row, {item['label']!r:.80}; {_AGAIN}"
            )
        by_label[item["label"]].append((item["start_s"], item["end_s"], item["peak"]))
    columns = [np.array(sorted(items), dtype=np.float64).reshape(-1, 3) for items in by_label.values()]
    for column in columns:
        if not (np.isfinite(column).all() and (column[:, 0] < column[:, 1]).all() and _is_apart(column)):
            raise UsageError(f"the segments of {video} overlap or have odd times; {_AGAIN}")
    return tuple(column[:, :2] for column in columns), tuple(column[:, 2] for column in columns)


def _is_apart(column: Floats) -> bool:
    return bool((column[1:, 0] >= column[:-1, 1]).all())
