"""The protocol `timed`: rows with curves beside what is true when; what fits, what is cut, what is refused."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olmv.datasets.timed_video import TimedVideo, TrueSegment
from olmv.errors import InputError, UsageError
from olmv.evaluate.compare import compare
from olmv.evaluate.job import run
from olmv.evaluate.options import EvaluateJob
from olmv.evaluate.results import Result
from olmv.evaluate.timed.timelines import join_timed, timeline_of
from olmv.io.curves import Curve, curves_path, read_curves, write_curves
from olmv.io.journal import encode_row
from olmv.labels.vocabulary import Vocabulary
from olmv.progress import JobListener
from tests.support.timed_runs import made_films, write_timelines, write_truth
from tests.support.watcher import Watcher

LABELS = {"guitar": 3.0, "dog <b>": 2.5, "rain": -1.8}


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    curves, truth = made_films(8, LABELS, noise=0.4)
    write_truth(tmp_path / "truth.csv", truth)
    return write_timelines(tmp_path, curves)


def changed(rows: Path, **fields: Any) -> Path:
    """Change the first row; None takes a field away."""
    first, *rest = (json.loads(line) for line in rows.read_text().splitlines())
    first = {name: value for name, value in (first | fields).items() if fields.get(name, ...) is not None}
    rows.write_bytes(b"".join(map(encode_row, [first, *rest])))
    return rows


def film(*segments: tuple[str, float, float]) -> list[TimedVideo]:
    return [TimedVideo("film0.mp4", tuple(TrueSegment(*segment) for segment in segments))]


def test_a_run(rows: Path, tmp_path: Path) -> None:
    watcher = Watcher()
    job = EvaluateJob("timed", data=rows, truth=tmp_path / "truth.csv", output=tmp_path / "out")
    result = run(job, watcher).result
    loaded = Result.load(tmp_path / "out")
    assert loaded.metrics == pytest.approx(dict(result.metrics), nan_ok=True)
    assert loaded.kind == "timed"
    assert set(loaded.intervals) == set(loaded.metrics)
    # two labels are found, of the third the curve stays below its threshold
    assert loaded.metrics["map_iou50"] == pytest.approx(2 / 3, abs=0.05)
    assert loaded.metrics["event_recall"] == pytest.approx(2 / 3, abs=0.1)
    assert loaded.metrics["event_precision"] > 0.8
    assert loaded.metrics["frame_map"] > 0.95  # which no threshold touches
    low, high = loaded.intervals["event_f1"]
    assert low <= loaded.metrics["event_f1"] <= high
    assert loaded.settings["tolerance of events"] == "1 s"
    assert loaded.videos[0]["truth"] == list(LABELS)
    assert set(loaded.videos[0]["predicted"]) == {"guitar", "dog <b>"}
    header, *lines = (tmp_path / "out" / "labels.csv").read_text().splitlines()
    assert header.startswith("label,events,seconds,predicted,ap30,ap50,ap70,frame_ap,precision,recall,f1")
    assert lines[0].startswith("guitar,16,")
    page = (tmp_path / "out" / "index.html").read_text()
    assert "mAP (temporal IoU 0.5)" in page
    assert "True seconds" in page
    assert "dog &lt;b&gt;" in page
    with pytest.raises(UsageError, match="results over time cannot be compared here"):
        compare(tmp_path / "out", tmp_path / "out")


def test_a_wide_tolerance_forgives(rows: Path, tmp_path: Path) -> None:
    job = EvaluateJob("timed", data=rows, truth=tmp_path / "truth.csv", output=tmp_path / "out", tolerance_s=0.0)
    strict = run(job).result.metrics
    wide = run(EvaluateJob("timed", data=rows, truth=tmp_path / "truth.csv", output=tmp_path / "b", tolerance_s=5.0))
    assert strict["event_f1"] < wide.result.metrics["event_f1"]
    assert strict["map_iou50"] == wide.result.metrics["map_iou50"]


def test_what_a_job_must_name(rows: Path, tmp_path: Path) -> None:
    truth = tmp_path / "truth.csv"
    for job in (
        EvaluateJob("timed", truth=truth),
        EvaluateJob("timed", data=rows),
        EvaluateJob("timed", data=rows, truth=truth, model="olmv-mini"),
    ):
        with pytest.raises(
            UsageError, match="name rows with a timeline as the data and a truth over time, or"
        ) as error:
            run(job)
        assert error.value.options == ("data", "truth", "model", "library")
    with pytest.raises(UsageError, match="the tolerance is for events over time, of which moji has none; leave it out"):
        run(EvaluateJob("moji", tolerance_s=1))
    with pytest.raises(UsageError, match="the tolerance is nan s; give 0 or more seconds"):
        run(EvaluateJob("timed", data=rows, truth=truth, tolerance_s=float("nan")))
    ids = tmp_path / "ids.json"
    ids.write_text('{"database": {"x": {"annotations": []}}}')
    with pytest.raises(UsageError, match="this truth has ids, which name no files; predict with a timeline first"):
        run(EvaluateJob("timed", data=ids, model="olmv-mini"))


def test_a_model_is_asked_for_the_videos_and_labels_of_the_truth(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows and curves are kept in the result folder; a video that fails has no curve and is told."""
    asked: list[Any] = []
    curves = {curve.video: curve for curve in read_curves(curves_path(rows))}

    def predicted(
        job: EvaluateJob, videos: Sequence[str], vocabulary: Vocabulary, listener: JobListener
    ) -> Iterator[Any]:
        asked.extend([job.model, len(videos), vocabulary.names])
        for row in map(json.loads, rows.read_text().splitlines()):
            if row["video"] == "film3.mp4":
                yield bad_row() | {"video": "film3.mp4"}, None
            else:
                yield row, curves[row["video"]]

    monkeypatch.setattr("olmv.evaluate.timed.job.timelines_of", predicted)
    watcher = Watcher()
    job = EvaluateJob("timed", data=tmp_path / "truth.csv", model="olmv-mini", output=tmp_path / "out")
    result = run(job, watcher).result
    assert asked == ["olmv-mini", 8, tuple(LABELS)]
    assert watcher.starts == [(8, 0)]
    assert watcher.steps == 8
    assert watcher.notes == ["1 videos failed when they were predicted: film3.mp4"]
    assert len(result.videos) == 7
    assert result.settings["truth"] == "truth.csv"
    assert len(join_timed(tmp_path / "out" / "rows.jsonl", tmp_path / "truth.csv").timelines) == 7


