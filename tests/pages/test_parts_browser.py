"""The shared parts in a browser, by themselves: what they compute, and what they draw of a card."""

import json
import random
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from olmv.pages.cards import card_of
from olmv.pages.figures import clock, percent
from olmv.pages.page import PARTS, asset, write_page
from tests.support.browser import DESKTOP, OpenPage
from tests.support.timelines import curve_of, jpeg, segment, timeline_row

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

FOOTAGE = Path(__file__).parents[2] / "olmv" / "data" / "footage"


@pytest.fixture
def parts(open_page: OpenPage, tmp_path: Path) -> "Page":
    """An empty page with the parts."""
    style = asset("tokens.css") + asset("parts.css")
    path = tmp_path / "parts.html"
    write_page(path, "page.html.j2", style=style, script="".join(map(asset, PARTS)), media=True)
    return open_page(path, size=DESKTOP)


def draw(page: "Page", expression: str, card: dict[str, Any]) -> None:
    """Put the element of an expression about `card` into the page."""
    page.evaluate(f"(card) => document.body.replaceChildren({expression})", card)


def test_figures_are_written_as_python_writes_them(parts: "Page") -> None:
    made = random.Random(0)
    shares = [0, 1e-9, 0.0009, 0.001, 0.014, 0.5, 0.991, 0.9989, 0.999, 0.99999, 1]
    shares += [made.random() ** 3 for _ in range(300)]
    assert parts.evaluate("(values) => values.map(olmv.percent)", shares) == [percent(share) for share in shares]
    times = [0, 5.04, 59.94, 59.96, 61, 3599.99, 3723.5, *(made.uniform(0, 20_000) for _ in range(300))]
    for digits in (0, 1):
        shown = parts.evaluate("([times, digits]) => times.map((time) => olmv.clock(time, digits))", [times, digits])
        assert shown == [clock(time, digits=digits) for time in times]


def test_addresses_that_run_something_are_none(parts: "Page") -> None:
    bad = [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        " javascript:x",
        "data:text/html,x",
        "data:image/svg+xml,x",
        "",
    ]
    assert parts.evaluate("(all) => all.map(olmv.address)", bad) == [""] * len(bad)
    good = ["a%20b/%231.mp4", "https://x/y.mp4", "/v1/media?video=a", "data:image/jpeg;base64,AA==", "../a.mp4"]
    assert parts.evaluate("(all) => all.map(olmv.address)", good) == good


def test_an_axis_has_a_few_round_times(parts: "Page") -> None:
    made = random.Random(0)
    ends = [0.1, 0.5, 4, 4.1, 60, 400_000, *(10 ** made.uniform(-1, 5.5) for _ in range(200))]
    for end, ticks in zip(ends, parts.evaluate("(ends) => ends.map(olmv.ticks)", ends), strict=True):
        assert ticks[0] == {"share": 0, "text": "0:00.0" if end <= 3.5 else "0:00"}
        assert 1 <= len(ticks) <= 8
        assert len({tick["text"] for tick in ticks}) == len(ticks)
        assert all(tick["share"] < 0.971 for tick in ticks)


def test_pictures_in_sight_stand_for_equal_times(parts: "Page") -> None:
    made = random.Random(0)
    for count in (1, 5, 16, 17, 60):
        times = sorted(made.uniform(0, 100) for _ in range(count))
        pictures = [{"time_s": time, "src": ""} for time in times]
        chosen = parts.evaluate("(pictures) => olmv.inSight(pictures, 100).map((each) => each.time_s)", pictures)
        slots = min(count, 16)
        for slot, time in enumerate(chosen):
            middle = (slot + 0.5) * 100 / slots
            assert abs(time - middle) == min(abs(other - middle) for other in times)
        assert len(chosen) == slots


def test_levels_cover_each_column_once(parts: "Page") -> None:
    made = random.Random(0)
    curve = [min(100, max(0, made.choice([0, 3, 50, 96, 100]) + made.randrange(-2, 3))) for _ in range(400)]
    paths = parts.evaluate("(curve) => [...olmv.levels(new Uint8Array(curve))]", curve)
    levels = [0] * 400
    for level, path in paths:
        rectangles = re.findall(r"M(\d+) 0h(\d+)v10h-\2z", path)
        assert "".join(f"M{x} 0h{width}v10h-{width}z" for x, width in rectangles) == path
        for x, width in rectangles:
            for column in range(int(x), int(x) + int(width)):
                assert levels[column] == 0
                levels[column] = level
    assert all(abs(level - value / 10) <= 0.5 for level, value in zip(levels, curve, strict=True))


def timed_card(**options: Any) -> dict[str, Any]:
    row = timeline_row(
        "a.mp4", segment("dog", 30, 48, 0.9), segment("rain", 6, 12, 0.6), others={"cat": 0.3}, shots_s=(15.0, 30.0)
    )
    pictures = [(0.3 + 0.6 * index, f"data:image/jpeg;base64,{jpeg(40 + 2 * index)}") for index in range(100)]
    return card_of(row, pictures=pictures, curve=curve_of(row), **options)


