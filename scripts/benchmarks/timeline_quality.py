"""How well times are told: films with exact truth, a short event in a long film, real clips with times.

Figures, by KIND (`actions`: olmv-lite; `moji`: olmv-mini); thresholds and hysteresis are fitted to the `dev` films by
`olmv calibrate --objective event-f1`, figures are of the `test` films, intervals by a bootstrap over films:
    event_f1/KIND                micro F1 of events whose begin and end are within 1 s
    event_f1_half/KIND           the same with a threshold of 0.5 for every label, nothing fitted
    map50/KIND                   mAP at a temporal IoU of 0.5
    frame_map/KIND               mAP of pieces of time
    label_event_f1/LABEL, label_frame_ap/LABEL     of each of the actions
    shot_f1/KIND                 F1 of the cuts, within 0.25 s
    guitar/probability           `olmv predict` of 10 minutes with a guitar for 24 seconds; guitar/probability_8 with
                                 `--frames 8`, as earlier versions looked; guitar/others the most probable label that is
                                 not true of it
    timed/frame_ap/LABEL         olmv-lite on real clips with times, and timed/frame_map
    adaptive/saving/KIND         of a camera that stands still: frames sampled over frames encoded
    adaptive/event_f1/KIND, uniform/event_f1/KIND
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from olmv.calibrate.events import segmented
from olmv.evaluate.timed.timelines import Timed, join_timed
from olmv.metrics.bootstrap import Interval, weighted_intervals
from olmv.metrics.temporal import Timeline
from olmv.metrics.temporal_figures import temporal_figures, temporal_intervals
from olmv.scoring.thresholds import Thresholds
from scripts.benchmarks.predict_processes import process_environment, run_command
from scripts.benchmarks.results import Figure
from scripts.benchmarks.timeline_clips import Clip
from scripts.benchmarks.timeline_films import Film, timed_truth, write_truth
from scripts.benchmarks.timeline_special import GUITAR, guitar_film, static_film

__all__ = ["MODELS", "measure_adaptive", "measure_guitar", "measure_library", "measure_timed", "predict_films"]

MODELS = {"actions": "olmv-lite", "moji": "olmv-mini"}
CUT_TOLERANCE_S = 0.25
TIMED_MODEL = "olmv-lite"


def predict_films(films: Iterable[Path], labels: Sequence[str], model: str, rows: Path, *options: str) -> Path:
    """Run `olmv predict` of films, or go on from the rows that are there; return the file of rows."""
    names = rows.with_suffix(".labels.txt")
    names.write_text("\n".join(labels) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "olmv", "predict", *map(str, films), "-l", str(names), "-m", model]
    run_command([*command, "-o", str(rows), *options], process_environment())
    return rows


def measure_library(films: Sequence[Film], folder: Path) -> list[Figure]:
    """Measure the films of the library.

    Args:
        films: all of them.
        folder: of the library; rows are written into `folder`/rows, and those that are there are used.
    """
    rows = folder / "rows"
    rows.mkdir(exist_ok=True)
    figures = []
    for kind, model in MODELS.items():
        own = [film for film in films if film.kind == kind]
        labels = sorted({event.label for film in own for event in film.events})
        timed: dict[str, Timed] = {}
        for split in ("dev", "test"):
            some = [film for film in own if film.split == split]
            file = predict_films(
                (film.path for film in some), labels, model, rows / f"{kind}_{split}.jsonl", "--timeline"
            )
            truth = rows / f"{kind}_{split}_truth.csv"
            write_truth(truth, ((str(film.path), event) for film in some for event in film.events))
            timed[split] = join_timed(file, truth)
        fitted = rows / f"{kind}_thresholds.json"
        command = [sys.executable, "-m", "olmv", "calibrate", str(rows / f"{kind}_dev.jsonl")]
        truth = rows / f"{kind}_dev_truth.csv"
        run_command(
            [*command, "--truth", str(truth), "--objective", "event-f1", "-o", str(fitted)], process_environment()
        )
        test = [film for film in own if film.split == "test"]
        figures += _of_films(timed["test"], Thresholds.load(fitted), kind)
        figures.append(_shot_f1(test, rows / f"{kind}_test.jsonl", kind))
    return figures


def _of_films(timed: Timed, thresholds: Thresholds, kind: str) -> list[Figure]:
    labels, count = timed.joined.scored.labels, len(timed.timelines)
    fitted = decided(timed.timelines, labels, thresholds)
    figures = []
    for name, timelines in (("event_f1", fitted), ("event_f1_half", timed.timelines)):
        figures.append(_figure(f"{name}/{kind}", timelines, "event_f1"))
    figures.append(_figure(f"map50/{kind}", fitted, "map_iou50"))
    figures.append(_figure(f"frame_map/{kind}", fitted, "frame_map"))
    each = temporal_figures(fitted)
    for index, label in enumerate(labels if kind == "actions" else ()):
        events = int(each.support[index])
        figures.append(Figure(f"label_event_f1/{label}", float(each.f1[index]), None, None, events))
        figures.append(Figure(f"label_frame_ap/{label}", float(each.frame_ap[index]), None, None, count))
    return figures


def decided(timelines: Sequence[Timeline], labels: Sequence[str], thresholds: Thresholds) -> list[Timeline]:
    """Find the segments of curves anew, with these thresholds; a label that has none keeps 0.5."""
    enter = np.array([thresholds.entry(label).threshold if label in thresholds else 0.5 for label in labels])
    leave = np.array([thresholds.leave_of(label, limit) for label, limit in zip(labels, enter.tolist(), strict=True)])
    return [segmented(timeline, enter, leave) for timeline in timelines]


def _figure(name: str, timelines: Sequence[Timeline], metric: str) -> Figure:
    value = temporal_figures(timelines).metrics[metric]
    interval = temporal_intervals(timelines)[metric]
    return Figure(name, value, interval.low, interval.high, len(timelines))


def _shot_f1(films: Sequence[Film], rows: Path, kind: str) -> Figure:
    told = {row["video"]: row["shots_s"] for row in read_rows(rows)}
    counts = np.array([_cut_counts(told[str(film.path)], film.cuts_s) for film in films], np.float64)

    def f1(weights: Any) -> dict[str, Any]:
        hits, predicted, true = (weights @ counts).T
        return {"f1": 2 * hits / (predicted + true)}

    interval: Interval = weighted_intervals(f1, len(films), 1)["f1"]
    return Figure(f"shot_f1/{kind}", interval.value, interval.low, interval.high, len(films))


def _cut_counts(predicted: Sequence[float], true: Sequence[float]) -> tuple[int, int, int]:
    """Count hits, predicted and true cuts; each true one is hit once."""
    rest, hits = sorted(true), 0
    for time in sorted(predicted):
        near = [cut for cut in rest if abs(cut - time) <= CUT_TOLERANCE_S]
        if near:
            rest.remove(min(near, key=lambda cut: abs(cut - time)))
            hits += 1
    return hits, len(predicted), len(true)


def measure_guitar(folder: Path, clips: Sequence[Clip]) -> list[Figure]:
    """Measure whether a plain run sees 24 seconds of 10 minutes."""
    film = guitar_film(folder, clips)
    labels = sorted({event.label for event in film.events} | {GUITAR, "dog", "playing drums", "swimming", "cooking"})
    absent = [label for label in labels if label not in {event.label for event in film.events}]
    figures = []
    for name, options in (("probability", ()), ("probability_8", ("--frames", "8"))):
        rows = predict_films([film.path], labels, TIMED_MODEL, folder / "rows" / f"guitar_{name}.jsonl", *options)
        (row,) = read_rows(rows)
        told = {label["label"]: label["probability"] for label in row["labels"]}
        figures.append(Figure(f"guitar/{name}", told[GUITAR], None, None, 1))
        if not options:
            figures.append(Figure("guitar/others", max(told[label] for label in absent), None, None, len(absent)))
    return figures


def measure_timed(folder: Path, source: Path) -> list[Figure]:
    """Measure frame-level AP on real clips with times; `source` has a `labels.csv`, see `timed_truth`."""
    events = [(str(source / video), event) for video, event in timed_truth(source / "labels.csv")]
    truth = folder / "rows" / "timed_truth.csv"
    write_truth(truth, events)
    labels = sorted({event.label for _, event in events})
    videos = list(dict.fromkeys(Path(video) for video, _ in events))
    rows = predict_films(videos, labels, TIMED_MODEL, folder / "rows" / "timed.jsonl", "--timeline")
    timed = join_timed(rows, truth)
    figures = [_figure("timed/frame_map", timed.timelines, "frame_map")]
    for index, label in enumerate(timed.joined.scored.labels):
        alone = [_only(timeline, index) for timeline in timed.timelines]
        figures.append(_figure(f"timed/frame_ap/{label}", alone, "frame_map"))
    return figures


def _only(timeline: Timeline, label: int) -> Timeline:
    """Return the timeline of one label."""
    return replace(
        timeline,
        truth=timeline.truth[label : label + 1],
        predicted=timeline.predicted[label : label + 1],
        score=timeline.score[label : label + 1],
        probability=timeline.probability[:, label : label + 1],
    )


def measure_adaptive(folder: Path, clips: Mapping[str, Sequence[Clip]], photo: Path) -> list[Figure]:
    """Measure what is saved where nothing changes, and whether the same events are told."""
    figures = []
    for kind, model in MODELS.items():
        film = static_film(folder) if kind == "moji" else static_film(folder, photo, clips["actions"])
        labels = sorted({event.label for event in film.events})
        truth = folder / "rows" / f"static_{kind}_truth.csv"
        write_truth(truth, ((str(film.path), event) for event in film.events))
        for sampling in ("uniform", "adaptive"):
            name = folder / "rows" / f"static_{kind}_{sampling}.jsonl"
            rows = predict_films([film.path], labels, model, name, "--timeline", "--sampling", sampling)
            (row,) = read_rows(rows)
            if sampling == "adaptive":
                saving = row["frames"]["decoded"] / row["frames"]["encoded"]
                figures.append(Figure(f"adaptive/saving/{kind}", saving, None, None, 1))
            fitted = _fitted(folder / "rows" / f"{kind}_thresholds.json")
            timed = join_timed(rows, truth)
            timelines = timed.timelines
            if fitted is not None:
                timelines = tuple(decided(timelines, timed.joined.scored.labels, fitted))
            value = temporal_figures(timelines).metrics["event_f1"]
            figures.append(Figure(f"{sampling}/event_f1/{kind}", value, None, None, len(film.events)))
    return figures


def _fitted(path: Path) -> Thresholds | None:
    return Thresholds.load(path) if path.exists() else None


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a run."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
