"""The review over HTTP."""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from olmv.datasets.manifests import read_manifest
from olmv.errors import WorkerCrashedError
from olmv.scoring.thresholds import Thresholds
from olmv.serve.api.answers import add_error_answers
from olmv.serve.api.review import review_router
from olmv.serve.review.frames import ReviewFrames
from olmv.serve.review.session import ReviewSession
from olmv.video.workers.fork_server import ForkServer, Worker
from tests.serve.review.sources import made_source, session_in
from tests.serve.review_page import FOOTAGE

PAIR = {"video": "clips/001.mp4", "label": "dog"}


@pytest.fixture
def session(tmp_path: Path) -> Iterator[ReviewSession]:
    with session_in(tmp_path, made_source(300)) as made:
        yield made


@pytest.fixture
def client(session: ReviewSession) -> Iterator[TestClient]:
    app = FastAPI()
    app.include_router(review_router(session))
    add_error_answers(app)
    with TestClient(app) as made:
        yield made


def judge(client: TestClient, count: int, reviewer: str = "ann") -> None:
    for _ in range(count):
        (item,) = client.get("/v1/review/queue", params={"label": "dog", "count": 1, "reviewer": reviewer}).json()[
            "items"
        ]
        body = {name: item[name] for name in ("video", "label", "order")}
        answer = client.post(
            "/v1/review/verdicts", json={**body, "verdict": item["probability"] > 0.4, "reviewer": reviewer}
        )
        assert answer.status_code == 200


def test_a_review_from_end_to_end(client: TestClient, session: ReviewSession, tmp_path: Path) -> None:
    about = client.get("/v1/review").json()
    assert (about["source"], about["model"], about["reviewer_count"], about["export_error"]) == ("films", "tiny", 0, "")
    assert [label["label"] for label in about["labels"]] == ["dog", "rain"]
    assert sum(about["labels"][0]["histogram"]) == about["labels"][0]["total"] == 300
    assert about["labels"][0]["precision"] is None
    judge(client, 100)
    dog = client.get("/v1/review").json()["labels"][0]
    assert dog["reviewed"] == dog["right"] + dog["wrong"] == 100
    assert dog["precision"]["low"] <= dog["precision"]["value"] <= dog["precision"]["high"]
    estimates = client.get("/v1/review/estimates", params={"label": "dog", "threshold": 0.4}).json()
    assert estimates["positives"] == client.get("/v1/review/scores", params={"label": "dog"}).json()["positives"][400]
    assert estimates["suggestion"]["objective"] == "f1"
    assert abs(estimates["suggestion"]["threshold"] - 0.4) < 0.1
    kept = client.put("/v1/review/thresholds", json={"label": "dog", "threshold": 0.4}).json()
    assert kept["threshold"] == 0.4
    assert kept["positives"] == estimates["positives"]
    (tmp_path / "t.csv").write_bytes(client.get("/v1/review/truth.csv").content)
    rows = read_manifest(tmp_path / "t.csv")
    assert len(rows) == 100
    assert all(Path(row.video).is_relative_to(Path("clips").absolute()) for row in rows)  # wherever it was saved
    answer = client.get("/v1/review/thresholds.json")
    assert answer.headers["content-disposition"] == 'attachment; filename="thresholds.json"'
    (tmp_path / "t.json").write_bytes(answer.content)
    assert Thresholds.load(tmp_path / "t.json")["dog"] == 0.4


def test_undo_and_disagreement(client: TestClient) -> None:
    pair = {"video": "clips/001.mp4", "label": "dog"}
    for reviewer, verdict in (("ann", True), ("bob", False)):
        client.post("/v1/review/verdicts", json={**pair, "verdict": verdict, "reviewer": reviewer})
    ((conflict),) = client.get("/v1/review/conflicts", params={"label": "dog"}).json()
    assert conflict["item"]["name"] == "001.mp4"
    assert [(word["reviewer"], word["verdict"]) for word in conflict["verdicts"]] == [("ann", True), ("bob", False)]
    undone = client.post("/v1/review/undo", json={"reviewer": "bob"}).json()
    assert (undone["item"]["video"], undone["label"]["right"], undone["label"]["conflicts"]) == ("clips/001.mp4", 1, 0)
    assert client.post("/v1/review/undo", json={"reviewer": "bob"}).json() == {"item": None, "label": None}


def test_order_anew_and_skips(client: TestClient) -> None:
    judge(client, 3)
    queue = client.get("/v1/review/queue", params={"label": "dog", "count": 2}).json()
    assert queue["left"] == 297
    more = client.get(
        "/v1/review/queue", params={"label": "dog", "count": 1, "skip": [queue["items"][0]["video"]]}
    ).json()
    assert more["items"][0]["video"] == queue["items"][1]["video"]
    client.put("/v1/review/thresholds", json={"label": "dog", "threshold": 0.2})
    assert client.post("/v1/review/order", json={"label": "dog"}).json()["anchor"] == pytest.approx(0.2)


