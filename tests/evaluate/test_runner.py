"""Scoring a benchmark: every video once, failures told, a killed run goes on."""

import errno
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olmv.classifier import Classifier
from olmv.datasets.benchmarks.types import Benchmark, Kind, Split
from olmv.errors import OutputError, UsageError
from olmv.evaluate.runner import Scoring, score_benchmark
from olmv.evaluate.views import VIEWS, Views
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.scoring.options import Mode
from olmv.video.decode import VideoFrames
from olmv.video.options import DecodeOptions
from tests.models.xclip_folders import tiny_xclip
from tests.support.samples import write_clip
from tests.support.tiny import tiny_model
from tests.support.watcher import Watcher

LABELS = ("dog", "rain", "guitar")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for seed in range(5):
        write_clip(folder / f"{seed}.mp4", seed=seed)
    (folder / "3.mp4").write_bytes(b"not a video")
    return folder


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(tiny_model())


def benchmark_of(clips: Path, kind: Kind = "single-label") -> Benchmark:
    videos = tuple(str(clips / f"{index}.mp4") for index in range(5))
    truth = ((0,), (1,), (2,), (0,), (1,))
    return Benchmark("made", kind, LABELS, LABELS, videos, truth, (Split("all", tuple(range(5)), (0, 1, 2)),))


