"""The page, Try: real clips, real answers, in a browser."""

import base64
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from olmv.io.prediction_rows import read_rows
from tests.serve.page.conftest import FOOTAGE, Visit, plays_from
from tests.support.server import RunningServer

sync_api = pytest.importorskip("playwright.sync_api", reason="install playwright: pip install 'olmv[dev]'")
expect = sync_api.expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, Route

pytestmark = pytest.mark.slow

CAT = FOOTAGE / "cat_then_coffee.mp4"
SEA = FOOTAGE / "sea_at_sunset.mp4"
FIELD = "add to labels"


def _card(page: "Page", name: str) -> "Locator":
    return page.locator("article.video", has_text=name)


def _bar(card: "Locator", label: str) -> "Locator":
    return card.locator(f'.bar[data-label="{label}"]')


def _send(page: "Page", *files: Path) -> None:
    page.locator("#files").set_input_files(list(files))


def _file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _type(page: "Page", label: str) -> None:
    page.get_by_label(FIELD).fill(label)
    page.get_by_label(FIELD).press("Enter")


def _predictions(page: "Page") -> list[str]:
    """Note from now on how videos are asked for: a form sends a file, JSON names one that the server has."""
    kinds: list[str] = []
    page.on(
        "request",
        lambda request: (
            kinds.append(request.headers.get("content-type", "").partition(";")[0])
            if request.url.endswith("/v1/predict")
            else None
        ),
    )
    return kinds


def test_a_clip_is_sent_once_and_asked_again_and_again(visit: Visit, site: RunningServer) -> None:
    page = visit(site.url)
    asked = _predictions(page)
    field = page.get_by_label(FIELD)
    field.press_sequentially("rab")
    expect(page.get_by_role("option", name="rabbit", exact=True)).to_be_visible()
    expect(field).to_have_attribute("aria-expanded", "true")
    field.press("ArrowDown")
    chosen = page.locator("[role=option][aria-selected=true]")
    expect(chosen).to_have_count(1)
    expect(field).to_have_attribute("aria-activedescendant", str(chosen.get_attribute("id")))
    label = chosen.inner_text()
    field.press("Enter")
    expect(page.get_by_role("button", name=f"remove {label}")).to_be_attached()

    _send(page, CAT)
    card = _card(page, CAT.name)
    expect(card.locator(".bar")).to_have_count(4)
    expect(_bar(card, "coffee")).to_have_class(re.compile("positive"))
    expect(_bar(card, label)).not_to_have_class(re.compile("positive"))
    card.locator("button.frame").first.click()
    expect(page.locator("dialog img")).to_be_visible()
    page.keyboard.press("Escape")

    _bar(card, "coffee").get_by_role("slider").press("End")
    expect(_bar(card, "coffee")).not_to_have_class(re.compile("positive"))
    page.get_by_role("button", name="reset").click()
    expect(_bar(card, "coffee")).to_have_class(re.compile("positive"))

    picture = card.locator("img").first.element_handle()
    field.fill("a cup, snow ,")
    expect(_bar(card, "a cup")).to_be_visible()
    assert picture is not None
    assert picture.evaluate("image => image.isConnected")  # what stays is not drawn again
    page.get_by_role("button", name="remove guitar").click()
    expect(_bar(card, "guitar")).to_have_count(0)
    expect(page.locator(".told")).to_have_text(re.compile(r"1 video answered anew in [\d.]+ m?s, without its file"))
    assert asked[0] == "multipart/form-data"
    assert set(asked[1:]) == {"application/json"}

    page.reload()
    expect(page.locator(".chip bdi")).to_have_text(["cat", "coffee", label, "a cup", "snow"])
    page.get_by_role("button", name="the server’s own").click()
    expect(page.locator(".chip bdi")).to_have_text(["cat", "coffee", "guitar"])


def test_over_time_a_click_seeks_and_new_labels_leave_the_player(visit: Visit, site: RunningServer) -> None:
    page = visit(site.url)
    _send(page, CAT)
    card = _card(page, CAT.name)
    expect(card.locator(".bar")).to_have_count(3)
    page.get_by_label("when each label is true").check()
    page.get_by_role("button", name="Send it again").click()
    lane = card.locator('.film .bar[data-label="coffee"] .heat')
    box = lane.bounding_box()
    assert box is not None
    lane.click(position={"x": 0.8 * box["width"], "y": 4})
    player = card.locator("video.player")
    expect(player).to_have_attribute("src", re.compile("^blob:"))
    assert float(player.get_attribute("data-time") or 0) == pytest.approx(3.6, abs=0.05)
    expect(player).to_have_js_property("paused", False)
    assert plays_from(player, 3.5)
    player.evaluate("video => video.pause()")
    _type(page, "a cup")
    expect(card.locator('.film .bar[data-label="a cup"]')).to_be_visible()
    expect(player).to_have_js_property("paused", True)
    assert plays_from(player, 3.5)

    page.get_by_label("threshold of all labels", exact=True).press("End")  # segments need the server
    expect(card.locator('.bar[data-label="coffee"] .jump')).to_have_count(0)
    card.get_by_role("button", name=f"remove {CAT.name}").click()
    expect(page.locator(".item")).to_have_count(0)


def test_texts_of_strangers_are_shown_as_they_are(visit: Visit, site: RunningServer, tmp_path: Path) -> None:
    page = visit(site.url)
    markup = "<img src=x onerror=alert(1)>"
    name = f"{markup}.mp4"
    _type(page, markup)
    _send(page, _file(tmp_path / name, SEA.read_bytes()), _file(tmp_path / "a page.html", b"<script>alert(2)</script>"))
    card = _card(page, name)
    expect(card.get_by_role("heading")).to_have_text(name)
    expect(card.locator(".bar .label").filter(has_text=markup)).to_have_count(1)
    expect(page.locator('img[src="x"]')).to_have_count(0)
    bad = _card(page, "a page.html")
    expect(bad).to_have_class(re.compile("failed"))
    expect(bad.locator("a")).to_have_count(0)  # it would be opened as a page of this server
    expect(page.locator(".bar-of-results")).to_contain_text("1 failed")


