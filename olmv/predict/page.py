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

from olmv.pages.page import asset, write_page
from olmv.pages.pictures import Pictures

# Bars in sight, bars behind "more", and names in the filter. A report with 10,000 labels must stay a page.
BARS_SHOWN = 8
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
) -> None:
    """Write the report, replacing the file in one step.

    Args:
        path: the HTML file.
        rows: gives the prediction rows; called to count them, for those that failed, if any, and for the others.
        info: what the head says.
        pictures: gives a video's sampled frames, or None.

    Raises:
        OutputError: the file cannot be written, or the disk is full.
    """
    totals = _totals(rows(), info.labels)
    ordered = _failures_first(rows) if totals.failed else rows()
    write_page(
        path,
        "predict.html.j2",
        style=asset("predict.css"),
        script=asset("predict.js"),
        info=info,
        totals=totals,
        cards=_cards(ordered, pictures, {label: index for index, label in enumerate(info.labels)}),
    )


def _failures_first(rows: Callable[[], Iterable[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    yield from (row for row in rows() if row["status"] != "ok")
    yield from (row for row in rows() if row["status"] == "ok")


@dataclass(frozen=True)
class _Totals:
    videos: int
    failed: int
    positives: int
    filters: list[tuple[int, str, int]]
    """Labels offered in the filter: (index in the vocabulary, label, videos it is true of)."""


def _totals(rows: Iterable[dict[str, Any]], labels: list[str]) -> _Totals:
    videos = failed = 0
    positive: Counter[str] = Counter()
    for row in rows:
        videos += 1
        failed += row["status"] != "ok"
        positive.update(label["label"] for label in row["labels"] if label["positive"])
    offered = [(index, label, positive[label]) for index, label in enumerate(labels)]
    if len(offered) > FILTER_LABELS:
        offered = sorted((item for item in offered if item[2]), key=lambda item: -item[2])[:FILTER_LABELS]
    return _Totals(videos, failed, sum(positive.values()), offered)


def _cards(
    rows: Iterable[dict[str, Any]], pictures: Callable[[str], Pictures | None], indices: dict[str, int]
) -> Iterator[dict[str, Any]]:
    """Yield cards in the order of `rows`."""
    for row in rows:
        explanations = {item["label"]: item for item in row.get("explanations", ())}
        ranked = sorted(row["labels"], key=lambda label: (-label["probability"], -label["logit"]))
        bars = [_bar(label, indices.get(label["label"], -1), explanations) for label in ranked[:BARS_MOST]]
        if _is_photo(row):  # what is said of its only frame is said of all of it
            bars = [bar | {"frames": []} for bar in bars]
        frames = pictures(row["video"])
        folder, _, name = row["video"].rpartition("/")
        yield {
            "row": row,
            "folder": f"{folder}/" if folder else "",
            "name": name,
            "facts": _facts(row),
            "bars": bars[:BARS_SHOWN],
            "more": bars[BARS_SHOWN:],
            "left_out": len(ranked) - len(bars),
            "photo": _is_photo(row),
            "pictures": list(zip(frames.times_s, frames.jpegs, strict=False)) if frames else [],
        }


def _bar(label: dict[str, Any], index: int, explanations: dict[str, dict[str, Any]]) -> dict[str, Any]:
    explanation = explanations.get(label["label"])
    return label | {
        "index": index,
        "percent": _percent(label["probability"]),
        "texts": _texts(explanation),
        "frames": [frame for frame in explanation["frames"] if frame["contribution"]][:3] if explanation else [],
    }


def _texts(explanation: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Pick the texts that carried a label; not worth a line where the label has no other text than its name."""
    if explanation is None:
        return []
    texts = [text for text in explanation["texts"] if text["contribution"]][:3]
    return [] if [text["text"] for text in texts] == [explanation["label"]] else texts


def _percent(probability: float) -> str:
    """Write two digits that never round an uncertain verdict to certainty."""
    percent = 100 * probability
    if percent < 0.1:
        return "<0.1%" if percent > 0 else "0%"
    if percent > 99.9:
        return ">99.9%" if percent < 100 else "100%"
    return f"{percent:.1f}%" if percent < 10 or percent > 99 else f"{percent:.0f}%"


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
    return " · ".join(facts)


def _is_photo(row: dict[str, Any]) -> bool:
    return bool(row["duration_s"] == 0 and row["frames"]["decoded"] == 1)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d} h" if hours else f"{minutes}:{rest:02d} min"
