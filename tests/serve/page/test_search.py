"""The page, Search: moments of a real library, in a browser; what axe finds; the token."""

import re
from pathlib import Path

import pytest

from olmv.serve.options import ServeOptions
from tests.serve.page.conftest import FOOTAGE, Visit, plays_from
from tests.support.browser import PHONE, axe_findings
from tests.support.server import RunningServer, running_server
from tests.support.tiny import tiny_model

sync_api = pytest.importorskip("playwright.sync_api", reason="install playwright: pip install 'olmv[dev]'")
expect = sync_api.expect

pytestmark = pytest.mark.slow


_SEES_ALL = """(image, all) => new Promise((resolve) => {
  const seen = new Set();
  const look = () => seen.add(image.getAttribute("src")) && all.every((src) => seen.has(src)) && resolve(true);
  new MutationObserver(look).observe(image, { attributes: true });
  look();
})"""


def test_moments_are_found_played_and_looked_around(visit: Visit, site: RunningServer) -> None:
    page = visit(site.url)
    page.get_by_role("link", name="Search").click()
    page.get_by_label("what a moment shows").fill("coffee")
    page.keyboard.press("Enter")
    moment = page.locator(".moment")
    expect(moment).to_have_count(1)
    expect(moment).to_contain_text("cat_then_coffee.mp4")
    expect(page).to_have_url(re.compile("#search\\?q=coffee$"))

    moment.locator(".picture").hover()
    expect(moment.locator(".playing video")).to_have_js_property("muted", True)
    moment.locator(".picture").click()
    player = page.locator("dialog video")
    expect(player).to_have_js_property("paused", False)
    assert plays_from(player, 2.0)  # where the coffee begins
    page.locator("dialog").get_by_role("button", name="More like this").click()
    expect(page.locator(".like")).to_contain_text("like cat_then_coffee.mp4 at 0:0")
    expect(page.get_by_label("what a moment shows")).to_have_value("")
    page.go_back()
    expect(page.get_by_label("what a moment shows")).to_have_value("coffee")
    expect(moment).to_have_count(1)

    page.get_by_role("button", name="Make it a label of Try").click()
    page.get_by_text("Filters").click()
    page.get_by_label("without").fill("a cup of coffee")
    page.get_by_label("without").press("Enter")
    expect(page.get_by_text("Nothing is as probable as 50%")).to_be_visible()
    page.get_by_label("without").fill("")
    page.get_by_label("path or name").fill("sea*")
    page.get_by_label("path or name").press("Enter")
    expect(page.get_by_text("The nearest has")).to_be_visible()
    expect(page.locator(".below-cut .moment")).to_contain_text("sea_at_sunset.mp4")
    page.get_by_label("longer than, seconds").fill("1000")
    page.get_by_label("longer than, seconds").press("Enter")
    expect(page.get_by_text("No video passes the filters")).to_be_visible()
    page.get_by_label("longer than, seconds").fill("")
    page.locator("#search-labels").fill("sea")
    page.locator("#search-labels").press("Enter")
    expect(page.get_by_role("alert").filter(has_text="sea")).to_be_visible()
    expect(page).to_have_url(re.compile("path=sea"))


def test_what_no_browser_plays_is_seen_in_its_pictures(visit: Visit, site: RunningServer) -> None:
    page = visit("about:blank", bypass_csp=True)  # axe-core styles its own elements
    page.route("**/v1/media?*", lambda route: route.fulfill(body="RIFF, say", content_type="video/x-msvideo"))
    page.goto(f"{site.url}/#search?q=coffee")
    moment = page.locator(".moment")
    expect(moment).to_have_count(1)
    with page.expect_response("**/v1/pictures?*") as answer:
        moment.locator(".picture").hover()
    pictures = answer.value.json()["pictures"]
    assert len(pictures) > 1
    shown = moment.locator(".playing img.preview")
    assert shown.evaluate(_SEES_ALL, [picture["src"] for picture in pictures])
    moment.locator(".clock").hover()
    page.get_by_label("what a moment shows").hover()
    expect(shown).to_have_count(0)

    moment.locator(".picture").press("Enter")
    expect(page.get_by_text("this browser cannot play the file")).to_be_visible()
    frames = page.locator("dialog .near button")
    expect(frames).to_have_count(len(pictures))
    expect(page.locator("dialog .near [aria-pressed=true]")).to_have_count(1)
    frames.last.click()
    expect(page.locator("dialog img.player")).to_have_attribute("src", pictures[-1]["src"])
    expect(page.locator("dialog").get_by_role("button", name="From its beginning")).to_have_count(0)
    assert axe_findings(page) == []


def test_a_query_becomes_a_label(visit: Visit, site: RunningServer) -> None:
    page = visit(f"{site.url}/#search?q=a+rocket&from=0.9")
    page.get_by_role("button", name="Make it a label of Try").click()
    page.get_by_role("link", name="Try").click()
    expect(page.locator(".chip bdi")).to_have_text(["cat", "coffee", "guitar", "a rocket"])


def test_the_review_is_there_while_it_is_looked_at(visit: Visit, site: RunningServer) -> None:
    page = visit(f"{site.url}/#review")
    expect(page.get_by_text("Threshold of dog")).to_be_visible()
    page.get_by_role("link", name="Try").click()
    expect(page.locator("#review")).to_be_empty()  # it would listen to keys
    page.get_by_role("link", name="Review").click()
    expect(page.get_by_text("Threshold of dog")).to_be_visible()


@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_in_the_way_of_anybody(visit: Visit, site: RunningServer, dark: bool) -> None:
    page = visit(
        site.url, size=PHONE if dark else (1280, 800), dark=dark, bypass_csp=True
    )  # axe-core styles its own elements
    page.locator(".settings").evaluate("box => { box.open = true; }")
    page.get_by_text("of each label").click()
    assert axe_findings(page) == []
    page.get_by_label("when each label is true").check()
    page.locator("#files").set_input_files([FOOTAGE / "cat_then_coffee.mp4", FOOTAGE / "SOURCES.md"])
    expect(page.locator(".film")).to_be_visible()
    expect(page.locator(".failed")).to_be_visible()
    page.get_by_label("add to labels").fill("ca")
    expect(page.get_by_role("option").first).to_be_visible()
    assert axe_findings(page) == []
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0
    page.goto(f"{site.url}/#search?q=coffee&path=*")
    page.locator(".moment .picture").wait_for()
    assert axe_findings(page) == []
    page.locator(".moment .picture").click()
    page.locator("dialog video").wait_for()
    assert axe_findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_the_token(visit: Visit, tmp_path: Path) -> None:
    token = "a-token-of-this-test"
    with running_server(tiny_model(), tmp_path, options=ServeOptions(workers=1), token=token) as site:
        page = visit(site.url)
        field = page.get_by_label("Token", exact=True)
        field.fill("not-the-token")
        field.press("Enter")
        expect(page.get_by_role("alert").filter(has_text="the token is wrong")).to_be_visible()
        assert axe_findings(page) == []
        field.fill(f"{site.url}/#token={token}")
        field.press("Enter")
        expect(page.locator(".chip bdi")).to_have_text(["dog", "guitar", "rain"])
        expect(page.locator("dialog")).to_have_count(0)

        page = visit(f"{site.url}/#token={token}")
        expect(page.locator(".chip bdi")).to_have_text(["dog", "guitar", "rain"])
        assert token not in page.url
        expect(page.get_by_role("link", name="Search")).to_be_hidden()
        page.reload()  # the cookie is there
        expect(page.locator(".chip bdi")).to_have_text(["dog", "guitar", "rain"])
