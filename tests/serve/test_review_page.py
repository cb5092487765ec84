"""The review in a browser, in front of a real session."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from olmv.datasets.manifests import read_manifest
from olmv.scoring.thresholds import Thresholds
from olmv.serve.review.session import ReviewSession
from olmv.serve.review.source import no_media
from tests.serve.review.sources import made_source, session_in
from tests.serve.review_page import FOOTAGE, clip_of, picture_of, served
from tests.support.browser import PHONE, OpenPage, axe_findings

if TYPE_CHECKING:
    from playwright.sync_api import Page

VIDEOS = 60


@pytest.fixture
def session(tmp_path: Path) -> Iterator[ReviewSession]:
    source = made_source(VIDEOS, ("dog", "rain"))
    object.__setattr__(source, "media", picture_of)
    with session_in(tmp_path, source) as made:
        yield made


@pytest.fixture
def address(session: ReviewSession) -> Iterator[str]:
    with served(session) as at:
        yield at


def front(page: "Page") -> str:
    """The name of the video in sight."""
    page.wait_for_selector(".review-buttons")
    return page.locator(".review-item h2 bdi").inner_text()


def press(page: "Page", key: str) -> str:
    """Press a key at the video in sight, wait until the next one is there, and return what was judged."""
    before = front(page)
    page.keyboard.press(key)
    page.wait_for_function("name => document.querySelector('.review-item h2 bdi')?.textContent !== name", arg=before)
    return before


def settled(page: "Page", text: str) -> None:
    page.wait_for_function("text => document.querySelector('.review-side').textContent.includes(text)", arg=text)


def test_ten_verdicts_an_undo_and_what_is_left_of_them(
    session: ReviewSession, address: str, open_page: OpenPage
) -> None:
    page = open_page(address)
    judged = [press(page, "y" if place % 2 else "n") for place in range(10)]
    assert len(set(judged)) == 10
    settled(page, "5 right, 5 wrong")
    page.keyboard.press("u")
    page.wait_for_function(
        "name => document.querySelector('.review-item h2 bdi')?.textContent === name", arg=judged[-1]
    )
    settled(page, "4 right, 5 wrong")
    skipped = press(page, "j")
    settled(page, "4 right, 5 wrong, 1 skipped")
    assert skipped == judged[-1]
    after = front(page)
    page.reload()
    settled(page, "4 right, 5 wrong, 1 skipped")
    assert front(page) == after
    with page.expect_download() as download:
        page.get_by_role("link", name="truth.csv").click()
    download.value.save_as(session.folder / "downloaded.csv")
    rows = read_manifest(session.folder / "downloaded.csv")
    assert {Path(row.video).name: bool(row.labels) for row in rows} == {
        name: place % 2 == 1 for place, name in enumerate(judged[:9])
    }


def test_buttons_do_what_keys_do(session: ReviewSession, address: str, open_page: OpenPage) -> None:
    page = open_page(address)
    front(page)
    page.get_by_role("button", name="Wrong n", exact=True).click()
    settled(page, "0 right, 1 wrong")
    page.get_by_role("button", name="Right y", exact=True).click()
    settled(page, "1 right, 1 wrong")
    page.get_by_role("button", name="Undo u", exact=True).click()
    settled(page, "0 right, 1 wrong")
    page.get_by_role("button", name="Undo u", exact=True).click()
    settled(page, "nothing judged yet")
    page.get_by_role("button", name="Undo u", exact=True).click()
    page.get_by_role("alert").filter(has_text="there is nothing to undo").wait_for()
    front(page)
    page.get_by_role("button", name="Wrong n", exact=True).click()
    settled(page, "0 right, 1 wrong")
    page.get_by_role("textbox", name="Your name").fill("yn")  # letters in a field are no verdicts
    page.get_by_role("textbox", name="Your name").press("Enter")
    page.keyboard.press("?")
    assert page.get_by_role("dialog", name="keys").inner_text().count("\n") >= 5
    page.keyboard.press("y")  # nothing is judged behind a dialog
    page.keyboard.press("Escape")
    front(page)
    page.get_by_role("button", name="Skip j", exact=True).click()
    settled(page, "0 right, 1 wrong, 1 skipped")
    assert [entry.reviewer for entry in session._store.since(0)][-1] == "yn"


def test_a_threshold_is_dragged(session: ReviewSession, address: str, open_page: OpenPage) -> None:
    for place in range(30):
        (item,) = session.queue("dog", count=1)
        session.judge(session.source.keys[item.place], "dog", place % 3 > 0, order=item.order)
    page = open_page(address)
    page.wait_for_selector(".figures dd b")
    assert "%" in page.locator(".figures").inner_text()
    with page.expect_request("**/scores*"):  # the counts are there by now: this waits for those of another label
        page.locator(".review-label", has_text="rain").click()
    page.locator(".review-label", has_text="dog").click()
    front(page)
    page.wait_for_load_state("networkidle")
    expected = int((session.source.probability[:, 0] >= 0.25).sum())
    page.route("**/v1/review/**", lambda route: None)  # the server says nothing any more
    page.get_by_role("slider", name="threshold of dog").fill("0.25")
    assert page.locator(".review-positives").inner_text() == f"{expected} of {VIDEOS} videos positive"
    page.unroute("**/v1/review/**")
    with page.expect_response("**/v1/review/thresholds"):
        box = page.locator(".review-side .histogram").bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 20)
    settled(page, f"{int((session.source.probability[:, 0] >= 0.75).sum())} of {VIDEOS}")
    assert session.summary("dog").threshold == 0.75
    assert page.locator(".review-side").evaluate("side => side.scrollWidth <= side.clientWidth")  # a long button wraps
    with page.expect_response("**/v1/review/order"):
        page.get_by_role("button", name="Order anew").click()
    page.wait_for_function("() => document.querySelector('.review-side > button').hidden")
    assert session.summary("dog").anchor == pytest.approx(0.75)
    session.files.write()
    assert Thresholds.load(session.folder / "thresholds.json")["dog"] == 0.75


def test_two_pages_at_once_lose_nothing_and_are_asked_about_different_videos(
    session: ReviewSession, address: str, open_page: OpenPage
) -> None:
    pages = [open_page(address), open_page(address)]
    judged = [press(page, "y") for _ in range(6) for page in pages]
    assert len(set(judged)) == 12
    for page in pages:
        page.wait_for_load_state("networkidle")
        page.reload()
        settled(page, "12 right, 0 wrong")
    assert "2 reviewers" in pages[0].locator(".review-head").inner_text()
    assert len({entry.reviewer for entry in session._store.since(0) if entry.kind == "verdict"}) == 2


def test_who_disagrees_sees_it(session: ReviewSession, address: str, open_page: OpenPage) -> None:
    session.judge("clips/001.mp4", "dog", True, reviewer="ann")
    session.judge("clips/001.mp4", "dog", False, reviewer="bob")
    page = open_page(address)
    page.get_by_role("button", name="1 disagreement").click()
    dialog = page.get_by_role("dialog", name="disagreements")
    assert "ann: right, bob: wrong" in dialog.inner_text()
    dialog.get_by_role("button", name="dog: right").click()
    settled(page, "1 right, 0 wrong")


def test_a_verdict_that_did_not_arrive_is_asked_for_again(
    session: ReviewSession, address: str, open_page: OpenPage
) -> None:
    page = open_page(address)
    front(page)
    failing = "window.fetch = () => Promise.reject(new Error('the disk is full; make room'))"
    page.evaluate(f"() => {{ window.fetched = window.fetch; {failing}; }}")
    name = front(page)
    page.keyboard.press("y")
    page.wait_for_selector("[role=alert]:not([hidden])")
    text = f"the verdict on {name} was not kept, judge it again: the disk is full; make room"
    assert page.locator("[role=alert]").inner_text() == text
    assert front(page) == name
    page.evaluate("() => { window.fetch = window.fetched; }")
    assert press(page, "y") == name
    settled(page, "1 right, 0 wrong")
    assert page.locator("[role=alert]").is_hidden()


def test_a_video_plays(session: ReviewSession, address: str, open_page: OpenPage) -> None:
    object.__setattr__(session.source, "media", clip_of)
    page = open_page(address)
    page.wait_for_function("() => document.querySelector('video.seen')?.readyState >= 2")
    assert page.evaluate("document.querySelector('video.seen').muted")


def test_frames_are_decoded_of_what_is_not_played(session: ReviewSession, address: str, open_page: OpenPage) -> None:
    object.__setattr__(session.source, "media", no_media)
    clips = sorted(map(str, FOOTAGE.glob("*.mp4")))
    object.__setattr__(session.source, "videos", tuple(clips[number % len(clips)] for number in range(VIDEOS)))
    page = open_page(address)
    page.wait_for_selector(".review-seen >> text=this file is not played from here; these are frames of it")
    assert page.locator(".review-seen .frames img").count() == 8


def test_what_cannot_be_shown_is_named(session: ReviewSession, address: str, open_page: OpenPage) -> None:
    object.__setattr__(session.source, "media", no_media)
    page = open_page(address)
    page.evaluate("""() => {
      const fetched = window.fetch;
      const gone = () => Promise.reject(new Error("it is gone"));
      window.fetch = (path, more) => (/frames/.test(path) ? gone() : fetched(path, more));
    }""")
    page.locator(".review-label", has_text="rain").click()
    page.wait_for_selector(".review-seen >> text=there are no frames of it (it is gone). Skip it, or look at the file")
    assert f"clips/{front(page)}" in page.locator(".review-seen").inner_text()


def test_at_the_end_of_a_label_the_next_one_is_offered(
    session: ReviewSession, address: str, open_page: OpenPage
) -> None:
    for key in session.source.keys[1:]:
        session.judge(key, "dog", True)
    page = open_page(address)
    front(page)
    page.keyboard.press("n")
    page.get_by_role("button", name="Go on with rain").click()
    front(page)
    assert "rain" in page.locator(".review-question").inner_text()


@pytest.mark.parametrize("dark", [False, True])
def test_everybody_can_use_it(address: str, open_page: OpenPage, dark: bool) -> None:
    page = open_page(address, size=PHONE if dark else (1280, 800), dark=dark)
    front(page)
    assert axe_findings(page) == []
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_frames_stand_in_for_a_file_that_no_browser_plays(
    session: ReviewSession, address: str, open_page: OpenPage
) -> None:
    object.__setattr__(session.source, "media", lambda video: {**picture_of(video), "player": "/boot.js"})
    page = open_page(address)
    for _ in range(2):  # the second one was tried while the first was looked at
        page.wait_for_selector(".review-seen >> text=this browser cannot play the file")
        assert page.locator(".review-seen .frames img").count() == 2
        press(page, "j")
