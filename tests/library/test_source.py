"""What a library gives is what decoding gives, whatever the model keeps of a video."""

from pathlib import Path

import numpy as np
import pytest

from olmv import Classifier
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.library.library import Library
from olmv.library.source import StoredVideos
from olmv.scoring.options import ScoreOptions
from olmv.scoring.windows import TimelineOptions, sampled
from olmv.stream import make_scorer, predictions
from olmv.video.options import DecodeOptions
from tests.support.libraries import clip_library
from tests.support.samples import write_clip
from tests.support.tiny import tiny_model

WORDS = Vocabulary.from_names(["dog", "rain", "a red square"])


@pytest.mark.parametrize("temporal", ["mean", "attention", "transformer", "divided"])
@pytest.mark.parametrize("timeline", [None, TimelineOptions()])
def test_as_decoding_gives(temporal: str, timeline: TimelineOptions | None, tmp_path: Path) -> None:
    model = tiny_model(temporal=temporal)
    paths = [str(write_clip(tmp_path / f"{seed}.mp4", seed=seed)) for seed in range(2)] + [str(tmp_path / "gone.mp4")]
    library = clip_library(tmp_path / "library", model, paths, timeline=timeline)
    classifier = Classifier(model)
    decode = sampled(
        DecodeOptions(workers=0), frames=None, every_s=None, timeline=timeline, model_frames=model.default_frames
    )
    decoded = list(classifier.stream(paths, WORDS, decode=decode, score=ScoreOptions(), timeline=timeline))
    scorer = make_scorer(model, WORDS, library.settings.decode, ScoreOptions(), timeline=timeline)
    bank = classifier.text_bank(build_texts(WORDS, model.templates))
    parts = StoredVideos(library).parts(paths, model, library.settings.decode, timeline=timeline)
    stored = list(predictions(parts, scorer, bank))
    for expected, result in zip(decoded, stored, strict=True):
        assert (result.video, result.status, result.frames) == (expected.video, expected.status, expected.frames)
        assert (result.duration_s, result.shots_s, result.error) == (
            expected.duration_s,
            expected.shots_s,
            expected.error,
        )
        for one, other in zip(expected.labels, result.labels, strict=True):
            assert abs(one.probability - other.probability) < 2e-3
        if expected.curve is not None and result.curve is not None:
            np.testing.assert_allclose(result.curve.probability, expected.curve.probability, atol=2e-3)


def test_what_is_there(tmp_path: Path) -> None:
    model = tiny_model()
    path = str(write_clip(tmp_path / "a.mp4", seed=1))
    clip_library(tmp_path / "library", model, [path])
    library = Library.open(tmp_path / "library")
    assert [entry.video for entry in library] == [path]
    assert library.embeddings.shape == (library.windows, model.embed_dim)
    assert library.embeddings.dtype == np.float16
    library.verify()
    library.settings.check_model(model, library.folder)
    fragment = library.fragments[0]
    assert fragment.window_table.rows.tolist() == [8]
    assert fragment.thumbnails_of(0)[1] == fragment.records[0].frames.times_s.tolist()
    assert (fragment.thumbnail(0, 0.0) or b"")[:2] == b"\xff\xd8"