def score(
    folder: Path,
    benchmark: Benchmark,
    classifier: Classifier,
    listener: Watcher,
    *,
    views: Views = VIEWS["uniform"],
    thresholds: tuple[float, ...] = (),
    batch_size: int = 16,
    resume: bool = True,
    draw: Any = None,
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    folder.mkdir(exist_ok=True)
    mode: Mode = "multi-label" if benchmark.kind == "multi-label" else "single-label"
    scoring = Scoring(
        views=views, mode=mode, thresholds=thresholds, decode=DecodeOptions(workers=0), batch_size=batch_size
    )
    texts = build_texts(Vocabulary.from_names(LABELS), "none")
    settings = {"views": views.name}
    return score_benchmark(
        folder, benchmark, classifier, texts, scoring, settings=settings, resume=resume, listener=listener, draw=draw
    )


def test_scores_equal_those_of_predict(clips: Path, classifier: Classifier, tmp_path: Path) -> None:
    benchmark = benchmark_of(clips)
    scores, rows = score(tmp_path / "out", benchmark, classifier, Watcher())
    assert scores.shape == (5, 1, 3)
    predictions = classifier.predict(benchmark.videos, LABELS, mode="single-label", templates="none", workers=0)
    for index, prediction in enumerate(predictions):
        if prediction.error is not None:
            assert np.isnan(scores[index]).all()
            assert rows[index]["status"] == "error"
            assert rows[index]["error"]["type"] == prediction.error.type
            assert rows[index]["predicted"] == []
            continue
        assert np.allclose(scores[index, 0], [label.logit for label in prediction.labels], atol=1e-5)
        best = sorted(prediction.labels, key=lambda label: -label.logit)
        assert rows[index]["predicted"] == [label.label for label in best]
    assert [row["truth"] for row in rows] == [["dog"], ["rain"], ["guitar"], ["dog"], ["rain"]]


@pytest.mark.parametrize("name", ["openvclip", "xclip-4x3"])
def test_every_view_has_scores_of_its_own(name: str, clips: Path, classifier: Classifier, tmp_path: Path) -> None:
    views = VIEWS[name]
    scores, _ = score(tmp_path / "out", benchmark_of(clips), classifier, Watcher(), views=views, batch_size=8)
    assert scores.shape == (5, views.count, 3)
    assert np.isfinite(scores[[0, 1, 2, 4]]).all()
    again, _ = score(tmp_path / "big", benchmark_of(clips), classifier, Watcher(), views=views, batch_size=64)
    assert np.allclose(scores, again, atol=1e-4, equal_nan=True)


def test_a_stopped_run_goes_on(clips: Path, classifier: Classifier, tmp_path: Path) -> None:
    whole, _ = score(tmp_path / "whole", benchmark_of(clips), classifier, Watcher())
    with pytest.raises(KeyboardInterrupt):
        score(tmp_path / "cut", benchmark_of(clips), classifier, Watcher(stop_after=2))
    watcher = Watcher()
    scores, rows = score(tmp_path / "cut", benchmark_of(clips), classifier, watcher)
    assert (watcher.starts, watcher.steps) == ([(5, 2)], 3)
    assert np.array_equal(scores, whole, equal_nan=True)
    assert [row["video"] for row in rows] == list(benchmark_of(clips).videos)
    finished = Watcher()
    score(tmp_path / "cut", benchmark_of(clips), classifier, finished)
    assert (finished.starts, finished.steps) == ([(5, 5)], 0)


def test_other_settings_are_refused(clips: Path, classifier: Classifier, tmp_path: Path) -> None:
    score(tmp_path / "out", benchmark_of(clips), classifier, Watcher())
    with pytest.raises(UsageError, match="views: uniform before, xclip now"):
        score(tmp_path / "out", benchmark_of(clips), classifier, Watcher(), views=VIEWS["xclip"])
    scores, _ = score(tmp_path / "out", benchmark_of(clips), classifier, Watcher(), views=VIEWS["xclip"], resume=False)
    assert np.isfinite(scores[0]).all()


@pytest.mark.parametrize("resumed", [False, True])
def test_a_disk_without_room_for_the_scores_is_told_before_they_are_mapped(
    clips: Path, classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resumed: bool
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if resumed:
        score(tmp_path / "out", benchmark_of(clips), classifier, Watcher())
    with monkeypatch.context() as patch:
        patch.setattr("os.posix_fallocate", full)
        with pytest.raises(
            OutputError, match=r"scores\.npy: the disk is full, it needs 60 bytes; make room, or choose"
        ):
            score(tmp_path / "out", benchmark_of(clips), classifier, Watcher())
    assert (tmp_path / "out" / "scores.npy").exists() == resumed
    scores, _ = score(tmp_path / "out", benchmark_of(clips), classifier, Watcher())
    assert np.isfinite(scores[0]).all()


def test_scores_that_are_gone(clips: Path, classifier: Classifier, tmp_path: Path) -> None:
    score(tmp_path / "out", benchmark_of(clips), classifier, Watcher())
    np.save(tmp_path / "out" / "scores.npy", np.zeros((2, 2), np.float32))
    with pytest.raises(
        OutputError, match=r"it has the shape \(2, 2\), not \(5, 1, 3\); start over, or choose another output"
    ):
        score(tmp_path / "out", benchmark_of(clips), classifier, Watcher())
    (tmp_path / "out" / "scores.npy").unlink()
    with pytest.raises(OutputError, match=r"cannot use .*scores\.npy: .*; start over, or choose another output"):
        score(tmp_path / "out", benchmark_of(clips), classifier, Watcher())


def test_rows_of_multi_label_name_what_passes_its_threshold(
    clips: Path, classifier: Classifier, tmp_path: Path
) -> None:
    scores, rows = score(
        tmp_path / "out", benchmark_of(clips, "multi-label"), classifier, Watcher(), thresholds=(0.0, 1.0, 0.0)
    )
    order = ["dog", "guitar"] if scores[0, 0, 0] >= scores[0, 0, 2] else ["guitar", "dog"]
    assert rows[0]["predicted"] == order


def test_drawn_videos(classifier: Classifier, clips: Path, tmp_path: Path) -> None:
    def draw(indices: Iterable[int]) -> Iterator[VideoFrames]:
        for place, index in enumerate(indices):
            pixels = np.full((2, 3, 32, 32), 40 * index, np.uint8)
            yield VideoFrames(index=place, path=str(index), pixels=pixels, requested=2, decoded=2)

    scores, _ = score(tmp_path / "out", benchmark_of(clips), classifier, Watcher(), draw=draw)
    assert np.isfinite(scores).all()
    assert not np.allclose(scores[0], scores[4])


def test_labels_that_read_the_same_are_told_by_index(classifier: Classifier, clips: Path, tmp_path: Path) -> None:
    benchmark = Benchmark(
        "made", "retrieval", ("dog", "dog", "rain"), ("a", "b", "c"), benchmark_of(clips).videos[:3],
        ((0,), (1,), (2,)), (Split("all", (0, 1, 2), (0, 1, 2)),),
    )  # fmt: skip
    texts = build_texts(Vocabulary.from_names(LABELS), "none")
    scoring = Scoring(views=VIEWS["uniform"], mode="single-label", decode=DecodeOptions(workers=0))
    _, rows = score_benchmark(
        tmp_path, benchmark, classifier, texts, scoring, settings={}, resume=True, listener=Watcher()
    )
    assert [row["truth_index"] for row in rows] == [[0], [1], [2]]
    assert json.loads((tmp_path / "videos.jsonl").read_text().splitlines()[1])["truth"] == ["dog"]


def test_x_clip_is_scored_view_by_view_with_texts_of_each(clips: Path, tmp_path: Path) -> None:
    xclip = Classifier(tiny_xclip())
    views = replace(VIEWS["xclip-4x3"], frames=4)
    scores, rows = score(tmp_path, benchmark_of(clips), xclip, Watcher(), views=views)
    assert scores.shape == (5, 12, 3)
    assert np.isnan(scores[3]).all()
    assert rows[3]["status"] == "error"
    assert np.ptp(scores[0], axis=0).min() > 0, "crops and moments differ"
    with pytest.raises(UsageError, match="is made for 4 frames, got 8"):
        score(tmp_path / "eight", benchmark_of(clips), xclip, Watcher(), views=VIEWS["xclip"])
