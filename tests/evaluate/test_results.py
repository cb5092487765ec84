"""The result folder: what is written is read again."""

import csv
import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.errors import InputError, OutputError, UsageError
from olmv.evaluate.label_table import label_table
from olmv.evaluate.results import Result, json_text, scored_of_result, write_result
from olmv.evaluate.tables import csv_text, plain
from tests.evaluate.made_results import made_result


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "result.json"
    content = json.loads(path.read_text())
    content.update(changes)
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not ...}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_result(tmp_path / "r", made_result())
    return tmp_path / "r"


@pytest.mark.parametrize("kind", ["multi-label", "single-label", "retrieval"])
def test_it_comes_back_as_it_was(tmp_path: Path, kind: str) -> None:
    result = made_result(
        kind,
        metrics={"top1": np.float64(0.25), "missing": math.nan},
        intervals={"top1": (0.1, math.nan)},
        classes=tuple(f"c{i}" for i in range(40 if kind == "retrieval" else 6)),
        versions={"torch": "2.9"},
        settings={"frames": 8, "templates": ["a {}."], "lists": Path("a/b.txt")},
        splits=({"name": "one", "videos": [0, 1], "labels": [2], "metrics": {"top1": math.nan}},),
        groups={"seen": {"macro_map": 0.5}},
        never=("x",),
        notes=("a note",),
        combine="probabilities",
    )
    write_result(tmp_path, result, label_table(result))
    found = Result.load(tmp_path)
    assert found.metrics["top1"] == 0.25
    assert math.isnan(found.metrics["missing"])
    assert found.intervals["top1"][0] == 0.1
    assert math.isnan(found.intervals["top1"][1])
    assert math.isnan(found.splits[0]["metrics"]["top1"])
    assert found.splits[0]["videos"] == [0, 1]
    assert found.settings == {"frames": 8, "templates": ["a {}."], "lists": "a/b.txt"}
    for name in ("protocol", "kind", "model", "created", "labels", "classes", "thresholds", "videos", "versions"):
        assert getattr(found, name) == getattr(result, name)
    for name in ("counts", "groups", "never", "always", "notes", "combine"):
        assert getattr(found, name) == getattr(result, name)
    np.testing.assert_array_equal(found.scores, result.scores)
    np.testing.assert_array_equal(found.truth, result.truth)
    assert np.flatnonzero(~found.ok).tolist() == [3]


def test_no_nan_is_written(folder: Path) -> None:
    write_result(folder, made_result(metrics={"a": math.nan, "b": math.inf, "c": np.float32("nan")}))
    content = json.loads((folder / "result.json").read_text(), parse_constant=lambda word: pytest.fail(word))
    assert content["metrics"] == {"a": None, "b": None, "c": None}
    assert content["format"] == "olmv-result/1"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8")),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
        max_leaves=20,
    )
)
def test_plain_data_is_json_and_stays_what_it_is(value: Any) -> None:
    def expected(item: Any) -> Any:
        if isinstance(item, dict):
            return {name: expected(inner) for name, inner in item.items()}
        if isinstance(item, list):
            return [expected(inner) for inner in item]
        return None if isinstance(item, float) and not math.isfinite(item) else item

    assert json.loads(json_text({"x": plain(value)})) == {"x": expected(value)}


def test_long_lists_of_indices_share_a_line(tmp_path: Path) -> None:
    split = {"name": "[\n 1,\n 2\n]", "videos": list(range(100)), "labels": [], "metrics": {}}
    write_result(tmp_path, made_result(splits=(split, split)))
    assert ",".join(map(str, range(100))) in (tmp_path / "result.json").read_text()
    assert Result.load(tmp_path).splits[0]["name"] == split["name"]


def test_views_are_combined_as_the_protocol_says() -> None:
    result = made_result("single-label")
    assert result.scores is not None
    views = result.scores.astype(np.float64)[result.ok]
    np.testing.assert_allclose(result.logit()[result.ok], views.mean(axis=1))
    shares = np.exp(views) / np.exp(views).sum(axis=2, keepdims=True)
    averaged = replace(result, combine="probabilities").probability()[result.ok]
    np.testing.assert_allclose(averaged, shares.mean(axis=1))
    np.testing.assert_allclose(result.probability()[result.ok].sum(axis=1), 1)
    multi = made_result()
    np.testing.assert_allclose(multi.probability()[multi.ok], 1 / (1 + np.exp(-multi.logit()[multi.ok])))


