"""The report in a browser, opened from the disk."""

import csv
import io
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from olmv.labels.lists import parse_list
from olmv.pages.pictures import Pictures
from olmv.predict.page import ReportInfo, write_report
from olmv.scoring.thresholds import Thresholds
from tests.support.browser import DESKTOP, PHONE, OpenPage, axe_findings
from tests.support.report_page import EVIL
from tests.support.rows import make_row
from tests.support.timelines import curve_of, jpeg, segment, timeline_row

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

Row = dict[str, Any]
ODD = '=odd; "label", 1'


def write(path: Path, rows: list[Row], *, mode: Any = "file", labels: list[str] | None = None, **info: Any) -> Path:
    names = labels or list(dict.fromkeys(label["label"] for row in rows for label in row["labels"]))
    by_video = {row["video"]: row for row in rows}
    pictures = Pictures((0.5, 3.5, 6.5), (jpeg(60), jpeg(120), jpeg(180)))
    write_report(
        path,
        lambda: rows,
        info=ReportInfo("olmv-mini", names, {"frames": "8"}, **info),
        pictures=lambda video: pictures if by_video[video]["status"] == "ok" else None,
        curves=lambda video: curve_of(by_video[video]),
        report_pictures=mode,
    )
    return path


@pytest.fixture
def rows(bad_row: Row) -> list[Row]:
    """Of 40 videos, 10 of dogs, 20 of rain."""
    made = [
        make_row(f"clips/{i:03}.mp4", dog=0.9 if i < 10 else i / 100, rain=0.8 if i % 2 else 0.2) for i in range(40)
    ]
    made[3]["explanations"] = [
        {
            "label": "dog",
            "texts": [{"text": "four legs", "contribution": 0.2}],
            "frames": [{"frame": 1, "time_s": 3.5, "contribution": 0.3}],
        }
    ]
    return [*made, bad_row]


def names(page: "Page") -> list[str]:
    """The names of the tiles that are drawn, in their order."""
    return [text.strip() for text in page.locator(".tile-name").all_inner_texts()]


def saved(page: "Page", button: str) -> str:
    with page.expect_download() as download:
        page.locator(".files").get_by_role("button", name=button).click()
    assert download.value.suggested_filename == button
    return Path(download.value.path()).read_text(encoding="utf-8")


def choose(page: "Page", label: str) -> None:
    page.locator(".tally").get_by_role("button", name=label, exact=True).click()


def test_tiles_labels_and_filters(open_page: OpenPage, rows: list[Row], tmp_path: Path) -> None:
    page = open_page(write(tmp_path / "r.html", rows))
    assert names(page)[:2] == ["b.mp4", "000.mp4"]  # what failed is first
    assert page.locator(".tile.failed").count() == 1
    assert page.locator(".tally tbody tr").all_inner_texts() == ["rain\t20", "dog\t10"]
    assert page.locator("#count").inner_text() == "41 videos"
    choose(page, "dog")
    page.get_by_label("positive only").check()
    assert page.locator("#count").inner_text() == "10 of 41 videos"
    assert names(page) == [f"{i:03}.mp4" for i in range(10)]
    page.locator("#sort").select_option("uncertain")
    page.get_by_label("positive only").uncheck()
    assert names(page)[0] == "039.mp4"  # at 39 %, its threshold at 50
    page.get_by_role("button", name="any label, not only dog").click()
    page.locator("#sort").select_option("name")
    page.locator("#search").fill("00 rain")
    assert names(page) == ["001.mp4", "003.mp4", "005.mp4", "007.mp4", "009.mp4"]
    assert page.locator(".tile").first.locator(".chip").all_inner_texts() == ["rain\n80%", "dog\n90%"]
    page.locator("#search").fill("")
    page.get_by_label("failed only (1)").check()
    assert names(page) == ["b.mp4"]


def test_only_tiles_in_sight_are_drawn(open_page: OpenPage, tmp_path: Path) -> None:
    rows = [make_row(f"{i:04}.mp4", dog=0.5) for i in range(3_000)]
    page = open_page(write(tmp_path / "r.html", rows, mode="folder"))
    assert 10 < page.locator(".tile").count() < 80
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    page.locator(".tile-name", has_text="2999.mp4").wait_for()
    assert page.locator(".tile").count() < 80
    drawn = names(page)
    assert drawn == sorted(drawn)  # in their order also for those who go by key
    page.wait_for_function(
        "() => [...document.querySelectorAll('.tile img')].every((image) => image.naturalWidth === 160)"
    )


