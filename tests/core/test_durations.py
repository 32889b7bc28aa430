from __future__ import annotations

import contextlib
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_runner.core.durations import DurationError, format_duration, parse_duration, time_of_day


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("45s", 45),
        ("90m", 5400),
        ("2h", 7200),
        ("1d", 86400),
        ("1h30m", 5400),
        ("1d2h3m4s", 93784),
        ("1.5h", 5400),
        (" 1h 30m ", 5400),
        ("2H", 7200),
        ("2 h 10 min", 7800),
        ("10 sec", 10),
    ],
)
def test_lengths_of_time_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "message", "advice"),
    [
        ("90", "`90` has no unit", "say `90m` for minutes or `90s` for seconds"),
        ("1.5", "`1.5` has no unit", "say `1.5m` for minutes or `1.5s` for seconds"),
        ("", "there is no length of time", "write a number with its unit, such as `45s`, `90m`, `2h`, `1h30m` or `1d`"),
        (
            "soon",
            "`soon` is not a length of time",
            "write a number with its unit, such as `45s`, `90m`, `2h`, `1h30m` or `1d`",
        ),
    ],
)
def test_what_is_no_length_of_time_is_refused_with_advice(text: str, message: str, advice: str) -> None:
    with pytest.raises(DurationError) as caught:
        parse_duration(text)
    assert (str(caught.value), caught.value.advice) == (message, advice)


@pytest.mark.parametrize(
    "text", ["0s", "0h0m", "-1h", "1m1h", "1h1h", "1w", "h", "1e3s", "١h", "99999d", "9" * 5000 + "d", "1:30", "inf"]
)
def test_lengths_of_time_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"length of time|no unit"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (-3, "0 s"),
        (1.23, "1.2 s"),
        (5, "5 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (45, "45 s"),
        (59.7, "1 min"),
        (125, "2 min 5 s"),
        (3599.6, "1 h"),
        (7200, "2 h"),
        (7800, "2 h 10 min"),
        (7859, "2 h 10 min"),
        (3 * 86400 + 4 * 3600 + 59, "3 d 4 h"),
        (86400 + 59, "1 d"),
        (float("inf"), "?"),
        (float("nan"), "?"),
    ],
)
def test_lengths_of_time_are_shown_by_their_two_largest_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.text())
def test_no_text_makes_reading_a_length_of_time_crash(text: str) -> None:
    with contextlib.suppress(DurationError):
        assert parse_duration(text) > 0


@given(st.integers(1, 3650 * 86400))
def test_what_is_shown_can_be_read_again(seconds: int) -> None:
    shown = format_duration(seconds)
    assert format_duration(parse_duration(shown)) == shown


def test_a_time_of_day_names_the_day_unless_it_is_today() -> None:
    noon = datetime(2026, 3, 1, 12, 0).astimezone().timestamp()
    assert time_of_day(noon + 3 * 3600, noon) == "15:00"
    assert time_of_day(noon + 24 * 3600, noon) == "Mon 02 Mar 12:00"
