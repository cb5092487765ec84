import json
import threading
from pathlib import Path

import jsonschema
import pytest

from olmv.datasets.manifests import read_manifest
from olmv.errors import InputError, UsageError
from olmv.io.prediction_rows import write_rows
from olmv.scoring.thresholds import Thresholds
from olmv.serve.review.export import THRESHOLDS, TRUTH, label_cell
from olmv.serve.review.files import ReviewFiles
from olmv.serve.review.source import ReviewSource, review_folder
from tests.serve.review.sources import made_source, session_in
from tests.serve.review.test_session import judge_next
from tests.support.rows import make_row

SCHEMA = Path(__file__).parents[3] / "docs" / "schemas" / "thresholds.json"


def test_truth_is_a_manifest_of_what_was_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with session_in(tmp_path) as session:
        session.judge("clips/001.mp4", "dog", True)
        session.judge("clips/001.mp4", "rain", False)
        session.judge("clips/007.mp4", "rain", False)
        session.judge("clips/009.mp4", "rain", None)
    path = tmp_path / "films.review" / TRUTH
    assert path.read_bytes() == b"video,labels,absent\r\n../clips/001.mp4,dog,rain\r\n../clips/007.mp4,,rain\r\n"
    rows = read_manifest(path)
    assert [Path(row.video).resolve() for row in rows] == [
        Path(f"clips/{number}.mp4").resolve() for number in ("001", "007")
    ]
    assert [(row.labels, row.absent) for row in rows] == [(("dog",), ("rain",)), ((), ("rain",))]


NASTY = ("salt, pepper", "a;b", "[x]", "it's", 'a "b"', "x|y", "=1+1", "雨、雪", "plain")


def test_any_label_comes_back_as_it_is(tmp_path: Path) -> None:
    source = made_source(4, NASTY)
    with session_in(tmp_path, source) as session:
        for place, label in enumerate(NASTY):
            session.judge("clips/000.mp4", label, place % 2 == 0)
            session.judge("clips/001.mp4", label, False)
        session.judge("clips/002.mp4", NASTY[0], True)
        session.judge("clips/003.mp4", "plain", True)
    rows = read_manifest(tmp_path / "films.review" / TRUTH)
    assert [(row.labels, row.absent) for row in rows] == [
        (NASTY[::2], NASTY[1::2]),
        ((), NASTY),
        (NASTY[:1], ()),
        (("plain",), ()),
    ]
    assert label_cell(("dog", "rain")) == "dog;rain"


def test_a_name_that_no_csv_can_hold_is_left_out(tmp_path: Path) -> None:
    odd, good = "clips/\udcff.mp4", "clips/a, b\n.mp4"
    write_rows(tmp_path / "rows.jsonl", [make_row(odd, dog=0.89), make_row(good, dog=0.89)])
    source = ReviewSource.of_scores(
        "films", videos=[odd, good], labels=["dog"], logit=made_source(2).probability[:, :1],
        probability=made_source(2).probability[:, :1], threshold=[0.5], model="m",
    )  # fmt: skip
    with session_in(tmp_path, source) as session:
        assert source.keys[0] == r"clips/\udcff.mp4"
        for key in source.keys:
            session.judge(key, "dog", True)
    (row,) = read_manifest(tmp_path / "films.review" / TRUTH)
    assert row.video.endswith("a, b\n.mp4")


def test_thresholds_decide_as_the_page_shows(tmp_path: Path) -> None:
    with session_in(tmp_path, made_source(300)) as session:
        judge_next(session, 150)
        session.set_threshold("dog", 0.375)
        quality = session.summary("dog").quality
        summary = session.summary("dog")
    path = tmp_path / "films.review" / THRESHOLDS
    thresholds = Thresholds.load(path)
    assert dict(thresholds) == {"dog": 0.375, "rain": 0.5}
    assert thresholds.model == "tiny"
    entry = thresholds.entry("dog")
    assert (entry.objective, entry.support) == ("review", summary.right)
    assert entry.value == pytest.approx(quality.f1, abs=1e-6)
    assert quality.precision is not None
    assert (entry.model_extra or {})["precision"]["low"] == pytest.approx(quality.precision.low, abs=1e-4)
    assert thresholds.entry("rain").objective is None
    jsonschema.validate(json.loads(path.read_text()), json.loads(SCHEMA.read_text()))


