"""A run's journal and the settings it belongs to."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from olmv.errors import OutputError, UsageError
from olmv.io.journal import JsonlJournal
from olmv.io.prediction_fields import check_row
from olmv.io.run_journal import RunJournal
from olmv.pages.pictures import Pictures, PictureStore
from olmv.predictions import FrameCounts, LabelPrediction, VideoPrediction

SETTINGS: dict[str, Any] = {"labels": [["dog", [], []]], "model": "olmv-mini", "frames": 8}


def started(output: Path, settings: dict[str, Any] = SETTINGS, *, resume: bool = True) -> RunJournal:
    journal = RunJournal(output, settings, resume=resume)
    journal.begin()
    return journal


def test_rows_are_taken_up_again(tmp_path: Path) -> None:
    output = tmp_path / "x.jsonl"
    with started(output) as journal:
        assert journal.done == set()
        journal.append({"video": "a.mp4"})
        assert output.read_text() == '{"video": "a.mp4"}\n'
    with started(output) as journal:
        assert journal.done == {"a.mp4"}
        journal.append({"video": "b.mp4"})
        assert [row["video"] for row in journal.rows()] == ["a.mp4", "b.mp4"]
    document = json.loads((tmp_path / "x.jsonl.run.json").read_text())
    assert document["format"] == "olmv-run/1"
    assert document["settings"] == SETTINGS
    assert len(document["settings_sha256"]) == 64


def test_a_row_is_kept_that_was_written_when_ctrl_c_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append = JsonlJournal.append

    def interrupted(journal: JsonlJournal, row: Mapping[str, Any]) -> None:
        append(journal, row)
        raise KeyboardInterrupt

    def run() -> None:
        with started(output) as journal:
            journal.append({"video": "a.mp4"})

    output = tmp_path / "x.jsonl"
    monkeypatch.setattr(JsonlJournal, "append", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        run()
    assert caught.value.__notes__ == [f"1 row kept in {output}; run the same command to go on"]
    monkeypatch.undo()
    with started(output) as journal:
        assert journal.done == {"a.mp4"}


def test_what_is_kept_is_said_where_ctrl_c_broke_a_lock(tmp_path: Path) -> None:
    output = tmp_path / "x.jsonl"
    stop = KeyboardInterrupt()

    def run() -> None:
        with started(output) as journal:
            journal.append({"video": "a.mp4"})
            try:
                raise stop
            finally:
                raise RuntimeError("cannot release un-acquired lock")

    with pytest.raises(RuntimeError, match="un-acquired lock"):
        run()
    assert stop.__notes__ == [f"1 row kept in {output}; run the same command to go on"]


def test_failures_of_earlier_runs_are_known(tmp_path: Path) -> None:
    with started(tmp_path / "x.jsonl") as journal:
        journal.append({"video": "a.mp4", "status": "ok"})
        journal.append({"video": "b.mp4", "status": "error"})
    with RunJournal(tmp_path / "x.jsonl", SETTINGS) as journal:
        assert journal.failed == {"b.mp4"}


def test_other_formats_have_a_journal_beside_them(tmp_path: Path) -> None:
    with started(tmp_path / "x.csv") as journal:
        assert journal.path == tmp_path / "x.csv.journal.jsonl"


def test_a_torn_last_line_is_dropped(tmp_path: Path) -> None:
    output = tmp_path / "x.jsonl"
    with started(output) as journal:
        journal.append({"video": "a.mp4"})
    with output.open("a") as file:
        file.write('{"video": "b.m')
    with started(output) as journal:
        assert journal.done == {"a.mp4"}
    assert output.read_text() == '{"video": "a.mp4"}\n'


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": 16}, "frames: 8 before, 16 now"),
        ({"labels": [["dog", [], []], ["cat", [], []]]}, "labels: 1 before, 2 now"),
        ({"labels": [["cat", [], []]]}, "labels differ"),
        ({"model": "x", "frames": 4}, "model: olmv-mini before, x now; frames: 8 before, 4 now"),
    ],
)
def test_changed_settings_are_refused_by_name(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    output = tmp_path / "x.jsonl"
    with started(output) as journal:
        journal.append({"video": "a.mp4"})
    with pytest.raises(
        UsageError, match=rf"made with other settings \({message}\); start over, or choose another output"
    ):
        RunJournal(output, SETTINGS | change)
    assert output.read_text() == '{"video": "a.mp4"}\n'


def test_starting_over(tmp_path: Path) -> None:
    output = tmp_path / "x.jsonl"
    with started(output) as journal:
        journal.append({"video": "a.mp4"})
    waiting = RunJournal(output, SETTINGS | {"frames": 4}, resume=False)
    assert output.read_text() != ""  # nothing is lost before the run really begins
    with waiting as journal:
        journal.begin()
        assert (journal.done, output.read_text()) == (set(), "")


def test_a_file_of_somebody_else_is_not_overwritten(tmp_path: Path) -> None:
    output = tmp_path / "x.jsonl"
    output.write_text("my notes\n")
    with pytest.raises(UsageError, match=r"x\.jsonl is already there, but x\.jsonl\.run\.json that tells its settings"):
        RunJournal(output, SETTINGS)


def test_an_empty_journal_binds_to_nothing(tmp_path: Path) -> None:
    output = tmp_path / "x.jsonl"
    started(output).__exit__(None, None, None)
    assert RunJournal(output, SETTINGS | {"frames": 4}).done == set()


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    output = tmp_path / "x.jsonl"
    with started(output), pytest.raises(OutputError, match="another run is writing"):
        started(output, resume=False)


def test_a_second_run_cuts_nothing_of_the_first(tmp_path: Path) -> None:
    output = tmp_path / "x.jsonl"
    with started(output) as first:
        first.append({"video": "a.mp4"})
        half = b'{"video": "b.m'  # as another process sees a row that is being written
        with output.open("ab") as file:
            file.write(half)
        with pytest.raises(OutputError, match="another run is writing"):
            RunJournal(output, SETTINGS)
        assert output.read_bytes() == b'{"video": "a.mp4"}\n' + half


def test_a_run_that_finished_meanwhile_is_not_written_into(tmp_path: Path) -> None:
    output = tmp_path / "x.jsonl"
    late = RunJournal(output, SETTINGS)
    with started(output) as first:
        first.append({"video": "a.mp4"})
    with late, pytest.raises(OutputError, match=r"another run has just written .*x\.jsonl; run the same command to go"):
        late.begin()
    with started(output) as journal:
        assert journal.done == {"a.mp4"}


def test_rows_that_are_gone_are_told_at_the_end(tmp_path: Path) -> None:
    output = tmp_path / "x.jsonl"
    with started(output) as journal:
        journal.append({"video": "a.mp4"})
        journal.check_complete(["a.mp4"])
        with pytest.raises(OutputError, match="lacks the rows of 2 videos; run the same command again"):
            journal.check_complete(["a.mp4", "b.mp4", "c.mp4"])
        output.unlink()
        with pytest.raises(OutputError, match="was removed while this run was writing it"):
            journal.check_complete(["a.mp4"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"video": None}, "it names no 'video'"),
        ({"status": ...}, "its 'status' is missing"),
        ({"frames": 8}, "its 'frames' is odd"),
        ({"labels": [{"label": "dog", "probability": "high"}]}, r"its 'labels\.similarity' is missing"),
        ({"labels": ["dog"]}, "labels is no object"),
        ({"error": {"type": "DecodeError"}}, r"its 'error\.message' is missing"),
        ({"explanations": [{"label": "dog", "texts": [{}], "frames": []}]}, r"its 'explanations\.texts\.text' is miss"),
        ({"explanations": 3}, "its 'explanations' is 3, not a list"),
    ],
)
def test_rows_edited_by_hand_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    output = tmp_path / "x.jsonl"
    label = LabelPrediction("dog", similarity=0.5, logit=1.0, probability=0.7, threshold=0.5, positive=True)
    good = VideoPrediction("a.mp4", "ok", None, 1.0, FrameCounts(8, 8), "olmv-mini", labels=(label,)).to_row()
    with started(output) as journal:
        journal.append(good)
        journal.append({key: value for key, value in (good | change).items() if value is not ...})
    with pytest.raises(
        OutputError, match=rf"line 2 is not a row that olmv wrote \({message}.*remove that line and run"
    ):
        RunJournal(output, SETTINGS, check=check_row)
    output.write_text(output.read_text().splitlines(keepends=True)[0])
    with RunJournal(output, SETTINGS, check=check_row) as journal:  # and the lock is free again
        assert journal.done == {"a.mp4"}


@pytest.mark.parametrize("stop", [KeyboardInterrupt, BrokenPipeError])
def test_a_stopped_run_names_what_it_leaves(tmp_path: Path, stop: type[BaseException]) -> None:
    journal = started(tmp_path / "x.csv")
    journal.append({"video": "a.mp4"})
    journal.append({"video": "b.mp4"})
    with pytest.raises(stop) as caught, journal:
        raise stop
    assert caught.value.__notes__ == [
        f"2 rows kept in {tmp_path / 'x.csv.journal.jsonl'}; run the same command to go on"
    ]


def test_pictures_survive_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    store = PictureStore(path)
    store.add("a.mp4", (0.5, 1.5), (b"one", b"two"))
    store.close()
    with path.open("ab") as file:
        file.write(b'{"video": "b.mp4", "times')
    store = PictureStore(path)
    assert "a.mp4" in store
    assert "b.mp4" not in store
    store.add("c.mp4", (), ())
    assert store.get("a.mp4") == Pictures((0.5, 1.5), ("b25l", "dHdv"))
    assert store.get("b.mp4") is None
    assert store.get("c.mp4") == Pictures((), ())
    store.discard()
    assert not path.exists()


def test_pictures_are_locked_before_they_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    store = PictureStore(path)
    store.add("a.mp4", (), ())
    for resume in (True, False):
        with pytest.raises(OutputError, match=r"another run is writing .*p\.jsonl"):
            PictureStore(path, resume=resume)
    store.close()
    assert "a.mp4" not in PictureStore(path, resume=False)


@pytest.mark.parametrize("line", [b"garbage\n", b"[1]\n", b'{"video": "b.mp4"}\n'])
def test_pictures_after_a_line_that_is_not_ours_are_made_again(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "p.jsonl"
    good = b'{"video": "a.mp4", "times_s": [], "jpegs": []}\n'
    path.write_bytes(good + line + good.replace(b"a.mp4", b"c.mp4"))
    store = PictureStore(path)
    assert ("a.mp4" in store, "c.mp4" in store) == (True, False)
    assert path.read_bytes() == good


def test_pictures_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*: No such file or directory; choose another --report path"):
        PictureStore(tmp_path / "gone" / "p.jsonl")
    store = PictureStore(tmp_path / "p.jsonl")
    store.close()
    store._file = Path("/dev/full").open("w+b")  # noqa: SIM115
    with pytest.raises(OutputError, match="No space left on device"):
        store.add("a.mp4", (), ())


def test_the_last_row_of_a_video_counts_and_is_kept(tmp_path: Path) -> None:
    settings = {"a": 1}
    with RunJournal(tmp_path / "x.jsonl", settings, finished=lambda row: row["status"] != "half") as journal:
        journal.begin()
        for video, status in (("b", "half"), ("a", "ok"), ("b", "error"), ("c", "half")):
            journal.append({"video": video, "status": status})
        assert (journal.done, journal.failed) == ({"a", "b"}, {"b"})
        assert journal.row_at(journal.offsets()["b"])["status"] == "error"
        journal.append({"video": "b", "status": "half"})
        assert (journal.done, journal.failed) == ({"a"}, set())
        journal.compact(["c", "b"], lambda row: {**row, "clean": True})
    rows = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert [(row["video"], row["status"], row["clean"]) for row in rows] == [
        ("c", "half", True),
        ("b", "half", True),
        ("a", "ok", True),
    ]


def test_without_a_row_no_file_stays(tmp_path: Path) -> None:
    with RunJournal(tmp_path / "x.jsonl", {}) as journal:
        journal.begin()
        journal.compact([], dict)
    assert list(tmp_path.iterdir()) == []
