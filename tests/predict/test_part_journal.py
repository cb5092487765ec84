"""The journal of the parts of long videos."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olmv.errors import OutputError
from olmv.io.curves import Curve, CurveFile, curves_path, write_curves
from olmv.pages.pictures import PictureStore
from olmv.predict.part_journal import PartJournal
from olmv.predictions import Failure, FrameCounts
from olmv.video.part_shots import PartShots
from olmv.video_scores import PartScores, VideoScores

SETTINGS: dict[str, Any] = {"model": "m", "window": 4.0}
LABELS = ("dog", "rain")


def part(number: int, parts: int = 3, *, value: float = 0.5, **changes: Any) -> PartScores:
    """A part of four seconds, two cells."""
    begin = 4.0 * number
    values: dict[str, Any] = {
        "part": number,
        "parts": parts,
        "frames": FrameCounts(4, 4, 1, 3, 1.0, True),
        "duration_s": 12.0,
        "logits": np.array([value, -value], np.float32),
        "similarity": np.array([0.1, 0.2], np.float32),
        "starts_s": np.array([begin, begin + 2.0]),
        "curve": np.full((2, 2), value, np.float32),
        "times_s": [begin, begin + 1.0],
    }
    return PartScores(**(values | changes))


def shots(time: float) -> PartShots:
    signed = np.arange(6, dtype=np.uint8).reshape(2, 3)
    return PartShots(np.array([time]), np.array([time, time + 1]), signed, np.array([time + 2]), signed[:1])


def same(a: Any, b: Any) -> bool:
    """Compare parts by their records, which have all that a later run needs."""
    return bool(a.to_record() == b.to_record())


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "rows.jsonl"


def opened(output: Path, settings: Any = SETTINGS, **options: Any) -> PartJournal:
    return PartJournal(output, settings, LABELS, **options)


@pytest.mark.parametrize(
    "scores",
    [
        part(0),
        part(1, shots=shots(5.25)),
        part(2, curve=None, starts_s=np.zeros(0)),
        part(1, error=Failure("DecodeError", "x.mp4: no"), logits=None, similarity=None),
        part(0, 1, duration_s=None, times_s=[], frames=FrameCounts(8)),
    ],
)
def test_a_record_is_read_back(scores: PartScores) -> None:
    back = PartScores.from_record(json.loads(json.dumps(scores.to_record())))
    assert same(back, scores)
    for name in ("logits", "similarity", "starts_s", "curve"):
        one, two = getattr(back, name), getattr(scores, name)
        assert one is two is None or (one.dtype == two.dtype and np.array_equal(one, two))
    assert back.frames == scores.frames
    assert back.is_last == scores.is_last


def test_a_record_of_objects_is_refused() -> None:
    record = part(0).to_record()
    record["logits"] = {"dtype": "|O", "shape": [1], "data": "AAAAAAAAAAA="}
    with pytest.raises(ValueError, match="an array of objects"):
        PartScores.from_record(record)


def test_parts_survive_a_kill(output: Path) -> None:
    journal = opened(output)
    for number in range(2):
        journal.add("a.mp4", part(number))
    journal.add("b.mp4", part(0))
    assert all(map(same, journal.parts_of("a.mp4"), [part(0), part(1)]))
    journal.close()
    path = output.with_name("rows.jsonl.parts.jsonl")
    with path.open("ab") as file:
        file.write(b'{"settings": "torn')
    again = opened(output)
    assert [[item.part for item in again.parts_of(video)] for video in ("a.mp4", "b.mp4", "c.mp4")] == [[0, 1], [0], []]
    again.add("a.mp4", part(2))
    assert [item.part for item in again.parts_of("a.mp4")] == [0, 1, 2]
    assert again.parts_of("a.mp4")[-1].is_last
    again.close()


def test_a_part_that_is_done_again_is_the_last_that_is_there(output: Path) -> None:
    journal = opened(output)
    for scores in (part(0), part(1), part(2), part(1, value=0.7)):
        journal.add("a.mp4", scores)
    assert all(map(same, journal.parts_of("a.mp4"), [part(0), part(1, value=0.7)]))
    assert len(journal.parts_of("a.mp4")) == 2
    journal.close()
    again = opened(output)
    assert all(map(same, again.parts_of("a.mp4"), [part(0), part(1, value=0.7)]))
    again.close()


def test_parts_of_other_settings_are_not_looked_at(output: Path) -> None:
    journal = opened(output)
    journal.add("a.mp4", part(0))
    journal.close()
    other = opened(output, SETTINGS | {"window": 2.0})
    assert other.parts_of("a.mp4") == []
    other.close()
    same_again = opened(output)
    assert len(same_again.parts_of("a.mp4")) == 1
    same_again.close()


def test_starting_over(output: Path) -> None:
    journal = opened(output)
    journal.add("a.mp4", part(0))
    journal.close()
    write_curves(curves_path(output), [Curve("a.mp4", LABELS, np.zeros(1), np.ones((1, 2), np.float32))])
    fresh = opened(output, resume=False)
    assert fresh.parts_of("a.mp4") == []
    assert not curves_path(output).exists()  # of rows that are gone
    fresh.close()


def test_two_runs_do_not_share_it(output: Path) -> None:
    journal = opened(output)
    with pytest.raises(OutputError, match="another run"):
        opened(output)
    journal.close()


@pytest.mark.parametrize(
    "change",
    [
        {"curve": {"dtype": "<f4", "shape": [99], "data": "AAAA"}},
        {"logits": {"dtype": "|O", "shape": [1], "data": "AAAAAAAAAAA="}},
        {"frames": {"requested": 1, "surprise": 2}},
        {"error": "no"},
        {"shots": 3},
        {"times_s": None, "parts": None, "starts_s": 1},
    ],
)
def test_what_was_changed_by_hand_is_done_again(output: Path, change: dict[str, Any]) -> None:
    journal = opened(output)
    for number in range(3):
        journal.add("a.mp4", part(number))
    journal.close()
    path = output.with_name("rows.jsonl.parts.jsonl")
    lines = path.read_text().splitlines()
    lines[1] = json.dumps(json.loads(lines[1]) | change)
    path.write_text("\n".join(lines) + "\n")
    again = opened(output)
    assert [item.part for item in again.parts_of("a.mp4")] == [0]
    again.close()


def test_rows_of_another_shape_count_for_nothing(output: Path) -> None:
    path = output.with_name("rows.jsonl.parts.jsonl")
    journal = opened(output)
    journal.add("a.mp4", part(0))
    journal.close()
    line = json.loads(path.read_text())
    odd = [line | {"part": 7}, line | {"part": -1}, line | {"part": "1"}, {"settings": line["settings"]}, {}]
    path.write_text("".join(json.dumps(row) + "\n" for row in [line, *odd]))
    again = opened(output)
    assert [item.part for item in again.parts_of("a.mp4")] == [0]
    again.close()


def test_curves_are_written_and_the_journal_goes(output: Path) -> None:
    early = Curve("early.mp4", LABELS, np.array([0.0]), np.array([[0.25, 0.75]], np.float32))
    write_curves(curves_path(output), [early])
    journal = opened(output)
    for number in range(3):
        journal.add("a.mp4", part(number, value=number / 4))
    journal.add("none.mp4", part(0, 1, curve=None, starts_s=np.zeros(0)))
    assert journal.write_curves(["early.mp4", "a.mp4", "none.mp4", "absent.mp4"]) == curves_path(output)
    assert not output.with_name("rows.jsonl.parts.jsonl").exists()
    file = CurveFile(curves_path(output))
    assert [*file] == ["early.mp4", "a.mp4"]
    curve = file.get("a.mp4")
    assert curve is not None
    assert curve.starts_s.tolist() == [0, 2, 4, 6, 8, 10]
    assert curve.probability[:, 0].tolist() == [0, 0, 0.25, 0.25, 0.5, 0.5]
    kept = file.get("early.mp4")
    assert kept is not None
    assert np.array_equal(kept.probability, early.probability)


def test_pictures_come_part_by_part(output: Path, tmp_path: Path) -> None:
    store = PictureStore(tmp_path / "pictures.jsonl")
    journal = opened(output, pictures=store)
    for number in range(2):
        journal.add("a.mp4", part(number, 2, thumbnails=[b"jpeg"], thumbnail_times_s=[4.0 * number]))
        assert ("a.mp4" in store) == (number == 1)
    pictures = store.get("a.mp4")
    assert pictures is not None
    assert pictures.times_s == (0.0, 4.0)
    journal.close()
    store.close()


def test_what_cannot_be_passed_over() -> None:
    """A damaged part is; a file that cannot be opened any more, a crash and a part too long are not."""
    broken: dict[str, Any] = {"logits": None, "similarity": None}

    def error_of(*parts: PartScores) -> Any:
        scores = VideoScores()
        for scored in parts:
            scores.add(scored)
        return scores.error

    damaged = Failure("DecodeError", "damaged")
    assert error_of(part(0), part(1, error=damaged, **broken), part(2)) is None
    assert error_of(part(0, error=damaged, **broken), part(1)) is None
    assert error_of(part(0, 1, error=damaged, **broken)) == damaged
    assert error_of(part(0), part(1, error=damaged, duration_s=None, **broken)) == damaged
    crash = Failure("WorkerCrashedError", "crash")
    assert error_of(part(0), part(1, error=crash, **broken)) == crash
    assert error_of(part(0), part(1, error=crash, **broken), part(2, error=damaged, **broken)) == crash
    assert error_of(part(0), part(1, error=damaged, **broken), part(2, error=crash, **broken)) == crash


def test_the_best_of_each_label_counts_wherever_it_is() -> None:
    scores = VideoScores()
    for number, logits in enumerate(([0.1, 0.9], [0.5, 0.2], [0.3, 0.8])):
        values = np.array(logits, np.float32)
        scores.add(part(number, logits=values, similarity=values / 2))
    assert scores.logits is not None
    assert scores.similarity is not None
    assert scores.logits.tolist() == pytest.approx([0.5, 0.9])
    assert scores.similarity.tolist() == pytest.approx([0.25, 0.45])
    assert scores.frames == FrameCounts(12, 12, 3, 9, 1.0, True)