def test_rows_can_be_taken_away(visit: Visit, site: RunningServer, tmp_path: Path) -> None:
    page = visit(site.url)
    page.get_by_label("what carried it").check()
    name = '=1+1 "a", b.mp4'
    _send(page, _file(tmp_path / name, CAT.read_bytes()), _file(tmp_path / "empty.mp4", b"\0" * 64))
    expect(page.locator(".bar-of-results")).to_contain_text("1 with a label · 1 failed")
    files = []
    for kind in ("jsonl", "csv"):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Save .{kind}").click()
        files.append(tmp_path / f"rows.{kind}")
        download.value.save_as(files[-1])
    rows, flat = (list(read_rows(file)) for file in files)
    assert [row["video"] for row in rows] == [row["video"] for row in flat] == [name, "empty.mp4"]
    assert rows[0]["labels"] == flat[0]["labels"]
    assert rows[0]["explanations"]
    assert not {"curve", "pictures", "clip"} & set(rows[0])  # those are the page's
    page.get_by_role("button", name="Clear all").click()
    expect(page.locator(".item")).to_have_count(0)
    expect(page.get_by_text("Drop videos or photos here")).to_be_visible()


def test_without_labels_videos_wait_for_the_first(visit: Visit, site: RunningServer) -> None:
    page = visit(site.url)
    page.get_by_role("button", name="remove all").click()
    page.evaluate(
        """([name, text]) => {
          const transfer = new DataTransfer();
          const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
          transfer.items.add(new File([bytes], name, { type: "video/mp4" }));
          const how = { dataTransfer: transfer, bubbles: true, cancelable: true };
          for (const kind of ["dragenter", "drop"]) document.body.dispatchEvent(new DragEvent(kind, how));
        }""",
        [SEA.name, base64.b64encode(SEA.read_bytes()).decode("ascii")],
    )
    card = _card(page, SEA.name)
    expect(card).to_contain_text("waits for labels")
    expect(page.get_by_label(FIELD)).to_be_focused()
    _type(page, "sea")
    expect(_bar(card, "sea")).to_have_class(re.compile("positive"))


def test_what_the_server_forgot_can_be_sent_again(visit: Visit, site: RunningServer) -> None:
    page = visit(site.url)
    _send(page, CAT, SEA)
    card, other = _card(page, CAT.name), _card(page, SEA.name)
    expect(card.locator(".bar")).to_have_count(3)
    expect(other.locator(".bar")).to_have_count(3)
    clip = next(clip for clip in site.service.clips._clips.values() if clip.name == CAT.name)
    for known in [known for known in site.service.clips._clips.values() if known.name == clip.name]:
        site.service.clips.remove(known.id)
    _type(page, "a cup")
    expect(card).to_contain_text("does not keep this video any more")
    expect(_bar(other, "a cup")).to_be_visible()
    page.get_by_role("button", name="Send it again").click()
    expect(_bar(card, "a cup")).to_be_visible()
    expect(card).not_to_contain_text("does not keep")


def test_busy_lost_given_up_and_too_large(visit: Visit, site: RunningServer) -> None:
    page = visit(site.url)
    answers: list[Any] = [
        lambda route: route.abort(),
        lambda route: route.fulfill(
            status=503, headers={"Retry-After": "1"}, body='{"error": {"type": "Busy", "message": "too many wait"}}'
        ),
    ]

    def answer(route: "Route") -> None:
        if answers:
            answers.pop(0)(route)
        else:
            route.continue_()

    page.route("**/v1/predict", answer)
    _send(page, SEA)
    card = _card(page, SEA.name)
    expect(card).to_contain_text("the server cannot be reached; goes on in 1 s")
    expect(page.get_by_role("alert").filter(has_text="Is it still running?")).to_be_visible()
    expect(card).to_contain_text("the server is busy; goes on in 1 s")
    expect(page.get_by_role("alert").filter(has_text="Is it still running?")).to_be_hidden()
    expect(card.locator(".bar")).to_have_count(3)
    page.unroute("**/v1/predict")

    page.route("**/events", lambda route: None)  # as if the job took long
    _send(page, CAT)
    other = _card(page, CAT.name)
    expect(other).to_contain_text("waits for its turn")
    with page.expect_request(lambda request: request.method == "DELETE" and "/v1/jobs/" in request.url):
        other.get_by_role("button", name="Cancel").click()
    expect(other).to_contain_text("was given up")


def test_what_the_server_does_not_take(visit: Visit, site: RunningServer) -> None:
    page = visit("about:blank")

    def changed(route: "Route") -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "max_upload_mb": 0.001, "allow_urls": True})

    page.route("**/v1/labels", changed)
    page.goto(site.url)
    asked = _predictions(page)
    _send(page, SEA)
    expect(_card(page, SEA.name)).to_contain_text("are more than this server takes, 1 kB")
    assert asked == []
    page.get_by_label("address of a video").fill("http://127.0.0.1/a.mp4")
    with page.expect_request("**/v1/predict") as request:
        page.get_by_role("button", name="Fetch").click()
    body = request.value.post_data_json
    assert body is not None
    assert body["urls"] == ["http://127.0.0.1/a.mp4"]
    expect(_card(page, "http://127.0.0.1/a.mp4").locator(".error")).to_be_visible()