def test_labels_that_read_the_same_are_told_apart_by_their_index(tmp_path: Path) -> None:
    videos = [
        {"video": name, "status": "ok", "error": None, "truth": ["a man sings"], "truth_index": [place]}
        for place, name in enumerate(("a.mp4", "b.mp4"))
    ]
    scores = np.zeros((2, 1, 2), dtype=np.float32)
    result = made_result("retrieval", labels=2, videos=4)
    write_result(tmp_path, replace(result, labels=("a man sings",) * 2, videos=tuple(videos), scores=scores))
    np.testing.assert_array_equal(Result.load(tmp_path).truth, np.eye(2, dtype=bool))


def test_a_path_that_is_not_utf8_finds_its_file_again(tmp_path: Path) -> None:
    name = os.fsdecode(b"/videos/\xff.mp4")
    result = made_result(settings={"file": name})
    write_result(tmp_path, replace(result, videos=({**result.videos[0], "video": name}, *result.videos[1:])))
    found = Result.load(tmp_path)
    assert found.videos[0]["video"] == name
    assert found.settings["file"] == name


def test_scores_that_lie_there_already_are_left_alone(folder: Path) -> None:
    path = folder / "scores.npy"
    before = path.stat()
    mapped = Result.load(folder)
    write_result(folder, mapped)
    assert path.stat().st_ino == before.st_ino
    write_result(folder, replace(mapped, scores=np.asarray(mapped.scores)))
    assert path.stat().st_ino == before.st_ino
    assert mapped.scores is not None
    fewer = replace(mapped, videos=mapped.videos[:10], scores=mapped.scores[:10])
    write_result(folder, fewer)
    assert Result.load(folder).truth.shape == (10, 6)


def test_what_an_earlier_result_left_is_gone(folder: Path) -> None:
    result = made_result()
    write_result(folder, result, label_table(result))
    write_result(folder, replace(result, scores=None))
    assert sorted(path.name for path in folder.iterdir()) == ["result.json", "videos.jsonl"]
    assert Result.load(folder).ok.sum() == 39


