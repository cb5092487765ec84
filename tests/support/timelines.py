"""Rows, curves and pictures of a timeline, for the rooms that write or show them."""

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from olmv.io.curves import Curve
from olmv.pages.pictures import Pictures
from tests.support.rows import make_row


def segment(label: str, start_s: float, end_s: float, peak: float = 0.9) -> dict[str, Any]:
    """Make a segment as it stands in a row."""
    middle = round((start_s + end_s) / 2, 3)
    return {"label": label, "start_s": start_s, "end_s": end_s, "peak": peak, "peak_s": middle, "mean": peak / 2}


def timeline_row(
    video: str,
    *segments: dict[str, Any],
    duration_s: float = 60.0,
    shots_s: tuple[float, ...] = (),
    others: Mapping[str, float] = {},
) -> dict[str, Any]:
    """Make the row of a timeline; its labels are `others`, by probability, and those of the segments, by peak."""
    probabilities = dict(others)
    for item in segments:
        probabilities[item["label"]] = max(probabilities.get(item["label"], 0.0), item["peak"])
    row = make_row(video, **probabilities) | {"duration_s": duration_s}
    frames = {"requested": 30, "decoded": 30, "corrupt": 0, "encoded": 30, "widest_gap_s": 2.0, "capped": False}
    return row | {"frames": frames, "segments": list(segments), "shots_s": list(shots_s)}


def jpeg(shade: int = 128, size: tuple[int, int] = (160, 90)) -> str:
    """Make a grey picture as the picture store holds it."""
    file = io.BytesIO()
    Image.new("RGB", size, (shade, shade, shade)).save(file, "JPEG")
    return base64.b64encode(file.getvalue()).decode("ascii")


def pictures_of(count: int, duration_s: float = 60.0) -> Pictures:
    """Make pictures at the centres of equal stretches, each lighter than the one before."""
    step = duration_s / count
    return Pictures(
        tuple((index + 0.5) * step for index in range(count)),
        tuple(jpeg(40 + index * 200 // count) for index in range(count)),
    )


def curve_of(row: dict[str, Any], cells: int = 30) -> Curve:
    """Make the curve that fits a row: the peak within each segment, 0.02 elsewhere."""
    labels = tuple(label["label"] for label in row["labels"])
    starts = np.linspace(0, row["duration_s"], cells, endpoint=False)
    probability = np.full((cells, len(labels)), 0.02, np.float32)
    for item in row["segments"]:
        inside = (starts >= item["start_s"]) & (starts < item["end_s"])
        probability[inside, labels.index(item["label"])] = item["peak"]
    return Curve(row["video"], labels, starts, probability)
