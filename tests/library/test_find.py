"""What a search says of a moment is what a prediction says of it; all else is arithmetic on that."""

import math
from pathlib import Path

import numpy as np
import pytest

from olmv import Classifier, Library
from olmv.errors import InputError, UsageError, VocabularyError
from olmv.library.query.find import find_moments
from olmv.library.query.queries import ALIKE, LibraryWindow, SearchQuery
from olmv.models.clip.model import VideoCLIP
from olmv.scoring.windows import TimelineOptions
from tests.support.libraries import clip_library, vector_library
from tests.support.samples import write_clip
from tests.support.tiny import tiny_model

WORDS = ("dog", "rain", "a red square")
COUNT = 6


@pytest.fixture(scope="module")
def model() -> VideoCLIP:
    return tiny_model()


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("films")
    return [str(write_clip(folder / f"{seed}.mp4", seed=seed)) for seed in range(COUNT)]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, model: VideoCLIP, paths: list[str]) -> Library:
    return clip_library(tmp_path_factory.mktemp("library"), model, [*paths, "gone.mp4"])


@pytest.fixture(scope="module")
def predicted(model: VideoCLIP, paths: list[str]) -> dict[str, dict[str, float]]:
    """The probability of each word by video, as `olmv predict` tells it."""
    rows = Classifier(model).predict(paths, WORDS, workers=0)
    return {row.video: {label.label: label.probability for label in row.labels} for row in rows}


@pytest.mark.parametrize("temporal", ["mean", "attention", "divided"])
@pytest.mark.parametrize("pooling", ["mean", "softmax"])
@pytest.mark.parametrize("timeline", [None, TimelineOptions(window_s=1.0, step_s=0.5)])
def test_as_a_prediction(
    temporal: str, pooling: str, timeline: TimelineOptions | None, tmp_path: Path, paths: list[str]
) -> None:
    model = tiny_model(temporal=temporal)
    model.frame_pooling = pooling
    library = clip_library(tmp_path / "library", model, paths[:3], timeline=timeline)
    rows = Classifier(model).predict(paths[:3], WORDS, workers=0, timeline=timeline or False)
    by_video = {row.video: {label.label: label.probability for label in row.labels} for row in rows}
    for word in WORDS:
        moments = library.search(word, threshold=0, model=model)
        assert len(moments) == 3
        for moment in moments:
            assert moment.probability == pytest.approx(by_video[moment.video][word], abs=2e-3)
            assert moment.thumbnail is not None


def test_all_texts_must_be_true(library: Library, model: VideoCLIP, predicted: dict[str, dict[str, float]]) -> None:
    least = {video: min(words["dog"], words["rain"]) for video, words in predicted.items()}
    threshold = float(np.median([*least.values()]))
    moments = library.search(["dog", "rain"], threshold=threshold, model=model)
    passing = sorted((video for video in least if least[video] >= threshold + 2e-3), key=lambda video: -least[video])
    assert set(passing) <= {moment.video for moment in moments}
    assert all(moment.probability >= threshold for moment in moments)
    assert all(moment.probability == pytest.approx(least[moment.video], abs=2e-3) for moment in moments)
    probabilities = [moment.probability for moment in moments]
    assert probabilities == sorted(probabilities, reverse=True)


def test_without_leaves_out_what_is_found_for_it(
    library: Library, model: VideoCLIP, predicted: dict[str, dict[str, float]]
) -> None:
    threshold = min(float(np.median([words["rain"] for words in predicted.values()])), 0.5)
    unwanted = {moment.video for moment in library.search("rain", threshold=threshold, model=model)}
    every = {moment.video for moment in library.search("dog", threshold=threshold, model=model)}
    left = {moment.video for moment in library.search("dog", without="rain", threshold=threshold, model=model)}
    assert unwanted
    assert left == every - unwanted
    assert library.search("dog", without="dog", threshold=threshold, model=model) == []


def test_labels_of_the_video(library: Library, model: VideoCLIP, predicted: dict[str, dict[str, float]]) -> None:
    values = sorted(words["rain"] for words in predicted.values())
    cut = (values[2] + values[3]) / 2
    above = {moment.video for moment in library.search("dog", labels=f"rain>{cut}", threshold=0, model=model)}
    below = {moment.video for moment in library.search("dog", labels=[f"rain<{cut}"], threshold=0, model=model)}
    assert above == {video for video, words in predicted.items() if words["rain"] >= cut}
    assert above | below == set(predicted)
    assert not above & below


