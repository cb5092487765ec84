"""A truth in which not every pair of video and label was judged, and who can work with it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from olmv.calibrate.job import run
from olmv.calibrate.options import CalibrateJob
from olmv.datasets.benchmarks.registry import BenchmarkOptions, load_benchmark
from olmv.datasets.judged import check_complete, judged_pairs
from olmv.datasets.manifests import ManifestRow, join_rows, read_manifest
from olmv.errors import InputError
from olmv.evaluate.from_predictions import benchmark_of
from olmv.evaluate.joined import join, read_predictions
from olmv.io.journal import encode_row
from olmv.labels.lookup import LabelLookup
from olmv.labels.vocabulary import Vocabulary
from olmv.metrics.calibration_error import calibration_figures
from olmv.scoring.logits import sigmoid
from olmv.train.data.manifest_data import ManifestDataset
from olmv.train.data.replay import ReplayDataset
from olmv.video.transforms import Preprocess
from tests.support.watcher import Watcher

PREPROCESS = Preprocess(size=8, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
TEXT = "video,labels,absent\na.mp4,dog,rain\nb.mp4,,dog\nc.mp4,dog;rain,\n"


def table(path: Path) -> Path:
    """The same three rows in the format of the path's extension."""
    rows = [(row[0], [x for x in row[1].split(";") if x], [x for x in row[2].split(";") if x]) for row in
            (line.split(",") for line in TEXT.splitlines()[1:])]  # fmt: skip
    named = [{"video": video, "labels": labels, "absent": absent} for video, labels, absent in rows]
    if path.suffix == ".csv":
        path.write_text(TEXT)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in named))
    else:
        pq.write_table(pa.Table.from_pylist(named), path)
    return path


def predictions(path: Path, probability: np.ndarray[Any, Any], labels: tuple[str, ...] = ("dog", "rain")) -> Path:
    logit = np.log(probability / (1 - probability))
    rows = [
        {
            "video": f"{path.parent}/{number:03}.mp4", "status": "ok", "error": None, "duration_s": 1.0, "model": "m",
            "frames": {"requested": 1, "decoded": 1, "corrupt": 0},
            "labels": [
                {"label": label, "similarity": 0.0, "logit": float(logit[number, c]), "threshold": 0.5,
                 "probability": float(probability[number, c]), "positive": bool(probability[number, c] >= 0.5)}
                for c, label in enumerate(labels)
            ],
        }
        for number in range(len(probability))
    ]  # fmt: skip
    path.write_bytes(b"".join(map(encode_row, rows)))
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_every_format_tells_what_was_judged(tmp_path: Path, name: str) -> None:
    rows = read_manifest(table(tmp_path / name))
    assert [(row.labels, row.absent) for row in rows] == [
        (("dog",), ("rain",)),
        ((), ("dog",)),
        (("dog", "rain"), ()),
    ]
    known = judged_pairs(rows, LabelLookup(["dog", "rain"]))
    assert known is not None
    assert known.tolist() == [[True, True], [True, False], [True, True]]


def test_without_the_column_all_is_judged_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("video,labels\na.mp4,dog\nb.mp4,\n")
    rows = read_manifest(tmp_path / "t.csv")
    assert [row.absent for row in rows] == [None, None]
    assert judged_pairs(rows, LabelLookup(["dog", "rain"])) is None


def test_a_row_of_jsonl_without_it_is_judged_for_all_labels(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"video": "a.mp4", "labels": ["dog"]}\n{"video": "b.mp4", "absent": ["DOG"]}\n')
    rows = read_manifest(tmp_path / "t.jsonl")
    assert rows[1].labels == ()
    known = judged_pairs(rows, LabelLookup(["dog", "rain"]))
    assert known is not None
    assert known.tolist() == [[True, True], [True, False]]


def test_rows_for_one_video_are_put_together() -> None:
    rows = [
        ManifestRow("a.mp4", ("dog",), absent=("rain",)),
        ManifestRow("./a.mp4", (), absent=("cat",)),
        ManifestRow("b.mp4", (), absent=("cat",)),
        ManifestRow("b.mp4", ("dog",)),
    ]
    joined, count = join_rows(rows)
    assert count == 2
    assert [(row.labels, row.absent) for row in joined] == [(("dog",), ("rain", "cat")), (("dog",), None)]


@pytest.mark.parametrize("rows", [
    [ManifestRow("a.mp4", ("dog",), absent=("dog",))],
    [ManifestRow("a.mp4", ("dog",)), ManifestRow("a.mp4", (), absent=("dog",))],
])  # fmt: skip
def test_true_and_not_true_at_once_is_refused(rows: list[ManifestRow]) -> None:
    with pytest.raises(InputError, match=r"a.mp4 is told both to have 'dog' and not to; correct one of its rows"):
        join_rows(rows)


def test_a_bad_cell_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"video": "a.mp4", "labels": [], "absent": 3}\n')
    with pytest.raises(InputError, match="row 1 has bad 'absent'; write a list, or 'dog;rain' in csv"):
        read_manifest(tmp_path / "t.jsonl")


def test_what_takes_all_pairs_refuses() -> None:
    check_complete(None, "a count")
    with pytest.raises(InputError, match=r"1 of 2 pairs of video and label were not judged .*, and a count takes all"):
        check_complete(np.array([[True, False]]), "a count")


