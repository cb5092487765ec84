"""`/v1/predict`, jobs and clips, over HTTP."""

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from olmv import Classifier
from olmv.io.curves import Curve
from olmv.labels.vocabulary import Vocabulary
from olmv.models.base import VideoModel
from olmv.serve.engine import EmbedTask
from olmv.serve.guard.multipart import Upload
from olmv.serve.jobs import Job
from olmv.serve.options import ServeOptions
from tests.serve.guard.server import Client
from tests.support.server import RunningServer, running_server

LABELS = ["dog", "guitar", "rain"]


def _send(http: httpx.Client, path: Path, **fields: str) -> httpx.Response:
    with path.open("rb") as file:
        return http.post("/v1/predict", files={"files": (path.name, file)}, data=fields)


def test_a_file_gets_what_the_classifier_gives(http: httpx.Client, clips: Path, served_model: VideoModel) -> None:
    answer = _send(http, clips / "a.mp4", labels="dog, guitar, rain")
    assert answer.status_code == 200
    document = answer.json()
    assert document["labels"] == LABELS
    [row] = document["predictions"]
    [expected] = Classifier(served_model).predict([clips / "a.mp4"], LABELS, workers=0)
    clip = row.pop("clip")
    assert clip
    assert row == {**expected.to_row(), "video": "a.mp4"}


def test_uploads_are_removed(http: httpx.Client, clips: Path, server: RunningServer) -> None:
    assert _send(http, clips / "a.mp4").status_code == 200
    assert _send(http, clips / "notes.txt").status_code == 200
    assert [file.name for file in server.service.uploads.path.iterdir()] == [".lock"]


def test_labels_of_a_clip_can_be_changed(http: httpx.Client, clips: Path, served_model: VideoModel) -> None:
    clip = _send(http, clips / "a.mp4").json()["predictions"][0]["clip"]
    [row] = http.post("/v1/predict", json={"clips": [clip], "labels": ["snow", "cat"], "threshold": 0.1}).json()[
        "predictions"
    ]
    [expected] = Classifier(served_model).predict([clips / "a.mp4"], ["snow", "cat"], threshold=0.1, workers=0)
    assert row["labels"] == expected.to_row()["labels"]
    assert http.delete(f"/v1/clips/{clip}").status_code == 204
    gone = http.post("/v1/predict", json={"clips": [clip]})
    assert gone.status_code == 404
    assert "send its file again" in gone.json()["error"]["message"]
    assert http.delete(f"/v1/clips/{clip}").status_code == 404


def test_a_clip_is_not_looked_at_otherwise(http: httpx.Client) -> None:
    whole, moments = (
        http.post("/v1/predict", json={"paths": ["a.mp4"], **looked}).json()["predictions"][0]["clip"]
        for looked in ({"frames": 4}, {"timeline": True})
    )
    for clip, asked in (
        (whole, {"timeline": True}),
        (whole, {"frames": 5}),
        (whole, {"every_s": 0.5}),
        (whole, {"sampling": "dense"}),
        (moments, {"frames": 4}),
        (moments, {"every_s": 2.0}),
    ):
        answer = http.post("/v1/predict", json={"clips": [clip], **asked})
        assert answer.status_code == 422, asked
        message = answer.json()["error"]["message"]
        assert message.startswith(f"what is kept of a.mp4 was looked at with other {next(iter(asked))}; leave")
    assert http.post("/v1/predict", json={"clips": [whole], "frames": 4}).status_code == 200
    for asked in ({}, {"timeline": True}):
        answer = http.post("/v1/predict", json={"clips": [moments], **asked})
        assert "segments" in answer.json()["predictions"][0]


def test_paths_come_in_the_order_of_the_request(http: httpx.Client, clips: Path) -> None:
    names = ["b.mp4", "notes.txt", str(clips / "a.mp4")]
    answer = http.post("/v1/predict", json={"paths": names})
    assert [row["video"] for row in answer.json()["predictions"]] == names
    failed = answer.json()["predictions"][1]
    assert failed["error"]["type"] == "NotAVideoError"
    assert failed["clip"] is None
    assert str(clips) not in failed["error"]["message"]


