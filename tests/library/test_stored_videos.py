"""The videos of libraries: under which names, and what is said of those that are not there."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from olmv import Classifier
from olmv.errors import InputError, UsageError
from olmv.library.library import Library
from olmv.library.source import StoredVideos
from olmv.library.writer import LibraryWriter
from olmv.scoring.windows import TimelineOptions
from tests.support.libraries import SETTINGS, clip_library, vector_library, vector_part
from tests.support.samples import write_clip
from tests.support.tiny import tiny_model

ONE = np.eye(1, 8)


def test_two_videos_of_one_name(tmp_path: Path) -> None:
    first, second = vector_part("a.mp4", ONE), vector_part("a.mp4", ONE)
    other = replace(second, record=replace(second.record, path="/elsewhere/a.mp4"))
    with LibraryWriter(tmp_path / "library", SETTINGS) as writer:
        for part in (first, other, vector_part("b.mp4", ONE)):
            writer.add(part)
        writer.flush()
    stored = StoredVideos(Library.open(tmp_path / "library"))
    assert stored.names == ["/films/a.mp4", "/elsewhere/a.mp4", "b.mp4"]
    places = [stored.get(name) for name in stored.names]
    assert [place[1].path for place in places if place] == ["/films/a.mp4", "/elsewhere/a.mp4", "/films/b.mp4"]
    assert stored.get("c.mp4") is None


def test_the_first_library_tells(tmp_path: Path) -> None:
    one = vector_library(tmp_path / "one", {"a.mp4": ONE, "b.mp4": ONE})
    two = vector_library(tmp_path / "two", {"b.mp4": ONE, "c.mp4": ONE})
    stored = StoredVideos([one, two])
    assert stored.names == ["a.mp4", "b.mp4", "c.mp4"]
    place = stored.get("b.mp4")
    assert place is not None
    assert place[0] is one
    other = vector_library(tmp_path / "other", {"d.mp4": ONE}, settings=replace(SETTINGS, sampling="dense"))
    with pytest.raises(UsageError, match=r"one was made with sampling uniform, not dense; leave it out"):
        StoredVideos([one, other])


def test_a_video_that_was_removed(tmp_path: Path) -> None:
    vector_library(tmp_path / "library", {"a.mp4": ONE, "b.mp4": ONE})
    with LibraryWriter(tmp_path / "library", SETTINGS) as writer:
        writer.flush(removed=["/films/a.mp4"])
    stored = StoredVideos(Library.open(tmp_path / "library"))
    assert stored.names == ["b.mp4"]
    model = tiny_model()
    (part,) = stored.parts(["a.mp4"], model, stored.settings.decode)
    assert str(part.video.error) == f"a.mp4: is not in {tmp_path / 'library'}; index it"
    (part,) = stored.parts(["b.mp4"], model, stored.settings.decode)
    assert part.video.error is None


def test_an_empty_library(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"library has no videos; index some"):
        StoredVideos(vector_library(tmp_path / "library", {}))


def test_in_python(tmp_path: Path) -> None:
    model = tiny_model()
    paths = [str(write_clip(tmp_path / f"{seed}.mp4", seed=seed)) for seed in range(3)]
    library = clip_library(tmp_path / "library", model, paths)
    classifier = Classifier(model)
    decoded = list(classifier.predict(paths, ["dog", "rain"], workers=0, embeddings=True, thumbnails=True))
    stored = list(classifier.predict(library, ["dog", "rain"], embeddings=True, thumbnails=True))
    for one, other in zip(stored, decoded, strict=True):
        assert (one.video, one.frames, one.thumbnails) == (other.video, other.frames, other.thumbnails)
        assert [label.probability for label in one.labels] == pytest.approx(
            [label.probability for label in other.labels], abs=1e-3
        )
        assert one.embedding is not None
        assert other.embedding is not None
        assert float(one.embedding @ other.embedding) > 0.999
    with pytest.raises(UsageError, match="not with frames 4; leave it out"):
        classifier.predict(library, ["dog"], frames=4)
    with pytest.raises(UsageError, match="was made without a timeline"):
        classifier.predict(library, ["dog"], timeline=True)
    with pytest.raises(UsageError, match="has the embeddings of tiny in float32, not of other in float32"):
        Classifier(tiny_model(seed=1, name="other")).predict(library, ["dog"])
    file = next((tmp_path / "library").glob("fragments/*/rows.arrow"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"rows\.arrow is not as it was written"):
        classifier.predict(Library.open(tmp_path / "library"), ["dog"])


def test_windows_alone(tmp_path: Path) -> None:
    model = tiny_model(temporal="transformer")
    path = str(write_clip(tmp_path / "a.mp4", seed=1))
    timeline = TimelineOptions(window_s=0.5, step_s=0.25)
    library = clip_library(tmp_path / "library", model, [path], timeline=timeline)
    classifier = Classifier(model)
    (prediction,) = classifier.predict(library, ["dog", "rain"], timeline=True)  # its own windows
    assert prediction.curve is not None
    assert len(prediction.curve.starts_s) == 8
    with pytest.raises(UsageError, match="has the windows of a timeline only; ask for the timeline"):
        classifier.predict(library, ["dog"])
    with pytest.raises(UsageError, match=r"are 0.5 s long, each 0.25 s, and fixed by its model; leave window and step"):
        classifier.predict(library, ["dog"], timeline=TimelineOptions(window_s=1.0, step_s=0.5))


def test_a_model_that_is_gone(tmp_path: Path) -> None:
    from olmv import save_pretrained
    from olmv.placement import PlacementOptions

    save_pretrained(tiny_model(), tmp_path / "model")
    from olmv.models.registry import load_model

    model = load_model(tmp_path / "model", dtype="float32")
    library = clip_library(tmp_path / "library", model, [str(write_clip(tmp_path / "a.mp4"))])
    shutil.move(tmp_path / "model", tmp_path / "moved")
    with pytest.raises(UsageError, match=r"was made with .*model, which cannot be loaded here .*; name where it is"):
        library.search("dog")
    assert library.search("dog", model=tmp_path / "moved", threshold=0)
    stored = StoredVideos(library)
    with pytest.raises(UsageError, match=r"was made with .*model, which cannot be loaded here .*; name where it is"):
        stored.load_model(None, PlacementOptions())
    assert stored.load_model(str(tmp_path / "moved"), PlacementOptions()).embed_dim == model.embed_dim