def test_cards_of_any_height_lie_below_each_other(open_page: OpenPage, rows: list[Row], tmp_path: Path) -> None:
    page = open_page(write(tmp_path / "r.html", rows))
    page.get_by_role("button", name="List").click()
    for _ in range(4):
        page.mouse.wheel(0, 900)
        page.wait_for_timeout(60)
    boxes = page.evaluate(
        "[...document.querySelectorAll('.grid > li')].map((li) => [li.getBoundingClientRect().top, li.offsetHeight])"
    )
    assert len(boxes) > 2
    for (top, height), (below, _) in itertools.pairwise(boxes):
        assert abs(top + height + 12 - below) < 1.5


def test_a_threshold_moves_the_counts_and_is_saved(open_page: OpenPage, rows: list[Row], tmp_path: Path) -> None:
    path = write(tmp_path / "r.html", rows)
    page = open_page(path)
    choose(page, "dog")
    assert "true of 10 of 40 videos" in page.locator(".limit-box").inner_text()
    page.get_by_label("threshold of dog in per cent").fill("30")
    assert "true of 20 of 40 videos" in page.locator(".limit-box").inner_text()
    page.locator(".tally tbody tr", has_text="dog").get_by_text("20").wait_for()
    page.get_by_label("positive only").check()
    page.locator("#count", has_text="20 of 41 videos").wait_for()
    slider = page.get_by_role("slider", name="threshold of dog")
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert slider.input_value() == "0.305"
    (tmp_path / "t.json").write_text(saved(page, "thresholds.json"), encoding="utf-8")
    thresholds = Thresholds.load(tmp_path / "t.json")
    assert (thresholds.model, dict(thresholds)) == ("olmv-mini", {"dog": 0.305, "rain": 0.5})
    assert thresholds.entry("dog").objective == "by hand"
    assert thresholds.entry("rain").objective is None
    page.reload()  # it is kept
    choose(page, "dog")
    assert page.get_by_role("slider", name="threshold of dog").input_value() == "0.305"
    page.get_by_role("button", name="back to 50%").click()
    assert "true of 10 of 40 videos" in page.locator(".limit-box").inner_text()


def test_where_a_count_is_not_whole_it_says_so(open_page: OpenPage, tmp_path: Path) -> None:
    many = {f"label {i:02}": 0.6 for i in range(60)}
    cut = [make_row(f"{i}.mp4", **many, dog=0.3) for i in range(3)]
    page = open_page(write(tmp_path / "r.html", [*cut, make_row("whole.mp4", dog=0.4)], labels=[*many, "dog"]))
    choose(page, "dog")
    number = page.get_by_label("threshold of dog in per cent")
    number.fill("35")  # above what any row that was cut may have
    told = page.locator(".limit-box")
    assert "true of 1 of 4 videos." in told.inner_text()
    assert "more" not in told.inner_text()
    number.fill("25")
    assert "At this threshold up to 3 more: rows on this page have at most 60 labels" in told.inner_text()


def test_of_calibrated_probabilities_there_is_no_thresholds_file(
    open_page: OpenPage, rows: list[Row], tmp_path: Path
) -> None:
    page = open_page(write(tmp_path / "r.html", rows, calibrated=True))
    assert page.get_by_role("button", name="thresholds.json").is_disabled()
    assert "The probabilities here are calibrated" in page.locator(".files").inner_text()


def test_verdicts_by_key_are_kept_and_saved(open_page: OpenPage, tmp_path: Path) -> None:
    rows = [make_row("-a.mp4", **{ODD: 0.9, "dog": 0.8, "cat": 0.1}), make_row("b,c.mp4", dog=0.9, cat=0.8)]
    path = write(tmp_path / "r.html", rows)
    page = open_page(path)
    page.get_by_role("button", name="Grid").click()
    page.locator(".tile").first.click()
    for key in ("y", "n", "k", "j"):  # the odd label is right, a dog is wrong; then the cat
        page.keyboard.press(key)
    assert page.locator(".bar.current .label").inner_text() == "cat"
    page.keyboard.press("n")
    page.keyboard.press("ArrowRight")
    assert page.locator("dialog h2").inner_text() == "b,c.mp4"
    page.get_by_role("button", name="dog: right").click()
    page.keyboard.press("Escape")
    page.reload()
    assert page.get_by_role("button", name="truth.csv · 4 verdicts").is_enabled()
    with page.expect_download() as download:
        page.get_by_role("button", name="truth.csv").click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    head, first, second = csv.reader(io.StringIO(text))
    assert head == ["video", "labels", "absent"]
    assert (first[0], parse_list(first[1]), first[2]) == ("./-a.mp4", [ODD], "dog;cat")
    assert second == ["b,c.mp4", "dog", ""]
    page.get_by_role("button", name="List").click()
    page.get_by_role("button", name="dog: wrong").first.click()  # pressed before: taken back
    page.get_by_role("button", name="truth.csv · 3 verdicts").wait_for()