def test_a_label_has_a_lane_with_its_segments(parts: "Page") -> None:
    draw(parts, "olmv.card(card)", timed_card())
    assert parts.locator(".lanes .label").all_inner_texts() == ["dog", "rain", "cat"]
    assert [path.get_attribute("d") for path in parts.locator("path.segments").all()] == [
        "M200 0h120v3h-120z",
        "M40 0h40v3h-40z",
    ]
    assert parts.locator("path.p9").get_attribute("d") == "M200 0h120v10h-120z"
    assert parts.locator(".jump").all_inner_texts() == ["0:30–0:48", "0:06–0:12"]
    assert parts.locator(".cuts path").get_attribute("d") == "M100.00 0v10M200.00 0v10"
    assert parts.locator("use").count() == 3  # the same lines through each lane
    assert parts.locator(".strip img").count() == 16
    heat = parts.locator(".heat").first
    box = heat.bounding_box()
    assert box is not None
    heat.hover(position={"x": box["width"] * 40 / 60, "y": 5})
    assert re.fullmatch(r"0:(39\.9|40\.\d) · dog 90%", parts.locator(".peek p").inner_text())


def test_many_cuts_and_many_labels(parts: "Page") -> None:
    labels = {f"label {number}": number / 100 for number in range(40)}
    row = timeline_row("a.mp4", others=labels, shots_s=tuple(time / 10 for time in range(1, 500)))
    draw(parts, "olmv.film(card)", card_of(row, most_labels=30))
    assert parts.locator("use").count() == 0  # so many lines would hide the colours
    assert parts.locator(".head .percent").inner_text() == "499 cuts"
    assert parts.locator(".heat").count() == 12
    parts.locator("summary", has_text="18 more labels").click()
    parts.locator(".heat").nth(29).wait_for()
    assert parts.locator(".heat").count() == 30
    assert "10 less probable labels left out here" in parts.locator(".film").inner_text()


def test_a_lane_plays_its_video_from_there(parts: "Page") -> None:
    film = next(FOOTAGE.glob("*.mp4"))
    row = timeline_row("a.mp4", segment("dog", 1, 3), duration_s=4.5)
    draw(parts, "olmv.film(card)", card_of(row, player=film.as_uri()))
    assert parts.locator("video").count() == 0  # nothing is opened that nobody asked for
    parts.locator(".jump").click()
    parts.wait_for_function("() => document.querySelector('video').currentTime >= 1")
    parts.locator(".cursor").wait_for()


def test_a_file_that_cannot_be_played(parts: "Page", tmp_path: Path) -> None:
    broken = tmp_path / "x.mp4"
    broken.write_bytes(b"no film")
    row = timeline_row("a.mp4", segment("dog", 1, 3), duration_s=4.5)
    draw(parts, "olmv.film(card)", card_of(row, player=broken.as_uri()))
    parts.locator(".jump").click()
    parts.get_by_text("this browser cannot play the file").wait_for()
    assert parts.locator("video").count() == 0


def test_a_threshold_is_dragged_typed_or_moved_by_key(parts: "Page") -> None:
    parts.evaluate(
        """() => {
          window.told = [];
          const slider = olmv.threshold({ label: "dog", value: 0.5, onInput: (value) => window.told.push(value) });
          const histogram = olmv.histogram({ values: [0.1, 0.1, 0.7], threshold: 0.5, onThreshold: (value) => {
            slider.set(value); window.told.push(value);
          } });
          document.body.replaceChildren(histogram, slider);
        }"""
    )
    slider = parts.get_by_role("slider", name="threshold of dog")
    slider.press("ArrowLeft")
    parts.get_by_label("threshold of dog in per cent").fill("70.1")
    parts.get_by_label("threshold of dog in per cent").fill("700")  # none
    histogram = parts.locator(".histogram")
    box = histogram.bounding_box()
    assert box is not None
    histogram.click(position={"x": box["width"] / 4, "y": 20})
    assert parts.evaluate("window.told") == [0.495, 0.701, 0.25]
    assert slider.input_value() == "0.25"
    assert parts.locator(".histogram .above").count() == 38  # of 50 bins
    assert histogram.get_attribute("aria-label") == "probabilities of 3 videos, threshold 25%"


def test_bars_tell_verdicts_and_thresholds(parts: "Page") -> None:
    row = timeline_row("a.mp4", others={"dog": 0.9, "constructor": 0.1})
    parts.evaluate(
        """(card) => {
          window.told = [];
          const tell = (...what) => window.told.push(what);
          const verdicts = { dog: false };
          document.body.replaceChildren(olmv.bars(card, { onVerdict: tell, onThreshold: tell, verdicts }));
        }""",
        card_of(row),
    )
    assert parts.get_by_role("button", name="dog: wrong").get_attribute("aria-pressed") == "true"
    assert parts.locator("[aria-pressed=true]").count() == 1  # an object has a constructor, a person gave no verdict
    parts.get_by_role("button", name="dog: right").click()
    parts.get_by_role("button", name="dog: right").click()
    parts.get_by_role("slider", name="threshold of constructor").press("Home")
    assert parts.evaluate("window.told") == [["dog", True], ["dog", None], ["constructor", 0]]
    assert json.loads(parts.evaluate("JSON.stringify([...document.querySelectorAll('.positive')].length)")) == 2
