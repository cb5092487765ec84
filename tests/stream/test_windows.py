"""Long videos: in parts and windows they give what they would give at once."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from olmv import Classifier, UsageError
from olmv.labels.texts import build_texts
from olmv.models.embed import embed_clips, video_vector
from olmv.scoring.options import ScoreOptions
from olmv.scoring.windows import TimelineOptions, clip_windows
from olmv.stream import make_scorer
from olmv.video.decode import decode_video
from olmv.video.options import DecodeOptions
from tests.models.xclip_folders import tiny_xclip
from tests.stream.streams import LABELS, LONG, ONE_LABEL, TIMED, TIMELINE, WORDS, by_hand, decoded, predict
from tests.support.samples import write_clip
from tests.support.tiny import tiny_model


@pytest.mark.parametrize("part_frames", [5, 9, 1000])
@pytest.mark.parametrize("temporal", ["mean", "transformer"])
def test_a_long_video_has_the_best_of_its_windows(film: str, parts_of: Any, temporal: str, part_frames: int) -> None:
    parts_of(part_frames)
    classifier = Classifier(tiny_model(temporal=temporal))
    (prediction,) = predict(classifier, film, embeddings=True, score=ONE_LABEL)
    parts = decoded(film, classifier.model, LONG)
    assert len(parts) == parts[0].parts
    assert (len(parts) > 1) == (part_frames < 1000)
    clips = [part.tensor[window] for part in parts for window in clip_windows(len(part.times_s), 8).moments]
    logits, embeddings = by_hand(classifier, clips)
    assert [label.logit for label in prediction.labels] == pytest.approx(logits.amax(0).tolist(), abs=1e-5)
    assert (prediction.frames.requested, prediction.frames.decoded, prediction.frames.encoded) == (30, 30, 30)
    assert prediction.frames.widest_gap_s == pytest.approx(2.0, abs=0.01)
    assert prediction.times_s == tuple(time for part in parts for time in part.times_s.tolist())
    mean = torch.nn.functional.normalize(sum(map(video_vector, embeddings), torch.zeros(16)), dim=0)
    assert prediction.embedding is not None
    assert torch.allclose(prediction.embedding, mean, atol=1e-5)


@pytest.mark.parametrize("score", [ScoreOptions(), ScoreOptions(mode="single-label", explain=True)])
def test_short_videos_are_scored_to_the_bit_as_one_clip(tmp_path: Path, classifier: Classifier, score: Any) -> None:
    model = classifier.model
    clips = [str(write_clip(tmp_path / f"{frames}.mp4", seed=frames, frames=frames)) for frames in (1, 24, 100)]
    predictions = predict(classifier, clips, score=score)
    bank = classifier.text_bank(build_texts(WORDS, model.templates), mode=score.mode)
    scorer = make_scorer(model, WORDS, LONG, score)
    for path, prediction in zip(clips, predictions, strict=True):
        video = decode_video(path, model.preprocess, DecodeOptions(frames=8, workers=0))
        (embedding,) = embed_clips(model, [video.tensor])
        alone = scorer.predict(video, embedding, bank)
        assert alone.labels == prediction.labels
        assert alone.explanations == prediction.explanations
        assert alone.frames == prediction.frames


def test_one_label_of_a_long_video(film: str, parts_of: Any, classifier: Classifier) -> None:
    parts_of(6)
    (prediction,) = predict(classifier, film, score=ONE_LABEL)
    assert sum(label.probability for label in prediction.labels) == pytest.approx(1, abs=1e-5)
    (timed,) = predict(classifier, film, TIMED, score=ONE_LABEL, timeline=TIMELINE)
    assert timed.curve is not None
    assert timed.curve.probability.sum(axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("timeline", [None, TIMELINE])
def test_explanations_tell_frames_by_their_numbers_among_all(
    film: str, parts_of: Any, classifier: Classifier, timeline: TimelineOptions | None
) -> None:
    parts_of(6)
    decode = LONG if timeline is None else TIMED
    (prediction,) = predict(classifier, film, decode, score=ScoreOptions(explain=True), timeline=timeline)
    assert [item.label for item in prediction.explanations] == sorted(
        LABELS, key=lambda name: -next(label.logit for label in prediction.labels if label.label == name)
    )
    told = [frame for item in prediction.explanations for frame in item.frames]
    assert told
    assert all(frame.time_s == prediction.times_s[frame.frame] for frame in told)


def test_a_model_of_some_frames_sees_windows_of_as_many(film: str, parts_of: Any) -> None:
    parts_of(6)
    classifier = Classifier(tiny_xclip())
    count = classifier.model.default_frames
    assert count < 30
    decode = replace(LONG, frames=count)
    (prediction,) = predict(classifier, film, decode, score=ONE_LABEL)
    parts = decoded(film, classifier.model, decode)
    assert len(parts) > 1
    clips = [part.tensor[window] for part in parts for window in clip_windows(len(part.times_s), count).moments]
    assert {len(clip) for clip in clips} == {count}
    assert [label.logit for label in prediction.labels] == pytest.approx(
        by_hand(classifier, clips)[0].amax(0).tolist(), abs=1e-4
    )
    (timed,) = predict(
        classifier, film, TIMED, timeline=TIMELINE, score=ONE_LABEL
    )  # windows of 8 moments, more than it sees
    assert timed.curve is not None
    assert timed.curve.probability.shape == (len(timed.curve.starts_s), len(LABELS))
    with pytest.raises(UsageError, match="frames"):
        predict(classifier, film, DecodeOptions(frames=count + 1, workers=0))


def test_workers_and_this_process_agree(film: str, tmp_path: Path, classifier: Classifier) -> None:
    """A part has more than 128 frames here, since workers have a setting of their own."""
    paths = [film, str(write_clip(tmp_path / "a.mp4", frames=20)), film]
    options = replace(TIMED, every_s=0.1)
    here, there = (
        predict(classifier, paths, replace(options, workers=workers), timeline=TIMELINE) for workers in (0, 2)
    )
    assert [row.to_row() for row in here] == [row.to_row() for row in there]
    assert here[0].to_row()["segments"] is not None


def test_a_path_may_come_as_any_iterable(film: str, classifier: Classifier) -> None:
    def paths() -> Iterator[str]:
        yield film
        yield os.fspath(film)

    assert [row.video for row in predict(classifier, paths())] == [film, film]
