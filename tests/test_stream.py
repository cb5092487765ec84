"""Long videos: in parts and windows they give what they would give at once, and a run goes on inside one."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from olmv import Classifier, UsageError
from olmv.errors import DecodeError, DecodeTimeoutError
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.models.base import VideoModel
from olmv.models.embed import embed_clips, video_vector
from olmv.predictions import VideoPrediction
from olmv.scoring.options import ScoreOptions
from olmv.scoring.score import score_clips
from olmv.scoring.windows import TimelineOptions, clip_windows
from olmv.stream import make_scorer
from olmv.video import frame_plan
from olmv.video.decode import VideoFrames, decode_video
from olmv.video.options import DecodeOptions
from olmv.video.workers.loader import FrameLoader
from olmv.video_scores import PartScores
from tests.models.xclip_folders import tiny_xclip
from tests.support.samples import write_clip
from tests.support.tiny import tiny_model
from tests.support.videos import make_video

LABELS = ["dog", "guitar", "rain", "a red kite"]
WORDS = Vocabulary.from_names(LABELS)
LONG = DecodeOptions(frames=8, every_s=2.0, workers=0)
ONE_LABEL = ScoreOptions(mode="single-label")  # without everyday words to measure against, so quick
TIMELINE = TimelineOptions(window_s=8.0, step_s=4.0)
TIMED = DecodeOptions(frames=1, every_s=1.0, timeline=True, workers=0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLMV_CACHE", str(cache))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Sixty seconds at one frame a second, each of another colour, with a cut at 31 s."""

    def draw(number: int) -> np.ndarray:
        picture = np.full((48, 64, 3), (30 + number, 60, 200 - number), np.uint8)
        if number >= 31:
            picture[:] = (230 - number, 220, number)
        picture[12:24, : 1 + number] += 20
        return picture

    path = tmp_path_factory.mktemp("film") / "film.mp4"
    times = [number * 1000 for number in range(60)]
    return str(make_video(path, frames=60, gop=5, width=64, height=48, draw=draw, times=times))


@pytest.fixture
def parts_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set how many frames a part has."""
    return lambda frames: monkeypatch.setattr(frame_plan, "PART_FRAMES", frames)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(tiny_model(temporal="transformer"))


def predict(classifier: Classifier, paths: Any, decode: DecodeOptions = LONG, **options: Any) -> list[VideoPrediction]:
    score = options.pop("score", ScoreOptions())
    return list(classifier.stream(paths, WORDS, decode=decode, score=score, **options))


def decoded(path: str, model: VideoModel, decode: DecodeOptions) -> list[VideoFrames]:
    return list(FrameLoader(path, preprocess=model.preprocess, options=decode))


def by_hand(classifier: Classifier, clips: list[Tensor]) -> tuple[Tensor, list[Any]]:
    """The logits [W, C] of clips that are encoded one by one, and their embeddings."""
    model, mode = classifier.model, ONE_LABEL.mode
    bank = classifier.text_bank(build_texts(WORDS, model.templates), mode=mode)
    pooling: Any = model.frame_pooling
    logits, embeddings = [], []
    for clip in clips:
        (embedding,) = embed_clips(model, [clip])
        _, own = score_clips(model, [embedding], bank, mode=mode, pooling="mean", frame_pooling=pooling)
        logits.append(own[0])
        embeddings.append(embedding)
    return torch.stack(logits), embeddings


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


def test_workers_and_this_process_agree(film: str, tmp_path: Path, classifier: Classifier) -> None:
    """A part has more than 128 frames here, since workers have a setting of their own."""
    paths = [film, str(write_clip(tmp_path / "a.mp4", frames=20)), film]
    options = replace(TIMED, every_s=0.1)
    here, there = (
        predict(classifier, paths, replace(options, workers=workers), timeline=TIMELINE) for workers in (0, 2)
    )
    assert [row.to_row() for row in here] == [row.to_row() for row in there]
    assert here[0].to_row()["segments"] is not None


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


def test_a_path_may_come_as_any_iterable(film: str, classifier: Classifier) -> None:
    def paths() -> Iterator[str]:
        yield film
        yield os.fspath(film)

    assert [row.video for row in predict(classifier, paths())] == [film, film]
