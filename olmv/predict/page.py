"""Write the HTML report: a page that opens from disk, with no network.

It is streamed: rows come from the journal and pictures from their file, one video at a time, so a thousand videos
take no more memory than ten. Labels and file names are untrusted; `olmv.pages.page` says what keeps them harmless.

The page holds data, as `olmv.predict.page_data` lays it out, and the scripts that draw it: first what a list of all
videos needs, then the script, then what is shown of each video when it comes into sight. So a page of 5,000 videos is
there while most of it is still being read.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from olmv.io.curves import Curve
from olmv.pages.page import PARTS, asset, data_block, json_text, write_page
from olmv.pages.picture_folder import PictureFolder, ReportPictures, in_folder, remove_pictures, writing_pictures
from olmv.pages.pictures import Pictures
from olmv.predict.page_data import BARS_MOST, LabelTable, detail_of, entry_of

__all__ = ["ReportInfo", "write_report"]


@dataclass(frozen=True)
class ReportInfo:
    """What the head of a report says.

    Args:
        model: name of the model.
        labels: the vocabulary, in its order.
        settings: what else the answers depend on, as name -> value.
        note: a sentence about the model that a reader must know, or None.
        calibrated: the probabilities are not the model's own, and no thresholds file can be made of them.
        created: when; now by default.
    """

    model: str
    labels: list[str]
    settings: dict[str, str] = field(default_factory=dict)
    note: str | None = None
    calibrated: bool = False
    created: datetime = field(default_factory=lambda: datetime.now(UTC))


def write_report(
    path: Path,
    rows: Callable[[], Iterable[dict[str, Any]]],
    *,
    info: ReportInfo,
    pictures: Callable[[str], Pictures | None] = lambda video: None,
    curves: Callable[[str], Curve | None] = lambda video: None,
    report_pictures: ReportPictures = "auto",
) -> None:
    """Write the report, replacing the file in one step.

    A row with `segments` is shown over time, and a video can be opened where it lies within reach of the page.

    Args:
        path: the HTML file.
        rows: gives the prediction rows; called several times.
        info: what the head says.
        pictures: gives a video's sampled frames, or None.
        curves: gives a video's probabilities over time, or None; asked for rows with `segments` only.
        report_pictures: "file" for pictures inside the page; "folder" for pictures in a folder beside it, `X_pictures`
            for `X.html`, which is replaced whole; "auto" for a folder where there are more than 500 videos.

    Raises:
        OutputError: the file or the folder cannot be written, the disk is full, or the name of the folder is taken.
    """
    table = LabelTable(info.labels)
    totals = _totals(rows(), table)
    apart = in_folder(report_pictures, totals.videos)
    with ExitStack() as stack:
        folder = stack.enter_context(writing_pictures(path)) if apart else None
        blocks = _Blocks(path, rows, totals, table, pictures, curves, folder)
        write_page(
            path,
            "predict.html.j2",
            style="".join(map(asset, ("tokens.css", "parts.css", "predict.css"))),
            script="".join(map(asset, (*PARTS, "predict_data.js", "predict_labels.js", "predict.js"))),
            media=True,
            picture_files=apart,
            info=info,
            totals=totals,
            labels=len(info.labels),
            head=data_block("data-head", _head(path, info, totals, table)),
            entries=blocks.entries(),
            details=blocks.details(),
        )
    if not apart:
        remove_pictures(path)


@dataclass(frozen=True)
class _Totals:
    videos: int
    failed: int
    positives: int
    timed: bool
    """Some video is shown over time."""


def _totals(rows: Iterable[dict[str, Any]], table: LabelTable) -> _Totals:
    videos = failed = positives = 0
    timed = False
    for row in rows:
        videos += 1
        timed |= row.get("segments") is not None
        failed += row["status"] != "ok"
        positives += table.count(row)
    return _Totals(videos, failed, positives, timed)


def _head(path: Path, info: ReportInfo, totals: _Totals, table: LabelTable) -> dict[str, Any]:
    # verdicts are kept by the browser for this page, also where it is written anew with more videos
    place = hashlib.sha256(str(path.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return {
        "id": place,
        "model": info.model,
        "videos": totals.videos,
        "failed": totals.failed,
        "timed": totals.timed,
        "most": BARS_MOST,
        "calibrated": info.calibrated,
        **table.to_data(),
    }


@dataclass(frozen=True)
class _Blocks:
    """The data of a page, written as it is asked for."""

    page: Path
    rows: Callable[[], Iterable[dict[str, Any]]]
    totals: _Totals
    table: LabelTable
    pictures: Callable[[str], Pictures | None]
    curves: Callable[[str], Curve | None]
    folder: PictureFolder | None

    def _ordered(self) -> Iterator[dict[str, Any]]:
        """Yield the rows, those that failed first."""
        if not self.totals.failed:
            yield from self.rows()
            return
        yield from (row for row in self.rows() if row["status"] != "ok")
        yield from (row for row in self.rows() if row["status"] == "ok")

    def entries(self) -> Iterator[str]:
        """Yield the block of what a list of all videos needs, in pieces."""
        yield '<script type="application/json" id="data-videos">[\n'
        for number, row in enumerate(self._ordered()):
            yield (",\n" if number else "") + json_text(entry_of(row, self.table, self.page))
        yield "\n]</script>\n"

    def details(self) -> Iterator[str]:
        """Yield a block for each video of what is shown of it alone."""
        for number, row in enumerate(self._ordered()):
            pictures = self.pictures(row["video"])
            addresses = None if self.folder is None or pictures is None else self.folder.add(row["video"], pictures)
            curve = self.curves(row["video"]) if row.get("segments") is not None else None
            yield data_block(f"d{number}", detail_of(row, self.table, pictures, addresses, curve))
