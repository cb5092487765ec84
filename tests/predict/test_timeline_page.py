"""The report of a timeline: a film strip, a lane of colour for each label, and a player."""

import base64
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.io.curves import Curve
from olmv.pages.pictures import Pictures
from olmv.predict.page import LANES_SHOWN, ReportInfo, write_report
from olmv.predict.timeline_view import COLUMNS, STRIP_FRAMES, axis_ticks, film_end, film_strip, lanes_of, player_address
from tests.predict.test_html import EVIL, Page
from tests.support.rows import make_row
from tests.support.timelines import curve_of, pictures_of, segment, timeline_row

Row = dict[str, Any]


def report(path: Path, *rows: Row, pictures: int = 0, curve: bool = True) -> Page:
    labels = list(dict.fromkeys(label["label"] for row in rows for label in row["labels"]))
    by_video = {row["video"]: row for row in rows}
    write_report(
        path,
        lambda: rows,
        info=ReportInfo("olmv-lite", labels),
        pictures=lambda video: pictures_of(pictures, by_video[video]["duration_s"]) if pictures else None,
        curves=lambda video: curve_of(by_video[video]) if curve else None,
    )
    return Page(path)


def lane_bytes(page: Page, number: int) -> list[int]:
    return list(base64.b64decode(page.all("svg", "heat")[number]["data-curve"] or ""))


def columns_of(path: str) -> set[int]:
    """The columns that a path of rectangles covers."""
    rectangles = re.findall(r"M(\d+) 0h(\d+)v10h-\2z", path)
    assert "".join(f"M{x} 0h{width}v10h-{width}z" for x, width in rectangles) == path
    return {column for x, width in rectangles for column in range(int(x), int(x) + int(width))}


def test_a_label_has_a_lane_with_its_segments(tmp_path: Path) -> None:
    row = timeline_row(
        "a.mp4", segment("dog", 30, 48, 0.9), segment("rain", 6, 12, 0.6), others={"cat": 0.3}, shots_s=(15.0, 30.0)
    )
    page = report(tmp_path / "r.html", row, pictures=100)
    bars = page.all("li", "bar")
    assert [(bar["data-label"], bar["data-probability"], bar["data-threshold"]) for bar in bars] == [
        ("1", "0.9", "0.5"),
        ("2", "0.6", "0.5"),
        ("0", "0.3", "0.5"),
    ]
    assert page.text.index("dog", 60) < page.text.index("rain", 60)
    dog = lane_bytes(page, 0)
    assert len(dog) == COLUMNS
    assert set(dog[200:320]) == {90}
    assert set(dog[:200] + dog[320:]) == {2}
    (level,) = page.all("path", "p9")
    assert columns_of(level["d"] or "") == set(range(200, 320))
    assert [path["d"] for path in page.all("path", "segments")] == ["M200.0 0h120v3h-120z", "M40.0 0h40v3h-40z"]
    assert [button["data-time"] for button in page.all("button", "jump")] == ["30", "6"]
    assert "0:30–0:48" in page.text
    assert [path["d"] for path in page.all("path", "shots")] == ["M100.0 0v10M200.0 0v10"]
    assert len(page.all("use")) == 3  # the same lines through each lane
    assert "2 cuts" in page.text


def test_a_wall_of_pictures_is_a_strip(tmp_path: Path) -> None:
    plain = make_row("long.mp4", dog=0.9) | {"duration_s": 600.0}
    plain["frames"] |= {"encoded": 240, "widest_gap_s": 21.5, "capped": True}
    plain["explanations"] = [
        {"label": "dog", "texts": [], "frames": [{"frame": 399, "time_s": 300.0, "contribution": 0.3}]}
    ]
    page = report(tmp_path / "r.html", plain, pictures=240)
    items = [float(item["data-time"] or 0) for tag, item in page.elements if tag == "li" and "data-time" in item]
    assert len(items) == STRIP_FRAMES
    assert items == sorted(items)
    assert len(page.all("img")) == 240  # all are there for the pointer
    assert page.html.count('<template class="hidden-frames">') == 1
    assert page.all("li", "bar")[0]["data-frames"] in ("7", "8")  # the nearest in sight, not frame 399
    assert "up to 22 s between frames" in page.text
    assert page.all("svg", "heat") == []
    assert page.all("video") == []
    few = report(tmp_path / "f.html", plain, pictures=16)
    assert few.all("ol", "strip") == []
    assert len(few.all("img")) == 16


def test_many_labels_stay_a_page(tmp_path: Path) -> None:
    labels = {f"label {number:04d}": number / 10_000 for number in range(3_000)}
    row = timeline_row("a.mp4", segment("label 0001", 1, 2, 0.7), others=labels)
    page = report(tmp_path / "r.html", row)
    assert page.all("li", "bar")[0]["data-label"] == "1"
    assert len(page.all("svg", "heat")) == 60
    assert "48 more labels" in page.text
    before = page.html[: page.html.index("<details>")]
    assert before.count('class="track heat"') == LANES_SHOWN


def test_many_cuts_are_a_lane_of_their_own(tmp_path: Path) -> None:
    row = timeline_row("a.mp4", segment("dog", 1, 2), shots_s=tuple(float(time) / 10 for time in range(1, 500)))
    page = report(tmp_path / "r.html", row)
    assert page.all("use") == []
    assert "499 cuts" in page.text


