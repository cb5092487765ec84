"""The page, Try: what is dropped on it, by drags as the browser itself makes them, and what a reload leaves."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.serve.page.conftest import FOOTAGE, Visit
from tests.support.server import RunningServer

sync_api = pytest.importorskip("playwright.sync_api", reason="install playwright: pip install 'olmv[dev]'")
expect = sync_api.expect

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

pytestmark = pytest.mark.slow

CAT = FOOTAGE / "cat_then_coffee.mp4"
SEA = FOOTAGE / "sea_at_sunset.mp4"


def _drop(page: "Page", *files: Path, text: tuple[str, str] | None = None, on: str = "main") -> None:
    """Drag files from the desktop, or a text as (kind, text), over the page, and let go."""
    items: Sequence[dict[str, str]] = [] if text is None else [{"mimeType": text[0], "data": text[1]}]
    data = {"items": items, "files": [str(file) for file in files], "dragOperationsMask": 1}
    box = page.locator(on).first.bounding_box()
    assert box is not None
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + 12}
        session.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})
        expect(page.locator("body.dropping")).to_have_count(int(kind != "drop" and bool(files)))
    session.detach()


def test_files_and_folders_are_dropped(visit: Visit, site: RunningServer, tmp_path: Path) -> None:
    folder = tmp_path / "holidays"
    for place in (folder, folder / "day 2"):
        place.mkdir()
        (place / "sea.mp4").write_bytes(SEA.read_bytes())
    (folder / "._sea.mp4").write_bytes(b"what a Mac leaves")
    (folder / "notes.txt").write_text("no video")
    page = visit(f"{site.url}/#search")
    expect(page.get_by_label("what a moment shows")).to_be_visible()
    _drop(page, CAT, FOOTAGE / "SOURCES.md", folder)
    expect(page).to_have_url(f"{site.url}/#try")
    expect(page.get_by_text("Left out: 2 files that are no videos or photos.")).to_be_visible()
    expect(page.locator(".moving")).to_have_count(0)
    names = page.locator(".item h3")
    expect(names).to_have_text(
        [CAT.name, "SOURCES.md", "holidays/sea.mp4", "holidays/day 2/sea.mp4"]
    )  # two of one name can be told apart
    expect(page.locator(".failed")).to_have_count(1)
    expect(page.locator(".failed .error")).to_contain_text("is a text file")

    (tmp_path / "empty").mkdir()
    _drop(page, tmp_path / "empty")
    expect(page.get_by_text("There is no video or photo in it.")).to_be_visible()
    expect(names).to_have_count(4)


def test_a_folder_that_is_chosen_knows_its_paths(visit: Visit, site: RunningServer, tmp_path: Path) -> None:
    folder = tmp_path / "holidays"
    folder.mkdir()
    (folder / "sea.mp4").write_bytes(SEA.read_bytes())
    (folder / "notes.txt").write_text("no video")
    page = visit(site.url)
    page.get_by_label("a folder", exact=True).set_input_files(folder)
    expect(page.get_by_text("Left out: 1 file that is no video or photo.")).to_be_visible()
    expect(page.locator(".item h3")).to_have_text(["holidays/sea.mp4"])
    expect(page.locator(".item .bar")).to_have_count(3)


def test_what_is_no_file_leads_nowhere(visit: Visit, site: RunningServer) -> None:
    page = visit(site.url)
    expect(page.locator(".chip")).to_have_count(3)
    for kind, text in (("text/plain", "words"), ("text/uri-list", f"{site.url}/healthz"), ("text/html", "<b>x</b>")):
        _drop(page, text=(kind, text))
    expect(page.get_by_text("This server takes files, no addresses.")).to_be_visible()
    expect(page).to_have_url(f"{site.url}/")
    expect(page.locator(".item")).to_have_count(0)
    _drop(page, text=("text/plain", "zebra"), on=".combo")  # a field takes words, as fields do
    expect(page.locator(".combo input")).to_have_value("zebra")


def test_an_address_that_is_dropped_is_fetched_where_that_is_allowed(visit: Visit, site: RunningServer) -> None:
    page = visit("about:blank")

    def changed(route: "Route") -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "allow_urls": True})

    page.route("**/v1/labels", changed)
    page.goto(site.url)
    expect(page.get_by_label("address of a video")).to_be_visible()
    with page.expect_request("**/v1/predict") as request:
        _drop(page, text=("text/uri-list", "http://127.0.0.1/a.mp4"))
    body = request.value.post_data_json
    assert body is not None
    assert body["urls"] == ["http://127.0.0.1/a.mp4"]


def test_a_reload_comes_back_to_what_the_server_has(visit: Visit, site: RunningServer) -> None:
    page = visit(site.url)
    page.get_by_label("when each label is true").check()
    page.locator("#files").set_input_files([CAT, SEA, FOOTAGE / "SOURCES.md"])
    names = page.locator(".item h3")
    expect(page.locator(".item .film")).to_have_count(2)
    page.get_by_role("button", name=f"remove {SEA.name}").click()
    page.reload()
    expect(names).to_have_text([CAT.name])
    expect(page.locator(".item .film")).to_have_count(1)
    expect(page.get_by_text("to play them, choose their files again")).to_be_visible()
    expect(page.get_by_role("button", name="Send it again")).to_be_hidden()  # there is nothing to send
    page.locator(".item .jump").first.click()
    expect(page.locator("dialog img")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_label("add to labels").fill("a cup")
    page.get_by_label("add to labels").press("Enter")
    expect(page.locator('.item .bar[data-label="a cup"]')).to_be_visible()

    for clip in [*site.service.clips._clips]:
        site.service.clips.remove(clip)
    page.get_by_label("add to labels").fill("snow")
    page.get_by_label("add to labels").press("Enter")
    expect(page.locator(".item")).to_contain_text("Choose its file again for the new ones.")
    expect(page.locator(".item").get_by_role("button", name="Send again")).to_have_count(0)
    page.reload()
    expect(names).to_have_count(0)


def test_labels_that_are_too_long_are_refused_where_they_are_typed(visit: Visit, site: RunningServer) -> None:
    page = visit(site.url)
    page.evaluate("localStorage.setItem('olmv.labels', JSON.stringify(['cat', 'y'.repeat(301)]))")  # of an older page
    page.reload()
    expect(page.locator(".chip bdi")).to_have_text(["cat"])
    field, refused = page.get_by_label("add to labels"), page.locator(".chipbox .error")
    field.fill("x" * 301)
    field.press("Enter")
    expect(refused).to_contain_text("has 301 characters, a label 300 at most; shorten it")
    expect(field).to_have_value("x" * 301)
    field.fill("\N{CAT FACE}" * 300)  # halves of characters are not counted
    expect(refused).to_be_hidden()
    field.press("Enter")
    field.fill(f"{'z' * 400}, dog,")
    expect(refused).to_contain_text("has 400 characters")
    expect(page.locator(".chip bdi")).to_have_text(["cat", "\N{CAT FACE}" * 300, "dog"])


def test_labels_that_were_refused_can_be_mended(visit: Visit, site: RunningServer) -> None:
    bad = "a\u202eb"  # the server takes no such characters
    page = visit(site.url)
    page.locator("#files").set_input_files([CAT])
    expect(page.locator(".item .bar")).to_have_count(3)
    page.get_by_label("add to labels").fill(bad)
    page.get_by_label("add to labels").press("Enter")
    expect(page.locator(".panel > .error")).to_contain_text("has the control character")
    page.reload()
    expect(page.locator(".item .error")).to_contain_text("has the control character")
    page.locator("#files").set_input_files([SEA])
    expect(page.locator(".item .error")).to_have_count(2)
    page.locator(".chip", has_text=bad).get_by_role("button").click()
    expect(page.locator(".item .error")).to_have_count(0)
    expect(page.locator(".item .bar")).to_have_count(6)


def test_what_was_forgotten_meanwhile_is_told_after_a_reload(visit: Visit, site: RunningServer) -> None:
    page = visit(site.url)
    page.locator("#files").set_input_files([CAT])
    expect(page.locator(".item .bar")).to_have_count(3)
    for clip in [*site.service.clips._clips]:
        site.service.clips.remove(clip)
    page.reload()
    expect(page.get_by_text("Videos of before were forgotten by the server; choose their files again.")).to_be_visible()
    expect(page.locator(".item")).to_have_count(0)
    page.evaluate("sessionStorage.setItem('olmv.clips', '{\"a\": 1}')")  # by somebody else
    page.reload()
    expect(page.locator(".chip")).to_have_count(3)
    expect(page.locator(".item")).to_have_count(0)
