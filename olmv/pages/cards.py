"""Make of a prediction row the card that a page draws: the report of `olmv predict`, and the page of `olmv serve`.

A card is the row with what a reader sees beside it, ready for JSON. Its texts are those of strangers: a page shows
them as text, never as markup. The scripts in `olmv/pages/web` draw cards.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olmv.io.curves import Curve
from olmv.pages.figures import clock

__all__ = ["COLUMNS", "card_of", "curve_columns", "facts_of", "film_end", "is_photo", "ranked_labels"]

COLUMNS = 400
"""Columns of a curve; where it has more cells, a column has the highest of them."""

_LEAST_S = 0.1  # a time axis has a length

Floats = NDArray[np.floating]


def card_of(
    row: Mapping[str, Any],
    *,
    pictures: Sequence[tuple[float, str]] = (),
    curve: Curve | None = None,
    player: str = "",
    clip: str | None = None,
    most_labels: int | None = None,
) -> dict[str, Any]:
    """Make the card of a row.

    Args:
        row: as `VideoPrediction.to_row` makes it, or as it was read from a file.
        pictures: the frames that were looked at, as (time in seconds, address), in the order of time.
        curve: the probabilities of the video over time, or None.
        player: address of the video, or "".
        clip: what a server calls the video, or None; only then the card has `clip`.
        most_labels: keep no more labels than these, the first; None keeps all.

    Returns:
        The row, its labels as `ranked_labels` orders them, and besides: `name` and the `folder` before it, `facts`
        in one line, `photo`, `player`, `pictures` with `time_s` and `src`, `end_s` where the time axis ends,
        `curve` (None, or `columns` and by label the base64 of as many bytes, each a probability in per cent),
        `left_out`, how many labels were not kept.
    """
    ranked = ranked_labels(row)
    labels = ranked if most_labels is None else ranked[:most_labels]
    folder, _, name = row["video"].rpartition("/")
    photo = is_photo(row)
    end_s = film_end(row, [time_s for time_s, _ in pictures], curve)
    names = [label["label"] for label in labels]
    drawn = None if photo or curve is None else curve_columns(curve, names, end_s)
    card = {
        **row,
        "labels": labels,
        "left_out": len(ranked) - len(labels),
        "name": name,
        "folder": f"{folder}/" if folder else "",
        "facts": facts_of(row),
        "photo": photo,
        "player": player,
        "pictures": [{"time_s": round(time_s, 3), "src": address} for time_s, address in pictures],
        "end_s": round(end_s, 3),
        "curve": None if not drawn else {"columns": COLUMNS, "labels": drawn},
    }
    return card if clip is None else {**card, "clip": clip}


def ranked_labels(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the labels of a row, those that have segments first, by their peaks, then the most probable."""
    peaks: dict[str, float] = {}
    for segment in row.get("segments") or ():
        peaks[segment["label"]] = max(segment["peak"], peaks.get(segment["label"], 0.0))
    return sorted(
        row["labels"], key=lambda label: (-peaks.get(label["label"], 0.0), -label["probability"], -label["logit"])
    )


def is_photo(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is of a single picture without a time."""
    return bool(row["duration_s"] == 0 and row["frames"]["decoded"] == 1)


def facts_of(row: Mapping[str, Any]) -> str:
    """Say in one line how long a video is and what of it was looked at: 7.2 s · 8 frames."""
    frames = row["frames"]
    if is_photo(row):
        return "photo · damaged" if frames["corrupt"] else "photo"
    facts = [] if row["duration_s"] is None else [_duration(row["duration_s"])]
    if row["status"] == "ok":
        short = frames["decoded"] < frames["requested"]
        count = f"{frames['decoded']} of {frames['requested']}" if short else str(frames["decoded"])
        facts.append(f"{count} frames" if count != "1" else "1 frame")
        if frames["corrupt"]:
            facts.append(f"{frames['corrupt']} corrupt")
        if frames.get("capped"):
            facts.append(f"up to {frames['widest_gap_s']:.0f} s between frames")
    return " · ".join(facts)


def film_end(row: Mapping[str, Any], times_s: Sequence[float] = (), curve: Curve | None = None) -> float:
    """Return where the time axis of a video ends, in seconds; above 0 also where the file does not say.

    Args:
        row: of the video.
        times_s: of its pictures.
        curve: its probabilities over time, or None.
    """
    ends: list[float] = [row["duration_s"] or 0.0, *(segment["end_s"] for segment in row.get("segments") or ())]
    if not row["duration_s"]:
        ends += times_s
        ends += curve.starts_s[-1:].tolist() if curve else ()
    return max(_LEAST_S, *map(float, ends))


def curve_columns(curve: Curve, labels: Sequence[str], end_s: float) -> dict[str, str]:
    """Pool a curve into `COLUMNS` columns of equal time, by the maximum.

    Args:
        curve: of the video.
        labels: which; those that the curve does not have are left out.
        end_s: where the time axis ends, above 0.

    Returns:
        By label the base64 of `COLUMNS` bytes, each a probability in per cent, rounded; empty where the curve has no
        cells.
    """
    places = {label: place for place, label in enumerate(curve.labels)}
    shown = [label for label in labels if label in places]
    if not len(curve.starts_s) or not shown:
        return {}
    pooled = _pooled(curve.starts_s, curve.probability[:, [places[label] for label in shown]], end_s)
    percents = np.rint(100 * pooled).astype(np.uint8)
    return {
        label: base64.b64encode(column.tobytes()).decode("ascii")
        for label, column in zip(shown, percents.T, strict=True)
    }


def _pooled(starts_s: Floats, probability: Floats, end_s: float) -> Floats:
    """Pool a curve [N, C] into columns of equal time, by the maximum: [COLUMNS, C]."""
    edges = np.arange(COLUMNS + 1) * (end_s / COLUMNS)
    # a cell begins in a column up to rounding: a hair's overlap must not colour the column before
    slack = end_s / COLUMNS * 1e-6
    first = np.maximum(np.searchsorted(starts_s, edges[:-1] + slack, side="right") - 1, 0)
    stop = np.maximum(np.searchsorted(starts_s, edges[1:] - slack, side="left"), first + 1)
    padded = np.concatenate([probability, probability[-1:]])  # reduceat takes no index past the end
    pooled = np.maximum.reduceat(padded, np.stack([first, stop], 1).ravel(), axis=0)[::2]
    return np.asarray(np.clip(np.nan_to_num(pooled), 0, 1))


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{clock(seconds)} {'h' if round(seconds) >= 3600 else 'min'}"