def test_with_a_label_chosen_keys_go_from_video_to_video(open_page: OpenPage, rows: list[Row], tmp_path: Path) -> None:
    page = open_page(write(tmp_path / "r.html", rows))
    choose(page, "dog")
    page.get_by_label("positive only").check()
    page.locator(".tile").first.click()
    for key in ("y", "y", "n"):
        page.keyboard.press(key)
    assert page.locator("dialog h2").inner_text() == "clips/003.mp4"
    assert page.locator(".bar.current .label").inner_text() == "dog"
    page.keyboard.press("Escape")
    page.wait_for_function("() => document.activeElement.title === 'clips/003.mp4'")
    assert page.locator(".judged-mark").count() == 3


def test_a_picture_is_enlarged(open_page: OpenPage, rows: list[Row], tmp_path: Path) -> None:
    page = open_page(write(tmp_path / "r.html", rows, mode="folder"))
    page.locator(".tile", has_text="003.mp4").click()
    card = page.locator("dialog.one")
    card.locator(".bar", has_text="four legs").hover()
    assert card.locator(".frames li.carried img").all()[0].get_attribute("alt") == "frame at 3.5 s"
    assert "four legs +0.200 · at 3.5 s" in card.inner_text().replace("“", "").replace("”", "")
    card.locator(".frame").first.click()
    large = page.locator("dialog.enlarged")
    image = large.locator("img")
    assert image.evaluate("(image) => [image.naturalWidth, image.width >= 600]") == [160, True]
    page.keyboard.press("ArrowRight")
    assert image.get_attribute("alt") == "frame at 3.5 s"
    page.keyboard.press("Escape")
    large.wait_for(state="detached")
    assert card.count() == 1


def test_a_name_opens_the_video(open_page: OpenPage, tmp_path: Path) -> None:
    video = tmp_path / "a b#1.mp4"
    video.write_bytes(b"")
    page = open_page(write(tmp_path / "r.html", [make_row(str(video), dog=0.9), make_row("gone.mp4", dog=0.2)]))
    (link,) = page.locator("article h2 a").all()
    assert link.inner_text() == "a b#1.mp4"
    assert link.evaluate("(link) => link.href") == video.as_uri()


def test_what_is_hostile_is_text(open_page: OpenPage, bad_row: Row, tmp_path: Path) -> None:
    timed = timeline_row(
        f"{EVIL}/{EVIL}", segment(EVIL, 1, 20), others={"__proto__": 0.7, "constructor": 0.6, "1": 0.5}
    )
    timed["explanations"] = [{"label": EVIL, "texts": [{"text": EVIL + "!", "contribution": 1}], "frames": []}]
    bad_row["error"] = {"type": EVIL, "message": EVIL}
    page = open_page(write(tmp_path / "r.html", [timed, bad_row]))
    assert page.locator("article").count() == 2  # a few videos are shown whole
    for label in ("__proto__", "constructor"):
        choose(page, label)
        assert "true of 1 of 1 video" in page.locator(".limit-box").inner_text()
    page.get_by_role("button", name="Grid").click()
    page.locator(".tile:not(.failed)").click()
    page.keyboard.press("y")
    assert page.locator("script:not([type])").count() == 1
    assert page.locator("img[onerror]").count() == 0
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.get_by_role("button", name="thresholds.json").click()
    document = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert set(document["labels"]) == {EVIL, "__proto__", "constructor", "1"}


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
@pytest.mark.parametrize("dark", [False, True])
def test_everybody_can_use_it(
    open_page: OpenPage, rows: list[Row], tmp_path: Path, size: tuple[int, int], dark: bool
) -> None:
    timed = timeline_row("film.mp4", segment("dog", 5, 20), segment("rain", 2, 9), shots_s=(15.0,))
    page = open_page(write(tmp_path / "r.html", [*rows, timed]), size=size, dark=dark)
    found = axe_findings(page)
    page.locator("#search").fill("film")
    if size == PHONE:
        page.locator(".labels-box summary").click()
    choose(page, "dog")
    page.locator(".tile").first.click()
    found += axe_findings(page)
    page.keyboard.press("Escape")
    page.locator("#search").fill("")
    page.get_by_role("button", name="List").click()
    found += axe_findings(page)
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
