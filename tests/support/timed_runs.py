"""Rows of `olmv predict --timeline` with their curves, and a truth over time, made up."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olmv.io.curves import Curve, curves_path, write_curves
from olmv.io.journal import encode_row
from olmv.scoring.logits import logit_of, sigmoid
from olmv.scoring.segments import find_segments

Truth = Sequence[tuple[str, float, float]]
"""Label, begin, end."""


def timeline_row(
    video: str, starts: NDArray[np.float64], end: float, curves: Mapping[str, NDArray[np.floating]]
) -> dict[str, Any]:
    """Make a row whose segments are those of the curves at 0.5."""
    segments = [
        segment for label, curve in curves.items() for segment in find_segments(label, starts, end, curve, enter=0.5)
    ]
    best = {label: float(curve.max()) for label, curve in curves.items()}
    return {
        "video": video,
        "status": "ok",
        "error": None,
        "duration_s": end,
        "frames": {"requested": 8, "decoded": 8, "corrupt": 0},
        "model": "olmv-mini",
        "labels": [
            {
                "label": label,
                "similarity": 0.3,
                "logit": float(logit_of(np.array(value))),
                "probability": value,
                "threshold": 0.5,
                "positive": value >= 0.5,
            }
            for label, value in best.items()
        ],
        "segments": [vars(segment) for segment in segments],
        "shots_s": [],
    }


def write_timelines(
    folder: Path, videos: Mapping[str, Mapping[str, NDArray[np.floating]]], *, cell_s: float = 1.0
) -> Path:
    """Write rows.jsonl and its curves: video -> label -> the probability of each cell of time."""
    rows, curves = [], []
    for video, by_label in videos.items():
        columns = np.stack(list(by_label.values()), axis=1)
        starts = np.arange(len(columns), dtype=np.float64) * cell_s
        rows.append(timeline_row(video, starts, len(columns) * cell_s, by_label))
        curves.append(Curve(video, tuple(by_label), starts, columns.astype(np.float32)))
    path = folder / "rows.jsonl"
    path.write_bytes(b"".join(map(encode_row, rows)))
    write_curves(curves_path(path), curves)
    return path


def made_films(
    count: int, labels: Mapping[str, float], *, cells: int = 120, noise: float = 0.7, seed: int = 0
) -> tuple[dict[str, dict[str, NDArray[np.floating]]], dict[str, list[tuple[str, float, float]]]]:
    """Make up films with two events of each label.

    Args:
        count: of films.
        labels: label -> the logit of its curve where it is true; elsewhere it is 4 lower.
        cells: of a second.
        noise: of the logits.
        seed: of everything.

    Returns:
        The curves, as `write_timelines` takes them, and video -> what is true.
    """
    random = np.random.default_rng(seed)
    curves: dict[str, dict[str, NDArray[np.floating]]] = {}
    truth: dict[str, list[tuple[str, float, float]]] = {}
    for film in range(count):
        name = f"film{film}.mp4"
        curves[name], truth[name] = {}, []
        for label, logit in labels.items():
            on = np.zeros(cells)
            for half in (0, cells // 2):
                start = half + int(random.integers(3, cells // 4))
                end = start + int(random.integers(6, 12))
                on[start:end] = 1
                truth[name].append((label, float(start), float(end)))
            curves[name][label] = sigmoid(logit - 4 * (1 - on) + random.normal(0, noise, cells))
    return curves, truth


def write_truth(path: Path, truth: Mapping[str, Truth]) -> Path:
    """Write truth.csv, a line a segment; a video without any has one with its name alone."""
    lines = ["video,label,start_s,end_s"]
    for video, segments in truth.items():
        lines += [f"{video},{label},{start},{end}" for label, start, end in segments] or [f"{video},,,"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
