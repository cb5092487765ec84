"""Lay out the rows of a run as the data of its page: small, however many labels they share.

A label is named once; elsewhere it is its place in the list. Of a video there is an entry, for the list of all, and a
detail, for the video by itself; the page's script makes of both the card that `olmv.pages.cards` tells of.

An entry has `v` the video, `f` its facts, `l` places and probabilities of its labels in turn, the first first; and
where there is something to say: `e` [type, message] of an error, `t` {place: threshold} of labels whose threshold is
not the one of the list, `x` places of labels whose verdict does not follow from that, `o` how many labels of the row
are not there, `b` the most probable that any label which is missing can be, `p` the address of the video, `photo`.

A detail has `end` of the time axis, `times` and `jpegs` (base64) or `src` (addresses) of pictures; and where there is
something: `why` explanations, `segments`, `shots`, `curve` {place: base64}.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from olmv.io.curves import Curve
from olmv.pages.cards import curve_columns, facts_of, film_end, is_photo, ranked_labels
from olmv.pages.pictures import Pictures
from olmv.pages.player import player_address

__all__ = ["BARS_MOST", "LabelTable", "detail_of", "entry_of"]

BARS_MOST = 60
"""Labels of a video that the page has; a report with 10,000 labels must stay a page."""

_REASONS = 3  # texts and frames that are shown of an explanation
_CERTAIN = 1.0  # what a label may be of which a row says nothing

Row = Mapping[str, Any]


class LabelTable:
    """The labels of a page: the vocabulary, and what else rows have.

    Args:
        labels: the vocabulary, in its order.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._places = {label: place for place, label in enumerate(dict.fromkeys(labels))}
        self._thresholds: dict[int, float] = {}
        self._positives: Counter[int] = Counter()
        self._scored: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._places)

    def place(self, label: str) -> int:
        """Return the place of a label, its next one if it has none yet."""
        return self._places.setdefault(label, len(self._places))

    def threshold(self, place: int) -> float | None:
        """Return the threshold of a label, that of the first row which has it; None where no row has."""
        return self._thresholds.get(place)

    def count(self, row: Row) -> int:
        """Count the labels of a row in; return how many are positive."""
        positives = 0
        for label in row["labels"]:
            place = self.place(label["label"])
            self._thresholds.setdefault(place, label["threshold"])
            self._scored[place] += 1
            if label["positive"]:
                self._positives[place] += 1
                positives += 1
        return positives

    def to_data(self) -> dict[str, Any]:
        """Return the names, the thresholds, of how many videos each is positive, and how many rows have it."""
        places = range(len(self._places))
        return {
            "labels": list(self._places),
            "thresholds": [self._thresholds.get(place) for place in places],
            "positives": [self._positives[place] for place in places],
            "scored": [self._scored[place] for place in places],
        }


def entry_of(row: Row, table: LabelTable, page: Path) -> dict[str, Any]:
    """Return the entry of a row whose labels were counted into the table.

    Args:
        row: of a video.
        table: the labels.
        page: where the page is.
    """
    ranked = ranked_labels(row)
    labels = ranked[:BARS_MOST]
    pairs: list[float] = []
    thresholds: dict[int, float] = {}
    exceptions = []
    for label in labels:
        place = table.place(label["label"])
        pairs += (place, label["probability"])
        if label["threshold"] != table.threshold(place):
            thresholds[place] = label["threshold"]
        if label["positive"] != (label["probability"] >= label["threshold"]):
            exceptions.append(place)
    error = row["error"]
    entry = {
        "v": row["video"],
        "f": facts_of(row),
        "l": pairs,
        "e": [error["type"], error["message"]] if error else None,
        "t": thresholds,
        "x": exceptions,
        "o": len(ranked) - len(labels),
        "b": _highest_missing(ranked, table) if row["status"] == "ok" else None,
        "p": player_address(row["video"], page),
        "photo": is_photo(row),
    }
    return {name: value for name, value in entry.items() if value or name in ("v", "l")}


def _highest_missing(ranked: Sequence[Row], table: LabelTable) -> float | None:
    """Return what a label that the entry does not have can be at most; None where it has all."""
    if left_out := ranked[BARS_MOST:]:
        return float(max(label["probability"] for label in left_out))
    if len(ranked) < len(table):  # the row has its most probable labels only
        return float(min((label["probability"] for label in ranked), default=_CERTAIN))
    return None


def detail_of(
    row: Row, table: LabelTable, pictures: Pictures | None, addresses: Sequence[str] | None, curve: Curve | None
) -> dict[str, Any]:
    """Return the detail of a row.

    Args:
        row: of a video.
        table: the labels.
        pictures: its frames, or None.
        addresses: of the frames, one each; None where the page holds them itself.
        curve: its probabilities over time, or None.
    """
    labels = [label["label"] for label in ranked_labels(row)[:BARS_MOST]]
    shown = set(labels)
    photo = is_photo(row)
    end_s = film_end(row, pictures.times_s if pictures else (), curve)
    columns = {} if curve is None or photo else curve_columns(curve, labels, end_s)
    explanations = [_reasons(item, table) for item in row.get("explanations", ()) if item["label"] in shown]
    detail = {
        "end": round(end_s, 3),
        "times": [round(time_s, 3) for time_s in pictures.times_s[: len(pictures.jpegs)]] if pictures else None,
        "jpegs": pictures.jpegs if pictures and addresses is None else None,
        "src": addresses,
        "why": [item for item in explanations if item["texts"] or item["frames"]],
        "curve": {table.place(label): column for label, column in columns.items()},
    }
    detail = {name: value for name, value in detail.items() if value or name == "end"}
    if row.get("segments") is not None:
        detail["segments"] = [
            {"label": table.place(item["label"]), "start_s": item["start_s"], "end_s": item["end_s"]}
            | {"peak": item["peak"], "peak_s": item.get("peak_s")}
            for item in row["segments"]
            if item["label"] in shown
        ]
        detail["shots"] = list(row.get("shots_s") or ())
    return detail


def _reasons(explanation: Row, table: LabelTable) -> dict[str, Any]:
    """Keep the texts and frames that carried a label most."""
    return {
        "label": table.place(explanation["label"]),
        "texts": [text for text in explanation["texts"] if text["contribution"]][:_REASONS],
        "frames": [frame for frame in explanation["frames"] if frame["contribution"]][:_REASONS],
    }