def test_nothing_found_is_an_answer(library: Library, model: VideoCLIP) -> None:
    assert library.search("dog", threshold=1, model=model) == []
    result = find_moments(library, SearchQuery(texts=("dog",), threshold=1), model)
    assert result.moments == []
    assert result.best is not None
    assert result.best == library.search("dog", threshold=0, top=1, model=model)[0]
    assert (result.videos, result.windows) == (COUNT, COUNT)


def test_a_video_is_like_itself(library: Library, model: VideoCLIP, paths: list[str]) -> None:
    [moment] = library.search(like=paths[2], threshold=0.5, top=1, model=model)
    assert moment.video == paths[2]
    assert moment.similarity == pytest.approx(1, abs=2e-3)
    assert moment.probability == pytest.approx(1 / (1 + math.exp(-ALIKE.slope * (1 - ALIKE.half))), abs=0.01)
    both = library.search("dog", like=paths[2], threshold=0, model=model)
    assert all(moment.probability <= 1 for moment in both)
    assert len(both) == COUNT


def test_a_window_of_the_library_is_like_itself(library: Library, model: VideoCLIP, paths: list[str]) -> None:
    query = SearchQuery(window=LibraryWindow(paths[2], 0.1), threshold=0.5, top=1)
    [moment] = find_moments(library, query, model).moments
    assert moment.video == paths[2]
    assert moment.similarity == pytest.approx(1, abs=2e-3)
    assert query.shown == f"like {Path(paths[2]).name}"
    with pytest.raises(InputError, match=r"nobody.mp4 is not in .*; choose one that is"):
        find_moments(library, SearchQuery(window=LibraryWindow("nobody.mp4", 0)), model)


def test_a_window_of_a_video_that_has_none(tmp_path: Path, paths: list[str], model: VideoCLIP) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    library = clip_library(tmp_path / "library", model, [str(tmp_path / "bad.mp4"), paths[0]])
    with pytest.raises(InputError, match=r"bad.mp4 has no window: it could not be decoded; choose another"):
        find_moments(library, SearchQuery(window=LibraryWindow(str(tmp_path / "bad.mp4"), 0)), model)


def test_a_photo_as_the_query(tmp_path: Path, paths: list[str], model: VideoCLIP) -> None:
    from PIL import Image

    Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(tmp_path / "a.png")
    library = clip_library(tmp_path / "library", model, paths[:2], timeline=TimelineOptions(window_s=1.0, step_s=0.5))
    assert len(library.search(like=tmp_path / "a.png", threshold=0, model=model)) == 2


def test_moments_of_a_timeline(tmp_path: Path, paths: list[str], model: VideoCLIP) -> None:
    options = TimelineOptions(window_s=0.5, step_s=0.25)
    library = clip_library(tmp_path / "library", model, paths[:3], timeline=options)
    ranked = library.search("dog", threshold=0, all_moments=True, model=model)
    assert len(ranked) == 3  # each is all of its video
    for moment in ranked:
        assert moment.start_s == 0
        assert moment.start_s <= moment.peak_s <= moment.end_s
        assert moment.duration_s is not None
        assert moment.end_s == pytest.approx(moment.duration_s, abs=0.2)
        entry = library.get(moment.video)
        assert entry is not None
        fragment = library.fragments[entry.fragment]
        assert moment.peak_s in fragment.records[entry.first].frames.times_s  # that of a frame
        assert moment.thumbnail == fragment.thumbnail(entry.first, moment.peak_s)
    threshold = ranked[0].probability
    [best] = library.search("dog", threshold=threshold, model=model)
    assert (best.video, best.peak_s, best.probability) == (ranked[0].video, ranked[0].peak_s, threshold)
    assert best.end_s - best.start_s < 1
    assert len(library.search("dog", threshold=threshold / 2, all_moments=True, top=1, model=model)) == 1


def test_several_fragments_and_videos_that_were_replaced(tmp_path: Path, paths: list[str], model: VideoCLIP) -> None:
    folder = tmp_path / "library"
    clip_library(folder, model, paths[:2])
    library = clip_library(folder, model, [paths[2], paths[0]])  # the first is indexed again
    moments = library.search("dog", threshold=0, model=model)
    assert sorted(moment.video for moment in moments) == paths[:3]
    assert sorted(spans.entries[0].video for spans in library.spans) == [paths[1], paths[2]]


