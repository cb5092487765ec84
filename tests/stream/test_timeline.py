"""Timelines: what is when in a video, and what of it is told."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olmv import Classifier, UsageError
from olmv.scoring.options import ScoreOptions
from olmv.scoring.windows import TimelineOptions
from tests.stream.streams import LABELS, TIMED, TIMELINE, predict
from tests.support.videos import make_video


@pytest.mark.parametrize("part_frames", [7, 1000])
def test_a_timeline(film: str, parts_of: Any, classifier: Classifier, part_frames: int) -> None:
    parts_of(part_frames)
    (prediction,) = predict(classifier, film, TIMED, timeline=TIMELINE, score=ScoreOptions(threshold=0.0))
    assert 31.0 in [pytest.approx(cut) for cut in prediction.shots_s]
    curve = prediction.curve
    assert curve is not None
    assert (curve.video, curve.labels) == (film, tuple(LABELS))
    assert curve.starts_s[0] == 0
    assert (np.diff(curve.starts_s) > 0).all()
    assert prediction.duration_s is not None
    assert curve.starts_s[-1] < prediction.duration_s
    assert [(item.label, item.start_s, item.end_s) for item in prediction.segments or ()] == [
        (label, 0.0, prediction.duration_s) for label in LABELS
    ]
    assert (prediction.frames.requested, prediction.frames.decoded) == (60, 60)
    # the video's own probability is that of its best window, so no cell is above it
    for place, label in enumerate(prediction.labels):
        assert curve.probability[:, place].max() <= label.probability + 1e-5
    if part_frames == 1000:
        assert 31.0 in curve.starts_s.tolist()


def test_without_a_label_above_its_threshold_there_are_no_segments(film: str, classifier: Classifier) -> None:
    (prediction,) = predict(classifier, film, TIMED, timeline=TIMELINE, score=ScoreOptions(threshold=1.0, top_k=2))
    assert prediction.segments == ()
    assert len(prediction.labels) == 2
    assert prediction.curve is not None
    assert len(prediction.curve.labels) == 4


def test_a_photo_has_a_timeline_of_one_cell(tmp_path: Path, classifier: Classifier) -> None:
    from PIL import Image

    Image.new("RGB", (64, 48), (200, 20, 20)).save(tmp_path / "photo.png")
    (prediction,) = predict(
        classifier, str(tmp_path / "photo.png"), TIMED, timeline=TIMELINE, score=ScoreOptions(threshold=0)
    )
    assert prediction.curve is not None
    assert prediction.curve.starts_s.tolist() == [0.0]
    assert (prediction.segments, prediction.shots_s, prediction.duration_s) == ((), (), 0.0)  # which last no time


def test_an_adaptive_timeline_tells_how_many_frames_were_encoded(tmp_path: Path, classifier: Classifier) -> None:
    def draw(number: int) -> np.ndarray:
        picture = np.full((48, 64, 3), 90, np.uint8)
        picture[:, 16:48] = 90 if number < 80 else 200
        return picture

    still = str(make_video(tmp_path / "still.mp4", frames=150, width=64, height=48, draw=draw))
    decode = replace(TIMED, every_s=0.25, sampling="adaptive")
    options = TimelineOptions(window_s=1.0, step_s=0.5)
    (few,) = predict(classifier, still, decode, timeline=options)
    (all_of_them,) = predict(classifier, still, replace(decode, sampling="uniform"), timeline=options)
    assert (few.frames.decoded, few.frames.encoded) == (24, 2)
    assert (all_of_them.frames.decoded, all_of_them.frames.encoded) == (24, 24)
    assert few.curve is not None
    assert all_of_them.curve is not None
    assert np.allclose(few.curve.probability, all_of_them.curve.probability, atol=0.02)


def test_the_facade_takes_a_timeline(film: str, classifier: Classifier) -> None:
    (prediction,) = classifier.predict(film, LABELS, timeline=TIMELINE, workers=0)
    assert prediction.segments is not None
    assert prediction.frames.requested == 60
    with pytest.raises(UsageError, match="a timeline's length says how many frames; leave out frames"):
        classifier.predict(film, LABELS, timeline=TIMELINE, frames=4)
    with pytest.raises(UsageError, match="a timeline is not sampled 'keyframes'"):
        classifier.predict(film, LABELS, timeline=TIMELINE, sampling="keyframes")
    (often,) = classifier.predict(film, LABELS, every_s=1.0, max_frames=40, workers=0)
    assert (often.frames.requested, often.frames.capped) == (40, True)
    (clip,) = classifier.predict(film, LABELS, frames=4, workers=0)
    assert (clip.frames.requested, clip.frames.encoded) == (4, 4)