def test_what_can_be_shown_comes_along(tmp_path: Path) -> None:
    source = made_source(3)
    shown = {"player": "/v1/media?video=x", "pictures": [{"time_s": 0.0, "src": "data:,"}], "end_s": 2.5}
    object.__setattr__(source, "media", lambda video: {**shown, "video": "another name is not taken"})
    with session_in(tmp_path, source) as session:
        app = FastAPI()
        app.include_router(review_router(session))
        with TestClient(app) as client:
            (item, *_) = client.get("/v1/review/queue", params={"label": "dog"}).json()["items"]
    assert item["video"].startswith("clips/")
    assert {name: item[name] for name in shown} == shown


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("get", "/queue?label=cat", None, "'cat' is none of the 2 labels of this review; choose one"),
        ("get", "/queue?label=dog&count=0", None, "count: Input should be greater than or equal to 1"),
        (
            "post",
            "/verdicts",
            {"video": "x", "label": "dog", "verdict": True},
            "'x' is none of the videos of this review",
        ),
        ("post", "/verdicts", {"video": "clips/001.mp4", "label": "dog"}, "verdict: is missing; give it"),
        ("put", "/thresholds", {"label": "dog", "threshold": 2}, "threshold: Input should be less than or equal to 1"),
        ("put", "/thresholds", {"label": "dog", "threshold": True}, "threshold: Input should be a valid number"),
        ("put", "/thresholds", {"label": "dog", "threshold": "0.3"}, "threshold: Input should be a valid number"),
        ("put", "/thresholds", [], "the body is no object; send one"),
        ("post", "/verdicts", {**PAIR, "verdict": True, "order": 10**30}, "order: Input should be less than 9223372"),
        ("post", "/verdicts", {**PAIR, "verdict": True, "order": -1}, "order: Input should be greater than or equal"),
        ("post", "/verdicts", {**PAIR, "verdict": True, "reviewer": "\ud800"}, "reviewer: Input should be a valid str"),
        ("post", "/verdicts", {**PAIR, "verdict": True, "video": "x" * 9000}, "video: String should have at most 8192"),
        ("post", "/verdicts", {**PAIR, "verdict": "yes"}, "verdict: Input should be a valid boolean"),
        ("get", "/estimates?label=dog&objective=best", None, "unknown objective 'best'; give f1"),
    ],
)
def test_what_cannot_be_is_told(client: TestClient, method: str, path: str, body: object, message: str) -> None:
    content = None if body is None else json.dumps(body)
    answer = client.request(method, f"/v1/review{path}", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert message in answer.json()["error"]["message"]


def test_a_body_that_is_no_json_is_told(client: TestClient) -> None:
    answer = client.put("/v1/review/thresholds", content="{", headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["error"]["message"] == "the body is no JSON; send an object"


def test_frames_of_a_video(tmp_path: Path) -> None:
    (clip,) = FOOTAGE.glob("city.mp4")
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    source = made_source(2)
    object.__setattr__(source, "videos", (str(clip), str(text)))
    with session_in(tmp_path, source) as session:
        app = FastAPI()
        app.include_router(review_router(session))
        add_error_answers(app)
        with TestClient(app) as client:
            told = client.get("/v1/review/frames", params={"video": source.keys[0]}).json()["pictures"]
            again = client.get("/v1/review/frames", params={"video": source.keys[0]}).json()["pictures"]
            bad = client.get("/v1/review/frames", params={"video": source.keys[1]})
            unknown = client.get("/v1/review/frames", params={"video": "/etc/passwd"})
    assert len(told) == 8
    assert told == again
    assert [picture["time_s"] for picture in told] == sorted(picture["time_s"] for picture in told)
    assert base64.b64decode(told[0]["src"].removeprefix("data:image/jpeg;base64,"))[:2] == b"\xff\xd8"
    assert bad.status_code == 422
    assert "text.mp4" in bad.json()["error"]["message"]
    assert unknown.status_code == 422
    assert "'/etc/passwd' is none of the videos of this review" in unknown.json()["error"]["message"]


def test_frames_that_take_long_hold_up_nothing_else(client: TestClient, session: ReviewSession) -> None:
    room = session.frames._room
    while room.acquire(blocking=False):  # as those do that wait for a file that hangs
        pass
    busy = client.get("/v1/review/frames", params={"video": "clips/001.mp4"})
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "10")
    assert busy.json()["error"]["message"] == "too many videos wait; try again in 10 s"
    judge(client, 1)
    room.release()
    assert client.get("/v1/review/frames", params={"video": "clips/001.mp4"}).status_code == 422
    assert room.acquire(blocking=False)  # given back, also where there are none
    for _ in range(8):
        room.release()


def _full(self: ForkServer) -> Worker:
    raise EOFError("the other end has gone")


def test_frames_of_a_file_that_was_changed_are_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = tmp_path / "a.mp4"
    frames = ReviewFrames()
    told = []
    for name in ("city.mp4", "city.mp4", "sea_at_sunset.mp4"):
        film.write_bytes((FOOTAGE / name).read_bytes())
        os.utime(film, (1, 1))
        told.append(frames.of(str(film)))
    monkeypatch.setattr(ForkServer, "take", _full)
    (tmp_path / "b.mp4").write_bytes(film.read_bytes())
    with pytest.raises(WorkerCrashedError, match="no process could be started to decode it"):
        frames.of(str(tmp_path / "b.mp4"))
    frames.close()
    assert told[0] is told[1]
    assert told[1] != told[2]


def test_a_verdict_that_cannot_be_kept_is_told(client: TestClient, session: ReviewSession) -> None:
    pages = session._store._connection.execute("PRAGMA page_count").fetchone()[0]
    session._store._connection.execute(
        f"PRAGMA max_page_count = {pages}"
    )  # SQLite then says what it says of a full disk
    statuses = set()
    for key in session.source.keys:
        answer = client.post("/v1/review/verdicts", json={"video": key, "label": "dog", "verdict": True})
        statuses.add(answer.status_code)
    assert statuses == {200, 507}
    assert "the disk is full; make room, earlier verdicts are kept" in answer.json()["error"]["message"]
    session._store._connection.execute("PRAGMA max_page_count = 100000")
