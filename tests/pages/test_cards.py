"""The card of a row: what every page draws."""

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.io.curves import Curve
from olmv.pages.cards import COLUMNS, card_of, curve_columns, facts_of, film_end
from tests.support.rows import make_row
from tests.support.timelines import curve_of, segment, timeline_row


def test_a_card_is_the_row_and_what_is_shown() -> None:
    row = make_row("clips/day 1/a.mp4", rain=0.1, dog=0.89)
    card = card_of(row, pictures=[(0.5, "data:image/jpeg;base64,AA=="), (3.5004, "p/1.jpg")], player="clips/a.mp4")
    assert {name: card[name] for name in row if name != "labels"} == {n: v for n, v in row.items() if n != "labels"}
    assert [label["label"] for label in card["labels"]] == ["dog", "rain"]
    assert (card["folder"], card["name"]) == ("clips/day 1/", "a.mp4")
    assert card["facts"] == "9.8 s · 7 of 8 frames · 1 corrupt"
    assert card["pictures"] == [
        {"time_s": 0.5, "src": "data:image/jpeg;base64,AA=="},
        {"time_s": 3.5, "src": "p/1.jpg"},
    ]
    assert (card["player"], card["end_s"], card["curve"], card["left_out"]) == ("clips/a.mp4", 9.8, None, 0)
    assert "clip" not in card
    assert card_of(row, clip="c1")["clip"] == "c1"
    assert json.loads(json.dumps(card)) == card


def test_labels_are_cut_and_the_rest_counted() -> None:
    row = make_row("a.mp4", **{f"label {number}": number / 100 for number in range(100)})
    card = card_of(row, most_labels=60)
    assert len(card["labels"]) == 60
    assert card["labels"][0]["label"] == "label 99"
    assert card["left_out"] == 40
    assert len(row["labels"]) == 100  # the row is as it was


def test_labels_that_have_segments_come_first() -> None:
    row = timeline_row("a.mp4", segment("dog", 30, 48, 0.6), segment("rain", 6, 12, 0.7), others={"cat": 0.99})
    card = card_of(row, curve=curve_of(row), most_labels=2)
    assert [label["label"] for label in card["labels"]] == ["rain", "dog"]
    assert card["curve"]["columns"] == COLUMNS
    assert list(card["curve"]["labels"]) == ["rain", "dog"]  # none of a label that is not shown
    dog = list(base64.b64decode(card["curve"]["labels"]["dog"]))
    assert len(dog) == COLUMNS
    assert set(dog[200:320]) == {60}
    assert set(dog[:200] + dog[320:]) == {2}


def test_a_photo_has_no_curve() -> None:
    row = timeline_row("a.jpg", others={"dog": 0.9}, duration_s=0.0)
    row["frames"] |= {"decoded": 1}
    card = card_of(row, curve=Curve("a.jpg", ("dog",), np.zeros(1), np.ones((1, 1), np.float32)))
    assert (card["photo"], card["curve"], card["facts"]) == (True, None, "photo")


def test_a_video_that_failed_has_a_card(bad_row: dict[str, Any]) -> None:
    card = card_of(bad_row)
    assert (card["status"], card["facts"], card["labels"], card["end_s"]) == ("error", "", [], 0.1)


def test_a_curve_of_other_labels_or_of_nothing() -> None:
    curve = Curve("a.mp4", ("dog",), np.array([0.0]), np.array([[0.5]], np.float32))
    assert curve_columns(curve, ["cat"], 1.0) == {}
    empty = Curve("a.mp4", ("dog",), np.zeros(0), np.zeros((0, 1), np.float32))
    assert curve_columns(empty, ["dog"], 1.0) == {}


@pytest.mark.parametrize(
    ("changed", "facts"),
    [
        ({}, "9.8 s · 7 of 8 frames · 1 corrupt"),
        ({"duration_s": 61.0, "frames": {"requested": 1, "decoded": 1, "corrupt": 0}}, "1:01 min · 1 frame"),
        ({"duration_s": None, "frames": {"requested": 8, "decoded": 8, "corrupt": 0}}, "8 frames"),
        ({"duration_s": 3723.0, "frames": {"requested": 8, "decoded": 8, "corrupt": 0}}, "1:02:03 h · 8 frames"),
        ({"duration_s": 0.0, "frames": {"requested": 8, "decoded": 1, "corrupt": 1}}, "photo · damaged"),
    ],
)
def test_facts(changed: dict[str, Any], facts: str) -> None:
    assert facts_of(make_row("a.mp4", dog=0.5) | changed) == facts


def test_of_frames_far_apart_the_reader_is_told() -> None:
    row = make_row("a.mp4", dog=0.5)
    row["frames"] |= {"capped": True, "widest_gap_s": 21.5}
    assert "up to 22 s between frames" in facts_of(row)


@pytest.mark.parametrize(
    ("duration_s", "times", "end_s"), [(10.0, (), 10.0), (None, (1.0, 7.5), 7.5), (None, (), 3.0), (2.0, (9.0,), 3.0)]
)
def test_where_the_axis_ends(duration_s: float | None, times: tuple[float, ...], end_s: float) -> None:
    row = timeline_row("a.mp4", segment("dog", 1, 3)) | {"duration_s": duration_s}
    assert film_end(row, times) == end_s


@given(st.integers(1, 900), st.floats(0.5, 20_000), st.integers(0, 2**32 - 1))
def test_a_column_shows_the_highest_cell_of_its_time(cells: int, end_s: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    starts = np.concatenate([[0.0], np.sort(random.uniform(0, end_s, cells - 1))])
    probability = random.random((cells, 1), np.float32)
    shown = np.frombuffer(
        base64.b64decode(curve_columns(Curve("a.mp4", ("dog",), starts, probability), ["dog"], end_s)["dog"]), np.uint8
    )
    ends = np.append(starts[1:], end_s)
    for column in random.integers(0, COLUMNS, 5):
        begin, end = column * end_s / COLUMNS, (column + 1) * end_s / COLUMNS
        inside = (starts < end - 1e-5 * end_s / COLUMNS) & (ends > begin + 1e-5 * end_s / COLUMNS)
        assert abs(int(shown[column]) - 100 * probability[inside].max()) <= 0.51
