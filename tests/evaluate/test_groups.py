"""Groups of videos, from a manifest to intervals, result folders, comparisons and calibration."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from olmv.calibrate.loading import load
from olmv.datasets.benchmarks.multilabel_sets import manifest
from olmv.datasets.benchmarks.registry import Benchmark, BenchmarkOptions, Split
from olmv.errors import InputError
from olmv.evaluate.compare import compare
from olmv.evaluate.job import EvaluateJob, run
from olmv.evaluate.joined import join, read_predictions
from olmv.evaluate.measure import ONE_GROUP, measure
from olmv.evaluate.results import Result, write_result
from olmv.io.journal import encode_row
from tests.support.watcher import Watcher

SOURCES, COPIES, LABELS = 20, 4, ("dog", "cat", "rain")


def write(folder: Path, seed: int = 0) -> tuple[Path, Path]:
    """Rows of copies of a few sources, and a manifest that tells the source of each; the first five have none."""
    random = np.random.default_rng(seed)
    truth = np.repeat(np.random.default_rng(1).random((SOURCES, 3)) < 0.4, COPIES, axis=0)
    logit = np.repeat(random.normal(size=(SOURCES, 3)), COPIES, axis=0) + 2 * truth - 1
    rows = [
        {
            "video": f"{i}.mp4", "status": "ok", "error": None, "duration_s": 1.0, "model": "m",
            "frames": {"requested": 8, "decoded": 8, "corrupt": 0},
            "labels": [
                {"label": label, "similarity": 0.1, "logit": float(logit[i, c]), "threshold": 0.5,
                 "probability": float(f"{expit(logit[i, c]):.6g}"), "positive": bool(logit[i, c] >= 0)}
                for c, label in enumerate(LABELS)
            ],
        }
        for i in range(len(truth))
    ]  # fmt: skip
    predictions, labels = folder / "rows.jsonl", folder / "truth.jsonl"
    predictions.write_bytes(b"".join(encode_row(row) for row in rows))
    lines = [
        {
            "video": f"{i}.mp4",
            "labels": [label for label, true in zip(LABELS, row, strict=True) if true],
            "group": None if i < 5 else i // COPIES,
        }
        for i, row in enumerate(truth)
    ]
    labels.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return predictions, labels


def test_an_evaluation_of_predictions_keeps_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    predictions, truth = write(tmp_path)
    watcher = Watcher()
    result = run(EvaluateJob("predictions", data=predictions, truth=truth, output=tmp_path / "a"), watcher).result
    note = "75 videos are of 19 groups, which stay whole; 5 videos have none and count as groups of their own"
    assert note in watcher.notes
    assert note in result.notes
    assert [video["group"] for video in result.videos[:7]] == ["", "", "", "", "", "1", "1"]
    rows = [json.loads(line) for line in truth.read_text().splitlines()]
    truth.write_text("".join(json.dumps({k: v for k, v in row.items() if k != "group"}) + "\n" for row in rows))
    watcher = Watcher()
    plain = run(EvaluateJob("predictions", data=predictions, truth=truth, output=tmp_path / "b"), watcher).result
    assert not any("group" in video for video in plain.videos)
    assert any("have scores nearly equal to another's" in line for line in watcher.notes)
    assert any("have scores nearly equal to another's" in line for line in plain.notes)
    assert plain.metrics == result.metrics
    assert "resampling whole groups of videos" in (tmp_path / "a" / "index.html").read_text()
    assert "resampling the videos" in (tmp_path / "b" / "index.html").read_text()
    for name in ("macro_map", "micro_f1", "brier_skill"):
        (low, high), (plain_low, plain_high) = result.intervals[name], plain.intervals[name]
        assert high - low > 1.3 * (plain_high - plain_low)


def test_a_result_folder_gives_its_groups_to_calibrate_and_compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, seed in (("a", 0), ("b", 1)):
        predictions, truth = write(tmp_path, seed)
        run(EvaluateJob("predictions", data=predictions, truth=truth, output=tmp_path / name))
    loaded = load(tmp_path / "a", None)
    assert loaded.scored.groups[4:7] == ("", "1", "1")
    assert "75 videos are of 19 groups" in loaded.notes[-1]
    whole = compare(tmp_path / "a", tmp_path / "b").figures["macro_map"]
    for name in "ab":
        result = Result.load(tmp_path / name)
        bare = tuple({key: value for key, value in video.items() if key != "group"} for video in result.videos)
        write_result(tmp_path / name, replace(result, videos=bare, scores=np.array(result.scores)))
    apart = compare(tmp_path / "a", tmp_path / "b").figures["macro_map"]
    assert whole.difference == apart.difference
    assert whole.high - whole.low > 1.3 * (apart.high - apart.low)


def test_one_group_has_no_intervals(tmp_path: Path) -> None:
    truth = ((0,), (), (0,), ())
    made = Benchmark(
        name="manifest",
        kind="multi-label",
        labels=("dog",),
        classes=("dog",),
        videos=("a", "b", "c", "d"),
        truth=truth,
        splits=(Split("all", (0, 1, 2, 3), (0,)),),
        video_groups=("x",) * 4,
    )
    scores = np.array([2.0, 0.0, 1.0, 3.0], dtype=np.float32)[:, None, None]
    found = measure(made, scores, "logits")
    assert found.intervals == {}
    assert found.notes == (ONE_GROUP,)
    assert measure(replace(made, video_groups=("x", "x", "y", "")), scores, "logits").intervals
    videos = tuple(
        {"video": v, "status": "ok", "error": None, "truth": ["dog"] if t else [], "group": "x"}
        for v, t in zip("abcd", truth, strict=True)
    )
    for name in "ab":
        write_result(tmp_path / name, Result("p", "multi-label", "m", "", ("dog",), videos, {}, scores=scores))
    comparison = compare(tmp_path / "a", tmp_path / "b")
    assert ONE_GROUP in comparison.notes
    assert np.isnan(comparison.figures["macro_map"].low)
    assert comparison.figures["macro_map"].p == 1


def test_groups_of_a_manifest_and_of_its_split(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("video,labels,split,group\na.mp4,dog,val,x\na.mp4,cat,val,\nb.mp4,dog,val,\nc.mp4,,train,x\n")
    found = manifest("manifest", path, BenchmarkOptions(split="val"))
    assert found.video_groups == ("x", "")
    assert found.notes[-1] == (
        "1 videos are of 1 group, which stay whole; 1 videos have none and count as groups of their own"
    )
    path.write_text("video,labels,Groups\na.mp4,dog,x\n")
    found = manifest("manifest", path, BenchmarkOptions())
    assert found.video_groups == ()
    assert found.notes[0].startswith("the column 'Groups' of m.csv is not looked at")
    path.write_text("video,labels,group\na.mp4,dog,x\na.mp4,cat,y\n")
    with pytest.raises(InputError, match=r"a\.mp4 has two groups, 'x' and 'y'; give it one"):
        manifest("manifest", path, BenchmarkOptions())


def test_join_refuses_two_groups_of_one_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    predictions, truth = write(tmp_path)
    with truth.open("a") as file:
        file.write(json.dumps({"video": "9.mp4", "labels": ["dog"], "group": "elsewhere"}) + "\n")
    with pytest.raises(InputError, match=r"9\.mp4 has two groups, '2' and 'elsewhere'; give it one"):
        join(read_predictions(predictions), truth)
