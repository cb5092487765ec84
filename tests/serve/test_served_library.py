"""A library that is changed while it is served."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from olmv.errors import InputError
from olmv.labels.vocabulary import Vocabulary
from olmv.library.compact import compact
from olmv.library.fragment import Fragment
from olmv.library.library import Library
from olmv.library.settings import LibrarySettings
from olmv.library.writer import LibraryWriter
from olmv.models.base import VideoModel
from olmv.serve import served_library as module
from olmv.serve.review.session import ReviewSession
from olmv.serve.reviewing import library_source, review_library
from olmv.serve.served_library import LOOK_S, SETTLED_S, Advanced, ServedLibrary
from olmv.video.options import DecodeOptions
from tests.serve.review.sources import Clock
from tests.support.libraries import clip_library, vector_part
from tests.support.server import running_server
from tests.support.tiny import tiny_model


def _vectors(seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(1, 16))


def _settings(model: VideoModel) -> LibrarySettings:
    return LibrarySettings.of(model, DecodeOptions(frames=1, every_s=2.0), None)


def _add(folder: Path, model: VideoModel, *videos: str, removed: tuple[str, ...] = ()) -> None:
    """Write one more fragment."""
    with LibraryWriter(folder, _settings(model)) as writer:
        for video in videos:
            writer.add(vector_part(video, _vectors(len(video))))
        writer.flush(removed=removed)


def _compact(folder: Path, model: VideoModel) -> None:
    with LibraryWriter(folder, _settings(model)) as writer:
        compact(writer.library(), writer)


@pytest.fixture
def folder(served_model: VideoModel, tmp_path: Path) -> Path:
    _add(tmp_path / "films", served_model, "a.mp4")
    _add(tmp_path / "films", served_model, "bb.mp4")
    return tmp_path / "films"


@pytest.fixture
def served(served_model: VideoModel, folder: Path) -> ServedLibrary:
    return ServedLibrary(Library.open_held(folder), served_model, clock=Clock())


def _names(library: Library) -> list[str]:
    return [entry.video for entry in library]


def test_videos_that_are_indexed_later_are_seen(served: ServedLibrary, folder: Path, served_model: VideoModel) -> None:
    before = served.now
    served.look()
    assert served.now is before
    _add(folder, served_model, "ccc.mp4", removed=("/films/a.mp4",))
    served.look()
    assert _names(served.now) == ["bb.mp4", "ccc.mp4"]
    assert served.now.fragments[:2] == before.fragments  # not read again
    assert _names(before) == ["a.mp4", "bb.mp4"]
    assert served.trouble == ""


def test_what_runs_goes_on_with_files_that_compacting_deletes(
    served: ServedLibrary, folder: Path, served_model: VideoModel
) -> None:
    before, fragments = served.now, sorted((folder / "fragments").iterdir())
    _compact(folder, served_model)
    assert not any(path.exists() for path in fragments)
    served.look()
    assert len(served.now.fragments) == 1
    for library in (before, served.now):
        assert _names(library) == ["a.mp4", "bb.mp4"]
        assert [record.path for entry in library for record in library.records(entry)] == [
            "/films/a.mp4",
            "/films/bb.mp4",
        ]
        assert library.fragments[0].thumbnail(0, 0.0) is None
        assert library.fragments[0].row_vectors.shape[1] == 16
        moments = library.search("a dog", threshold=0, model=served_model)
        assert {moment.video for moment in moments} == {"a.mp4", "bb.mp4"}


def test_compacting_while_it_is_opened_is_no_trouble(
    folder: Path, served_model: VideoModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = Fragment.verify
    compacted: list[bool] = []

    def verify_late(self: Fragment) -> None:
        if not compacted:
            compacted.append(True)
            _compact(folder, served_model)
        verify(self)

    monkeypatch.setattr(Fragment, "verify", verify_late)
    assert [fragment.number for fragment in Library.open_held(folder).fragments] == [3]


def _cut_short(folder: Path, model: VideoModel) -> None:
    _add(folder, model, "ccc.mp4")
    with (folder / "fragments" / "000003" / "rows.arrow").open("r+b") as file:
        file.truncate(10)


def _altered(folder: Path, model: VideoModel) -> None:
    _add(folder, model, "ccc.mp4")
    path = folder / "fragments" / "000003" / "rows.arrow"
    path.write_bytes(bytes(path.stat().st_size))


def _of_another_model(folder: Path, model: VideoModel) -> None:
    shutil.rmtree(folder)
    _add(folder, tiny_model(seed=9, name="other"), "ccc.mp4")


def _removed(folder: Path, model: VideoModel) -> None:
    shutil.rmtree(folder)


def _scribbled(folder: Path, model: VideoModel) -> None:
    (folder / "fragments.json").write_text("{", encoding="utf-8")


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (_cut_short, "rows.arrow has 10 bytes"),
        (_altered, "its digest differs"),
        (_of_another_model, "the embeddings of other in float32, not of tiny"),
        (_removed, "is no library"),
        (_scribbled, "fragments.json is damaged"),
    ],
)
def test_a_library_that_cannot_be_opened_leaves_the_one_before_in_service(
    served: ServedLibrary,
    folder: Path,
    served_model: VideoModel,
    harm: Callable[[Path, VideoModel], None],
    why: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before, kept = served.now, folder.with_name("kept")
    shutil.copytree(folder, kept)
    harm(folder, served_model)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            served.look()
    assert served.now is before
    assert why in served.trouble
    (message,) = caplog.messages
    assert "cannot be served; what it was before stays in service" in message
    assert why in message
    assert {moment.video for moment in before.search("a dog", threshold=0, model=served_model)} == {"a.mp4", "bb.mp4"}
    shutil.rmtree(folder, ignore_errors=True)
    kept.rename(folder)
    with caplog.at_level(logging.WARNING):
        served.look()
        served.look()
    assert served.trouble == ""
    assert caplog.messages[1:] == [f"{folder} is served as it is again, with 2 videos"]


def test_a_library_that_is_changed_while_it_is_looked_at_is_looked_at_again(
    served: ServedLibrary, folder: Path, served_model: VideoModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    _add(folder, served_model, "ccc.mp4")

    def changed(*_: object, **__: object) -> Library:
        _add(folder, served_model, "dddd.mp4")
        raise InputError("in between")

    with monkeypatch.context() as patch:
        patch.setattr(Library, "open_held", changed)
        served.look()
    assert served.trouble == ""
    served.look()
    assert _names(served.now) == ["a.mp4", "bb.mp4", "ccc.mp4", "dddd.mp4"]


def test_a_fault_leaves_the_library_in_service(
    served: ServedLibrary, folder: Path, served_model: VideoModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object, **__: object) -> Library:
        raise MemoryError

    _add(folder, served_model, "ccc.mp4")
    with monkeypatch.context() as patch:
        patch.setattr(Library, "open_held", fault)
        served.look()
    assert served.trouble == "MemoryError, a fault of olmv"
    served.look()
    assert (len(served.now), served.trouble) == (3, "")


def _reviewed(folder: Path, model: VideoModel, clock: Clock) -> tuple[ReviewSession, ServedLibrary]:
    library, words = Library.open_held(folder), Vocabulary.from_names(["dog", "rain"])
    session = review_library(library, library_source(library, model, words))

    def follow(library: Library, advanced: Advanced) -> None:
        session.follow(library_source(library, model, words, advanced=advanced))

    return session, ServedLibrary(library, model, review=follow, clock=clock)


def test_new_videos_join_the_review_when_the_library_has_settled(folder: Path, served_model: VideoModel) -> None:
    clock = Clock()
    session, served = _reviewed(folder, served_model, clock)
    with session:
        served.look()
        first, second = session.queue("dog")
        session.judge(first.video, "dog", True, order=first.order)
        _add(folder, served_model, "ccc.mp4", removed=("/films/a.mp4",))
        served.look()
        clock.now += SETTLED_S - 1
        served.look()
        assert len(served.now) == 2
        assert session.source.keys == ("/films/a.mp4", "/films/bb.mp4")  # a run may go on still
        clock.now += 1
        served.look()
        assert session.source.keys == ("/films/bb.mp4", "/films/ccc.mp4")
        summary = session.summary("dog")
        judged = int(first.video == "/films/bb.mp4")
        assert (summary.total, summary.right, summary.anchor) == (2, judged, None)
        assert ("films/a.mp4" in session.truth()) is not bool(judged)
        items = session.queue("dog")
        assert len(items) == 2 - judged
        assert {item.order for item in items} != {first.order}
        session.judge("/films/bb.mp4", "dog", False, order=second.order)  # of the page's old queue
        assert session.summary("dog").wrong == 1
        taken = session.source
        clock.now += SETTLED_S
        served.look()
        assert session.source is taken


def test_a_review_that_cannot_go_on_stays_as_it_was(
    folder: Path, served_model: VideoModel, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    session, served = _reviewed(folder, served_model, clock)
    with session:
        served.look()
        _add(folder, served_model, removed=("/films/a.mp4", "/films/bb.mp4"))
        served.look()
        clock.now += SETTLED_S
        served.look()
        served.look()
        assert len(served.now) == 0
        assert len(session.source.videos) == 2
    (message,) = caplog.messages
    assert "the review of" in message
    assert "stays as it was" in message


def test_scoring_for_the_review_ends_with_the_service(folder: Path, served_model: VideoModel) -> None:
    clock = Clock()
    session, served = _reviewed(folder, served_model, clock)
    with session:
        _add(folder, served_model, "ccc.mp4")
        served.look()
        clock.now += SETTLED_S
        served.close()
        served.look()
        assert len(session.source.videos) == 2


def test_reading_a_large_library_ends_with_the_service(
    served: ServedLibrary, folder: Path, served_model: VideoModel
) -> None:
    _add(folder, served_model, "ccc.mp4")
    served.close()
    served.look()
    assert (len(served.now), served.trouble) == (2, "")


def test_requests_see_the_library_as_it_is(
    served_model: VideoModel, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 60)
    paths = [str(clips / name) for name in ("a.mp4", "b.mp4")]
    clock, folder = Clock(), tmp_path / "films"
    served = ServedLibrary(clip_library(folder, served_model, paths[:1]), served_model, clock=clock)
    with (
        running_server(served_model, tmp_path / "uploads", library=served) as running,
        httpx.Client(base_url=running.url, timeout=60) as client,
    ):

        def videos() -> int:
            found = client.post("/v1/search", json={"query": ["dog"], "threshold": 0}).json()
            assert client.get("/v1/labels").json()["videos"] == found["videos"]
            assert f"olmv_library_videos {found['videos']}.0" in client.get("/metrics").text
            return int(found["videos"])

        assert videos() == 1
        clip_library(folder, served_model, paths[1:])
        assert videos() == 1  # looked at a moment ago
        assert client.get("/v1/media", params={"video": paths[1]}).status_code == 404
        clock.now += LOOK_S
        assert client.get("/v1/media", params={"video": paths[1]}).status_code == 200
        assert videos() == 2
        assert client.get("/v1/picture", params={"video": paths[1]}).status_code == 200
        assert "olmv_library_stale 0.0" in client.get("/metrics").text
        shutil.rmtree(folder)
        clock.now += LOOK_S
        assert videos() == 2
        assert client.get("/v1/picture", params={"video": paths[0]}).status_code == 200
        assert client.get("/readyz").status_code == 200
        assert "olmv_library_stale 1.0" in client.get("/metrics").text