def test_the_table_of_a_multi_label_result(tmp_path: Path) -> None:
    from sklearn.metrics import average_precision_score

    result = made_result(labels=6, thresholds=(0.4,) * 6)
    table = label_table(result, {"seen": (0, 1), "all": range(6)})
    write_result(tmp_path, result, table)
    with (tmp_path / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert ",".join(rows[0]) == "label,group,support,predicted,ap,precision,recall,f1,threshold,best_threshold,best_f1"
    assert [row["group"] for row in rows] == ["seen; all"] * 2 + ["all"] * 4
    probability, truth = result.probability()[result.ok], result.truth[result.ok]
    for index, row in enumerate(rows):
        assert float(row["ap"]) == pytest.approx(
            average_precision_score(truth[:, index], probability[:, index]), rel=1e-5
        )
        assert int(row["support"]) == truth[:, index].sum()
        assert int(row["predicted"]) == (probability[:, index] >= 0.4).sum()
        assert float(row["threshold"]) == 0.4


def test_the_table_of_a_single_label_result() -> None:
    result = made_result("single-label", classes=tuple("ABCDEF"))
    table = label_table(result)
    right = (result.logit().argmax(axis=1) == result.truth.argmax(axis=1))[result.ok]
    assert sum(row["accuracy"] * row["support"] for row in table) == pytest.approx(right.sum())
    assert sum(row["support"] for row in table) == 39
    assert [row["class"] for row in table] == list("ABCDEF")
    assert all(row["confused_with"] != row["label"] for row in table)
    assert label_table(made_result("retrieval")) == []


def test_labels_are_data_in_the_table_and_missing_numbers_are_empty() -> None:
    text = csv_text("single-label", [{"label": '=1+1,"x"', "accuracy": math.nan, "confused": np.int64(3)}])
    (row,) = csv.DictReader(text.splitlines())
    assert row["label"] == '\'=1+1,"x"', "a formula is no cell of ours"
    assert row["accuracy"] == row["class"] == ""
    assert row["confused"] == "3"


def test_scores_beside_truth(folder: Path) -> None:
    scored = scored_of_result(folder)
    result = made_result()
    assert len(scored.videos) == 39
    assert "/videos/003.mp4" not in scored.videos
    np.testing.assert_allclose(scored.logit, result.logit()[result.ok])
    np.testing.assert_allclose(scored.probability, result.probability()[result.ok])
    np.testing.assert_array_equal(scored.truth, result.truth[result.ok])
    assert scored.threshold.tolist() == [0.5] * 6
    assert scored.model == "a-model"
    assert scored.notes == ("1 of 40 videos failed and are left out",)


def test_scores_that_cannot_be_had(folder: Path) -> None:
    (folder / "scores.npy").unlink()
    with pytest.raises(UsageError, match=r"has no scores\.npy; evaluate again"):
        scored_of_result(folder)
    write_result(folder, made_result(scores=np.full((40, 1, 6), np.nan, dtype=np.float32)))
    with pytest.raises(UsageError, match=r"every video of .* failed; evaluate again"):
        scored_of_result(folder)
    write_result(folder, made_result("single-label"))
    with pytest.raises(UsageError, match="is a single-label result, which has no thresholds; give a multi-label one"):
        scored_of_result(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "olmv-result/2"}, "has the format olmv-result/2, this olmv reads olmv-result/1; use a newer olmv"),
        ({"format": "olmv-thresholds/1"}, "is not a result that `olmv evaluate` wrote; name another folder"),
        ({"format": ...}, "is not a result that `olmv evaluate` wrote"),
        ({"labels": ..., "model": ...}, "lacks labels, model; evaluate again"),
        ({"kind": "ordinal"}, "is of kind 'ordinal'; use a newer olmv"),
        ({"labels": ["a"]}, r"has 40 videos and 6 labels, the rest of the folder 40 and 1; evaluate again"),
    ],
)
def test_a_result_that_cannot_be_read(folder: Path, changes: dict[str, Any], message: str) -> None:
    edit(folder, **changes)
    with pytest.raises(UsageError, match=message):
        Result.load(folder)


def test_files_that_are_missing_or_damaged(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such folder: .*nowhere; name one"):
        Result.load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"has no result\.json: no evaluation was finished there; run it again"):
        Result.load(tmp_path / "empty")
    (folder / "scores.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(UsageError, match="is not a float32 array of videos, views and labels; evaluate again"):
        Result.load(folder)
    np.save(folder / "scores.npy", np.zeros((40, 6)))
    with pytest.raises(UsageError, match="is not a float32 array"):
        Result.load(folder)
    (folder / "videos.jsonl").write_text('{"video": "a.mp4"}\n')
    with pytest.raises(UsageError, match="is not what `olmv evaluate` wrote; evaluate again"):
        Result.load(folder)
    (folder / "videos.jsonl").write_text("{")
    with pytest.raises(UsageError, match="is not what `olmv evaluate` wrote; evaluate again"):
        Result.load(folder)
    (folder / "videos.jsonl").unlink()
    with pytest.raises(InputError, match=r"has no videos\.jsonl; evaluate again"):
        Result.load(folder)
    (folder / "result.json").write_text("{")
    with pytest.raises(UsageError, match="is not a result"):
        Result.load(folder)


def test_a_true_label_that_is_not_in_the_list() -> None:
    result = made_result()
    strange = replace(result, videos=({**result.videos[0], "truth": ["dragon"]}, *result.videos[1:]))
    with pytest.raises(
        UsageError, match=r"a true label of '/videos/000\.mp4' is not in the list of labels \('dragon'\)"
    ):
        _ = strange.truth


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write to '.*file': .*; choose another folder$"):
        write_result(tmp_path / "file", made_result())
