"""One video to a vector, whatever it is given as, and its cosine with a text."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from olmv import Classifier, NotAVideoError, UsageError, read_frames
from tests.support.samples import write_clip
from tests.support.tiny import tiny_model


@pytest.fixture(scope="module")
def classifier() -> Iterator[Classifier]:
    with Classifier(tiny_model()) as classifier:
        yield classifier


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "a.mp4", seed=1)


def test_a_file_is_embedded_as_a_prediction_does(classifier: Classifier, clip: Path) -> None:
    (prediction,) = classifier.predict(clip, ["dog"], embeddings=True, workers=0)
    for video in (clip, str(clip), clip.read_bytes()):
        vector = classifier.embed_video(video)
        assert vector.dtype == torch.float32
        assert torch.equal(vector, prediction.embedding)  # type: ignore[arg-type]
        assert float(vector.norm()) == pytest.approx(1, abs=1e-5)


def test_frames_are_all_looked_at_in_both_layouts(classifier: Classifier, clip: Path) -> None:
    pixels = read_frames(clip, frames=5).pixels
    assert isinstance(pixels, np.ndarray)
    last = classifier.embed_video(pixels)
    for frames in (
        torch.from_numpy(pixels),
        pixels.transpose(0, 3, 1, 2),
        torch.from_numpy(pixels).permute(0, 3, 1, 2),
    ):
        assert torch.equal(classifier.embed_video(frames), last)
    images = [Image.fromarray(frame) for frame in pixels]
    assert torch.allclose(classifier.embed_video(images), last, atol=1e-5)


def test_similarity_of_a_path_is_that_of_its_embedding(classifier: Classifier, clip: Path) -> None:
    vector = classifier.embed_video(clip)
    cosine = classifier.similarity(vector, "a dog")
    assert classifier.similarity(clip, "a dog") == cosine
    assert classifier.similarity(vector.numpy(), "a dog") == cosine
    assert -1 <= cosine <= 1


@pytest.mark.parametrize(
    ("video", "message"),
    [
        (None, "input 0 is None; give a path"),
        ("", "input 0 is an empty text; give a path"),
        (
            torch.rand(2, 3, 8, 8),
            r"an array of float32 .*; give uint8, 0 to 255; of numbers up to 1: \(array \* 255\).byte\(\)",
        ),
        (np.zeros((8, 8, 3), np.uint8), r"of a single frame array\[None\]"),
        (np.zeros((0, 8, 8, 3), np.uint8), "the video has no frames; give at least one"),
    ],
)
def test_what_is_no_video(classifier: Classifier, video: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        classifier.embed_video(video)
    with pytest.raises(UsageError, match=message):
        classifier.similarity(video, "a dog")


def test_a_file_that_cannot_be_read_is_an_error(classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(NotAVideoError, match=r"a\.mp4: "):
        classifier.embed_video(tmp_path / "a.mp4")
    with pytest.raises(NotAVideoError, match=r"gone\.mp4: cannot be opened"):
        classifier.similarity(tmp_path / "gone.mp4", "a dog")


def test_no_text_and_an_embedding_of_another_model(classifier: Classifier) -> None:
    vector = torch.zeros(classifier.model.embed_dim)
    for text, given in (("", "empty"), (None, "None"), (["a dog"], "a list")):
        with pytest.raises(UsageError, match=f"the text is {given}; give one, such as 'a dog in the yard'"):
            classifier.similarity(vector, text)  # type: ignore[arg-type]
    with pytest.raises(
        UsageError, match=r"the embedding has 3 numbers, those of tiny have \d+; compare within one model"
    ):
        classifier.similarity(vector[:3], "a dog")
