"""The gate before all starts: what closes it, for how long, what opens it."""

from __future__ import annotations

import pytest

from dropbox_runner.core.gate import Gate, Why, after, reset_time
from dropbox_runner.core.states import Verdict

NOW = 1_800_000_000.0
HOUR = 3600.0


def test_trouble_with_the_account_is_looked_at_again_at_growing_intervals() -> None:
    gate: Gate | None = None
    now, pauses = NOW, []
    for _ in range(7):
        gate = after(gate, Verdict.ACCOUNT, "Invalid API key", None, now)
        assert gate is not None
        assert gate.probing, "one task at a time finds out"
        pauses.append(gate.until - now)
        now = gate.until

    assert pauses == [60, 120, 300, 600, 1800, 1800, 1800]


def test_runs_that_are_refused_together_count_as_one_try() -> None:
    gate: Gate | None = None
    for seconds in range(8):
        gate = after(gate, Verdict.ACCOUNT, "Invalid API key", None, NOW + seconds)

    assert gate is not None
    assert gate.until == NOW + 60


def test_the_first_throttled_runs_close_nothing_and_several_in_a_row_close_it_shortly() -> None:
    gate: Gate | None = None
    now, pauses = NOW, []
    for _ in range(9):
        gate = after(gate, Verdict.OVERLOADED, "529", None, now)
        assert gate is not None
        pauses.append(gate.until - now)
        now = gate.until

    assert pauses == [0, 0, 30, 60, 120, 240, 480, 600, 600]


def test_runs_that_are_throttled_together_do_not_make_a_short_pause_a_long_one() -> None:
    gate: Gate | None = None
    for _ in range(20):
        gate = after(gate, Verdict.OVERLOADED, "529", None, NOW)

    assert gate is not None
    assert gate.until == NOW + 30


@pytest.mark.parametrize("served", [Verdict.LIMITED, Verdict.ACCOUNT, Verdict.OVERLOADED])
def test_a_clock_that_is_set_back_leaves_no_gate_closed_for_longer_than_it_ever_is(served: Verdict) -> None:
    gate: Gate | None = None
    for _ in range(3):
        gate = after(gate, served, "…", None, NOW)
    assert gate is not None
    assert gate.left(NOW) > 0
    back = NOW - 30 * 24 * HOUR
    assert gate.left(back) == 0, "it would stay closed for a month"
    again = after(gate, served, "…", None, back)
    assert again is not None
    assert 0 < again.left(back) <= HOUR, "what then is refused again closes it anew"


@pytest.mark.parametrize("why", list(Why))
def test_a_run_that_was_served_to_its_end_opens_a_gate_whose_time_is_over(why: Why) -> None:
    assert after(Gate(why=why, until=NOW - 1, reason="…"), Verdict.SUCCEEDED, "", None, NOW) is None


def test_a_run_that_was_under_way_before_does_not_lift_the_limit_for_the_others() -> None:
    gate = Gate(why=Why.LIMIT, until=NOW + HOUR, reason="limit")

    assert after(gate, Verdict.SUCCEEDED, "", None, NOW) == gate


@pytest.mark.parametrize("how", [Verdict.FAILED, Verdict.OUT_OF_MONEY, None])
def test_a_failure_of_the_tasks_own_changes_nothing(how: Verdict | None) -> None:
    gate = Gate(why=Why.ACCOUNT, until=NOW, reason="…", tries=3)

    assert after(gate, how, "", None, NOW) == gate
    assert after(None, how, "", None, NOW) is None


def test_an_overload_does_not_cut_short_what_is_closed_for_a_better_reason() -> None:
    for why in (Why.LIMIT, Why.ACCOUNT):
        gate = Gate(why=why, until=NOW + HOUR, reason="…")
        assert after(gate, Verdict.OVERLOADED, "529", None, NOW) == gate


def test_a_second_word_on_the_limit_never_makes_it_shorter() -> None:
    gate = after(None, Verdict.LIMITED, "limit", NOW + 50 * HOUR, NOW)
    again = after(gate, Verdict.LIMITED, "limit", NOW + HOUR, NOW)

    assert again is not None
    assert again.until == NOW + 50 * HOUR


def test_a_limit_takes_the_place_of_any_other_trouble() -> None:
    gate = after(Gate(why=Why.ACCOUNT, until=NOW + HOUR, reason="…"), Verdict.LIMITED, "limit", NOW + 2 * HOUR, NOW)

    assert gate is not None
    assert (gate.why, gate.until, gate.probing) == (Why.LIMIT, NOW + 2 * HOUR, False)


def test_no_other_trouble_lets_anything_start_before_the_reset() -> None:
    gate = Gate(why=Why.LIMIT, until=NOW + HOUR, reason="limit")

    assert after(gate, Verdict.ACCOUNT, "Invalid API key", None, NOW) == gate


def test_after_the_reset_the_next_trouble_is_seen_as_what_it_is() -> None:
    over = Gate(why=Why.LIMIT, until=NOW - 1, reason="limit")

    refused, throttled = (after(over, how, "…", None, NOW) for how in (Verdict.ACCOUNT, Verdict.OVERLOADED))
    assert refused is not None
    assert (refused.why, refused.tries) == (Why.ACCOUNT, 1)
    assert throttled is not None
    assert (throttled.why, throttled.tries) == (Why.THROTTLE, 1)


@pytest.mark.parametrize("resets", [None, float("nan"), float("inf"), -float("inf"), 0.0, 1e12, -1e300, 1e300])
def test_whatever_is_reported_the_wait_is_at_least_a_minute_and_at_most_the_longest_window(
    resets: float | None,
) -> None:
    assert NOW + 60 <= reset_time(resets, NOW) <= NOW + 8 * 24 * HOUR


def test_the_gate_says_what_is_closed_until_when_and_what_to_do() -> None:
    limit, account, throttle = (Gate(why=why, until=NOW, reason="Invalid API key\n").in_words("15:30") for why in Why)

    assert limit == "usage limit until 15:30"
    assert "Invalid API key" in account
    assert "logs in" in account
    assert "15:30" in account
    assert "15:30" in throttle
    assert "\n" not in limit + account + throttle


def test_a_gate_survives_being_written_and_read() -> None:
    gate = Gate(why=Why.THROTTLE, until=NOW, reason="…", tries=4)

    assert Gate.model_validate_json(gate.model_dump_json()) == gate
