"""The page, Try: labels over time, their thresholds at the lanes, the frames that carried them, rows with curves."""

import random
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from olmv.calibrate.job import run as calibrate
from olmv.calibrate.options import CalibrateJob
from olmv.io.prediction_rows import read_rows
from olmv.predict.job import run as predict
from olmv.predict.options import PredictJob, PredictListener
from olmv.predictions import segment_row
from olmv.progress import JobListener
from olmv.scoring.options import ScoreOptions
from olmv.scoring.segments import find_segments
from olmv.scoring.windows import TimelineOptions
from tests.serve.page.conftest import FOOTAGE, Visit, plays_from
from tests.support.browser import PHONE, axe_findings
from tests.support.server import RunningServer

sync_api = pytest.importorskip("playwright.sync_api", reason="install playwright: pip install 'olmv[dev]'")
expect = sync_api.expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, Route

pytestmark = pytest.mark.slow

CAT = FOOTAGE / "cat_then_coffee.mp4"
SEA = FOOTAGE / "sea_at_sunset.mp4"


def _timed(page: "Page", *files: Path) -> "Locator":
    """Send files to be looked at over time, with reasons; return the lane of coffee of the first."""
    page.locator(".settings").evaluate("box => { box.open = true; }")
    page.get_by_label("when each label is true").check()
    page.get_by_label("what carried it").check()
    page.locator("#files").set_input_files(list(files))
    lane = page.locator("article.video", has_text=files[0].name).first.locator('.lanes .bar[data-label="coffee"]')
    expect(lane).to_be_visible()
    expect(page.locator(".moving")).to_have_count(0)
    return lane


def test_segments_are_those_of_python(visit: Visit, site: RunningServer) -> None:
    page = visit(site.url)
    made = random.Random(0)
    cases: list[tuple[list[float], list[float], float]] = []
    for _ in range(200):
        cells = made.randint(1, 40)
        edges: list[float] = np.cumsum([0.0, *(made.choice((0.25, 0.5, 1.0)) for _ in range(cells))]).tolist()
        curve = [made.random() ** made.choice((0.2, 1, 4)) for _ in range(cells)]
        cases.append((edges, curve, made.choice((0.0, 0.5, 1.0, curve[0], made.random()))))
    found = page.evaluate(
        "cases => cases.map(([edges, curve, enter]) => olmv.spans('dog', edges, curve, enter))", cases
    )
    for (edges, curve, enter), spans in zip(cases, found, strict=True):
        segments = find_segments("dog", edges[:-1], edges[-1], np.array(curve), enter=enter)
        expected = [segment_row(item) for item in segments]
        means = [row.pop("mean") for row in expected]
        assert [span.pop("mean") for span in spans] == pytest.approx(means, rel=2e-6)  # another order of the sum
        assert spans == expected


def test_a_threshold_is_moved_at_its_lane(visit: Visit, site: RunningServer) -> None:
    page = visit(site.url)
    lane = _timed(page, CAT, SEA)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/v1/" in request.url else None)
    times = lane.locator(".jump:not(.carrier)")
    expect(times).to_have_text(["0:02.5–0:04.5"])
    page.get_by_text("of each label").click()
    beside = page.locator(".one").filter(has_text="coffee").get_by_role("spinbutton")
    mark = lane.get_by_role("slider", name="threshold of coffee")

    mark.focus()
    page.keyboard.press("End")
    expect(times).to_have_count(0)
    expect(lane.locator(".segments")).to_have_count(0)
    expect(lane).not_to_have_class(re.compile("positive"))
    expect(beside).to_have_value("100")
    page.keyboard.press("Home")  # the mark has the focus still
    expect(times).to_have_text(["0:00.0–0:04.5"])
    other = page.locator("article.video", has_text=SEA.name).locator('.bar[data-label="coffee"]')
    expect(other.locator(".jump:not(.carrier)")).to_have_text(["0:00.0–0:04.0"])

    box = mark.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 8, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 2)
    expect(times).to_have_text(["0:02.5–0:04.5"])
    page.mouse.up()
    expect(lane.locator(".percent small")).to_have_text(re.compile(r"^/ (49|50|51)(\.5)?%$"))
    assert asked == []


def test_more_labels_than_come_with_their_curves_are_decided_by_the_server(visit: Visit, site: RunningServer) -> None:
    page = visit("about:blank")

    def without_cells(route: "Route") -> None:
        request = route.request.post_data_json
        route.continue_(post_data={**request, "curve": False}) if request else route.continue_()

    page.goto(site.url)
    lane = _timed(page, CAT)
    page.route("**/v1/predict", without_cells)
    page.get_by_label("add to labels").fill("a cup")
    page.get_by_label("add to labels").press("Enter")
    expect(page.locator(".told")).to_have_text(re.compile("answered anew"))
    expect(page.get_by_role("button", name="Save with curves")).to_be_hidden()
    expect(page.get_by_text("Curves come with 500 labels at most")).to_be_visible()
    with page.expect_request("**/v1/predict") as request:
        lane.get_by_role("slider").press("End")
    body = request.value.post_data_json
    assert body is not None
    assert body["thresholds"]["coffee"] == 1
    expect(lane.locator(".jump:not(.carrier)")).to_have_count(0)
    page.get_by_role("button", name="reset").click()
    expect(lane.locator(".jump:not(.carrier)")).to_have_text(["0:02.5–0:04.5"])


