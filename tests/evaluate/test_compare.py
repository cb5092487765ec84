"""Two results side by side: matched, measured on what both have, and told."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olmv.errors import InputError, OutputError, UsageError
from olmv.evaluate.compare import Comparison, compare
from olmv.evaluate.compare_page import _line, write_comparison
from olmv.evaluate.label_table import label_table
from olmv.evaluate.results import Result, write_result
from olmv.metrics.bootstrap import Difference
from olmv.metrics.multilabel import multi_label
from olmv.metrics.retrieval import retrieval
from olmv.metrics.single_label import top_k_accuracy
from tests.evaluate.made_results import EVIL, made_result

KINDS = ("multi-label", "single-label", "retrieval")


def compared(tmp_path: Path, a: Result, b: Result, **groups: Any) -> Comparison:
    for name, result in (("a", a), ("b", b)):
        write_result(tmp_path / name, result, label_table(result, groups))
    return compare(tmp_path / "a", tmp_path / "b")


def without_failures(result: Result, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    kept = result.ok if rows is None else rows
    return result.logit()[kept], result.probability()[kept], result.truth[kept]


def figures_of(result: Result, rows: np.ndarray | None = None) -> dict[str, float]:
    logit, probability, truth = without_failures(result, rows)
    if result.kind == "single-label":
        return top_k_accuracy(logit, truth.argmax(axis=1))
    if result.kind == "retrieval":
        there = truth.any(axis=0)
        return retrieval(logit[:, there], truth[:, there])
    return multi_label(probability, truth, np.full(truth.shape[1], 0.5)).figures()


@pytest.mark.parametrize("kind", KINDS)
def test_the_difference_is_that_of_the_figures(tmp_path: Path, kind: str) -> None:
    a, b = made_result(kind), made_result(kind, seed=1)
    found = compared(tmp_path, a, b)
    assert found.videos == 39
    of_a, of_b = figures_of(a), figures_of(b)
    assert len(found.figures) >= 2
    for name, figure in found.figures.items():
        assert figure.a == pytest.approx(of_a[name])
        assert figure.b == pytest.approx(of_b[name])
        assert figure.difference == pytest.approx(of_b[name] - of_a[name])
        assert figure.low <= figure.high
    assert found.notes == ("1 videos failed in one of them and are left out",)
    assert found.settings == ()
    assert found.names == ("a", "b")


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_is_no_better_than_itself(tmp_path: Path, kind: str) -> None:
    write_result(tmp_path / "a", made_result(kind))
    with pytest.raises(UsageError, match="a is compared with itself; name two results"):
        compare(tmp_path / "a", f"{tmp_path}/../{tmp_path.name}/a")
    found = compared(tmp_path, made_result(kind), made_result(kind))
    assert "both results have the same scores" in found.notes
    assert all((f.difference, f.low, f.high, f.p) == (0, 0, 0, 1) for f in found.figures.values())
    assert all(row["difference"] == 0 for row in found.table)


def test_a_smaller_error_is_better() -> None:
    lower, higher = (Difference(0.3, 0.3 + d, d, d - 0.05, d + 0.05, 0.01, 100) for d in (-0.1, 0.1))
    for name in ("ece", "ece_above", "bin_error"):
        assert (_line("", name, lower)["mark"], _line("", name, higher)["mark"]) == ("better", "worse")
    assert (_line("", "macro_map", lower)["mark"], _line("", "brier_skill", higher)["mark"]) == ("worse", "better")
    assert _line("", "brier_skill", higher)["difference"] == "+0.100"
    assert _line("", "macro_map", higher)["difference"] == "+10.0"


def test_the_table_starts_with_the_worst_loss(tmp_path: Path) -> None:
    a, b = made_result(), made_result(seed=1)
    found = compared(tmp_path, a, b)
    differences = [row["difference"] for row in found.table]
    assert differences == sorted(differences)
    expected = {label: row["ap"] for label, row in zip(a.labels, label_table(a), strict=True)}
    assert {row["label"]: row["a"] for row in found.table} == pytest.approx(expected)


def test_a_shift_that_everybody_sees_is_sure(tmp_path: Path) -> None:
    a = made_result("single-label", videos=200)
    assert a.scores is not None
    b = replace(a, scores=(a.scores + 3 * a.truth[:, None]).astype(np.float32))
    top1 = compared(tmp_path, a, b).figures["top1"]
    assert 0 < top1.low < top1.difference < top1.high
    assert top1.p < 0.01


def test_videos_of_moved_folders_are_matched_by_name(tmp_path: Path) -> None:
    a, b = made_result(), made_result(seed=1)
    moved = tuple({**row, "video": row["video"].replace("/videos", "/elsewhere")} for row in b.videos)
    # rows in another order, one twice by name, one not there
    order = np.r_[39:4:-1, 0, 1, 2]
    assert b.scores is not None
    moved = (*(moved[i] for i in order), {**moved[0], "video": "/again/000.mp4"})
    found = compared(tmp_path, a, replace(b, videos=moved, scores=b.scores[[*order, 0]]))
    rows = np.array([1, 2, *range(5, 40)])
    assert found.videos == 37
    assert found.figures["macro_map"].b == pytest.approx(figures_of(b, rows)["macro_map"])
    assert found.figures["macro_map"].a == pytest.approx(figures_of(a, rows)["macro_map"])
    assert found.notes == ("37 videos are in both, of 40 in the first and 39 in the second",)


def test_labels_are_matched_by_class_then_by_text(tmp_path: Path) -> None:
    """How a class is worded may be what is compared; a class that only one side has is left out with its videos."""
    classes = tuple("ABCDEF")
    a = made_result("single-label", classes=classes)
    b = made_result("single-label", seed=1, classes=tuple("FEDCBX"))
    worded = {f"label {i}": f"a word for {letter}" for i, letter in enumerate("XBCDEF")}
    assert b.scores is not None
    b = replace(
        b,
        labels=tuple(worded.values())[::-1],
        scores=b.scores[:, :, ::-1],
        videos=tuple({**row, "truth": [worded[label] for label in row["truth"]]} for row in b.videos),
    )
    found = compared(tmp_path, a, b)
    assert found.labels == 5
    rows = np.array([i for i in range(40) if i != 3 and i % 6])
    truth = made_result("single-label").truth[rows].argmax(axis=1) - 1
    expected = top_k_accuracy(made_result("single-label", seed=1).logit()[rows][:, 1:], truth)
    assert found.figures["top1"].b == pytest.approx(expected["top1"])
    assert found.videos == len(rows)
    assert found.notes[0] == "5 labels are in both, of 6 in the first and 6 in the second"
    assert "7 videos are of other labels and are left out" in found.notes


def test_sentences_that_read_the_same_are_matched_with_their_video(tmp_path: Path) -> None:
    classes = tuple(f"video{i}" for i in range(10))
    a = made_result("retrieval", videos=10, classes=classes)
    rows = tuple({**row, "truth": ["a man sings"], "truth_index": [i]} for i, row in enumerate(a.videos))
    a = replace(a, labels=("a man sings",) * 10, videos=rows)
    found = compared(tmp_path, a, a)
    assert (found.videos, found.labels) == (9, 10)


def test_videos_with_another_truth_are_left_out(tmp_path: Path) -> None:
    a, b = made_result(), made_result(seed=1)
    rows = list(b.videos)
    rows[5] = {**rows[5], "truth": ["label 0"] if rows[5]["truth"] != ["label 0"] else []}
    found = compared(tmp_path, a, replace(b, videos=tuple(rows)))
    assert found.videos == 38
    assert "1 videos have another truth in the second and are left out" in found.notes
    none = tuple({**row, "truth": []} for row in b.videos[2:])
    assert b.scores is not None
    with pytest.raises(UsageError, match="none was scored with the same truth in both; evaluate again"):
        compared(tmp_path, _all_true(a), replace(b, videos=none, scores=b.scores[2:]))


def _all_true(result: Result) -> Result:
    return replace(result, videos=tuple({**row, "truth": list(result.labels)} for row in result.videos))


def split(name: str, videos: Any, labels: Any) -> dict[str, Any]:
    return {"name": name, "videos": videos, "labels": labels, "metrics": {"top1": 0.5}}


def test_splits_are_compared_one_by_one(tmp_path: Path) -> None:
    of = {"one": [0, 1, 2], "two": [2, 3, 4, 5]}
    splits = tuple(split(name, [i for i in range(40) if i % 6 in labels], labels) for name, labels in of.items())
    a, b = (made_result("single-label", seed=seed, splits=splits) for seed in (0, 1))
    found = compared(tmp_path, a, b)
    means: dict[int, list[float]] = {0: [], 1: []}
    for name, labels in of.items():
        rows = np.array([i for i in range(40) if i % 6 in labels and i != 3])
        for side, result in enumerate((a, b)):
            own = np.array([labels.index(i % 6) for i in rows])
            top1 = top_k_accuracy(result.logit()[np.ix_(rows, np.array(labels))], own)["top1"]
            assert (found.splits[name]["top1"].a, found.splits[name]["top1"].b)[side] == pytest.approx(top1)
            means[side].append(top1)
    assert found.figures["top1"].a == pytest.approx(np.mean(means[0]))
    assert found.figures["top1"].b == pytest.approx(np.mean(means[1]))
    assert found.figures["top1"].low <= found.figures["top1"].difference <= found.figures["top1"].high


def test_splits_that_do_not_say_their_videos_are_told(tmp_path: Path) -> None:
    a = made_result("single-label", splits=(split("one", 20, 3), split("two", 20, 3)))
    found = compared(tmp_path, a, a)
    assert found.splits == {}
    assert found.figures["top1"].a == pytest.approx(figures_of(a)["top1"])
    note = "0 splits can be compared, of 2 in the first and 2 in the second; the figures are over all videos and labels"
    assert note in found.notes


def test_groups_of_labels(tmp_path: Path) -> None:
    groups = {"seen": [0, 1, 2], "unseen": [3, 4, 5]}
    a = made_result(groups={"seen": {"macro_map": 0.5}, "unseen": {"macro_map": 0.5}})
    found = compared(tmp_path, a, made_result(seed=1), **groups)
    _, probability, truth = without_failures(a)
    for name, columns in groups.items():
        expected = multi_label(probability[:, columns], truth[:, columns], np.full(3, 0.5)).macro_map
        assert found.groups[name]["macro_map"].a == pytest.approx(expected)
    (tmp_path / "a" / "labels.csv").write_text("label,group\nlabel 0,seen\n")
    with pytest.raises(InputError, match=r"labels\.csv has 1 labels, not 6; evaluate again"):
        compare(tmp_path / "a", tmp_path / "b")
    (tmp_path / "a" / "labels.csv").unlink()
    assert compare(tmp_path / "a", tmp_path / "b").groups == {}


def test_what_was_done_differently(tmp_path: Path) -> None:
    a = made_result(settings={"frames": 8, "sampling": "uniform"}, versions={"torch": "2.8"})
    b = made_result(settings={"frames": 16, "sampling": "uniform", "seed": 1}, versions={"torch": "2.9"}, model="other")
    assert compared(tmp_path, a, b).settings == (
        ("frames", "8", "16"),
        ("torch version", "2.8", "2.9"),
        ("model", "a-model", "other"),
        ("seed", "–", "1"),
    )


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    a = made_result()
    with pytest.raises(UsageError, match=r"is multi-label and .* is single-label; compare two of one kind"):
        compared(tmp_path, a, made_result("single-label"))
    other = tuple({**row, "video": f"x{row['video'][8:]}x"} for row in a.videos)
    with pytest.raises(
        UsageError, match=r"no video in common: '/videos/000\.mp4' and .* compare results over the same"
    ):
        compared(tmp_path, a, replace(a, videos=other))
    blank = tuple({**row, "truth": []} for row in a.videos)
    with pytest.raises(UsageError, match="no label in common: 'label 0' and 'x0' for example; compare results over"):
        compared(tmp_path, a, replace(a, videos=blank, labels=tuple(f"x{i}" for i in range(6))))
    write_result(tmp_path / "a", replace(a, scores=None))
    write_result(tmp_path / "b", a)
    with pytest.raises(UsageError, match=r"has no scores\.npy; evaluate again"):
        compare(tmp_path / "a", tmp_path / "b")


def test_the_written_comparison(tmp_path: Path) -> None:
    a, b = (made_result("single-label", seed=seed, model=EVIL, settings={EVIL: seed}) for seed in (0, 1))
    names = tuple(f"{EVIL} {i}" for i in range(6))
    videos = tuple({**row, "truth": [names[int(label[-1])] for label in row["truth"]]} for row in a.videos)
    # a class without a video has no accuracy
    a, b = (replace(result, labels=(*names, "never"), videos=videos, scores=_wider(result)) for result in (a, b))
    found = compared(tmp_path, a, b)
    folder = tmp_path / "made" / "here"
    index, data = write_comparison(folder, found)
    content = json.loads(data.read_text(), parse_constant=lambda word: pytest.fail(word))
    assert content["format"] == "olmv-comparison/1"
    assert content["metrics"]["top1"]["difference"] == pytest.approx(found.figures["top1"].difference)
    assert content["table"][-1] == {"label": "never", "support": 0, "a": None, "b": None, "difference": None}
    assert math.isnan(found.table[-1]["difference"])
    page = index.read_text()
    assert page.count("<script") == 1
    assert "<img" not in page
    for text in ("Top-1", f"{100 * found.figures['top1'].difference:+.1f}", "39 videos and 7 labels that both have"):
        assert text in page
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot make the folder '.*file': .*; choose another$"):
        write_comparison(tmp_path / "file", found)


def _wider(result: Result) -> np.ndarray:
    assert result.scores is not None
    return np.concatenate([result.scores, np.full_like(result.scores[:, :, :1], -9)], axis=2)


def test_two_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for name in ("x", "y"):
        write_result(tmp_path / name / "result", made_result())
    found = compare(tmp_path / "x" / "result", tmp_path / "y" / "result")
    assert found.names == ("x/result", "y/result")
    index, _ = write_comparison(tmp_path / "c", found)
    assert "Nothing: every setting is the same." in index.read_text()