def test_the_files_are_made_up_for_when_a_server_was_killed(tmp_path: Path) -> None:
    session = session_in(tmp_path)
    session.judge("clips/001.mp4", "dog", True)
    session._store.close()  # and nothing else: its files were to be written later
    folder = tmp_path / "films.review"
    assert not (folder / TRUTH).exists()
    with session_in(tmp_path):
        assert len(read_manifest(folder / TRUTH)) == 1
        assert (folder / THRESHOLDS).exists()


def test_files_that_cannot_be_written_cost_no_verdict(tmp_path: Path) -> None:
    with session_in(tmp_path) as session:
        (tmp_path / "films.review" / TRUTH).mkdir()
        session.judge("clips/001.mp4", "dog", True)
        session.files.write()
        assert "it is a folder; name a file in it" in session.files.error
        assert session.summary("dog").right == 1
        (tmp_path / "films.review" / TRUTH).rmdir()
        session.files.write()
        assert session.files.error == ""


def test_a_predictions_file_is_reviewed(tmp_path: Path) -> None:
    rows = [make_row(f"{number}.mp4", dog=0.89, rain=0.89) for number in range(3)]
    write_rows(tmp_path / "rows.csv", rows)
    source = ReviewSource.of_predictions(tmp_path / "rows.csv")
    assert source.videos == ("0.mp4", "1.mp4", "2.mp4")
    assert source.labels == ("dog", "rain")
    assert source.threshold.tolist() == [0.5, 0.5]
    assert source.loaded.mode == "multi-label"
    assert review_folder(tmp_path / "rows.csv") == tmp_path / "rows.csv.review"
    write_rows(tmp_path / "rows.csv", rows[::-1])
    other = ReviewSource.of_predictions(tmp_path / "rows.csv")
    assert other.basis("dog") == source.basis("dog") == source.basis("rain")
    write_rows(tmp_path / "rows.csv", [*rows, make_row("3.mp4", dog=0.89, rain=0.89)])
    assert ReviewSource.of_predictions(tmp_path / "rows.csv").basis("dog") != source.basis("dog")


def test_calibrated_probabilities_are_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [make_row("a.mp4", dog=0.3, rain=0.3)])
    with pytest.raises(UsageError, match="these probabilities are not the model's own, they are calibrated already"):
        ReviewSource.of_predictions(tmp_path / "rows.jsonl")


def test_nothing_to_review_is_refused() -> None:
    with pytest.raises(UsageError, match="films has no scores to review; give one with videos and labels"):
        made_source(0)


def test_a_log_that_cannot_be_read_is_told_like_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    def contents() -> tuple[str, Thresholds]:
        raise InputError("review.sqlite is no review, or is damaged; move it away")

    files = ReviewFiles(tmp_path, contents, delay_s=3600)
    files.changed()
    files.close()
    assert files.error == "review.sqlite is no review, or is damaged; move it away"


def test_many_changes_are_written_once_a_moment_later(tmp_path: Path) -> None:
    written = threading.Event()
    calls = []

    def contents() -> tuple[str, Thresholds]:
        calls.append(threading.current_thread())
        written.set()
        return "video,labels,absent\r\n", Thresholds({"dog": 0.5})

    files = ReviewFiles(tmp_path, contents, delay_s=0.05)
    for _ in range(20):
        files.changed()
    assert written.wait(10)
    files.close()
    assert len(calls) == 1
    assert calls[0] is not threading.current_thread()
    assert (tmp_path / TRUTH).exists()
    files.changed()
    files.close()  # does not wait for the moment
    assert len(calls) == 2
