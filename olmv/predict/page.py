"""Write the HTML report: one file that opens from disk, with no network.

It is streamed: rows come from the journal and pictures from their file, one video at a time, so a thousand videos
take no more memory than ten. Labels and file names are untrusted; `olmv.pages.page` says what keeps them harmless.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from olmv.io.curves import Curve
from olmv.pages.figures import clock, percent
from olmv.pages.page import asset, write_page
from olmv.pages.pictures import Pictures
from olmv.predict.timeline_view import STRIP_FRAMES, Strip, axis_ticks, film_end, film_strip, lanes_of, player_address

# Bars in sight, bars behind "more", and names in the filter. A report with 10,000 labels must stay a page.
BARS_SHOWN = 8
LANES_SHOWN = 12  # of a timeline, in place of bars
BARS_MOST = 60
FILTER_LABELS = 500


@dataclass(frozen=True)
class ReportInfo:
    """What the head of a report says.

    Args:
        model: name of the model.
        labels: the vocabulary, in its order.
        settings: what else the answers depend on, as name -> value.
        note: a sentence about the model that a reader must know, or None.
        created: when; now by default.
    """

    model: str
    labels: list[str]
    settings: dict[str, str] = field(default_factory=dict)
    note: str | None = None
    created: datetime = field(default_factory=lambda: datetime.now(UTC))


def write_report(
    path: Path,
    rows: Callable[[], Iterable[dict[str, Any]]],
    *,
    info: ReportInfo,
    pictures: Callable[[str], Pictures | None] = lambda video: None,
    curves: Callable[[str], Curve | None] = lambda video: None,
) -> None:
    """Write the report, replacing the file in one step.

    A row with `segments` is shown over time, and its video can be played where it lies within reach of the page.

    Args:
        path: the HTML file.
        rows: gives the prediction rows; called to count them, for those that failed, if any, and for the others.
        info: what the head says.
        pictures: gives a video's sampled frames, or None.
        curves: gives a video's probabilities over time, or None; asked for rows with `segments` only.

    Raises:
        OutputError: the file cannot be written, or the disk is full.
    """
    totals = _totals(rows(), info.labels)
    ordered = _failures_first(rows) if totals.failed else rows()
    write_page(
        path,
        "predict.html.j2",
        style=asset("predict.css") + asset("timeline.css"),
        script=asset("predict.js") + asset("timeline.js"),
        media=totals.timed,
        info=info,
        totals=totals,
        cards=_Cards(path, info.labels, pictures, curves).of(ordered),
    )


def _failures_first(rows: Callable[[], Iterable[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    yield from (row for row in rows() if row["status"] != "ok")
    yield from (row for row in rows() if row["status"] == "ok")


@dataclass(frozen=True)
class _Totals:
    videos: int
    failed: int
    positives: int
    timed: bool
    """Some video is shown over time."""
    filters: list[tuple[int, str, int]]
    """Labels offered in the filter: (index in the vocabulary, label, videos it is true of)."""


def _totals(rows: Iterable[dict[str, Any]], labels: list[str]) -> _Totals:
    videos = failed = 0
    timed = False
    positive: Counter[str] = Counter()
    for row in rows:
        videos += 1
        timed |= row.get("segments") is not None
        failed += row["status"] != "ok"
        positive.update(label["label"] for label in row["labels"] if label["positive"])
    offered = [(index, label, positive[label]) for index, label in enumerate(labels)]
    if len(offered) > FILTER_LABELS:
        offered = sorted((item for item in offered if item[2]), key=lambda item: -item[2])[:FILTER_LABELS]
    return _Totals(videos, failed, sum(positive.values()), timed, offered)


@dataclass(frozen=True)
class _Cards:
    """Makes what the template shows of each row."""

    page: Path
    labels: list[str]
    pictures: Callable[[str], Pictures | None]
    curves: Callable[[str], Curve | None]

    def of(self, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield cards in the order of `rows`."""
        indices = {label: index for index, label in enumerate(self.labels)}
        for row in rows:
            pictures = self.pictures(row["video"])
            timed = row.get("segments") is not None and not _is_photo(row)
            curve = self.curves(row["video"]) if timed else None
            end_s = film_end(row, pictures, curve)
            strip = None
            if pictures and pictures.jpegs and (timed or len(pictures.jpegs) > STRIP_FRAMES):
                strip = film_strip(pictures, end_s)
            shown = LANES_SHOWN if timed else BARS_SHOWN
            ranked = _ranked(row)
            explanations = {item["label"]: item for item in row.get("explanations", ())}
            bars = [_bar(label, indices.get(label["label"], -1), explanations, strip) for label in ranked[:BARS_MOST]]
            if _is_photo(row):  # what is said of its only frame is said of all of it
                bars = [bar | {"frames": []} for bar in bars]
            lanes = lanes_of(row, [bar["label"] for bar in bars], curve, end_s) if timed else None
            if lanes is not None:
                bars = [bar | {"lane": lane} for bar, lane in zip(bars, lanes.lanes, strict=True)]
            folder, _, name = row["video"].rpartition("/")
            yield {
                "row": row,
                "folder": f"{folder}/" if folder else "",
                "name": name,
                "facts": _facts(row),
                "bars": bars[:shown],
                "more": bars[shown:],
                "left_out": len(ranked) - len(bars),
                "photo": _is_photo(row),
                "pictures": list(zip(pictures.times_s, pictures.jpegs, strict=False)) if pictures else [],
                "strip": strip,
                "end_s": end_s,
                "ticks": list(axis_ticks(end_s)) if strip or lanes else [],
                "lanes": lanes,
                "player": player_address(row["video"], self.page) if timed else "",
            }


def _ranked(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the labels, those that have segments first, by their peaks, then the most probable."""
    peaks: dict[str, float] = {}
    for segment in row.get("segments") or ():
        peaks[segment["label"]] = max(segment["peak"], peaks.get(segment["label"], 0.0))
    return sorted(
        row["labels"], key=lambda label: (-peaks.get(label["label"], 0.0), -label["probability"], -label["logit"])
    )


def _bar(
    label: dict[str, Any], index: int, explanations: dict[str, dict[str, Any]], strip: Strip | None
) -> dict[str, Any]:
    explanation = explanations.get(label["label"])
    frames = [frame for frame in explanation["frames"] if frame["contribution"]][:3] if explanation else []
    # which pictures in sight carried it: of a strip, the nearest ones
    places = [frame["frame"] for frame in frames]
    if strip is not None:
        places = [strip.slot_at(frame["time_s"]) for frame in frames if frame["time_s"] is not None]
    return label | {
        "index": index,
        "percent": percent(label["probability"]),
        "texts": _texts(explanation),
        "frames": frames,
        "places": list(dict.fromkeys(places)),
    }


def _texts(explanation: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Pick the texts that carried a label; not worth a line where the label has no other text than its name."""
    if explanation is None:
        return []
    texts = [text for text in explanation["texts"] if text["contribution"]][:3]
    return [] if [text["text"] for text in texts] == [explanation["label"]] else texts


def _facts(row: dict[str, Any]) -> str:
    frames = row["frames"]
    if _is_photo(row):
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


def _is_photo(row: dict[str, Any]) -> bool:
    return bool(row["duration_s"] == 0 and row["frames"]["decoded"] == 1)


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{clock(seconds)} {'h' if round(seconds) >= 3600 else 'min'}"