class TestEvaluate:
    def test_predictions_with_pairs_unjudged(self, tmp_path: Path) -> None:
        rows = predictions(tmp_path / "rows.jsonl", np.full((2, 2), 0.7))
        truth = tmp_path / "t.csv"
        truth.write_text("video,labels,absent\n000.mp4,dog,rain\n001.mp4,,dog\n")
        scored = join(read_predictions(rows), truth).scored
        assert scored.known is not None
        assert scored.known.tolist() == [[True, True], [True, False]]
        with pytest.raises(InputError, match=r"1 of 4 pairs .* and an evaluation takes all of them; judge the rest"):
            benchmark_of(rows, truth)
        truth.write_text("video,labels,absent\n000.mp4,dog,rain\n001.mp4,,dog;rain\n")
        assert benchmark_of(rows, truth)[0].truth == ((0,), ())

    def test_a_manifest_with_pairs_unjudged(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"1 of 6 pairs .* and an evaluation takes all of them; judge the rest"):
            load_benchmark("manifest", table(tmp_path / "t.csv"), options=BenchmarkOptions())


class TestCalibrate:
    def truth(self, path: Path, dog: np.ndarray[Any, Any], judged: np.ndarray[Any, Any]) -> Path:
        lines = ["video,labels,absent"]
        for number in range(len(dog)):
            if judged[number]:
                lines.append(f"{number:03}.mp4,{'dog' if dog[number] else ''},{'' if dog[number] else 'dog'}")
            else:
                lines.append(f"{number:03}.mp4,,")
        path.write_text("\n".join(lines) + "\n")
        return path

    def test_pairs_that_nobody_judged_are_left_out(self, tmp_path: Path) -> None:
        random = np.random.default_rng(0)
        logit = random.normal(0, 2, (200, 2))
        dog, judged = logit[:, 0] + random.normal(0, 0.5, 200) > 0, random.random(200) < 0.5
        dog[:5], judged[:5] = True, False
        rows = predictions(tmp_path / "rows.jsonl", sigmoid(logit))
        watcher = Watcher()
        job = CalibrateJob(
            rows, tmp_path / "t.json", truth=self.truth(tmp_path / "t.csv", dog, judged), scaling="platt"
        )
        summary = run(job, watcher)
        (tmp_path / "few").mkdir()
        alone = predictions(tmp_path / "few" / "rows.jsonl", sigmoid(logit[judged][:, :1]), ("dog",))
        complete = self.truth(tmp_path / "few" / "t.csv", dog[judged], np.ones(int(judged.sum()), dtype=bool))
        expected = run(CalibrateJob(alone, tmp_path / "few" / "t.json", truth=complete, scaling="platt"))
        assert summary.thresholds.entry("dog").threshold == expected.thresholds.entry("dog").threshold
        assert summary.thresholds.entry("dog").scaling == expected.thresholds.entry("dog").scaling
        assert summary.after is not None
        assert summary.after.decided.tolist() == [judged.sum(), 0]
        assert summary.calibration is not None
        assert expected.calibration is not None
        assert vars(summary.calibration[0]) == pytest.approx(vars(expected.calibration[0]))
        assert summary.refused == {"rain": "no video was judged for it"}
        assert "rain" not in summary.thresholds
        assert "1 label judged for no video get no threshold: 'rain'" in watcher.notes
        assert (
            f"{400 - judged.sum()} of 400 pairs of video and label were not judged and are left out" in watcher.notes[0]
        )

    def test_nothing_is_promised(self, tmp_path: Path) -> None:
        rows = predictions(tmp_path / "rows.jsonl", np.full((4, 2), 0.7))
        truth = self.truth(tmp_path / "t.csv", np.ones(4, dtype=bool), np.ones(4, dtype=bool))
        job = CalibrateJob(rows, tmp_path / "t.json", truth=truth, objective="recall=0.9", guarantee=0.9)
        with pytest.raises(InputError, match=r"4 of 8 pairs .* and a guarantee takes all of them; judge the rest"):
            run(job)

    def test_figures_of_probabilities_are_of_the_judged_pairs(self) -> None:
        random = np.random.default_rng(3)
        probability, truth = random.random((80, 1)), random.random((80, 1)) < 0.4
        known = random.random((80, 1)) < 0.5
        few = known[:, 0]
        figures = calibration_figures(probability, truth & known, known)
        assert vars(figures) == pytest.approx(vars(calibration_figures(probability[few], truth[few])))


class TestTrain:
    def test_pairs_that_nobody_judged_are_unknown(self, tmp_path: Path) -> None:
        data = ManifestDataset(table(tmp_path / "t.csv"), preprocess=PREPROCESS)
        known = data.known([2, 1])
        assert known is not None
        assert known.tolist() == [[True, True], [True, False]]
        assert f"{tmp_path / 't.csv'}: 1 of 6 pairs of video and label were not judged and teach nothing" in data.notes
        assert not any("empty list of labels" in note for note in data.notes)

    def test_replayed_clips_keep_what_is_unknown_of_them(self, tmp_path: Path) -> None:
        part = ManifestDataset(table(tmp_path / "t.csv"), preprocess=PREPROCESS)
        (tmp_path / "new.csv").write_text("video,labels\nz.mp4,cat\n")
        new = ManifestDataset(tmp_path / "new.csv", Vocabulary.from_names(["cat"]), preprocess=PREPROCESS)
        both = ReplayDataset(["rain", "dog", "cat"], [new, part], [[0], [1, 2]])
        assert both.known([0, 1, 2]).tolist() == [[False, False, True], [False, True, False], [True, True, False]]