def bad_row() -> dict[str, Any]:
    return {
        "status": "error",
        "error": {"type": "NotAVideoError", "message": "a text"},
        "duration_s": None,
        "frames": {"requested": 8, "decoded": 0, "corrupt": 0},
        "model": "olmv-mini",
        "labels": [],
    }


def test_labels_and_videos_without_a_counterpart(rows: Path, tmp_path: Path) -> None:
    _, truth = made_films(8, LABELS, noise=0.4)
    truth["other.mp4"] = [("dog <b>", 1, 2)]
    del truth["film5.mp4"]
    truth["film0.mp4"].append(("unicorn", 3, 4))
    watcher = Watcher()
    path = write_truth(tmp_path / "t.csv", truth)
    result = run(EvaluateJob("timed", data=rows, truth=path, output=tmp_path / "out"), watcher).result
    assert result.counts == {"videos": 7, "failed": 0, "labels": 3}
    assert [note.partition(":")[0] for note in watcher.notes] == [
        "1 videos of the truth have no prediction",
        "1 predicted videos are not in the truth",
        "1 true labels were not predicted",
    ]
    truth["film0.mp4"] = [*(("unicorn", float(i), i + 1.0) for i in range(9)), ("gnu", 1, 2)]
    with pytest.raises(InputError, match=r"2 of the \d+ labels that the truth gives are not among those to look for"):
        join_timed(rows, write_truth(tmp_path / "t.csv", truth))
    assert len(join_timed(rows, tmp_path / "t.csv", allow_unknown=True).timelines) == 7
    with pytest.raises(InputError, match="have no video in common"):
        join_timed(rows, [TimedVideo("elsewhere.mp4", ())])


def test_true_segments_are_cut_at_the_end_and_joined_where_they_overlap(rows: Path) -> None:
    segments = film(("guitar", 100, 119), ("Guitar", 110, 130), ("rain", 120.5, 121), ("dog <b>", 1, 2))
    timed = join_timed(rows, segments)
    (line,) = timed.timelines
    assert [spans.tolist() for spans in line.truth] == [[[100, 120]], [[1, 2]], []]
    assert timed.notes == (
        "1 label was found though case or white space differ: 'Guitar' as 'guitar'",
        "1 true segments go beyond the end of their video and were cut",
        "1 true segments overlap another of their label and were joined with it",
    )
    message = r"'rain' begins at 700 s of film0.mp4, which ends at 120 s; correct the truth: its times are in seconds"
    with pytest.raises(InputError, match=message):
        join_timed(rows, film(("rain", 700, 720)))


