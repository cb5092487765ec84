"""A run, as Python calls it."""

from pathlib import Path

import pytest

from olmv.errors import UsageError
from olmv.index.info import library_info
from olmv.index.job import IndexJob, IndexSummary, run
from olmv.library.library import Library
from olmv.library.settings import LibrarySettings
from olmv.models.storage.saving import save_pretrained
from olmv.progress import JobListener
from olmv.scoring.windows import TimelineOptions
from olmv.video.options import DecodeOptions
from tests.support.samples import write_clip
from tests.support.tiny import tiny_model

HERE = DecodeOptions(workers=0)


class Listener(JobListener):
    """Keeps what it is told, and stops the run after some videos."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.told: list[object] = []
        self._stop_after = stop_after

    def note(self, text: str) -> None:
        self.told.append(text)

    def started(self, *, total: int, done: int) -> None:
        self.told.append((total, done))

    def advanced(self, done: int, total: int, *, stage: str = "") -> None:
        self.told.append((stage, done, total))
        if not stage and done == self._stop_after:
            raise KeyboardInterrupt


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OLMV_CACHE", str(tmp_path / "cache"))
    save_pretrained(tiny_model(), "model")
    for seed in range(3):
        write_clip(Path("clips") / f"{seed}.mp4", seed=seed)
    return "model"


def index(*inputs: str, listener: JobListener | None = None, **options: object) -> IndexSummary:
    job = IndexJob(inputs=list(inputs), output=Path("library"), decode=HERE, **options)  # type: ignore[arg-type]
    return run(job, listener or JobListener())


def test_what_is_told(model: str) -> None:
    listener = Listener()
    summary = index("clips", model=model, listener=listener)
    assert listener.told == [(3, 0), *(("", done, 3) for done in (1, 2, 3))]
    assert (summary.total, summary.ok, summary.windows, summary.videos, summary.fragments) == (3, 3, 3, 3, 1)
    assert summary.bytes == library_info("library").bytes > 0


def test_a_stopped_run_keeps_what_is_done(model: str) -> None:
    with pytest.raises(KeyboardInterrupt) as stop:
        index("clips", model=model, listener=Listener(stop_after=2))
    assert stop.value.__notes__ == ["library has what is done; run the same command again to go on"]
    assert len(Library.open("library")) == 2
    listener = Listener()
    summary = index("clips", listener=listener)
    assert listener.told == [(3, 2), ("", 3, 3)]
    assert (summary.earlier, summary.ok) == (2, 1)


def test_a_model_that_is_gone(model: str, tmp_path: Path) -> None:
    index("clips/0.mp4", model=model)
    (tmp_path / "model").rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=r"library was made with .*/model, which is not there; name where it is"):
        index("clips", model=None)
    assert index("clips", model="elsewhere").ok == 2


def test_the_model_is_found_from_elsewhere(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index("clips/0.mp4", model=model)
    assert LibrarySettings.read("library").model == str(tmp_path / "model")
    monkeypatch.chdir(tmp_path / "clips")
    job = IndexJob(inputs=["1.mp4"], output=Path("../library"), decode=HERE)
    assert run(job, JobListener()).videos == 2


def test_a_model_is_not_loaded_for_nothing(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    index("clips", model=model)
    monkeypatch.setattr("olmv.models.registry.load_model", lambda *_, **__: pytest.fail("it is loaded"))
    for options in ({}, {"model": model}, {"compact": True}, {"update": True}):
        assert index("clips", **options).earlier == 3
    with pytest.raises(UsageError, match="library was made with frames 8, not 4; leave it out, or choose another"):
        index("clips", frames=4)
    with pytest.raises(UsageError, match="library was made with sampling uniform, not dense"):
        index("clips", sampling="dense")


@pytest.mark.parametrize("temporal", ["mean", "transformer"])
def test_a_long_video_in_parts(model: str, temporal: str) -> None:
    save_pretrained(tiny_model(temporal=temporal), "model")
    write_clip(Path("clips/long.mp4"), frames=12 * 150)
    listener = Listener()
    summary = index("clips/long.mp4", model=model, timeline=TimelineOptions(), listener=listener)
    assert listener.told[1:] == [("parts of the video", 1, 2), ("parts of the video", 2, 2), ("", 1, 1)]
    library = Library.open("library")
    (entry,) = library
    table = library.fragments[0].window_table
    assert entry.stop == 2
    assert summary.windows == library.windows == len(table) > 100
    assert (table.end_s - table.start_s).max() <= 4.0 + 1e-6  # less where shots are short
    assert (table.start_s.min(), table.end_s.max()) == (0.0, pytest.approx(150.0))
    pictures = [library.fragments[0].thumbnails_of(part)[1] for part in range(2)]
    assert 100 < len(pictures[0]) + len(pictures[1]) <= 150  # one a step, not one a frame


def test_pictures_are_few(model: str) -> None:
    index("clips", model=model)
    fragment = Library.open("library").fragments[0]
    assert [len(fragment.thumbnails_of(part)[0]) for part in range(3)] == [2, 2, 2]
    assert fragment.thumbnail(0, 1.0) is not None