def test_an_empty_library(tmp_path: Path, model: VideoCLIP) -> None:
    library = clip_library(tmp_path / "library", model, [])
    assert library.search("dog", model=model) == []
    assert library.duplicates() == []
    assert library.embeddings.shape == (0, model.embed_dim)


def test_the_model_is_loaded_once_and_checked(library: Library, model: VideoCLIP) -> None:
    fresh = Library.open(library.folder)
    assert fresh.model(model) is fresh.model() is model
    with pytest.raises(UsageError, match="has the embeddings of tiny in float32, not of other in float32"):
        fresh.search("dog", model=tiny_model(seed=1, name="other"))


def test_a_long_query_and_one_in_another_language(library: Library, model: VideoCLIP) -> None:
    notes: list[str] = []
    query = SearchQuery(texts=("word " * 500, "狗在雪地里"), threshold=0)
    assert len(find_moments(library, query, model, note=notes.append).moments) == COUNT
    assert any("tokens; tiny reads 16, the end is cut off" in note for note in notes)
    assert "'狗在雪地里' does not look like English; unless tiny was trained with more" in " ".join(notes)
    notes.clear()
    find_moments(library, SearchQuery(texts=("un perro rojo",)), model, note=notes.append)
    assert len(notes) == 1
    notes.clear()
    find_moments(
        library, SearchQuery(texts=("dog", "a café in Paris", "Messi scores", "Pikachu")), model, note=notes.append
    )
    assert notes == []


def test_queries_that_cannot_be_used(library: Library, model: VideoCLIP, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    search = library.search
    with pytest.raises(UsageError, match="there is nothing to look for; give a text or a file"):
        search(model=model)
    with pytest.raises(UsageError, match="nothing to look for beside what is to be left out"):
        search(without="dog", model=model)
    with pytest.raises(UsageError, match="the query is empty; write in words what a video shows"):
        search(" ", model=model)
    with pytest.raises(UsageError, match="the text to leave out is empty"):
        search("dog", without="", model=model)
    with pytest.raises(VocabularyError, match=r"query .* has the control character U\+0007"):
        search("dog\a!", model=model)
    with pytest.raises(VocabularyError, match="has 20000 characters; keep it under 10001"):
        search("d" * 20000, model=model)
    with pytest.raises(UsageError, match=r"threshold is 1\.5; give a probability from 0 to 1"):
        search("dog", threshold=1.5, model=model)
    with pytest.raises(UsageError, match="top is 0; ask for at least 1"):
        search("dog", top=0, model=model)
    with pytest.raises(InputError, match=r"no such file: gone.mp4; name an image or a video"):
        search(like="gone.mp4", model=model)
    with pytest.raises(UsageError, match=r"cannot compare with .*a.png: "):
        search(like=tmp_path / "a.png", model=model)


def test_damaged_fragments(tmp_path: Path, paths: list[str], model: VideoCLIP) -> None:
    library = clip_library(tmp_path / "library", model, paths[:2])
    windows = library.fragments[0].folder / "windows.arrow"
    content = windows.read_bytes()
    windows.write_bytes(b"\0" * len(content))
    with pytest.raises(InputError, match=r"fragment .*000001 is damaged: windows.arrow is no Arrow file"):
        Library.open(library.folder).search("dog", model=model)
    windows.write_bytes(content[:-9])
    with pytest.raises(InputError, match=r"windows.arrow has .* bytes, not .*; delete its folder, and index"):
        Library.open(library.folder)


def test_numbers_that_are_none_are_not_found(tmp_path: Path, model: VideoCLIP) -> None:
    from dataclasses import replace

    from olmv.library.settings import LibrarySettings
    from olmv.video.options import DecodeOptions

    settings = replace(LibrarySettings.of(model, DecodeOptions(), None), dimension=16)
    vectors = np.random.default_rng(0).normal(size=(1, 16))
    library = vector_library(tmp_path / "library", {"a.mp4": vectors, "b.mp4": vectors * np.nan}, settings=settings)
    assert "b.mp4" not in [moment.video for moment in library.search("dog", threshold=0, model=model)]