def test_ids_are_the_stems_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    curves, _ = made_films(2, {"dog": 3.0})
    renamed = dict(zip(["val/v_abc.mp4", "val/xyz.webm"], curves.values(), strict=True))
    rows = write_timelines(tmp_path, renamed)
    truth = [
        TimedVideo("xyz", (TrueSegment("dog", 1, 2),), is_id=True),
        TimedVideo("abc", (TrueSegment("dog", 3, 5),), is_id=True),
        TimedVideo("val/none", (), is_id=True),
    ]
    timed = join_timed(rows, truth)
    assert [line.truth[0].tolist() for line in timed.timelines] == [[[3, 5]], [[1, 2]]]
    assert timed.joined.without_prediction == ("val/none",)


def test_rows_that_were_not_made_with_a_timeline(rows: Path, tmp_path: Path) -> None:
    truth = film(("guitar", 1, 2))
    with pytest.raises(UsageError, match=r"rows.csv has no segments: they are in .jsonl only; predict again with a"):
        join_timed(tmp_path / "rows.csv", truth)
    curves_path(rows).rename(tmp_path / "kept")
    with pytest.raises(InputError, match=r"no such file: .*rows.jsonl.curves.parquet"):
        join_timed(rows, truth)
    write_curves(curves_path(rows), [Curve("other.mp4", ("guitar",), np.zeros(1), np.zeros((1, 1), np.float32))])
    with pytest.raises(UsageError, match=r"curves.parquet has no curve of film0.mp4; predict again with a timeline"):
        join_timed(rows, truth)
    (tmp_path / "kept").rename(curves_path(rows))
    with pytest.raises(UsageError, match=r"the segments of film0.mp4 have another label than its row, 'cow'; predict"):
        join_timed(changed(rows, segments=[SEGMENT | {"label": "cow"}]), truth)
    with pytest.raises(UsageError, match=r"the segments of film0.mp4 overlap or have odd times; predict again"):
        join_timed(changed(rows, segments=[SEGMENT, SEGMENT | {"start_s": 1.5}]), truth)
    with pytest.raises(UsageError, match=r"rows.jsonl has no segments of film0.mp4; predict again with a timeline"):
        join_timed(changed(rows, segments=None), truth)


SEGMENT = {"label": "guitar", "start_s": 1.0, "end_s": 2.0, "peak": 0.9, "peak_s": 1.5, "mean": 0.8}


@pytest.mark.parametrize(
    ("starts", "probability"),
    [([], []), ([0, 0], [0.5, 0.5]), ([0, float("nan")], [0.5, 0.5]), ([0, 1], [0.5, 1.5]), ([-1, 1], [0.5, 0.5])],
)
def test_damaged_curves(starts: list[float], probability: list[float]) -> None:
    curve = Curve("a.mp4", ("dog",), np.array(starts, np.float64), np.array(probability, np.float32)[:, None])
    with pytest.raises(UsageError, match=r"the curves of a.mp4 are damaged; predict again with a timeline"):
        timeline_of(TimedVideo("a.mp4", ()), [], curve, ["dog"], duration_s=9)


def test_a_curve_ends_with_its_video_and_has_the_labels_of_the_rows() -> None:
    curve = Curve("a.mp4", ("cat", "dog"), np.array([0.0, 2, 5]), np.eye(3, 2, dtype=np.float32))
    edges = [timeline_of(TimedVideo("a.mp4", ()), [], curve, ["dog"], duration_s=d).edges_s[-1] for d in (9.5, None, 4)]
    assert edges == [9.5, 8, 8]
    line = timeline_of(TimedVideo("a.mp4", (TrueSegment("DOG", 1, 2),)), [SEGMENT | {"label": "dog"}], curve, ["dog"])
    assert line.probability.tolist() == [[0], [1], [0]]
    assert (line.truth[0].tolist(), line.predicted[0].tolist(), line.score[0].tolist()) == ([[1, 2]], [[1, 2]], [0.9])
    with pytest.raises(UsageError, match=r"the curves of a.mp4 lack the label 'cow'; predict again with a timeline"):
        timeline_of(TimedVideo("a.mp4", ()), [], curve, ["dog", "cow"])
