"""A review as the files that the commands read: `truth.csv`, a manifest, and `thresholds.json`."""

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from olmv.calibrate.document import provenance, words_of
from olmv.labels.lists import WIDE_MARKS
from olmv.scoring.thresholds import LabelThreshold, Thresholds
from olmv.serve.review.estimates import Estimate, Quality
from olmv.serve.review.source import ReviewSource
from olmv.video.cloud import is_cloud

__all__ = ["THRESHOLDS", "TRUTH", "label_cell", "thresholds_of", "truth_csv"]

TRUTH = "truth.csv"
THRESHOLDS = "thresholds.json"

_MARKS = frozenset("".join(WIDE_MARKS) + "".join(WIDE_MARKS.values()) + "[\"'")


def truth_csv(videos: Iterable[tuple[str, Sequence[str], Sequence[str]]], folder: Path | None) -> str:
    """Write a manifest of what was judged.

    Args:
        videos: path, labels that are true, labels that are not, of each video with a verdict. Paths that are not UTF-8
            are left out: no csv manifest can name them.
        folder: that the file will lie in, which its paths are relative to; without one they are absolute.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("video", "labels", "absent"))
    for video, true, false in videos:
        if not _is_utf8(video):
            continue
        writer.writerow((_path(video, folder), label_cell(true), label_cell(false)))
    return text.getvalue()


def label_cell(labels: Sequence[str]) -> str:
    """Write labels as one cell that `olmv.labels.lists` reads as these labels, whatever they hold."""
    if any(_MARKS & set(label) or label != label.strip() for label in labels):
        return json.dumps(list(labels), ensure_ascii=False)
    return ";".join(labels)


def thresholds_of(
    source: ReviewSource, thresholds: Mapping[str, float], judged: Mapping[str, tuple[int, Quality]]
) -> Thresholds:
    """Make the thresholds file of a review: all labels, so that a command decides as the page shows.

    Args:
        source: what is reviewed.
        thresholds: of all labels.
        judged: of the labels that were reviewed, how many videos were judged true, and what their decisions are worth.
    """
    words = words_of(source.loaded)
    entries = {}
    for label in source.labels:
        about = {}
        if label in judged:
            support, quality = judged[label]
            about = {"objective": "review", "support": support}
            if quality.f1 is not None:
                about["value"] = round(quality.f1, 6)
            for name, estimate in (("precision", quality.precision), ("recall", quality.recall)):
                if estimate is not None:
                    about[name] = _rounded(estimate)
        entries[label] = LabelThreshold(threshold=thresholds[label], words_sha256=words.get(label), **about)
    return Thresholds(entries, model=source.loaded.scored.model or None, provenance=provenance(source.loaded, "review"))


def _rounded(estimate: Estimate) -> dict[str, float]:
    return {name: round(value, 4) for name, value in vars(estimate).items()}


def _path(video: str, folder: Path | None) -> str:
    if is_cloud(video):
        return video
    absolute = os.path.abspath(video)  # noqa: PTH100 - links stay as they are
    return absolute if folder is None else os.path.relpath(absolute, folder.absolute())


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
