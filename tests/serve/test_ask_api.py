"""Labels, embeddings, search, media and the state of the service, over HTTP."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import httpx
import numpy as np
import pytest

from olmv.library.fragment import Fragment
from olmv.library.library import Library
from olmv.models.base import VideoModel
from olmv.models.text_cache import encode_texts_cached
from olmv.serve.api import ask
from olmv.serve.job import ServeJob, ServeListener, open_service
from olmv.serve.media import media_address, media_type
from olmv.serve.options import ServeOptions
from olmv.serve.service import Service
from tests.support.libraries import clip_library
from tests.support.samples import write_clip
from tests.support.server import running_server


@pytest.fixture(scope="module")
def library(served_model: VideoModel, tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp("library")
    clips = [write_clip(folder / name, seed=seed) for seed, name in enumerate(("a.mp4", "b & c.mp4"))]
    clip_library(folder / "clips.olmv", served_model, [str(clip) for clip in clips])
    return Library.open(folder / "clips.olmv")


@pytest.fixture(scope="module")
def searched(
    served_model: VideoModel, library: Library, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    library.model(served_model)
    with (
        running_server(served_model, tmp_path_factory.mktemp("uploads"), library=library) as running,
        httpx.Client(base_url=running.url, timeout=60) as client,
    ):
        yield client


def test_the_labels_of_the_server(http: httpx.Client) -> None:
    document = http.get("/v1/labels").json()
    assert [label["name"] for label in document["labels"]] == ["dog", "guitar", "rain"]
    assert document["labels"][0]["threshold"] == 0.5
    assert (document["library"], document["review"], document["root"]) == (None, False, True)


def test_labels_are_completed(http: httpx.Client) -> None:
    def of(typed: str) -> list[str]:
        found: list[str] = http.get("/v1/labels/suggest", params={"q": typed}).json()["suggestions"]
        return found

    assert of("GUI")[0] == "guitar"
    assert of("") == ["dog", "guitar", "rain"]
    assert "skateboard" in of("skateb")
    assert of("zzzqqq") == []
    assert len(of("a")) == 12


def test_texts_are_embedded_as_they_are(http: httpx.Client, served_model: VideoModel) -> None:
    answer = http.post("/v1/embed", json={"texts": ["a dog", "rain"]}).json()
    assert answer["dimension"] == served_model.embed_dim
    np.testing.assert_allclose(
        answer["embeddings"], encode_texts_cached(served_model, ["a dog", "rain"]).numpy(), atol=1e-6
    )


def test_videos_are_embedded(http: httpx.Client, clips: Path) -> None:
    files = [("files", (name, (clips / name).read_bytes())) for name in ("a.mp4", "notes.txt")]
    vector, none = http.post("/v1/embed", files=files).json()["embeddings"]
    row = http.post("/v1/predict", json={"paths": ["a.mp4"], "embeddings": True}).json()["predictions"][0]
    np.testing.assert_allclose(vector, row["embedding"], atol=1e-6)
    assert none is None


def test_moments_are_found_and_played(searched: httpx.Client, library: Library) -> None:
    found = searched.post("/v1/search", json={"query": ["dog"], "threshold": 0, "top": 2}).json()
    assert {moment["name"] for moment in found["moments"]} == {"a.mp4", "b & c.mp4"}
    assert (found["videos"], found["windows"]) == (2, library.windows)
    for moment in found["moments"]:
        assert "path" not in moment
        part = searched.get(moment["player"], headers={"range": "bytes=0-7"})
        assert (part.status_code, part.headers["content-type"]) == (206, "video/mp4")
        assert len(part.content) == 8
        assert part.headers["content-security-policy"] == "sandbox; default-src 'none'"
        picture = searched.get(moment["picture"])
        assert picture.content.startswith(b"\xff\xd8")


def test_pictures_around_a_moment_are_told(searched: httpx.Client, library: Library) -> None:
    moment = searched.post("/v1/search", json={"query": ["dog"], "threshold": 0, "top": 1}).json()["moments"][0]
    pictures = searched.get(moment["pictures"]).json()["pictures"]
    times = [picture["time_s"] for picture in pictures]
    assert times == sorted(times)
    assert 0 < len(times) <= 12
    assert all(searched.get(picture["src"]).content.startswith(b"\xff\xd8") for picture in pictures)
    path = next(iter(library)).path
    far = searched.get("/v1/pictures", params={"video": path, "start_s": 1000, "end_s": 1001})
    assert far.json() == {"pictures": []}
    gone = searched.get("/v1/pictures", params={"video": "gone.mp4"})
    assert gone.status_code == 404
    assert "there is no such video in the library" in gone.json()["error"]["message"]


@pytest.mark.parametrize(
    ("asked", "status", "kind", "message"),
    [
        ("bytes=5-1", 400, "bad_request", "the range cannot be read; ask for one as bytes=0-1023"),
        ("bytes=a-b", 400, "bad_request", "the range cannot be read"),
        ("bytes", 400, "bad_request", "the range cannot be read"),
        ("bytes=99999999-", 416, "range_not_satisfiable", "bytes; ask for one that begins within them"),
    ],
)
def test_ranges_that_cannot_be(
    searched: httpx.Client, library: Library, asked: str, status: int, kind: str, message: str
) -> None:
    path = next(iter(library)).path
    answer = searched.get("/v1/media", params={"video": path}, headers={"range": asked})
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)
    assert message in answer.json()["error"]["message"]
    size = Path(path).stat().st_size
    assert answer.headers.get("content-range") == (f"bytes */{size}" if status == 416 else None)


@pytest.mark.parametrize("asked", ["bits=0-1", "frames"])
def test_ranges_of_other_units_are_not_asked(searched: httpx.Client, library: Library, asked: str) -> None:
    path = next(iter(library)).path
    answer = searched.get("/v1/media", params={"video": path}, headers={"range": asked})
    assert (answer.status_code, answer.content) == (200, Path(path).read_bytes())


def test_a_moment_that_ends_before_it_starts_is_refused(searched: httpx.Client, library: Library) -> None:
    path = next(iter(library)).path
    answer = searched.get("/v1/pictures", params={"video": path, "start_s": 5, "end_s": 1})
    assert answer.status_code == 422
    assert answer.json()["error"]["message"] == "the moment ends before it starts; swap start_s and end_s"
    assert searched.get("/v1/pictures", params={"video": path, "start_s": 1}).json()["pictures"]


def test_pictures_of_a_long_moment_are_spread_over_it(
    searched: httpx.Client, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = [index / 10 for index in range(600)]
    monkeypatch.setattr(Fragment, "thumbnails_of", lambda self, part: ([b""] * len(times), times))
    path = next(iter(library)).path

    def around(start_s: float, end_s: float) -> list[float]:
        asked: dict[str, str | float] = {"video": path, "start_s": start_s, "end_s": end_s}
        return [picture["time_s"] for picture in searched.get("/v1/pictures", params=asked).json()["pictures"]]

    spread = around(0, 55)
    gaps = [later - earlier for earlier, later in pairwise(spread)]
    assert (len(spread), spread[0] < 3, spread[-1] > 52) == (12, True, True)
    assert min(gaps) == pytest.approx(max(gaps), abs=0.11)
    assert around(0.3, 0.5) == times[:12]


def test_a_name_that_is_not_utf8_is_told_and_asked_for(
    searched: httpx.Client, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, path, original = "b\udcff.mp4", Path(next(iter(library)).path), ask._moment
    monkeypatch.setattr(ask, "_moment", lambda moment: original(moment).model_copy(update={"video": name}))
    found = searched.post("/v1/search", json={"query": ["dog"], "threshold": 0})
    assert {moment["video"] for moment in found.json()["moments"]} == {name}
    monkeypatch.setattr(Service, "file_of", lambda self, video: path if video == name else None)
    assert searched.get(media_address(name)).status_code == 200
    assert searched.get(media_address("b\ufffd.mp4")).status_code == 404


def test_a_moment_is_most_like_itself(searched: httpx.Client, library: Library) -> None:
    like = {"video": [*library][1].video, "time_s": 0.1}
    best = searched.post("/v1/search", json={"like": like, "threshold": 0}).json()["moments"][0]
    assert best["name"] == "b & c.mp4"
    assert best["similarity"] == pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 422, "nothing to look for"),
        ({"query": [" "]}, 422, "the query is empty"),
        ({"query": ["dog"], "labels": ["dog"]}, 422, "has no probability"),
        ({"query": ["dog"], "path": "nowhere/*"}, 404, "nowhere"),
        ({"like": {"video": "gone.mp4"}}, 404, "gone.mp4 is not in"),
        ({"query": ["dog"], "top": 0}, 422, "top"),
        ({"query": "dog"}, 422, "query: Input should be a valid list"),
        ({"query": ["dog"], "longer_than_s": 9, "shorter_than_s": 3}, 422, "swap the two"),
    ],
)
def test_searches_that_cannot_be(searched: httpx.Client, body: object, status: int, message: str) -> None:
    answer = searched.post("/v1/search", json=body)
    assert answer.status_code == status
    assert message in answer.json()["error"]["message"]


def test_without_a_library_there_is_no_search(http: httpx.Client) -> None:
    answer = http.post("/v1/search", json={"query": ["dog"]})
    assert answer.status_code == 409
    assert "no library" in answer.json()["error"]["message"]


def test_only_files_of_the_library_are_given(searched: httpx.Client) -> None:
    for name in ("/etc/passwd", "../../etc/passwd", "gone.mp4"):
        for route in ("/v1/media", "/v1/picture"):
            assert searched.get(route, params={"video": name}).status_code == 404


def test_nothing_is_given_as_what_a_browser_runs() -> None:
    assert media_type("a.mp4") == "video/mp4"
    assert media_type("a.jpg") == "image/jpeg"
    for name in ("a.html", "a.svg", "a.js", "a", "a.pdf"):
        assert media_type(name) == "application/octet-stream"


def test_the_state_of_the_service(http: httpx.Client, clips: Path) -> None:
    assert http.get("/healthz").json() == {"status": "alive"}
    assert http.get("/readyz").json()["status"] == "ready"
    http.post("/v1/predict", json={"paths": ["a.mp4", "notes.txt"]})
    assert http.request("MADEUP", "/healthz").status_code == 405
    figures = http.get("/metrics")
    assert 'olmv_videos_total{status="error"}' in figures.text
    assert 'route="/v1/predict",status="200"' in figures.text
    assert 'method="other"' in figures.text
    assert "MADEUP" not in figures.text
    assert "olmv_queue_videos 0.0" in figures.text


def test_a_disk_that_takes_nothing_is_told(
    served_model: VideoModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_server(served_model, tmp_path) as running:

        def full() -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(running.service.uploads, "new_file", full)
        answer = httpx.get(f"{running.url}/readyz")
        assert answer.status_code == 503
        assert "make room" in answer.json()["error"]["message"]
        sent = httpx.post(f"{running.url}/v1/predict", files={"files": ("a.mp4", b"x" * 100)})
        assert sent.status_code == 507
        monkeypatch.undo()
        assert httpx.get(f"{running.url}/readyz").status_code == 200
        monkeypatch.setattr(running.service.uploads, "room_bytes", lambda: -1)
        assert httpx.get(f"{running.url}/readyz").status_code == 503


def test_the_token_opens_everything(served_model: VideoModel, tmp_path: Path) -> None:
    with running_server(served_model, tmp_path, token="correct horse") as running:
        for route in ("/v1/labels", "/metrics", "/openapi.json"):
            assert httpx.get(running.url + route).status_code == 401
            right = httpx.get(running.url + route, headers={"authorization": "Bearer correct horse"})
            assert right.status_code == 200
        assert httpx.get(f"{running.url}/").status_code == 200


def test_every_route_is_described(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    assert {"/v1/predict", "/v1/jobs/{job_id}/events", "/v1/search", "/v1/labels", "/v1/embed", "/healthz"} <= set(
        document["paths"]
    )
    for path, methods in document["paths"].items():
        for method in methods.values():
            assert method["summary"], path
            for status, answer in method["responses"].items():
                if path.startswith("/v1") and status.startswith("4") and status != "416":
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/ErrorAnswer"}, (path, status)
    predict = document["components"]["schemas"]["PredictRequest"]
    assert predict["examples"]


def test_rows_and_libraries_are_opened(
    library: Library, served_model: VideoModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ServeJob(source=library.folder, labels="dog, rain", options=ServeOptions(workers=1))
    monkeypatch.setattr(Library, "model", lambda self, *_, **__: served_model)
    stages: list[tuple[int, int, str]] = []

    class Watching(ServeListener):
        def advanced(self, done: int, total: int, *, stage: str = "") -> None:
            stages.append((done, total, stage))

    with open_service(job, Watching()) as service:
        assert service.review is not None
        source = service.review.source
        assert source.labels == ("dog", "rain")
        video = source.videos[0]
        assert service.file_of(video) == Path(video)
        assert service.file_of(next(iter(library)).video) == Path(next(iter(library)).path)
        assert source.media(video)["pictures"]
        service.engine.close()
    assert stages[-1] == (2, 2, "videos of the library")
