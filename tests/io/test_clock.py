"""Times as people write them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.errors import UsageError
from olmv.io.clock import parse_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2", 2.0),
        ("0", 0.0),
        (" 0.5 ", 0.5),
        (".5", 0.5),
        ("2s", 2.0),
        ("2 S", 2.0),
        ("3 seconds", 3.0),
        ("500ms", 0.5),
        ("1.5 min", 90.0),
        ("1.5m", 90.0),
        ("2h", 7200.0),
        ("0:07", 7.0),
        ("3:07.25", 187.25),
        ("90:00", 5400.0),
        ("1:02:03.5", 3723.5),
        ("100:00:00", 360000.0),
    ],
)
def test_a_time_is_read_as_people_write_it(text: str, seconds: float) -> None:
    assert parse_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "s", "-1", "-0:05", "+2", "1e3", "nan", "inf", "2 fortnights", "2s3", "1,5", "1:60", "1:60:00",
        "1:2:3:4", ":30", "1:", "1:5s", "0x10", "\u0663", "1  s", "9" * 400,
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused_in_a_line(text: str) -> None:
    with pytest.raises(UsageError, match=r"is no time; write 2s, 500ms, 1\.5min, mm:ss or h:mm:ss") as failure:
        parse_seconds(text)
    assert "\n" not in str(failure.value)
    assert len(str(failure.value)) < 150


@given(st.integers(0, 10**9))
def test_a_clock_and_its_seconds_agree(milliseconds: int) -> None:
    whole, rest = divmod(milliseconds, 1000)
    hours, minutes, seconds = whole // 3600, whole // 60 % 60, whole % 60
    assert parse_seconds(f"{hours}:{minutes:02}:{seconds:02}.{rest:03}") == pytest.approx(milliseconds / 1000)
    assert parse_seconds(f"{milliseconds}ms") == pytest.approx(milliseconds / 1000)


@given(st.text(max_size=12))
def test_any_text_is_a_time_of_0_or_more_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert 0 <= parse_seconds(text) < float("inf")
