"""What a verdict means for the task: it ends, it waits for a person, or it goes on in its session."""

from __future__ import annotations

import pytest

from dropbox_runner.core.asking import GIVE_UP, GO_ON, cut_off, reply
from dropbox_runner.core.decide import home
from dropbox_runner.core.followup import Patience, conclude
from dropbox_runner.core.record import Dropped, Record
from dropbox_runner.core.run import Next, Run, Why
from dropbox_runner.core.states import State, Verdict
from dropbox_runner.core.verdict import Judgement

AT = "2026-01-02T12:00:00+00:00"
PATIENCE = Patience(retries=1, max_cut_off=3, outage=3600, on_denial="ask")
NOW = 1_800_000_000.0


def run(number: int, **more: object) -> Run:
    known = Run(number=number, id=f"{number:032x}", why=Why.START, resumed=False, started_at=AT, steady=1.0, boot="b")
    return known.but(**more)


def record(**more: object) -> Record:
    known = Record(id="i", name="x", dropped=Dropped(file="x.yaml"), taken_at=AT, session_id="s", session_seen=True)
    return known.but(**({"runs": (run(1),)} | more))


def after(verdict: Verdict, before: Record | None = None, **more: object) -> Record:
    before = before or record()
    assert before.last is not None
    judged = Judgement(verdict, f"because {verdict}", **more)  # type: ignore[arg-type]
    return conclude(before, before.last, judged, PATIENCE, at=AT, now=NOW)


@pytest.mark.parametrize(
    ("verdict", "state", "why"),
    [
        (Verdict.SUCCEEDED, State.DONE, None),
        (Verdict.ASKED, State.BLOCKED, None),
        (Verdict.INTERRUPTED, State.PENDING, Why.INTERRUPTED),
        (Verdict.STOPPED, State.PENDING, Why.STOPPED),
        (Verdict.FAILED, State.PENDING, Why.RETRY),
        (Verdict.DENIED, State.BLOCKED, None),
        (Verdict.LIMITED, State.PENDING, Why.LIMITED),
        (Verdict.OVERLOADED, State.PENDING, Why.OVERLOADED),
        (Verdict.ACCOUNT, State.PENDING, Why.ACCOUNT),
        (Verdict.OUT_OF_MONEY, State.BLOCKED, None),
        (Verdict.CANCELLED, State.FAILED, None),
        (Verdict.TIMED_OUT, State.FAILED, None),
    ],
)
def test_where_a_run_leads(verdict: Verdict, state: State, why: Why | None) -> None:
    concluded = after(verdict)
    assert home(concluded) is state
    assert (concluded.next.why if concluded.next else None) is why
    assert concluded.open_run is None
    assert concluded.last is not None
    assert (concluded.last.verdict, concluded.last.reason) == (verdict, f"because {verdict}")
    assert concluded.last.ended_at == AT
    if concluded.outcome:
        assert (concluded.outcome.verdict, concluded.outcome.at) == (verdict, AT)


def test_a_failure_is_tried_again_as_often_as_was_said_and_then_final() -> None:
    first = after(Verdict.FAILED)
    assert first.next is not None
    assert first.next.detail == "because failed", "claude is told what went wrong"
    second = after(Verdict.FAILED, first.but(next=None, runs=(*first.runs, run(2))))
    assert second.next is None
    assert home(second) is State.FAILED


def test_three_cuts_in_a_row_are_resumed_and_the_fourth_is_a_question() -> None:
    current = record()
    ways = []
    for number in range(2, 6):
        current = after(Verdict.INTERRUPTED, current)
        ways.append(home(current))
        current = current.but(next=None, runs=(*current.runs, run(number)))
    assert ways == [State.PENDING, State.PENDING, State.PENDING, State.BLOCKED]


@pytest.mark.parametrize("verdict", [one for one in Verdict if one is not Verdict.INTERRUPTED])
def test_any_run_that_ends_by_itself_ends_the_row_of_cuts(verdict: Verdict) -> None:
    assert after(verdict, record(cut_off=3)).cut_off == 0


