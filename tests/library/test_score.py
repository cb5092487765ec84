"""New labels over a library: by hand the same, of live windows only, and what a prediction says."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from olmv import Classifier
from olmv.errors import UsageError
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.library.library import Library
from olmv.library.query.score import ScoreBlock
from olmv.library.writer import LibraryWriter
from olmv.models.clip.model import VideoCLIP
from olmv.scoring.bank import TextBank
from olmv.scoring.encode_bank import encode_bank
from olmv.scoring.options import POOLINGS, Pooling
from olmv.scoring.pooling import pool_attributes
from olmv.scoring.probabilities import measure_background, to_logits, to_probabilities
from olmv.scoring.windows import TimelineOptions
from tests.support.libraries import clip_library
from tests.support.samples import write_clip
from tests.support.tiny import tiny_model

WORDS = Vocabulary.from_names(["dog", "rain", "a red square"]).with_attributes({"dog": ["a wet nose", "four legs"]})


@pytest.fixture(params=["bias", "background"])
def model(request: pytest.FixtureRequest) -> VideoCLIP:
    tiny = tiny_model(temporal="mean")
    if request.param == "background":
        tiny.towers.logit_bias = None
    return tiny


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("clips")
    return [str(write_clip(folder / f"{seed}.mp4", seed=seed)) for seed in range(3)]


@pytest.fixture
def library(model: VideoCLIP, paths: list[str], tmp_path: Path) -> Library:
    return clip_library(tmp_path / "library", model, paths, timeline=TimelineOptions())


def expected(library: Library, model: VideoCLIP, pooling: Pooling, templates: str) -> tuple[Tensor, Tensor]:
    bank = encode_bank(model, build_texts(WORDS, templates))
    assert isinstance(bank, TextBank)
    vectors = torch.from_numpy(np.asarray(library.embeddings, np.float32))
    similarity = pool_attributes(vectors, bank, pooling=pooling)
    background = measure_background(vectors[:, None], None, bank) if model.logit_bias is None else None
    logits = to_logits(similarity, scale=model.logit_scale, bias=model.logit_bias, background=background)
    return similarity, to_probabilities(logits)


def joined(blocks: list[ScoreBlock]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([b.similarity for b in blocks]), np.concatenate([b.probability for b in blocks])


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("templates", [None, "none"])
def test_by_hand(library: Library, model: VideoCLIP, pooling: Pooling, templates: str | None) -> None:
    blocks = list(library.score(WORDS, model=model, templates=templates, pooling=pooling))
    similarity, probability = expected(library, model, pooling, templates or model.templates)
    own_similarity, own_probability = joined(blocks)
    np.testing.assert_allclose(own_similarity, similarity, atol=1e-5)
    np.testing.assert_allclose(own_probability, probability, atol=2e-3)
    [block] = blocks
    assert block.labels == ("dog", "rain", "a red square")
    assert len(block) == library.windows
    assert block.windows.tolist() == list(range(library.windows))


def test_as_a_timeline(library: Library, model: VideoCLIP, paths: list[str]) -> None:
    [block] = library.score(["dog", "rain"], model=model)
    predicted = list(Classifier(model).predict(paths, ["dog", "rain"], timeline=True, workers=0, frame_pooling="mean"))
    for prediction in predicted:
        assert prediction.curve is not None
        rows = [place for place, video in enumerate(block.videos) if video == prediction.video]
        peaks = block.probability[rows].max(axis=0)
        # a moment takes what the windows around it say: none is more probable than the best window
        assert (prediction.curve.probability.max(axis=0) <= peaks + 3e-3).all()
        assert block.start_s[rows][0] == 0.0
        assert block.end_s[rows][-1] == pytest.approx(prediction.duration_s, abs=0.1)


def test_removed_and_replaced_videos(library: Library, model: VideoCLIP, paths: list[str]) -> None:
    clip_library(library.folder, model, paths[1:2], timeline=TimelineOptions())  # once more
    removed = library.get(paths[0])
    assert removed is not None
    with LibraryWriter(library.folder, library.settings) as writer:
        writer.flush(removed=[removed.path])
    again = Library.open(library.folder)
    blocks = list(again.score(WORDS, model=model))
    assert [block.fragment for block in blocks] == [0, 1]
    assert [sorted(set(block.videos)) for block in blocks] == [[paths[2]], [paths[1]]]
    assert sum(map(len, blocks)) == again.windows < sum(fragment.windows for fragment in again.fragments)
    assert {id(entry) for block in blocks for entry in block.entries} == {id(entry) for entry in again}


def test_only_removed_videos(library: Library, model: VideoCLIP) -> None:
    with LibraryWriter(library.folder, library.settings) as writer:
        writer.flush(removed=[entry.path for entry in library])
    assert list(Library.open(library.folder).score(["dog"], model=model)) == []


def test_another_model(library: Library) -> None:
    with pytest.raises(UsageError, match="has the embeddings of"):
        library.score(["dog"], model=tiny_model(temporal="mean", seed=7))


def test_no_such_pooling(library: Library, model: VideoCLIP) -> None:
    with pytest.raises(UsageError, match="unknown pooling 'median'"):
        library.score(["dog"], model=model, pooling="median")  # type: ignore[arg-type]
