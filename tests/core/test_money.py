"""What a task may still spend."""

from __future__ import annotations

import pytest

from dropbox_runner.core.money import budget_of, left_to_spend
from dropbox_runner.core.record import Dropped, Record
from dropbox_runner.core.reports import money
from dropbox_runner.core.run import Run, Why
from dropbox_runner.core.states import Verdict
from dropbox_runner.core.task import Task

BOUNDED = Task(instructions="x", max_budget_usd=2.0)


def record(*costs: float | None, budget: float | None = None) -> Record:
    made = Record(id="i", name="x", dropped=Dropped(file="x"), taken_at="t", session_id="s", budget_usd=budget)
    for number, cost in enumerate(costs, 1):
        run = Run(number=number, id=f"{number}", why=Why.START, resumed=number > 1, started_at="t", steady=0, boot="b")
        made = made.with_run(run.but(verdict=Verdict.STOPPED, cost_usd=cost))
    return made


def test_without_a_budget_there_is_no_limit() -> None:
    assert left_to_spend(record(5.0), Task(instructions="x")) is None


def test_each_run_is_given_what_the_earlier_ones_have_left() -> None:
    assert left_to_spend(record(), BOUNDED) == 2.0
    assert left_to_spend(record(0.5, 0.25), BOUNDED) == 1.25
    assert left_to_spend(record(0.1, 0.2), BOUNDED) == pytest.approx(1.7)


def test_when_more_was_spent_than_allowed_nothing_is_left() -> None:
    left = left_to_spend(record(1.5, 1.5), BOUNDED)

    assert left is not None
    assert left <= 0


def test_a_new_total_takes_the_place_of_the_tasks_own_whether_larger_or_smaller() -> None:
    assert budget_of(record(budget=10.0), BOUNDED) == 10.0
    assert left_to_spend(record(2.5, budget=10.0), BOUNDED) == 7.5
    assert left_to_spend(record(0.5, budget=1.0), BOUNDED) == 0.5


def test_a_run_that_could_not_say_its_cost_leaves_what_the_others_leave() -> None:
    assert left_to_spend(record(0.5, None), BOUNDED) == 1.5


@pytest.mark.parametrize(
    ("costs", "words"),
    [
        ((0.5,), "$0.50"),
        ((0.0008,), "$0.0008"),
        ((0.5, None), "at least $0.50"),
        ((None,), "unknown"),
        ((0.0,), "$0.00"),
    ],
)
def test_a_cost_is_shown_as_what_is_known_of_it(costs: tuple[float | None, ...], words: str) -> None:
    assert money(record(*costs)) == words