def test_the_question_after_too_many_cuts_says_what_happened_and_leaves_a_choice() -> None:
    cut = after(Verdict.INTERRUPTED, record(cut_off=3))
    asked = cut_off(cut)
    assert "4 times" in asked.text
    assert "because interrupted" in asked.text
    assert asked.options == (GO_ON, GIVE_UP)


def test_a_session_that_exists_after_all_is_resumed_from_now_on() -> None:
    assert after(Verdict.INTERRUPTED, record(session_seen=False), session_exists=True).session_seen


def test_a_session_that_never_came_to_be_is_started_again() -> None:
    lost = after(Verdict.INTERRUPTED, record(), session_missing=True)
    assert not lost.session_seen
    assert home(lost) is State.PENDING


def test_a_session_that_is_gone_after_work_was_done_is_a_persons_decision() -> None:
    # To start from zero would do the work twice.
    worked = record(runs=(run(1, verdict=Verdict.STOPPED, messages=3), run(2)))
    assert home(after(Verdict.INTERRUPTED, worked, session_missing=True)) is State.BLOCKED


@pytest.mark.parametrize("verdict", [Verdict.SUCCEEDED, Verdict.FAILED])
def test_a_task_that_was_edited_meanwhile_goes_on_with_the_new_text(verdict: Verdict) -> None:
    concluded = after(verdict, record(edited=True))
    assert concluded.next is not None
    assert concluded.next.why is Why.EDITED
    assert concluded.outcome is None


@pytest.mark.parametrize("verdict", [Verdict.CANCELLED, Verdict.TIMED_OUT])
def test_an_edit_does_not_bring_back_what_was_stopped(verdict: Verdict) -> None:
    assert home(after(verdict, record(edited=True))) is State.FAILED


def test_the_history_has_one_safe_line_for_it() -> None:
    before = record()
    assert before.last is not None
    ended = conclude(before, before.last, Judgement(Verdict.FAILED, "first\nsecond \x1b[2J"), PATIENCE, at=AT, now=NOW)
    assert [one.text for one in ended.history] == ["run 1 failed: first"]
    assert ended.last is not None
    assert ended.last.reason == "first\nsecond \x1b[2J", "the record itself keeps all of it"


def cut_off_with(verdict: Verdict, **more: object) -> Record:
    answered = Next(why=Why.ANSWER, round=2, answers=("answer.md",))
    told = run(1, planned=answered, late=("late-answer-1.md",), edited=True, **more)
    return after(verdict, record(runs=(told,)))


@pytest.mark.parametrize("verdict", [Verdict.INTERRUPTED, Verdict.STOPPED])
def test_what_was_to_be_told_is_told_again_when_the_model_had_not_said_a_word(verdict: Verdict) -> None:
    ended = cut_off_with(verdict)
    assert ended.next == Next(why=Why.ANSWER, round=None, answers=(), told=2)
    assert ended.late == ("late-answer-1.md",)
    assert ended.edited


@pytest.mark.parametrize(("verdict", "why"), [(Verdict.INTERRUPTED, Why.INTERRUPTED), (Verdict.STOPPED, Why.STOPPED)])
def test_what_the_model_has_heard_is_not_told_again(verdict: Verdict, why: Why) -> None:
    ended = cut_off_with(verdict, messages=1)
    assert ended.next == Next(why=why)
    assert (ended.late, ended.edited) == ((), False)


def test_it_is_told_again_also_after_the_question_how_to_go_on() -> None:
    told = run(1, planned=Next(why=Why.ANSWER, round=2, answers=("answer.md",)))
    asking = after(Verdict.INTERRUPTED, record(runs=(told,), cut_off=3))
    assert asking.asking is not None
    answered = reply(asking, GO_ON, Next(why=Why.ANSWER, round=3, answers=("answer.md",)), "-", AT)
    assert answered.next is not None
    assert (answered.next.why, answered.next.round, answered.next.told) == (Why.ANSWER, 3, 2)
    assert answered.next.passes_answer
