"""Reading predictions back, and putting truth beside them: what fits, what is counted, what is refused."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olmv.datasets.manifests import ManifestRow, expand_inputs
from olmv.errors import InputError, UsageError
from olmv.evaluate.joined import Predictions, join, read_predictions
from olmv.io.journal import encode_row
from olmv.io.prediction_rows import write_rows

Row = dict[str, Any]
SUFFIXES = (".jsonl", ".csv", ".parquet")


def predicted(video: str, model: str = "olmv-mini", threshold: float = 0.5, **probabilities: Any) -> Row:
    """A good row; the logit of every label is ten times its probability."""
    return {
        "video": video,
        "status": "ok",
        "error": None,
        "duration_s": 9.8,
        "frames": {"requested": 8, "decoded": 8, "corrupt": 0},
        "model": model,
        "labels": [
            {
                "label": label,
                "similarity": 0.3,
                "logit": probability and 10 * probability,
                "probability": probability,
                "threshold": threshold,
                "positive": True,
            }
            for label, probability in probabilities.items()
        ],
    }


def failed(video: str) -> Row:
    return predicted(video) | {"status": "error", "error": {"type": "NotAVideoError", "message": "no, look"}}


def written(path: Path, *rows: Row) -> Path:
    if path.suffix == ".jsonl":
        path.write_bytes(b"".join(encode_row(row) for row in rows))
    else:
        write_rows(path, rows)
    return path


@pytest.fixture(params=SUFFIXES)
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Path]:
    return lambda *rows: written(tmp_path / f"predictions{request.param}", *rows)


def table(*videos: str, failed: tuple[str, ...] = (), labels: tuple[str, ...] = ("dog", "rain")) -> Predictions:
    """Predictions whose probabilities count up from 0 in hundredths."""
    numbers = np.arange(len(videos) * len(labels), dtype=np.float64).reshape(len(videos), -1)
    return Predictions("p.jsonl", videos, labels, numbers, numbers / 100, np.full(len(labels), 0.5), "m", failed)


def test_numbers_come_back(write: Callable[..., Path]) -> None:
    odd = 'odd "name",\n; é.mp4'
    path = write(predicted("a.mp4", dog=0.89, rain=0.1), failed("b.mp4"), predicted(odd, dog=0.25, rain=1.0))
    found = read_predictions(path)
    assert (found.videos, found.failed, found.labels) == (("a.mp4", odd), ("b.mp4",), ("dog", "rain"))
    assert found.model == "olmv-mini"
    np.testing.assert_array_equal(found.probability, [[0.89, 0.1], [0.25, 1]])
    np.testing.assert_allclose(found.logit, [[8.9, 1], [2.5, 10]])
    np.testing.assert_array_equal(found.threshold, [0.5, 0.5])
    assert found.probability.dtype == np.float64


def test_rows_with_all_labels_in_another_order_are_put_in_order(write: Callable[..., Path]) -> None:
    found = read_predictions(write(predicted("a.mp4", dog=0.1, rain=0.2), predicted("b.mp4", rain=0.9, dog=0.8)))
    np.testing.assert_array_equal(found.probability, [[0.1, 0.2], [0.8, 0.9]])


def test_a_file_name_that_is_not_utf8_keeps_its_bytes(tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff.mp4")
    for suffix in (".jsonl", ".csv"):
        assert read_predictions(written(tmp_path / f"x{suffix}", predicted(odd, dog=0.1))).videos == (odd,)


def test_rows_cut_by_top_k_are_refused(write: Callable[..., Path]) -> None:
    for second in (predicted("b.mp4", cat=0.3, dog=0.2), predicted("b.mp4", dog=0.3)):
        path = write(predicted("a.mp4", dog=0.1, rain=0.2), second)
        with pytest.raises(UsageError, match=r"labels of b.mp4 are not those of a.mp4 .*again without top-k"):
            read_predictions(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_missing_score_is_refused_with_video_and_label(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / f"x{suffix}", predicted("a.mp4", dog=0.1, rain=0.2), predicted("b.mp4", dog=1, rain=None))
    with pytest.raises(UsageError, match=r"the logit of 'rain' for b.mp4 is missing or not a number; run olmv predict"):
        read_predictions(path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("probability", "NaN", "the probability of 'dog' for a.mp4 is missing or not a number"),
        ("probability", "1.5", "the probability of 'dog' for a.mp4 is 1.5"),
        ("probability", '"high"', "the probability of 'dog' for a.mp4 is missing or not a number"),
        ("logit", "-Infinity", "the logit of 'dog' for a.mp4 is -inf"),
        ("threshold", "-1", "the threshold of 'dog' for a.mp4 is -1"),
    ],
)
def test_scores_that_are_none_are_refused(tmp_path: Path, name: str, value: str, message: str) -> None:
    row = predicted("a.mp4", dog=0.1)
    row["labels"][0][name] = "HERE"
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(row).replace('"HERE"', value))
    with pytest.raises(UsageError, match=message):
        read_predictions(path)


def test_two_rows_for_one_video_are_refused(write: Callable[..., Path]) -> None:
    row = predicted("clips/a.mp4", dog=0.1, rain=0.2)
    for other in (row, row | {"video": "./clips/../clips/a.mp4"}, failed("clips/a.mp4")):
        with pytest.raises(UsageError, match=r"two rows for .*a.mp4: (line|row) \d and (line|row) \d; remove one"):
            read_predictions(write(row, predicted("b.mp4", dog=0.3, rain=0.4), other))


def test_two_models_or_thresholds_are_refused(write: Callable[..., Path]) -> None:
    first = predicted("a.mp4", dog=0.1, rain=0.2)
    with pytest.raises(UsageError, match=r"rows of two models, 'olmv-mini' and 'other' .*in a file each"):
        read_predictions(write(first, predicted("b.mp4", model="other", dog=0.1, rain=0.2)))
    with pytest.raises(UsageError, match=r"b.mp4 and a.mp4 have different thresholds for 'dog'; run"):
        read_predictions(write(first, predicted("b.mp4", threshold=0.4, dog=0.1, rain=0.2)))


def test_files_without_scores_are_refused(write: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match=r"all 2 videos in it failed; run"):
        read_predictions(write(failed("a.mp4"), failed("b.mp4")))
    with pytest.raises(UsageError, match=r"has no scores, it is empty; run"):
        read_predictions(write())
    with pytest.raises(UsageError, match=r"a.mp4 has no labels; run"):
        read_predictions(write(predicted("a.mp4")))


def test_bad_labels_are_refused(tmp_path: Path) -> None:
    row = predicted("a.mp4", dog=0.1, rain=0.2)
    row["labels"][1]["label"] = "dog"
    with pytest.raises(UsageError, match="line 1 has the label 'dog' twice; run"):
        read_predictions(written(tmp_path / "x.jsonl", row))
    row["labels"][1]["label"] = ""
    with pytest.raises(UsageError, match="line 1 has a label without a name; run"):
        read_predictions(written(tmp_path / "x.jsonl", row))


@pytest.mark.parametrize("line", ["[]", "{", '{"video": "a.mp4", "labels": ["dog"]}', '{"video": 1, "status": "ok"}'])
def test_lines_that_are_no_predictions_are_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(f"\n{line}\n")
    with pytest.raises(UsageError, match="line 2 is not a prediction; give the file that olmv predict wrote"):
        read_predictions(path)


def test_a_row_without_video_or_of_unknown_status_is_refused(tmp_path: Path) -> None:
    for change in ({"video": ""}, {"video": None}, {"status": "maybe"}):
        with pytest.raises(UsageError, match="line 1 is not a prediction; give"):
            read_predictions(written(tmp_path / "x.jsonl", predicted("a.mp4", dog=0.1) | change))


def test_other_files_are_refused(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("video,labels\na.mp4,dog\n")
    with pytest.raises(UsageError, match=r"manifest.csv is not a predictions file, it has no column 'status'; give"):
        read_predictions(manifest)
    cut = written(tmp_path / "cut.csv", predicted("a.mp4", dog=0.1))
    cut.write_text(cut.read_text() + "b.mp4,ok\n")
    with pytest.raises(UsageError, match="line 3 is not a prediction; give"):
        read_predictions(cut)
    long = tmp_path / "long.csv"
    long.write_text(cut.read_text() + "x" * 200_000)
    with pytest.raises(UsageError, match=r"line 4 is not csv \(field larger"):
        read_predictions(long)
    (tmp_path / "x.parquet").write_bytes(b"PAR?")
    with pytest.raises(InputError, match=r"x.parquet is not a parquet file"):
        read_predictions(tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"report.html is not a predictions file; give a .jsonl, .csv or .parquet"):
        read_predictions("report.html")
    (tmp_path / "latin.jsonl").write_bytes(b"\xe9\n")
    with pytest.raises(InputError, match=r"latin.jsonl is not UTF-8 \(byte 0\); give"):
        read_predictions(tmp_path / "latin.jsonl")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_is_not_there(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(InputError, match=r"cannot read .*gone.*; check the path"):
        read_predictions(tmp_path / f"gone{suffix}")


def test_join_by_path(tmp_path: Path) -> None:
    manifest = tmp_path / "clips" / "truth.csv"
    manifest.parent.mkdir()
    manifest.write_text("video,labels\nb.mp4,rain;dog\nmissing.mp4,dog\na.mp4,\nc.mp4,snow;snow\n")
    clips = str(tmp_path / "clips")
    predictions = table(f"{clips}/a.mp4", f"{clips}/../clips/b.mp4", f"{clips}/c.mp4", "/else/d.mp4", failed=("f.mp4",))
    with pytest.raises(
        InputError, match=r"1 of the 3 labels that the truth gives are not .*'snow' .*, or leave unknown labels out"
    ):
        join(predictions, manifest)
    found = join(predictions, manifest, allow_unknown=True)
    assert found.scored.videos == predictions.videos[:3]
    assert found.scored.truth.tolist() == [[False, False], [True, True], [False, False]]
    np.testing.assert_array_equal(found.scored.probability, predictions.probability[:3])
    np.testing.assert_array_equal(found.scored.logit, predictions.logit[:3])
    assert found.scored.notes == ()
    assert found.without_prediction == (f"{clips}/missing.mp4",)
    assert (found.without_truth, found.failed) == (("/else/d.mp4",), ("f.mp4",))
    assert found.unknown_labels == {"snow": 1}


def test_join_by_file_name_where_it_is_unique_on_both_sides() -> None:
    rows = [ManifestRow("/old/a.mp4", ("dog",)), ManifestRow("/old/x/same.mp4", ("dog",))]
    found = join(table("/new/a.mp4", "/new/1/same.mp4", "/new/2/same.mp4"), rows)
    assert found.scored.videos == ("/new/a.mp4",)
    assert found.scored.notes == ("matched by file name, since their paths differ: 1 of 3 videos",)
    assert found.without_truth == ("/new/1/same.mp4", "/new/2/same.mp4")
    assert found.without_prediction == ("/old/x/same.mp4",)
    twice = [ManifestRow("/new/a.mp4", ("dog",)), ManifestRow("/old/1/b.mp4", ()), ManifestRow("/old/2/b.mp4", ())]
    assert join(table("/new/a.mp4", "/new/b.mp4"), twice).without_truth == ("/new/b.mp4",)


def test_a_failed_video_is_not_without_prediction() -> None:
    rows = [ManifestRow("/a.mp4", ("dog",)), ManifestRow("/f.mp4", ("dog",))]
    found = join(table("/a.mp4", failed=("/f.mp4",)), rows)
    assert (found.failed, found.without_prediction) == (("/f.mp4",), ())


def test_unknown_truth_is_left_out_and_listed() -> None:
    rows = [ManifestRow("/a.mp4", ("dog",)), ManifestRow("/b.mp4", None), ManifestRow("/gone.mp4", None)]
    found = join(table("/a.mp4", "/b.mp4"), rows)
    assert found.scored.videos == ("/a.mp4",)
    assert found.unlabelled == ("/b.mp4", "/gone.mp4")
    assert found.without_truth == ()
    assert found.without_prediction == ("/gone.mp4",)


def test_videos_of_which_nothing_is_true_are_kept() -> None:
    found = join(table("/a.mp4", "/b.mp4"), [ManifestRow("/a.mp4", ()), ManifestRow("/b.mp4", ())])
    assert found.scored.truth.shape == (2, 2)
    assert not found.scored.truth.any()


def test_one_row_per_label_is_joined(tmp_path: Path) -> None:
    manifest = tmp_path / "truth.csv"
    manifest.write_text("video,labels,caption,split\na.mp4,dog,,x\nb.mp4,,a b,\n./a.mp4,rain,one more,y\n")
    found = join(table(f"{tmp_path}/a.mp4", f"{tmp_path}/b.mp4"), manifest)
    assert found.scored.truth.tolist() == [[True, True], [False, False]]
    assert found.scored.notes == ("1 rows of the truth are for a video met before; their labels were put together",)


def test_paths_that_differ_by_a_folder_above() -> None:
    rows = [ManifestRow("/old/train/1.mp4", ("dog",)), ManifestRow("/old/val/1.mp4", ("rain",))]
    found = join(table("/new/val/1.mp4", "/new/train/1.mp4"), rows)
    assert found.scored.truth.tolist() == [[False, True], [True, False]]


def test_case_and_white_space_are_forgiven_and_told() -> None:
    rows = [ManifestRow("/a.mp4", ("Dog", "rain")), ManifestRow("/b.mp4", ("heavy  RAIN",))]
    found = join(table("/a.mp4", "/b.mp4", labels=("dog", "rain", "heavy rain")), rows)
    assert found.scored.truth.tolist() == [[True, True, False], [False, False, True]]
    assert found.scored.notes == (
        "2 labels were found though case or white space differ: 'Dog' as 'dog', 'heavy  RAIN' as 'heavy rain'",
    )
    # labels that only case tells apart stay apart
    two = join(table("/a.mp4", labels=("Apple", "apple")), [ManifestRow("/a.mp4", ("apple",))])
    assert two.scored.truth.tolist() == [[False, True]]


def test_few_unknown_labels_are_left_out_and_many_refused() -> None:
    videos = [f"/{index}.mp4" for index in range(40)]
    few = [ManifestRow(video, ("dog", "snow") if index < 2 else ("dog",)) for index, video in enumerate(videos)]
    assert join(table(*videos), few).unknown_labels == {"snow": 2}
    many = [ManifestRow(video, ("dog", "snow") if index < 3 else ("dog",)) for index, video in enumerate(videos)]
    with pytest.raises(InputError, match=r"3 of the 43 labels that the truth gives .*'snow' for one \('dog' is\)"):
        join(table(*videos), many)
    assert join(table(*videos), many, allow_unknown=True).unknown_labels == {"snow": 3}


def test_predictions_as_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their paths are as they were given to predict, whatever folder the rows were written to."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    first = predicted("clips/a.mp4", dog=0.1, rain=0.2)
    first["labels"][1]["positive"] = False
    rows = [first, failed("clips/b.mp4"), predicted("clips/1/c.mp4", dog=0.9, rain=0.1)]
    for label in rows[2]["labels"]:
        label["positive"] = False
    for suffix in SUFFIXES:
        truth = written(tmp_path / "runs" / f"other{suffix}", *rows)
        found = join(table("clips/a.mp4", "clips/1/c.mp4", "clips/b.mp4"), truth)
        assert found.scored.videos == ("clips/a.mp4", "clips/1/c.mp4")
        assert found.scored.truth.tolist() == [[True, False], [False, False]]
        assert found.unlabelled == ("clips/b.mp4",)
        assert expand_inputs(truth) == ["clips/a.mp4", "clips/b.mp4", "clips/1/c.mp4"]
    (tmp_path / "bad.jsonl").write_text('{"video": "a.mp4", "status": "ok", "labels": [{"label": "dog"}]}\n')
    with pytest.raises(InputError, match=r"bad.jsonl row 1 is not a prediction; give the file that olmv predict wrote"):
        join(table("a.mp4"), tmp_path / "bad.jsonl")


@pytest.mark.parametrize(
    "cell", ["dog|rain", '"dog, rain"', '"dog，rain"', '"[""dog"", ""rain""]"', "\"['dog', 'rain']\""]
)
def test_separators_that_the_predicted_labels_explain(tmp_path: Path, cell: str) -> None:
    manifest = tmp_path / "truth.csv"
    manifest.write_text(f"video,labels\na.mp4,{cell}\n", encoding="utf-8")
    assert join(table(f"{tmp_path}/a.mp4"), manifest).scored.truth.tolist() == [[True, True]]


def test_nothing_in_common_is_refused() -> None:
    with pytest.raises(InputError, match=r"\(/a.mp4 for one\) and truth \(/b.mp4 for one\) have no video in common"):
        join(table("/a.mp4"), [ManifestRow("/b.mp4", ("dog",))])
    with pytest.raises(InputError, match=r"\(/a.mp4 for one\) and truth have no video in common; give"):
        join(table("/a.mp4"), [])
    with pytest.raises(InputError, match=r"no label of the truth \('cat' for one\) was predicted \('dog' for one\)"):
        join(table("/a.mp4"), [ManifestRow("/a.mp4", ("cat",))])
    for rows in ([ManifestRow("/a.mp4", None)], [ManifestRow("/f.mp4", ("dog",))]):
        with pytest.raises(InputError, match="does not say which labels any scored video has; fill its 'labels'"):
            join(table("/a.mp4", failed=("/f.mp4",)), rows)
