"""A run as a library call: result folders, single-label scores, what a call may ask."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from olmv.calibrate.job import run
from olmv.calibrate.options import CalibrateJob
from olmv.errors import MissingDependencyError, UsageError
from olmv.evaluate.results import Result, write_result
from olmv.io.prediction_rows import write_rows
from tests.support.missing import hide
from tests.support.watcher import Watcher


def result(folder: Path, labels: tuple[str, ...] = ("dog", "cat"), count: int = 60) -> Path:
    random = np.random.default_rng(0)
    truth = random.random((count, len(labels))) < 0.5
    scores = random.normal(np.where(truth, 2, -2) - 3, 1.0)[:, None].astype(np.float32)
    scores[-1] = np.nan
    videos = tuple(
        {"video": f"{i}.mp4", "status": "ok", "error": None, "predicted": [],
         "truth": [label for label, true in zip(labels, row, strict=True) if true]}
        for i, row in enumerate(truth)
    )  # fmt: skip
    settings = {"mode": "multi-label", "frames": 4, "view": "centre"}
    made = Result("manifest", "multi-label", "m", "2026-01-01", labels, videos, {}, settings=settings, scores=scores)
    write_result(folder, made)
    return folder


def test_a_result_folder(tmp_path: Path) -> None:
    watcher = Watcher()
    job = CalibrateJob(result(tmp_path / "r"), tmp_path / "t.json", objective="f2", page=tmp_path / "p.html")
    summary = run(job, watcher)
    assert watcher.notes == ["1 of 60 videos failed and are left out"]
    assert summary.thresholds.provenance.settings == {"mode": "multi-label", "frames": 4}
    assert summary.written == (tmp_path / "t.json", tmp_path / "p.html")
    assert summary.after is not None
    assert summary.before is not None
    assert summary.after.macro_f1 > summary.before.macro_f1 + 0.2
    unlabelled = run(CalibrateJob(tmp_path / "r", tmp_path / "u.json", unlabelled=True, prevalence="0.5"))
    assert len(unlabelled.thresholds) == 2


def test_labels_that_read_the_same(tmp_path: Path) -> None:
    rows = result(tmp_path / "r", labels=("dog", "dog"))
    with pytest.raises(UsageError, match=r"two labels of .* read 'dog'; thresholds need labels that differ"):
        run(CalibrateJob(rows, tmp_path / "t.json"))


def test_single_label_probabilities(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    logit = random.normal(0, 2, (40, 3))
    probability = softmax(logit, axis=1)
    rows = [
        {
            "video": f"{i}.mp4", "status": "ok", "error": None, "duration_s": 1.0, "model": "m",
            "frames": {"requested": 1, "decoded": 1, "corrupt": 0},
            "labels": [
                {"label": label, "similarity": 0.0, "logit": logit[i, c], "probability": probability[i, c],
                 "threshold": 0.5, "positive": bool(probability[i, c] >= 0.5)}
                for c, label in enumerate("abc")
            ],
        }
        for i in range(40)
    ]  # fmt: skip
    write_rows(tmp_path / "rows.csv", rows)
    truth = "".join(f"{i}.mp4,{'abc'[logit[i].argmax()]}\n" for i in range(40))
    (tmp_path / "truth.csv").write_text("video,labels\n" + truth)
    # the paths of a csv of rows are as they were given; those of a manifest begin where it is: matched by name
    summary = run(CalibrateJob(tmp_path / "rows.csv", tmp_path / "t.json", truth=tmp_path / "truth.csv", min_support=2))
    assert summary.thresholds.provenance.settings == {"mode": "single-label"}
    assert len([note for note in summary.notes if "do worse" not in note]) == 1
    assert "matched by file name" in summary.notes[0]
    assert summary.after is not None
    assert summary.after.macro_f1 > 0.8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scaling": "beta"}, "unknown scaling 'beta'; choose platt or isotonic"),
        ({"min_support": 0}, "the minimum support is 0; give at least 1"),
        ({"folds": 1}, "folds is 1; give at least 2"),
        ({"unlabelled": True, "scaling": "platt"}, "the scaling goes with labelled videos, not with unlabelled ones"),
    ],
)
def test_bad_options(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(CalibrateJob(tmp_path, tmp_path / "t.json", **options))  # type: ignore[arg-type]


def test_a_package_that_is_missing_is_told_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = tmp_path / "nothing.jsonl"
    with monkeypatch.context() as patch:
        hide(patch, "sklearn")
        with pytest.raises(MissingDependencyError, match=r"^fitting a scaling needs sklearn; .*'olmv\[evaluate\]'$"):
            run(CalibrateJob(nothing, tmp_path / "t.json", scaling="platt"))
    hide(monkeypatch, "scipy")
    with pytest.raises(MissingDependencyError, match=r"^calibrating needs scipy; install it: pip install 'olmv\[evalu"):
        run(CalibrateJob(nothing, tmp_path / "t.json"))
    folder = result(tmp_path / "r")
    unlabelled = run(CalibrateJob(folder, tmp_path / "t.json", unlabelled=True, prevalence="0.5"))
    assert len(unlabelled.thresholds) == 2


def test_a_positive_that_one_fold_holds_alone(tmp_path: Path) -> None:
    folder = result(tmp_path / "r", labels=("dog",), count=12)
    rows = Result.load(folder)
    only = tuple({**video, "truth": ["dog"] if i == 0 else []} for i, video in enumerate(rows.videos))
    write_result(folder, Result("p", "multi-label", "m", "", ("dog",), only, {}, scores=np.array(rows.scores)))
    summary = run(CalibrateJob(folder, tmp_path / "t.json"))
    assert list(summary.thresholds) == ["dog"]
    assert summary.after is not None
    assert np.isnan(summary.after.macro_f1)  # nobody could learn it without that video


def test_thresholds_that_do_worse_are_told(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    truth = random.random((40, 1)) < 0.3
    probability = np.where(truth, 0.6, 0.4) + random.uniform(-0.09, 0.09, truth.shape)
    probability[np.flatnonzero(truth)[0]] = 0.97  # 0.5 is right for all; a fold that lacks some cuts elsewhere
    logit = np.log(probability / (1 - probability))[:, None].astype(np.float32)
    videos = tuple(
        {"video": f"{i}.mp4", "status": "ok", "error": None, "predicted": [], "truth": ["dog"] if true else []}
        for i, true in enumerate(truth[:, 0])
    )
    made = Result("manifest", "multi-label", "m", "2026-01-01", ("dog",), videos, {}, scores=logit)
    write_result(tmp_path / "r", made)
    watcher = Watcher()
    summary = run(CalibrateJob(tmp_path / "r", tmp_path / "t.json", objective="f1", min_support=1), watcher)
    assert summary.before is not None
    assert summary.after is not None
    worse = summary.after.macro_f1 < summary.before.macro_f1
    assert worse
    assert any("these thresholds do worse than the ones before" in note for note in watcher.notes)