def test_a_threshold_that_is_moved_meanwhile_is_not_lost(visit: Visit, site: RunningServer) -> None:
    page = visit(site.url)
    held: list[Route] = []
    page.route("**/v1/jobs/*/events", lambda route: held.append(route))
    page.locator("#files").set_input_files([CAT])
    expect(page.get_by_text("waits for its turn")).to_be_visible()
    page.get_by_label("threshold of all labels in per cent").fill("12")
    held[0].continue_()
    bar = page.locator('.bar[data-label="coffee"]')
    expect(bar.get_by_role("slider")).to_have_value("0.12")


def test_frames_that_carried_a_label_are_seen_and_gone_to(visit: Visit, site: RunningServer) -> None:
    page = visit(site.url)
    lane = _timed(page, CAT)
    frames = lane.locator(".carrier")
    expect(frames).to_have_count(3)
    assert all(2.5 < float(frame.get_attribute("data-time") or 0) < 4.5 for frame in frames.all())
    assert frames.first.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 50
    frames.first.press("Enter")
    player = page.locator("video.player")
    assert plays_from(player, float(frames.first.get_attribute("data-time") or 0) - 0.1)
    guitar = page.locator('.lanes .bar[data-label="guitar"] .carrier')
    expect(guitar).to_have_count(0)  # nothing carried what is not there


def test_frames_are_enlarged_where_nothing_plays(visit: Visit, site: RunningServer, tmp_path: Path) -> None:
    page = visit(site.url)
    clip = tmp_path / "no_type"  # of which the browser knows no kind
    clip.write_bytes(CAT.read_bytes())
    lane = _timed(page, clip)
    lane.locator(".carrier").first.click()
    expect(page.locator("dialog img")).to_have_attribute("alt", re.compile(r"frame at [234]\.\d s"))


def test_rows_with_curves_are_what_the_commands_read(visit: Visit, site: RunningServer, tmp_path: Path) -> None:
    page = visit(site.url)
    lane = _timed(page, CAT, SEA, CAT, FOOTAGE / "SOURCES.md")
    lane.get_by_role("slider").press("Home")
    page.get_by_label("threshold of all labels in per cent").fill("30")
    lane.get_by_role("slider").press("PageUp")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save with curves").click()
    download.value.save_as(tmp_path / "predictions.zip")
    with zipfile.ZipFile(tmp_path / "predictions.zip") as archive:
        archive.extractall(tmp_path)
    path = tmp_path / "predictions.jsonl"
    rows = list(read_rows(path))
    assert [row["video"] for row in rows] == [CAT.name, SEA.name, "cat_then_coffee (2).mp4", "SOURCES.md"]
    limits = {label["label"]: label["threshold"] for label in rows[0]["labels"]}
    assert limits == {"cat": 0.3, "coffee": 0.4, "guitar": 0.3}

    # each row by its own thresholds: what the page found is what the command finds
    job = PredictJob(inputs=[str(path)], timeline=TimelineOptions(), output=tmp_path / "same.jsonl")
    predict(job, PredictListener())
    assert list(read_rows(tmp_path / "same.jsonl")) == rows
    stricter = PredictJob(inputs=[str(path)], score=ScoreOptions(threshold=1.0), output=tmp_path / "stricter.jsonl")
    predict(stricter, PredictListener())
    assert sum(len(row.get("segments", ())) for row in read_rows(tmp_path / "stricter.jsonl")) < 3

    truth = tmp_path / "truth.csv"
    truth.write_text(f"video,label,start_s,end_s\n{CAT.name},coffee,2.5,4.5\n{SEA.name},cat,0,1\n")
    calibrate(CalibrateJob(path, tmp_path / "thresholds.json", truth=truth, objective="event-f1"), JobListener())
    assert (tmp_path / "thresholds.json").exists()


def test_what_cannot_be_saved_is_told(visit: Visit, site: RunningServer) -> None:
    page = visit("about:blank")

    def small(route: "Route") -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "max_rows_mb": 0.001})

    page.route("**/v1/labels", small, times=1)
    page.goto(site.url)
    _timed(page, CAT)
    expect(page.get_by_text("Curves come with 500 labels at most")).to_be_hidden()
    page.get_by_role("button", name="Save with curves").click()
    expect(page.get_by_text("0.001 MB; remove some videos or labels, and save them in parts")).to_be_visible()
    page.reload()
    page.route("**/v1/rows", lambda route: route.abort())
    page.get_by_role("button", name="Save with curves").click()
    expect(page.get_by_text("The curves were not saved: the server cannot be reached")).to_be_visible()
    expect(page.get_by_role("button", name="Save with curves")).to_be_enabled()


@pytest.mark.parametrize("dark", [False, True])
def test_lanes_are_in_the_way_of_nobody(visit: Visit, site: RunningServer, dark: bool) -> None:
    options: dict[str, Any] = {"size": PHONE, "dark": True} if dark else {}
    page = visit(site.url, bypass_csp=True, **options)  # axe-core styles its own elements
    _timed(page, CAT)
    assert axe_findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.route("**/v1/predict", lambda route: route.abort())  # what is shown meanwhile can be read
    page.get_by_label("add to labels").fill("a cup")
    page.get_by_label("add to labels").press("Enter")
    expect(page.get_by_role("alert").filter(has_text="Is it still running?")).to_be_visible()
    assert axe_findings(page) == []