def test_without_a_curve_there_are_segments_only(tmp_path: Path) -> None:
    page = report(tmp_path / "r.html", timeline_row("a.mp4", segment("dog", 6, 12)), curve=False)
    assert page.all("path", "segments")[0]["d"] == "M40.0 0h40v3h-40z"
    assert "data-curve" not in page.all("svg", "heat")[0]
    assert [text for text in ("0:00", "0:30") if text not in page.text] == []  # the axis is there


def test_everything_is_escaped_over_time(tmp_path: Path) -> None:
    row = timeline_row(f"{EVIL}/{EVIL}", segment(EVIL, 1, 2))
    page = report(tmp_path / "r.html", row, pictures=30)
    assert len(page.all("script")) == 1
    assert not any(name.startswith("on") or name == "style" for _, attributes in page.elements for name in attributes)
    assert page.text.count("<script>alert(1)</script>") >= 3


def test_a_video_in_reach_has_a_player(tmp_path: Path) -> None:
    video = tmp_path / "a b" / "#1.mp4"
    video.parent.mkdir()
    video.write_bytes(b"")
    here, absent = timeline_row(str(video), segment("dog", 1, 2)), timeline_row("absent.mp4", segment("dog", 1, 2))
    page = report(tmp_path / "r.html", here, absent)
    (player,) = page.all("video")
    assert player["src"] == "a%20b/%231.mp4"
    assert player["preload"] == "none"
    assert "hidden" in player
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert "; media-src 'self'; " in (policy or "")
    assert not re.search(r"""(?:src|href)="(?!data:|#cuts-|a%20b/)|url\(|@import|https?:""", page.html)
    plain = report(tmp_path / "p.html", make_row(str(video), dog=0.9))
    assert "media-src" not in plain.html
    assert plain.all("video") == []


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


def test_a_photo_has_no_lanes(tmp_path: Path) -> None:
    row = timeline_row("a.jpg", others={"dog": 0.9}) | {"duration_s": 0.0}
    row["frames"]["decoded"] = 1
    page = report(tmp_path / "r.html", row, curve=False)
    assert page.all("section") == []
    assert len(page.all("li", "bar")) == 1


def test_a_failed_video_among_timelines(tmp_path: Path, bad_row: Row) -> None:
    page = report(tmp_path / "r.html", timeline_row("a.mp4", segment("dog", 1, 2)), bad_row)
    assert "NotAVideoError" in page.text
    assert len(page.all("section", "film")) == 1


@given(st.integers(1, 900), st.floats(0.5, 20_000), st.integers(0, 2**32 - 1))
def test_a_column_shows_the_highest_cell_of_its_time(cells: int, end_s: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    starts = np.concatenate([[0.0], np.sort(random.uniform(0, end_s, cells - 1))])
    probability = random.random((cells, 1), np.float32)
    row = timeline_row("a.mp4", duration_s=end_s, others={"dog": 0.5})
    (lane,) = lanes_of(row, ["dog"], Curve("a.mp4", ("dog",), starts, probability), end_s).lanes
    shown = np.frombuffer(base64.b64decode(lane.curve), np.uint8)
    ends = np.append(starts[1:], end_s)
    for column in random.integers(0, COLUMNS, 5):
        begin, end = column * end_s / COLUMNS, (column + 1) * end_s / COLUMNS
        inside = (starts < end - 1e-5 * end_s / COLUMNS) & (ends > begin + 1e-5 * end_s / COLUMNS)
        assert abs(int(shown[column]) - 100 * probability[inside].max()) <= 0.51


@given(st.floats(0.1, 400_000))
def test_an_axis_has_a_few_round_times(end_s: float) -> None:
    ticks = list(axis_ticks(end_s))
    assert ticks[0] == ("0.00%", "0:00.0" if end_s <= 4 else "0:00")
    assert 1 <= len(ticks) <= 9
    assert len({text for _, text in ticks}) == len(ticks)
    assert all(float(place.rstrip("%")) < 97.1 for place, _ in ticks)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60).map(sorted))
def test_every_picture_is_in_the_strip_once_or_hidden(times: list[float]) -> None:
    strip = film_strip(Pictures(tuple(times), tuple(str(index) for index in range(len(times)))), 100.0)
    in_sight = {jpeg for _, _, jpeg in strip.slots}
    assert len(strip.slots) == min(len(times), STRIP_FRAMES)
    assert sorted([*in_sight, *(jpeg for _, jpeg in strip.hidden)]) == sorted(str(index) for index in range(len(times)))


@pytest.mark.parametrize(
    ("duration_s", "pictures", "end_s"),
    [(10.0, None, 10.0), (None, (1.0, 7.5), 7.5), (None, None, 3.0), (2.0, None, 3.0)],
)
def test_where_the_axis_ends(duration_s: float | None, pictures: tuple[float, ...] | None, end_s: float) -> None:
    row = timeline_row("a.mp4", segment("dog", 1, 3)) | {"duration_s": duration_s}
    assert film_end(row, Pictures(pictures, ("",) * len(pictures)) if pictures else None, None) == end_s
