"""The texts beside a task that has ended, as the person reads them."""

from __future__ import annotations

import json

import pytest

from dropbox_runner.core.record import Dropped, Outcome, Record
from dropbox_runner.core.reports import error_markdown, money, result_json, result_markdown, summary
from dropbox_runner.core.run import Run, Why
from dropbox_runner.core.states import Verdict

AT = "2026-01-02T12:00:00+00:00"


def run(number: int = 1, **more: object) -> Run:
    known = Run(number=number, id=f"r{number}", why=Why.START, resumed=False, started_at=AT, steady=1.0, boot="b")
    return known.but(**({"verdict": Verdict.SUCCEEDED, "cost_usd": 0.25, "turns": 3, "seconds": 61.0} | more))


def record(*runs: Run, **more: object) -> Record:
    known = Record(id="i", name="fix-login", dropped=Dropped(file="fix login.yaml"), taken_at=AT, session_id="s-1")
    return known.but(runs=runs, **more)


def outcome(verdict: Verdict, reason: str = "because") -> Outcome:
    return Outcome(verdict=verdict, reason=reason, at=AT)


@pytest.mark.parametrize(
    ("costs", "words"),
    [
        ([0.0008], "$0.0008"),
        ([0.25, 0.5], "$0.75"),
        ([0.0], "$0.00"),
        ([None], "unknown"),
        ([0.25, None], "at least $0.25"),
        ([12.345], "$12.35"),
    ],
)
def test_money(costs: list[float | None], words: str) -> None:
    runs = [run(number, cost_usd=cost) for number, cost in enumerate(costs, 1)]
    assert money(record(*runs)) == words


def test_a_run_that_has_not_ended_has_no_unknown_cost() -> None:
    assert money(record(run(cost_usd=None, verdict=None))) == "$0.00"


def test_a_sum_of_cents_has_no_tail_of_zeros() -> None:
    told = json.loads(result_json(record(run(1, cost_usd=0.1), run(2, cost_usd=0.2)), outcome(Verdict.SUCCEEDED), ""))
    assert told["cost_usd"] == 0.3


def test_the_summary() -> None:
    assert summary(record()) == "never started"
    assert summary(record(run(turns=1))) == "$0.25, 1 turn, 1 min 1 s, 1 run"
    assert summary(record(run(1), run(2))) == "$0.50, 6 turns, 2 min 2 s, 2 runs"


def test_the_result_begins_with_what_claude_said() -> None:
    text = result_markdown(record(run(), rounds=2), outcome(Verdict.SUCCEEDED), "I fixed it.\n\nAll of it.\n")
    assert text.startswith("I fixed it.\n\nAll of it.\n\n---\n")
    for row in (
        "| Verdict | succeeded |",
        "| Cost | $0.25 |",
        "| Turns | 3 |",
        "| Questions | 2 |",
        "| Session | s-1 |",
    ):
        assert row in text


def test_a_table_stays_a_table_whatever_the_reason_holds() -> None:
    text = result_markdown(record(run()), outcome(Verdict.FAILED, "a | b\nsecond line"), "")
    assert "| Why | a \\| b |" in text
    assert "second line" not in text
    assert "_(claude said nothing)_" in text


def test_the_result_for_programs() -> None:
    data = json.loads(result_json(record(run(), run(2, cost_usd=None), rounds=1), outcome(Verdict.FAILED), "bye"))
    assert data == {
        "task": "fix-login",
        "id": "i",
        "verdict": "failed",
        "reason": "because",
        "result": "bye",
        "cost_usd": 0.25,
        "cost_complete": False,
        "turns": 6,
        "seconds": 122.0,
        "runs": 2,
        "questions": 1,
        "session_id": "s-1",
        "dropped_as": "fix login.yaml",
        "taken_at": AT,
        "ended_at": AT,
    }


def test_a_cost_of_which_nothing_is_known_is_not_told_as_nothing() -> None:
    killed = json.loads(result_json(record(run(cost_usd=None)), outcome(Verdict.FAILED), ""))

    assert (killed["cost_usd"], killed["cost_complete"]) == (None, False)


def test_a_task_that_never_ran_has_no_session() -> None:
    assert json.loads(result_json(record(), outcome(Verdict.REJECTED), ""))["session_id"] is None


@pytest.mark.parametrize("verdict", [one for one in Verdict if one is not Verdict.SUCCEEDED])
def test_every_error_text_says_what_happened_and_what_to_do(verdict: Verdict) -> None:
    text = error_markdown(record(run()), outcome(verdict, "the reason why"))
    assert text.startswith(f"# fix-login: {verdict.value.replace('_', ' ')}\n")
    assert "the reason why" in text
    advice = text.partition("the reason why")[2]
    assert len(advice.replace(AT, "").strip("_\n")) > 30, "there is no advice"
    assert AT in text


def test_the_place_of_a_mistake_is_shown_as_it_was_laid_out() -> None:
    reason = "x.yaml:2:5: unknown field\n    promt: hi\n    ^\n  → did you mean `prompt`?"
    text = error_markdown(record(), outcome(Verdict.REJECTED, reason))
    assert "    x.yaml:2:5: unknown field\n        promt: hi\n        ^\n      → did you mean" in text
    assert "drop it again" in text


def test_a_duplicate_is_not_told_to_look_at_logs_that_do_not_exist() -> None:
    text = error_markdown(record(), outcome(Verdict.DUPLICATE, "the very file that was taken before"))
    assert "run-N" not in text