def test_thresholds_of_the_request_win(http: httpx.Client, clips: Path) -> None:
    body = {"paths": ["a.mp4"], "thresholds": {"dog": 0.0, "guitar": 1.0}}
    labels = http.post("/v1/predict", json=body).json()["predictions"][0]["labels"]
    assert [(label["threshold"], label["positive"]) for label in labels[:2]] == [(0.0, True), (1.0, False)]


def test_a_timeline_has_segments_and_a_curve(http: httpx.Client, clips: Path, served_model: VideoModel) -> None:
    body = {"paths": ["a.mp4"], "timeline": True, "thresholds": {"dog": 0.0}, "embeddings": True, "curve": True}
    row = http.post("/v1/predict", json=body).json()["predictions"][0]
    assert [segment["label"] for segment in row["segments"]].count("dog") == 1
    [expected] = Classifier(served_model).predict([clips / "a.mp4"], LABELS, timeline=True, workers=0)
    curve = Curve.from_document("a.mp4", row["cells"])
    assert expected.curve is not None
    assert (curve.labels, curve.starts_s.tolist()) == (tuple(LABELS), expected.curve.starts_s.tolist())
    np.testing.assert_allclose(curve.probability, expected.curve.probability, atol=1e-6)
    assert sum(number**2 for number in row["embedding"]) == pytest.approx(1, abs=1e-4)


def test_pictures_are_the_frames_that_were_looked_at(http: httpx.Client, clips: Path) -> None:
    card = http.post("/v1/predict", json={"paths": ["a.mp4"], "pictures": True, "explain": True}).json()["predictions"][
        0
    ]
    assert card["frames"]["decoded"] == len(card["pictures"])
    assert card["explanations"]
    picture = http.get(card["pictures"][1]["src"])
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.content.startswith(b"\xff\xd8")
    beyond = http.get(card["pictures"][1]["src"].rsplit("/", 1)[0] + "/99")
    assert beyond.status_code == 404
    assert "counted from 0" in beyond.json()["error"]["message"]


def _events(http: httpx.Client, url: str, **headers: str) -> Iterator[tuple[str, dict[str, Any]]]:
    with http.stream("GET", f"{url}/events", headers=headers) as stream:
        kind = ""
        for line in stream.iter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield kind, json.loads(line.removeprefix("data: "))


def test_a_job_is_followed_to_its_end(http: httpx.Client) -> None:
    started = http.post("/v1/predict", json={"paths": ["a.mp4", "b.mp4"], "background": True})
    assert started.status_code == 202
    events = list(_events(http, started.json()["url"]))
    assert [kind for kind, _ in events].count("progress") == 2
    told = {data["place"]: data["prediction"]["video"] for kind, data in events if kind == "prediction"}
    assert told == {0: "a.mp4", 1: "b.mp4"}
    assert events[-1] == ("end", {"status": "done"})
    state = http.get(started.json()["url"]).json()
    assert (state["status"], state["done"], state["total"]) == ("done", 2, 2)
    assert [row["video"] for row in state["predictions"]] == ["a.mp4", "b.mp4"]
    late = list(_events(http, started.json()["url"], **{"last-event-id": "4"}))
    assert [kind for kind, _ in late] == ["end"]


