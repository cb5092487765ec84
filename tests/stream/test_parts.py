"""Parts of a video: damaged ones cost their time, and a run goes on inside a file."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olmv import Classifier
from olmv.errors import DecodeError, DecodeTimeoutError
from olmv.scoring.options import ScoreOptions
from olmv.video.decode import VideoFrames, decode_video
from olmv.video.options import DecodeOptions
from olmv.video.workers.loader import FrameLoader
from olmv.video_scores import PartScores
from tests.stream.streams import LABELS, LONG, TIMED, TIMELINE, predict
from tests.support.samples import write_clip


class Damaged:
    """Decodes, but for one part."""

    def __init__(self, part: int, error: Any = DecodeError) -> None:
        self.part, self.error = part, error

    def __call__(self, path: str, preprocess: Any, options: DecodeOptions, *, part: int = 0) -> VideoFrames:
        result = decode_video(path, preprocess, options, part=part)
        if part != self.part:
            return result
        return replace(result, pixels=None, rows=None, times_s=np.zeros(0), decoded=0, error=self.error(f"{path}: no"))


@pytest.mark.parametrize("part", [0, 2])
def test_a_damaged_part_costs_its_time(film: str, parts_of: Any, classifier: Classifier, part: int) -> None:
    parts_of(6)
    loader = FrameLoader(film, preprocess=classifier.model.preprocess, options=TIMED, decode=Damaged(part))
    (prediction,) = predict(
        classifier, film, TIMED, timeline=TIMELINE, loader=loader, score=ScoreOptions(threshold=1e-6)
    )
    assert prediction.error is None
    assert prediction.frames.requested == 60
    assert 40 < prediction.frames.decoded == len(prediction.times_s) < 60
    curve = prediction.curve
    assert curve is not None
    assert curve.starts_s[0] == 0
    assert (np.diff(curve.starts_s) > 0).all()
    (unseen,) = np.flatnonzero((curve.probability == 0).all(axis=1))
    begin, end = curve.starts_s[unseen : unseen + 2]
    assert end - begin == 60 - prediction.frames.decoded
    assert all(item.end_s <= begin or item.start_s >= end for item in prediction.segments or ())
    assert {item.label for item in prediction.segments or ()} == set(LABELS)


def test_a_part_that_took_too_long_costs_the_video(film: str, parts_of: Any, classifier: Classifier) -> None:
    parts_of(6)
    decode = Damaged(2, DecodeTimeoutError)
    loader = FrameLoader(film, preprocess=classifier.model.preprocess, options=LONG, decode=decode)
    (prediction,) = predict(classifier, film, loader=loader)
    assert prediction.error is not None
    assert (prediction.status, prediction.error.type, prediction.labels) == ("error", "DecodeTimeoutError", ())
    assert prediction.frames.widest_gap_s == pytest.approx(2.0, abs=0.01)


class Memory:
    """A store of parts that goes by way of their records."""

    def __init__(self) -> None:
        self.records: dict[str, list[Any]] = {}
        self.added: list[tuple[str, int]] = []

    def parts_of(self, video: str) -> list[PartScores]:
        return [PartScores.from_record(record) for record in self.records.get(video, ())]

    def add(self, video: str, part: PartScores) -> None:
        self.added.append((video, part.part))
        own = self.records.setdefault(video, [])
        own[part.part :] = [part.to_record()]


def test_a_file_that_became_shorter_costs_the_video(
    film: str, tmp_path: Path, parts_of: Any, classifier: Classifier
) -> None:
    parts_of(6)
    path = tmp_path / "film.mp4"
    path.write_bytes(Path(film).read_bytes())
    store = Memory()
    predict(classifier, str(path), TIMED, store=store, timeline=TIMELINE)
    write_clip(path)
    (prediction,) = predict(classifier, str(path), TIMED, store=store, timeline=TIMELINE)
    assert prediction.error is not None
    assert "has become shorter since it was begun; start over" in prediction.error.message


@pytest.mark.parametrize("done", [1, 3, 5])
def test_a_run_goes_on_inside_a_file(
    film: str, tmp_path: Path, parts_of: Any, classifier: Classifier, done: int
) -> None:
    parts_of(6)
    other = str(write_clip(tmp_path / "other.mp4"))
    options: dict[str, Any] = {"timeline": TIMELINE, "score": ScoreOptions(threshold=0.4)}
    whole = predict(classifier, [film, other], TIMED, **options)
    store = Memory()

    def killed(done_parts: int, total: int) -> None:
        if done_parts == done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(classifier, [film, other], TIMED, store=store, advanced=killed, **options)
    assert store.added == [(film, part) for part in range(done)]
    steps: list[tuple[int, int]] = []
    again = predict(classifier, [film, other], TIMED, store=store, advanced=lambda *step: steps.append(step), **options)
    total = steps[0][1]
    assert steps == [(part, total) for part in range(done + 1, total + 1)]  # none was done twice
    assert [row.to_row() for row in again] == [row.to_row() for row in whole]
    for one, two in zip(again, whole, strict=True):
        assert one.curve is not None
        assert two.curve is not None
        assert np.array_equal(one.curve.starts_s, two.curve.starts_s)
        assert np.array_equal(one.curve.probability, two.curve.probability)


def test_a_video_of_which_all_parts_are_done_does_the_last_again(
    film: str, parts_of: Any, classifier: Classifier
) -> None:
    parts_of(6)
    store = Memory()
    (first,) = predict(classifier, film, TIMED, store=store, timeline=TIMELINE)
    count = len(store.added)
    (second,) = predict(classifier, film, TIMED, store=store, timeline=TIMELINE)
    assert store.added[count:] == [(film, count - 1)]
    assert first.to_row() == second.to_row()
