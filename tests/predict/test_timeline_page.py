"""The data of a timeline on the report: segments, cuts, curves, and which labels come first."""

import base64
import re
from pathlib import Path
from typing import Any

from olmv.pages.cards import COLUMNS
from olmv.pages.player import player_address
from olmv.predict.page import ReportInfo, write_report
from olmv.predict.page_data import BARS_MOST
from tests.support.report_page import EVIL, ReportPage
from tests.support.timelines import curve_of, pictures_of, segment, timeline_row

Row = dict[str, Any]


def report(path: Path, *rows: Row, pictures: int = 0, curve: bool = True) -> ReportPage:
    labels = list(dict.fromkeys(label["label"] for row in rows for label in row["labels"]))
    by_video = {row["video"]: row for row in rows}
    write_report(
        path,
        lambda: rows,
        info=ReportInfo("olmv-lite", labels),
        pictures=lambda video: pictures_of(pictures, by_video[video]["duration_s"]) if pictures else None,
        curves=lambda video: curve_of(by_video[video]) if curve else None,
    )
    return ReportPage(path)


def test_a_label_has_its_segments_and_its_curve(tmp_path: Path) -> None:
    row = timeline_row(
        "a.mp4", segment("dog", 30, 48, 0.9), segment("rain", 6, 12, 0.6), others={"cat": 0.3}, shots_s=(15.0, 30.0)
    )
    page = report(tmp_path / "r.html", row, pictures=100)
    assert page.head["timed"]
    assert "Over time, the colour of a lane" in page.text
    assert page.labels(0) == [("dog", 0.9), ("rain", 0.6), ("cat", 0.3)]
    (detail,) = page.details
    places = {label: place for place, label in enumerate(page.head["labels"])}
    assert detail["segments"] == [
        {"label": places["dog"], "start_s": 30, "end_s": 48, "peak": 0.9, "peak_s": 39.0},
        {"label": places["rain"], "start_s": 6, "end_s": 12, "peak": 0.6, "peak_s": 9.0},
    ]
    assert (detail["shots"], detail["end"], len(detail["jpegs"])) == ([15.0, 30.0], 60.0, 100)
    dog = list(base64.b64decode(detail["curve"][str(places["dog"])]))
    assert len(dog) == COLUMNS
    assert set(dog[200:320]) == {90}
    assert set(dog[:200] + dog[320:]) == {2}


def test_many_labels_stay_a_page(tmp_path: Path) -> None:
    labels = {f"label {number:04d}": number / 10_000 for number in range(3_000)}
    page = report(tmp_path / "r.html", timeline_row("a.mp4", segment("label 0001", 1, 2, 0.7), others=labels))
    assert page.labels(0)[0][0] == "label 0001"
    assert len(page.labels(0)) == len(page.details[0]["curve"]) == BARS_MOST


def test_without_a_curve_there_are_segments_only(tmp_path: Path) -> None:
    page = report(tmp_path / "r.html", timeline_row("a.mp4", segment("dog", 6, 12)), curve=False)
    assert "curve" not in page.details[0]
    assert len(page.details[0]["segments"]) == 1


def test_a_video_without_segments_is_over_time_too(tmp_path: Path) -> None:
    page = report(tmp_path / "r.html", timeline_row("a.mp4", others={"dog": 0.1}))
    assert page.details[0]["segments"] == []


def test_everything_is_escaped_over_time(tmp_path: Path) -> None:
    page = report(tmp_path / "r.html", timeline_row(f"{EVIL}/{EVIL}", segment(EVIL, 1, 2)), pictures=30)
    assert len(page.all("script")) == 4
    assert not any(name.startswith("on") or name == "style" for _, attributes in page.elements for name in attributes)
    assert page.labels(0) == [(EVIL, 0.9)]


def test_a_photo_has_no_curve(tmp_path: Path) -> None:
    row = timeline_row("a.jpg", others={"dog": 0.9}) | {"duration_s": 0.0}
    row["frames"]["decoded"] = 1
    page = report(tmp_path / "r.html", row, curve=False)
    assert page.entries[0]["photo"]
    assert "curve" not in page.details[0]


def test_a_failed_video_among_timelines(tmp_path: Path, bad_row: Row) -> None:
    page = report(tmp_path / "r.html", timeline_row("a.mp4", segment("dog", 1, 2)), bad_row)
    assert page.entries[0]["e"][0] == "NotAVideoError"
    assert "segments" not in page.details[0]


def test_the_address_of_a_video(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    for name in (b"javascript:x.mp4", b"odd \xff.mp4", b"a?b&c.mp4"):
        file = tmp_path / "videos" / name.decode("utf-8", "surrogateescape")
        file.write_bytes(b"")
        address = player_address(str(file), tmp_path / "pages" / "r.html")
        assert re.fullmatch(r"\.\./videos/[\w.%~-]+", address)
    assert player_address(str(tmp_path), tmp_path / "r.html") == ""
    assert player_address("a\0.mp4", tmp_path / "r.html") == ""
    assert player_address("http://127.0.0.1/a.mp4", tmp_path / "r.html") == ""
