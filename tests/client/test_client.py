"""The client against a real server: it gives what the classifier gives."""

import io
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from olmv import (
    AttributeBook,
    Classifier,
    Client,
    NotAVideoError,
    ServerError,
    Thresholds,
    UsageError,
    Vocabulary,
    VocabularyError,
)
from olmv.client.answers import JobEvent
from olmv.client.client import IN_FLIGHT
from olmv.client.job import ClientJob
from olmv.io.prediction_fields import check_row
from olmv.labels.label import Label
from olmv.models.base import VideoModel
from olmv.predictions import VideoPrediction
from olmv.scoring.thresholds import LabelThreshold
from olmv.scoring.windows import TimelineOptions
from olmv.serve.options import ServeOptions
from olmv.video.workers import pool, task
from tests.support.libraries import clip_library
from tests.support.samples import write_clip
from tests.support.server import RunningServer, running_server
from tests.support.tiny import tiny_model

LABELS = ["dog", "guitar", "rain, heavy"]
TOKEN = "a-long-secret-token"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VideoModel]:
    patch = pytest.MonkeyPatch()
    patch.setenv("OLMV_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield tiny_model()
    patch.undo()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [write_clip(folder / f"{seed}.mp4", seed=seed) for seed in range(6)]


@pytest.fixture(scope="module")
def server(model: VideoModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(model, tmp_path_factory.mktemp("uploads"), token=TOKEN) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[Client]:
    with Client(server.url, token=TOKEN, timeout_s=60) as client:
        yield client


def test_predictions_are_those_of_the_classifier(client: Client, clips: list[Path], model: VideoModel) -> None:
    words = Vocabulary([Label("dog", aliases=("hound",), threshold=0.01), Label("rain, heavy", attributes=("wet",))])
    bad: list[Any] = [clips[0].parent / "no.mp4", b"no video"]
    rows = list(client.predict([*clips, *bad], words, explain=True, frames=4))
    own = list(Classifier(model).predict([*clips, *bad], words, explain=True, frames=4, workers=0))
    assert [row.to_row() for row in rows[:6]] == [row.to_row() for row in own[:6]]
    assert [row.error for row in rows[6:]] == [row.error for row in own[6:]]
    assert [row.video for row in rows[6:]] == [str(bad[0]), "<bytes 7>"]
    assert rows[0].labels[0].threshold == 0.01


def labels_of(rows: list[VideoPrediction]) -> list[Any]:
    return [row.to_row()["labels"] for row in rows]


def test_bytes_open_files_and_one_by_itself(client: Client, clips: list[Path], model: VideoModel) -> None:
    def many() -> Iterator[Any]:
        yield clips[0].read_bytes()
        with clips[1].open("rb") as file:  # closed when the next is asked for
            yield file
        yield io.BytesIO(clips[2].read_bytes())

    rows = list(client.predict(many(), LABELS))
    own = list(Classifier(model).predict(clips[:3], LABELS, workers=0))
    assert [row.video for row in rows] == ["<bytes 0>", str(clips[1]), "<file 2>"]
    assert labels_of(rows) == labels_of(own)
    (row,) = client.predict(str(clips[0]))  # the server's own labels
    assert [label.label for label in row.labels] == ["dog", "guitar", "rain"]


def test_options_arrive(client: Client, clips: list[Path], model: VideoModel) -> None:
    options: dict[str, Any] = {
        "mode": "single-label", "top_k": 2, "every_s": 0.5, "sampling": "adaptive", "pooling": "max",
        "frame_pooling": "max", "templates": ["a clip of {}."], "attributes": {"dog": ["a poodle"]},
    }  # fmt: skip
    (row,) = client.predict([clips[0]], LABELS, **options, embeddings=True)
    book: Any = options.pop("attributes")
    (own,) = Classifier(model).predict([clips[0]], LABELS, attributes=book, **options, embeddings=True, workers=0)
    assert row.to_row() == own.to_row()
    assert row.embedding is not None
    assert own.embedding is not None
    assert row.embedding.tolist() == pytest.approx(own.embedding.tolist(), abs=1e-6)
    (row,) = client.predict([clips[0]], LABELS, timeline=True, threshold=0.01, thresholds={"dog": 0.5})
    (own,) = Classifier(model).predict([clips[0]], LABELS, timeline=TimelineOptions(), threshold=0.01, workers=0)
    assert row.to_row() == own.to_row()
    assert row.segments
    assert row.curve is not None
    assert own.curve is not None
    assert row.curve.labels == tuple(LABELS)
    assert row.curve.starts_s[-1] < 2
    np.testing.assert_allclose(row.curve.probability, own.curve.probability, atol=1e-6)


def test_a_busy_server_is_waited_for(
    model: VideoModel, clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("olmv.client.transport.time", SimpleNamespace(sleep=waits.append))
    monkeypatch.setattr("olmv.client.transport.RETRIES", 10**6)
    options = ServeOptions(workers=1, queue=1)
    with running_server(model, tmp_path, options=options) as running, Client(running.url) as client:
        rows = list(client.predict(clips, LABELS))
    assert [row.video for row in rows] == [str(clip) for clip in clips]
    assert all(row.status == "ok" for row in rows)
    assert all(0.1 <= wait <= 30 for wait in waits)


def test_several_are_on_their_way_at_a_time_and_no_more_are_taken(
    client: Client, server: RunningServer, clips: list[Path]
) -> None:
    taken = []

    def endless() -> Iterator[Path]:
        while True:
            taken.append(1)
            yield clips[0]

    predictions = client.predict(endless(), LABELS)
    next(predictions)
    next(predictions)
    predictions.close()  # type: ignore[attr-defined]
    assert IN_FLIGHT <= len(taken) <= IN_FLIGHT + 2


def test_a_job_is_followed_to_its_end(client: Client, clips: list[Path], model: VideoModel) -> None:
    job = client.submit([*clips[:2], b"no video"], LABELS)
    events = list(job.events())
    assert [event.kind for event in events][-1] == "end"
    assert events[-1].status == job.status() == "done"
    assert {event.video for event in events[:-1]} == {str(clips[0]), str(clips[1]), "<bytes 2>"}
    rows = job.result()
    assert [row.video for row in rows] == [str(clips[0]), str(clips[1]), "<bytes 2>"]
    own = list(Classifier(model).predict(clips[:2], LABELS, workers=0))
    assert labels_of(rows[:2]) == labels_of(own)
    assert rows[2].error is not None


def test_a_job_is_given_up(
    model: VideoModel, clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, receive = threading.Event(), task.receive_result

    def late(*arguments: Any) -> Any:
        held.wait(20)
        return receive(*arguments)

    monkeypatch.setattr(pool, "receive_result", late)
    with running_server(model, tmp_path) as running, Client(running.url) as client:
        job = client.submit(clips[:2], LABELS)
        job.cancel()
        assert job.status() == "cancelled"
        with pytest.raises(ServerError, match="the job was cancelled; what was done until then is among its events"):
            job.result()
        held.set()


def test_a_job_that_fails_as_a_whole_is_told(
    client: Client, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = client.submit(clips[:1], LABELS)
    monkeypatch.setattr(ClientJob, "events", lambda self: iter([JobEvent(kind="end", status="failed")]))
    with pytest.raises(ServerError, match="the job ended as failed; submit it again"):
        job.result()


def test_what_the_server_knows(client: Client) -> None:
    info = client.info()
    assert (info.model, info.library, info.max_upload_mb) == ("tiny", None, 2048)
    assert [label.name for label in client.labels()] == ["dog", "guitar", "rain"]
    assert client.labels()[0].threshold == 0.5
    assert client.suggest("gui")[0] == "guitar"
    health = client.health()
    assert (health.is_ready, health.model) == (True, "tiny")


def test_embeddings(client: Client, clips: list[Path], model: VideoModel) -> None:
    (text,) = client.embed(["a dog"])
    assert text is not None
    np.testing.assert_allclose(text, model.encode_texts(["a dog"])[0], atol=1e-5)
    video, none = client.embed(videos=[clips[0], b"no video"], frames=4)
    assert video is not None
    assert none is None
    (own,) = Classifier(model).predict([clips[0]], LABELS, frames=4, embeddings=True, workers=0)
    assert own.embedding is not None
    np.testing.assert_allclose(video, own.embedding.numpy(), atol=1e-5)
    wrongs: list[dict[str, Any]] = [{}, {"texts": ["a"], "videos": [clips[0]]}, {"texts": "a dog"}]
    for wrong in wrongs:
        with pytest.raises(UsageError, match="embed a list of texts, or videos; give one of the two"):
            client.embed(**wrong)


def test_refusals(client: Client, server: RunningServer, clips: list[Path]) -> None:
    with Client(server.url, token="wrong") as other:
        with pytest.raises(ServerError, match="wants another token; take it from the address that olmv serve printed"):
            other.info()
        with pytest.raises(ServerError, match="wants another token"):
            list(other.predict(clips, LABELS))
        assert other.health().is_ready  # asks for none
    with pytest.raises(VocabularyError, match="'dog, cat'"):
        client.predict(clips, "dog, cat")
    with pytest.raises(UsageError, match="no option 'decoder'; there are attributes, mode"):
        client.predict(clips, LABELS, decoder="pyav")  # type: ignore[call-arg]
    for value in (np.zeros((2, 4, 4, 3), np.uint8), Image.new("RGB", (4, 4))):
        with pytest.raises(UsageError, match="input 0 is no file; send a path, bytes, or a file opened with 'rb'"):
            client.predict([value], LABELS)
    with pytest.raises(UsageError, match=r"step|frames|every"):
        list(client.predict(clips, LABELS, frames=4, every_s=1.0))
    with pytest.raises(UsageError, match=r"^top_k: Input should be greater than or equal to 1"):
        list(client.predict(clips, LABELS, top_k=0))
    with pytest.raises(NotAVideoError, match=r"no.mp4: cannot be opened \(No such file or directory\); check the path"):
        client.submit(["no.mp4"], LABELS)
    with pytest.raises(UsageError, match="there are 65 videos; send 64 at most at once"):
        client.submit([b"a"] * 65, LABELS)
    with pytest.raises(UsageError, match="there are no videos; give at least one"):
        client.submit([], LABELS)
    with pytest.raises(UsageError, match="timeline is a TimelineOptions; say True, windows are the server's business"):
        client.predict(clips, LABELS, timeline=TimelineOptions())  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no option 'threshhold'; did you mean 'threshold'"):
        client.search("a dog", threshhold=0.3)  # type: ignore[call-arg]
    with pytest.raises(UsageError, match="embed a list of texts, or videos; give one of the two"):
        client.embed(3)  # type: ignore[arg-type]
    with pytest.raises(ServerError, match="there is no library to search; start the server with one"):
        client.search("a dog")


def test_a_file_that_is_too_large_costs_one_row(model: VideoModel, clips: list[Path], tmp_path: Path) -> None:
    options = ServeOptions(workers=1, max_upload_mb=1)
    with running_server(model, tmp_path, options=options) as running, Client(running.url) as client:
        large, good = client.predict([bytes(2**20 + 1), clips[0]], LABELS)
        with pytest.raises(ServerError, match=r"too large|send less"):
            client.submit([bytes(2**20 + 1)], LABELS)
    assert large.error is not None
    assert large.error.message.startswith("<bytes 0>: has 1 MiB, more than the 1 that the server takes; shorten it")
    check_row(large.to_row())
    assert good.status == "ok"


def test_moments_of_the_servers_library(model: VideoModel, clips: list[Path], tmp_path: Path) -> None:
    library = clip_library(tmp_path / "films.olmv", model, [str(clip) for clip in clips[:3]])
    with (
        running_server(model, tmp_path / "uploads", library=library) as running,
        Client(running.url) as client,
    ):
        found = client.search("a dog", threshold=0, top=2, path="*.mp4", shorter_than_s=9)
        none = client.search(["a dog"], without="rain", like=(str(clips[0]), 0.5), labels="dog>0.99", threshold=1)
        assert (client.info().library, client.info().videos) == ("films.olmv", 3)
        with pytest.raises(UsageError, match="the query is empty; write in words what a video shows"):
            client.search(" ")
    own = library.search("a dog", threshold=0, top=2, model=model)
    assert [moment.video for moment in found] == [moment.video for moment in own]
    assert [moment.probability for moment in found] == [moment.probability for moment in own]
    assert found[0].name == Path(own[0].video).name
    assert none == []


def test_a_dict_has_only_labels_that_are_asked_and_a_file_more(client: Client, clips: list[Path]) -> None:
    for labels in (["dog", "guitar"], None):  # checked here, and by the server, whose labels are not known here
        for options in ({"thresholds": {"dgo": 0.3}}, {"attributes": {"dgo": ["it barks"]}}):
            with pytest.raises(UsageError, match="are given for 'dgo', which is no label here; did you mean 'dog'"):
                list(client.predict(clips[:1], labels, **options))
        fitted, book = Thresholds({"dog": 0.3, "sea": 0.1}), AttributeBook({"dog": ["it barks"], "sea": ["waves"]})
        (row,) = client.predict(clips[:1], labels, thresholds=fitted, attributes=book)
        assert [label.threshold for label in row.labels][:2] == [0.3, 0.5]
    with pytest.raises(
        UsageError, match="these thresholds calibrate probabilities or ends of labels, which is not sent"
    ):
        client.predict(clips[:1], ["dog"], thresholds=Thresholds({"dog": LabelThreshold(threshold=0.3, leave=0.1)}))


def test_a_closed_client_says_so(server: RunningServer, clips: list[Path]) -> None:
    client = Client(server.url, token=TOKEN)
    job = client.submit(clips[:1], LABELS)
    client.close()
    with pytest.raises(UsageError, match=r"this client is closed; make another olmv\.Client"):
        client.info()
    with pytest.raises(UsageError, match="this client is closed"):
        job.result()
    assert repr(job) == f"ClientJob({job.id!r}, 1 videos)"
