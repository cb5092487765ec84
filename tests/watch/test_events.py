"""Labels that begin and end."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from olmv.scoring.segments import is_on
from olmv.watch.events import Change, EventTracker, Moment


def play(
    curve: list[float], *, step_s: float = 0.5, enter: float = 0.5, leave: float = 0.3, **options: float
) -> list[Change]:
    """Track one label over a curve, and end it."""
    tracker = EventTracker([enter], [leave], **options)
    changes = []
    for number, value in enumerate(curve):
        changes += tracker.update(Moment(1000 + number * step_s, number * step_s), np.array([value]))
    return changes + tracker.end_all(Moment(1000 + len(curve) * step_s, len(curve) * step_s), None)


def states(changes: list[Change]) -> list[tuple[str, float]]:
    return [(change.state, change.moment.at_s) for change in changes]


def test_a_curve_that_wavers_is_one_event() -> None:
    changes = play([0.1, 0.6, 0.4, 0.8, 0.4, 0.2, 0.1])
    assert states(changes) == [("began", 0.5), ("ended", 2.5)]
    began, ended = changes
    assert began.event == ended.event
    assert (began.peak, ended.peak, ended.peak_moment.at_s) == (0.6, 0.8, 1.5)
    assert (began.probability, ended.probability) == (0.6, 0.2)
    assert began.moment.time == 1000.5


def test_what_is_held_too_short_is_no_event() -> None:
    assert play([0.6, 0.6, 0.4, 0.6, 0.6, 0.1], hold_s=1.0) == []
    changes = play([0.1, 0.6, 0.7, 0.9, 0.1], hold_s=1.0)
    assert states(changes) == [("began", 0.5), ("ended", 2.0)]
    assert changes[0].probability == 0.9  # told when it fires, of the moment at which it began


def test_after_an_end_nothing_begins_for_the_cooldown() -> None:
    curve = [0.9, 0.1, 0.9, 0.9, 0.1, 0.9, 0.1]
    assert states(play(curve)) == [
        ("began", 0.0),
        ("ended", 0.5),
        ("began", 1.0),
        ("ended", 2.0),
        ("began", 2.5),
        ("ended", 3.0),
    ]
    assert states(play(curve, cooldown_s=2.0)) == [("began", 0.0), ("ended", 0.5), ("began", 2.5), ("ended", 3.0)]


def test_what_is_still_there_after_the_cooldown_begins_then() -> None:
    assert states(play([0.9, 0.1, 0.9, 0.9, 0.9], cooldown_s=1.0))[2:] == [("began", 1.5), ("ended", 2.5)]


def test_an_open_event_ends_with_the_watch() -> None:
    changes = play([0.9, 0.9])
    assert states(changes) == [("began", 0.0), ("ended", 1.0)]
    assert changes[1].probability == 0.9


def test_an_event_that_has_not_begun_does_not_end() -> None:
    assert play([0.9], hold_s=1.0) == []


def test_labels_do_not_mix() -> None:
    tracker = EventTracker([0.5, 0.9], [0.3, 0.8])
    assert [c.label for c in tracker.update(Moment(0, 0), np.array([0.6, 0.6]))] == [0]
    assert [c.label for c in tracker.update(Moment(1, 1), np.array([0.6, 0.95]))] == [1]
    assert tracker.open == [0, 1]
    changes = tracker.update(Moment(2, 2), np.array([0.1, 0.85]))
    assert [(c.label, c.state) for c in changes] == [(0, "ended")]


@given(st.lists(st.sampled_from([0.0, 0.3, 0.4, 0.5, 1.0]), max_size=40))
def test_events_are_the_segments_of_the_curve(curve: list[float]) -> None:
    on = is_on(np.array(curve), 0.5, 0.35)
    edges = np.flatnonzero(np.diff(on.astype(int), prepend=0, append=0)) * 0.5
    assert [at for _, at in states(play(curve, leave=0.35))] == edges.tolist()


@given(st.lists(st.floats(0, 1), max_size=40), st.floats(0, 3), st.floats(0, 3))
def test_every_beginning_has_its_end(curve: list[float], hold_s: float, cooldown_s: float) -> None:
    changes = play(curve, hold_s=hold_s, cooldown_s=cooldown_s)
    assert [change.state for change in changes] == ["began", "ended"] * (len(changes) // 2)
    for began, ended in zip(changes[::2], changes[1::2], strict=True):
        assert began.event == ended.event
        assert ended.moment.at_s - began.moment.at_s >= hold_s - 1e-6
    for ended, began in zip(changes[1::2], changes[2::2], strict=False):
        assert began.event != ended.event
        assert began.moment.at_s >= ended.moment.at_s + cooldown_s