def test_jobs_that_there_are_not(http: httpx.Client) -> None:
    for method, url in (("GET", "/v1/jobs/x"), ("DELETE", "/v1/jobs/x"), ("GET", "/v1/jobs/x/events")):
        answer = http.request(method, url)
        assert answer.status_code == 404
        assert "no such job" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"paths": ["a.mp4"], "labels": ""}, 422, "the list of labels is empty"),
        ({"paths": ["a.mp4"], "labels": []}, 422, "there are no labels"),
        ({"paths": ["a.mp4"], "labels": ["a\x00b"]}, 422, "control character"),
        ({"paths": ["a.mp4"], "labels": [f"label {number}" for number in range(100_000)]}, 413, "100,000 labels"),
        ({"paths": ["a.mp4"], "labels": ["a"], "attributes": {"a": ["b" * 1001]}}, 422, "1000"),
        ({"paths": ["../a.mp4"]}, 404, "no such file is served"),
        ({"paths": ["a.mp4"], "threshold": 2}, 422, "threshold"),
        ({"paths": ["a.mp4"], "threshold": True}, 422, "threshold: Input should be a valid number"),
        ({"paths": ["a.mp4"], "thresholds": {"dog": "0.3"}}, 422, "thresholds.dog: Input should be a valid number"),
        ({"paths": ["a.mp4"], "frames": 4, "every_s": 1}, 422, "leave out frames"),
        ({"paths": ["a.mp4"], "color": "red"}, 422, "color: there is no such field; see /openapi.json"),
        ({"paths": []}, 422, "there are 0 videos"),
        ({"paths": ["a.mp4"] * 65}, 422, "64"),
        ({"urls": ["http://example.org/a.mp4"]}, 403, ""),
        ({"clips": ["nobody"]}, 404, "send its file again"),
        ([1, 2], 422, ""),
        ({"paths": ["a.mp4"], "templates": "films"}, 422, "no template set 'films'"),
        ({"paths": ["a.mp4"] * 9}, 413, "9 videos in one request are more than the 8 that may wait here; send fewer"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(http: httpx.Client, body: Any, status: int, message: str) -> None:
    answer = http.post("/v1/predict", json=body)
    assert answer.status_code == status
    told = answer.json()["error"]["message"]
    assert message in told
    assert "\n" not in told


def test_bad_forms(http: httpx.Client, clips: Path) -> None:
    assert "no field 'colour'" in _send(http, clips / "a.mp4", colour="red").json()["error"]["message"]
    assert "options is no JSON" in _send(http, clips / "a.mp4", options="{").json()["error"]["message"]
    assert "no JSON object" in _send(http, clips / "a.mp4", options="[]").json()["error"]["message"]
    none = http.post("/v1/predict", data={"labels": "a"}, files={"x": (None, "y")})
    assert none.status_code == 422
    text = http.post("/v1/predict", content=b"x", headers={"content-type": "application/json"})
    assert "no JSON" in text.json()["error"]["message"]


def test_a_full_queue_says_when_to_come_again(
    http: httpx.Client, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.service.engine, "_count", 7)
    answer = http.post("/v1/predict", json={"paths": ["a.mp4"] * 2})
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["error"]["type"] == "busy"


def test_a_full_queue_does_not_hold_up_other_labels(
    http: httpx.Client, clips: Path, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = _send(http, clips / "a.mp4").json()["predictions"][0]["clip"]
    monkeypatch.setattr(server.service.engine, "most", 0)
    assert http.post("/v1/predict", json={"clips": [clip], "labels": ["snow"]}).status_code == 200
    assert http.post("/v1/predict", json={"clips": [clip], "paths": ["a.mp4"]}).status_code == 503


def test_long_lists_of_labels_do_not_hold_up_short_ones(
    http: httpx.Client, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = threading.Event()
    original = server.service.scorer.bank

    def bank(vocabulary: Vocabulary, *more: Any, **other: Any) -> Any:
        if len(vocabulary) > 256:
            hold.wait(20)
        return original(vocabulary, *more, **other)

    clip = http.post("/v1/predict", json={"paths": ["a.mp4"]}).json()["predictions"][0]["clip"]
    monkeypatch.setattr(server.service.scorer, "bank", bank)
    jobs = [
        http.post(
            "/v1/predict", json={"clips": [clip], "labels": [f"{job} {n}" for n in range(257)], "background": True}
        )
        for job in range(3)
    ]
    try:
        assert http.post("/v1/predict", json={"clips": [clip], "labels": ["snow"]}, timeout=10).status_code == 200
        assert http.get(jobs[0].json()["url"]).json()["status"] == "queued"
    finally:
        hold.set()
    assert [kind for kind, _ in _events(http, jobs[2].json()["url"])] == ["prediction", "end"]


def test_jobs_of_other_labels_are_not_without_number(
    http: httpx.Client, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = http.post("/v1/predict", json={"paths": ["a.mp4"]}).json()["predictions"][0]["clip"]
    for jobs, status in (([Job(1)] * 16, 503), ([Job(1)] * 15, 200), ([Job(1, cells=999_998)], 503), ([], 200)):
        monkeypatch.setattr(server.service.jobs, "_jobs", OrderedDict(enumerate(jobs)))
        answer = http.post("/v1/predict", json={"clips": [clip]})
        assert answer.status_code == status
        assert answer.headers.get("retry-after") == ("1" if status == 503 else None)


def test_a_client_that_goes_away_frees_its_work(
    served_model: VideoModel, tmp_path: Path, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = threading.Event()

    def wait(*_: Any) -> Any:
        held.wait(60)
        return iter(())

    with running_server(served_model, tmp_path, options=ServeOptions(workers=1, root=clips)) as running:
        engine = running.service.engine
        monkeypatch.setattr(engine, "_videos", wait)
        with httpx.Client(base_url=running.url) as http, ThreadPoolExecutor(1) as pool:
            body = {"paths": ["a.mp4", "b.mp4"]}
            answer = pool.submit(httpx.post, f"{running.url}/v1/predict", json=body, timeout=1)
            _until(lambda: bool(engine._active))
            [active] = engine._active
            with pytest.raises(httpx.ReadTimeout):
                answer.result()
            _until(lambda: not engine._waiting and active.given_up.is_set())
            assert active in engine._active  # it is given up, and has not ended by itself
            job = http.post("/v1/predict", json={"paths": ["a.mp4"], "background": True}, timeout=5).json()
            assert http.delete(job["url"]).json()["status"] == "cancelled"
        held.set()


def test_an_end_waits_for_no_work_and_no_body(
    served_model: VideoModel,
    tmp_path: Path,
    clips: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stuck(task: EmbedTask, loader: Any) -> Any:
        task.given_up.wait(60)
        return iter(())

    head = (
        b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n"
        b"Content-Type: multipart/form-data; boundary=B\r\n\r\n"
    )
    with ThreadPoolExecutor(2) as pool, ExitStack() as stack:
        with running_server(served_model, tmp_path, options=ServeOptions(workers=1, root=clips)) as running:
            engine = running.service.engine
            monkeypatch.setattr(engine, "_videos", stuck)
            body = {"paths": ["a.mp4"]}
            answer = pool.submit(httpx.post, f"{running.url}/v1/predict", json=body, timeout=60)
            _until(lambda: bool(engine._active))
            job = httpx.post(f"{running.url}/v1/predict", json={**body, "background": True}).json()
            port = int(running.url.rpartition(":")[2])
            following, sending = (stack.enter_context(Client(port)) for _ in range(2))
            following.send(b"GET %b/events HTTP/1.1\r\nHost: localhost\r\n\r\n" % job["url"].encode())
            assert following.socket.recv(8).startswith(b"HTTP")
            sending.send(
                head + b"Content-Type: multipart/form-data; boundary=B\r\n\r\n--B\r\nContent-Disposition: form-da"
            )
        assert answer.result().status_code == 503
        assert answer.result().json()["error"]["message"] == "this service is about to end; try again in 10 s"
        assert answer.result().headers["retry-after"] == "10"
        assert b'event: end\ndata: {"status": "cancelled"}' in following.read()
        assert sending.read() == b""
    assert "Traceback" not in capsys.readouterr().err


def test_nothing_is_begun_at_the_end(
    http: httpx.Client, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.service, "_ends", True)
    answer = http.post("/v1/predict", json={"paths": ["a.mp4"]})
    assert answer.status_code == 503
    assert "about to end" in answer.json()["error"]["message"]


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_what_was_fetched_for_a_request_that_is_refused_is_removed(
    served_model: VideoModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetched(url: str, folder: Any, limits: Any) -> Upload:
        file = folder.new_file()
        file.write(b"x")
        file.close()
        return Upload("a.mp4", file.path, 1)

    monkeypatch.setattr("olmv.serve.guard.downloads.fetch", fetched)
    with running_server(served_model, tmp_path, options=ServeOptions(workers=1, queue=1, allow_urls=True)) as running:
        body = {"urls": ["http://example.org/a.mp4", "http://example.org/b.mp4"]}
        answer = httpx.post(f"{running.url}/v1/predict", json=body, timeout=60)
        assert answer.status_code == 413
        assert [file.name for file in running.service.uploads.path.iterdir()] == [".lock"]
