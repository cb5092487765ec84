"""One rising line from the stamps of a live stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.watch.stream_clock import Pace, StreamClock

WRAP_S = 2**33 / 90000


def line(stamps: list[float | None], arrivals: list[float] | None = None) -> list[float]:
    clock = StreamClock()
    when = arrivals or [0.0] * len(stamps)
    return [clock.place(stamp, arrival) for stamp, arrival in zip(stamps, when, strict=True)]


def test_a_clock_that_starts_at_hours_begins_at_0() -> None:
    assert line([36000.0, 36000.5, 36001.0]) == [0.0, 0.5, 1.0]


def test_a_time_lapse_keeps_its_seconds() -> None:
    assert line([0.0, 1.0, 2.0, 3.0]) == [0.0, 1.0, 2.0, 3.0]


def test_a_jump_back_goes_on_with_the_usual_step() -> None:
    assert line([10.0, 10.5, 11.0, 2.0, 2.5]) == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0])


def test_a_wrapped_clock_goes_on() -> None:
    start = WRAP_S - 1.0
    stamps = [(start + 0.5 * i) % WRAP_S for i in range(6)]
    assert line(list(stamps)) == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0, 2.5])


def test_a_jump_forward_takes_as_long_as_it_took_to_come() -> None:
    assert line([0.0, 0.5, 5000.0, 5000.5], [0.0, 0.5, 3.5, 4.0]) == pytest.approx([0.0, 0.5, 3.5, 4.0])


def test_a_pause_is_a_pause_where_it_was_waited_for() -> None:
    assert line([0.0, 0.5, 60.5], [0.0, 0.5, 60.5]) == pytest.approx([0.0, 0.5, 60.5])


def test_careless_stamps_do_not_add_up() -> None:
    assert line([0.0, 0.5, 0.45, 1.0]) == pytest.approx([0.0, 0.5, 0.5, 1.0])


def test_frames_without_stamps_take_the_time_of_their_coming() -> None:
    assert line([None, None, None], [5.0, 5.5, 7.0]) == pytest.approx([0.0, 0.5, 2.0])


@given(
    st.lists(
        st.tuples(st.none() | st.floats(-1e6, 1e6), st.floats(0, 20)),
        max_size=40,
    )
)
def test_the_line_never_goes_back_whatever_comes(frames: list[tuple[float | None, float]]) -> None:
    clock, now, last = StreamClock(), 0.0, 0.0
    for stamp, waited in frames:
        now += waited
        at_s = clock.place(stamp, now)
        assert at_s >= last
        last = at_s


def test_a_file_may_wait_however_long_a_frame_is_looked_at() -> None:
    pace = Pace()
    assert all(pace.is_ahead(number * 0.5, number * 0.2, number * 0.01) for number in range(100))
    assert pace.is_ahead(50.0, 45.0, 1.0)


def test_a_live_source_waits_a_second_and_no_longer() -> None:
    pace = Pace()
    # its frames wait in the system's buffers while nobody reads, and then come at once
    late = [pace.is_ahead(number * 0.1, number * 0.7, number * 0.01) for number in range(20)]
    assert late == [True, True] + [False] * 18


def test_a_lead_is_gone_when_the_source_has_to_be_waited_for() -> None:
    pace = Pace()
    for number in range(100):
        pace.is_ahead(number * 1.0, number * 0.1, 0.0)  # what was recorded before
    for number in range(10):
        assert pace.is_ahead(100 + number * 0.5, 10 + number * 0.5, number * 0.4)
    slow = [pace.is_ahead(105 + number * 0.1, 15 + number * 0.7, 4.0) for number in range(10)]
    assert slow == [True, True] + [False] * 8
