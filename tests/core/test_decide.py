"""decide(): the table of transitions, row by row, and what must hold for every look there can be."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dropbox_runner.core.actions import (
    Abandon,
    Action,
    Admit,
    Adopt,
    Cancel,
    CarryOver,
    End,
    EndMoved,
    File,
    Forget,
    Kill,
    PutAside,
    Start,
    Stop,
    Take,
    TakeAnswer,
    TakeEdit,
    TakeLate,
    TakeRewrite,
    Tidy,
    Unpack,
)
from dropbox_runner.core.clock import Now
from dropbox_runner.core.decide import decide, home
from dropbox_runner.core.plan import Plan
from dropbox_runner.core.record import Dropped, Outcome, Record
from dropbox_runner.core.run import Next, ProcessId, Run, StopOrder, Why
from dropbox_runner.core.seen import Drop, LeftAlone, Limits, Look, Seen
from dropbox_runner.core.settle import EMPTY, Wait
from dropbox_runner.core.states import State, Verdict

WALL = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
NOW = Now(wall=WALL, steady=1000.0, boot="this-boot")
BLOCKED, FAILED, PENDING, RUNNING = State.BLOCKED, State.FAILED, State.PENDING, State.RUNNING
START = Next(why=Why.START)
GO_ON = Next(why=Why.ANSWER, round=1, answers=("answer.md",))
SOON = Wait("waiting until it has been quiet for a while", 1005.0)
VIM = Wait("answer.md: vim still has it open", notable=True, again=1002.0)
BLANK = Wait("answer.md: the answer is empty", notable=True)


def run(number: int = 1, **more: object) -> Run:
    known = Run(
        number=number, id=f"run-{number}", why=Why.START, resumed=False, started_at="-", steady=900.0, boot="this-boot"
    )
    return known.but(process=ProcessId(pid=4711, started=5, boot="this-boot")).but(**more)


OPEN = run()
ENDED = run(verdict=Verdict.ASKED)
TOLD = run(stop=StopOrder(verdict=Verdict.CANCELLED, reason="called off", steady=995.0, boot="this-boot"))
TOLD_LONG_AGO = run(stop=StopOrder(verdict=Verdict.CANCELLED, reason="called off", steady=990.0, boot="this-boot"))
TOLD_BEFORE_REBOOT = run(stop=StopOrder(verdict=Verdict.CANCELLED, reason="called off", steady=999.0, boot="other"))


def rec(name: str = "x", *, file: str | None = None, **more: object) -> Record:
    known = Record(
        id=f"id-{name}",
        name=name,
        dropped=Dropped(file=file or f"{name}.yaml"),
        taken_at="2026-01-02T10:00:00+00:00",
        session_id="s",
    )
    return known.but(**more)


def seen(state: State, record: Record | None, **more: object) -> Seen:
    known = Seen(name=record.name if record else "x", state=state, record=record)
    return replace(known, **more)  # type: ignore[arg-type]


def plan_for(
    *tasks: Seen, drops: tuple[Drop, ...] = (), paused: Wait | None = None, limits: Limits | None = None
) -> Plan:
    return decide(Look(drops, tasks, paused), NOW, limits or Limits())


STOPPING = Limits(stopping=True)
DONE = Outcome(verdict=Verdict.SUCCEEDED, reason="-", at="-")
BROKEN = Outcome(verdict=Verdict.TIMED_OUT, reason="-", at="-")
CANCELLED = "somebody created the file `cancel`"


@dataclass(frozen=True)
class Row:
    """One row of the table: what lies there, and exactly what follows."""

    task: Seen
    actions: list[Action]
    waits: tuple[str, ...] = ()
    wake_at: float | None = None
    limits: Limits = Limits()  # noqa: RUF009 - frozen


ROWS = {
    "blocked, ended by its answer, not yet filed: question and answer are filed first": Row(
        seen(BLOCKED, rec(runs=(ENDED,), outcome=BROKEN), asked=True, answers=("answer.md",)),
        [TakeAnswer("x", ("answer.md",))],
    ),
    # pending
    "pending, queued: started": Row(seen(PENDING, rec(next=START)), [Start("x")]),
    "pending, queued again after an answer: started": Row(seen(PENDING, rec(next=GO_ON, runs=(ENDED,))), [Start("x")]),
    "pending without a next run (handed back, or just taken): admitted": Row(
        seen(PENDING, rec(runs=(ENDED,))), [Admit("x")]
    ),
    "pending, ended, moved back by hand: admitted": Row(
        seen(PENDING, rec(runs=(run(verdict=Verdict.FAILED),), outcome=BROKEN)), [Admit("x")]
    ),
    "pending with a cancel file: cancelled": Row(
        seen(PENDING, rec(next=START), cancel=True), [Cancel("x", PENDING, CANCELLED)]
    ),
    "pending with a cancel file before it was admitted: cancelled": Row(
        seen(PENDING, rec(), cancel=True), [Cancel("x", PENDING, CANCELLED)]
    ),
    "a mere beginning whose file is gone: forgotten": Row(
        seen(PENDING, rec(), has_task=False, bare=True), [Forget("x")]
    ),
    "never started, file taken back, but something else lies in it: kept, in failed/": Row(
        seen(PENDING, rec(next=START), has_task=False, bare=False),
        [Cancel("x", PENDING, "its file was taken back")],
    ),
    "pending with runs, file taken back: kept, in failed/": Row(
        seen(PENDING, rec(next=GO_ON, runs=(ENDED,)), has_task=False),
        [Cancel("x", PENDING, "its file was taken back")],
    ),
    "pending, daemon stopping: nothing is started": Row(seen(PENDING, rec(next=START)), [], limits=STOPPING),
    "pending, its time has not come: it waits until then": Row(
        seen(PENDING, rec(next=START, not_before=WALL.timestamp() + 60)),
        [],
        ("it is not to be started before its time",),
        1060.0,
    ),
    "pending, to be tried again in what is longer than any pause, as the clock was set back: started": Row(
        seen(PENDING, rec(next=Next(why=Why.RETRY), not_before=WALL.timestamp() + 86_400, runs=(ENDED,))), [Start("x")]
    ),
    "pending, to be tried again, but its text was just changed: it waits": Row(
        seen(PENDING, rec(next=Next(why=Why.RETRY), not_before=WALL.timestamp() + 7200, runs=(ENDED,), changed=True)),
        [],
        ("its text was just changed; waiting until it stays as it is",),
        8200.0,
    ),
    "pending, its time has come: started": Row(
        seen(PENDING, rec(next=START, not_before=WALL.timestamp())), [Start("x")]
    ),
    "pending, record unreadable: put aside": Row(
        seen(PENDING, None, trouble="record.json: nonsense"), [PutAside("x", PENDING, "record.json: nonsense")]
    ),
    "pending, moved there by hand while claude works: that run is ended first": Row(
        seen(PENDING, rec(runs=(OPEN,)), alive=True, supervised=True), [EndMoved("x", PENDING)]
    ),
    "pending, queued, and a run is still open: that run is ended first": Row(
        seen(PENDING, rec(next=START, runs=(OPEN,)), alive=True), [EndMoved("x", PENDING)]
    ),
    # running
    "running, watched, within its limits: nothing": Row(
        seen(RUNNING, rec(runs=(OPEN,)), alive=True, supervised=True), []
    ),
    "running, started by an earlier daemon: adopted": Row(
        seen(RUNNING, rec(runs=(OPEN,)), alive=True), [Adopt("x", OPEN)]
    ),
    "running, its process is gone: judged": Row(seen(RUNNING, rec(runs=(OPEN,)), supervised=True), [End("x")]),
    "running, its process went while no daemon ran: judged": Row(seen(RUNNING, rec(runs=(OPEN,))), [End("x")]),
    "running, died between 'starting' and 'started', nothing alive: judged": Row(
        seen(RUNNING, rec(runs=(run(process=None),))), [End("x")]
    ),
    "running, its process is gone and it was called off: judged first": Row(
        seen(RUNNING, rec(runs=(OPEN,)), cancel=True), [End("x")]
    ),
    "running with a timeout that has not passed: looked at again at its end": Row(
        seen(RUNNING, rec(runs=(run(timeout=130.0),)), alive=True, supervised=True), [], wake_at=1030.0
    ),
    "running after its result, still within its grace: looked at again at its end": Row(
        seen(RUNNING, rec(runs=(OPEN,)), alive=True, supervised=True, linger_until=1030.0), [], wake_at=1030.0
    ),
    "running after its result and its grace: ended, and the result counts": Row(
        seen(RUNNING, rec(runs=(OPEN,)), alive=True, supervised=True, linger_until=1000.0),
        [Stop("x", Verdict.SUCCEEDED, "it did not end by itself after its result")],
    ),
    "running longer than its timeout, after its result: stopped": Row(
        seen(RUNNING, rec(runs=(run(timeout=100.0),)), alive=True, supervised=True, linger_until=1030.0),
        [Stop("x", Verdict.TIMED_OUT, "it took longer than its timeout (1 min 40 s)")],
    ),
    "running longer than its timeout: stopped": Row(
        seen(RUNNING, rec(runs=(run(timeout=100.0),)), alive=True, supervised=True),
        [Stop("x", Verdict.TIMED_OUT, "it took longer than its timeout (1 min 40 s)")],
    ),
    "running longer than its timeout, found by a new daemon: adopted and stopped": Row(
        seen(RUNNING, rec(runs=(run(timeout=100.0),)), alive=True),
        [
            Adopt("x", run(timeout=100.0)),
            Stop("x", Verdict.TIMED_OUT, "it took longer than its timeout (1 min 40 s)"),
        ],
    ),
    "running with a cancel file: stopped": Row(
        seen(RUNNING, rec(runs=(OPEN,)), alive=True, supervised=True, cancel=True),
        [Stop("x", Verdict.CANCELLED, CANCELLED)],
    ),
    "running, daemon stopping: stopped": Row(
        seen(RUNNING, rec(runs=(OPEN,)), alive=True, supervised=True),
        [Stop("x", Verdict.STOPPED, "the daemon was told to stop")],
        limits=STOPPING,
    ),
    "running, daemon stopping and cancel file: the person's word counts": Row(
        seen(RUNNING, rec(runs=(OPEN,)), alive=True, supervised=True, cancel=True),
        [Stop("x", Verdict.CANCELLED, CANCELLED)],
        limits=STOPPING,
    ),
    "told to end, in its time of grace: waited for": Row(
        seen(RUNNING, rec(runs=(TOLD,)), alive=True, supervised=True), [], ("told to end (called off)",), 1005.0
    ),
    "told to end, grace over: killed": Row(
        seen(RUNNING, rec(runs=(TOLD_LONG_AGO,)), alive=True, supervised=True), [Kill("x", TOLD_LONG_AGO)]
    ),
    "told to end, but somebody is in a hurry: killed": Row(
        seen(RUNNING, rec(runs=(TOLD,)), alive=True, supervised=True),
        [Kill("x", TOLD)],
        limits=Limits(stop_grace=0.0, stopping=True),
    ),
    "told to end before a reboot (its clock means nothing): killed": Row(
        seen(RUNNING, rec(runs=(TOLD_BEFORE_REBOOT,)), alive=True, supervised=True), [Kill("x", TOLD_BEFORE_REBOOT)]
    ),
    "told to end and cancel file: not told twice": Row(
        seen(RUNNING, rec(runs=(TOLD,)), alive=True, supervised=True, cancel=True),
        [],
        ("told to end (called off)",),
        1005.0,
    ),
    "running/, crash between the move and the start: back to pending": Row(
        seen(RUNNING, rec(next=START)), [File("x", RUNNING, PENDING)]
    ),
    "running/, judged to go on: to pending": Row(
        seen(RUNNING, rec(next=Next(why=Why.INTERRUPTED), runs=(run(verdict=Verdict.INTERRUPTED),))),
        [File("x", RUNNING, PENDING)],
    ),
    "running/, judged to have asked: to blocked": Row(seen(RUNNING, rec(runs=(ENDED,))), [File("x", RUNNING, BLOCKED)]),
    "running/, judged a success: to done": Row(
        seen(RUNNING, rec(runs=(run(verdict=Verdict.SUCCEEDED),), outcome=DONE)), [File("x", RUNNING, State.DONE)]
    ),
    "running/, judged anything else: to failed": Row(
        seen(RUNNING, rec(runs=(run(verdict=Verdict.TIMED_OUT),), outcome=BROKEN)), [File("x", RUNNING, State.FAILED)]
    ),
    "running/, to be filed, daemon stopping: filed all the same": Row(
        seen(RUNNING, rec(runs=(ENDED,))), [File("x", RUNNING, BLOCKED)], limits=STOPPING
    ),
    "running/, record unreadable: put aside": Row(
        seen(RUNNING, None, trouble="no record"), [PutAside("x", RUNNING, "no record")]
    ),
    # blocked
    "blocked, no answer: nothing": Row(seen(BLOCKED, rec(runs=(ENDED,))), []),
    "blocked, answer finished: taken": Row(
        seen(BLOCKED, rec(runs=(ENDED,)), answers=("answer.md",)), [TakeAnswer("x", ("answer.md",))]
    ),
    "blocked, several answers: all taken": Row(
        seen(BLOCKED, rec(runs=(ENDED,)), answers=("answer.md", "answer.txt")),
        [TakeAnswer("x", ("answer.md", "answer.txt"))],
    ),
    "blocked, answer still settling: waited for": Row(
        seen(BLOCKED, rec(runs=(ENDED,)), answers=("answer.md",), answer_wait=SOON), [], (SOON.reason,), 1005.0
    ),
    "blocked, answer open in vim: waited for, nobody knows how long": Row(
        seen(BLOCKED, rec(runs=(ENDED,)), answers=("answer.md",), answer_wait=VIM), [], (VIM.reason,), 1002.0
    ),
    "blocked with a cancel file: cancelled": Row(
        seen(BLOCKED, rec(runs=(ENDED,)), cancel=True), [Cancel("x", BLOCKED, CANCELLED)]
    ),
    "blocked with a cancel file and an answer: cancelled": Row(
        seen(BLOCKED, rec(runs=(ENDED,)), cancel=True, answers=("answer.md",)), [Cancel("x", BLOCKED, CANCELLED)]
    ),
    "blocked/, crash after the answer was noted: gone on with": Row(
        seen(BLOCKED, rec(next=GO_ON, runs=(ENDED,))), [TakeAnswer("x", ("answer.md",))]
    ),
    "blocked/, crash after the answer was noted, and a new one lies there: the noted one is gone on with": Row(
        seen(BLOCKED, rec(next=GO_ON, runs=(ENDED,)), answers=("answer.txt",), answer_wait=VIM),
        [TakeAnswer("x", ("answer.md",))],
    ),
    "blocked, answered while the daemon stops: taken": Row(
        seen(BLOCKED, rec(runs=(ENDED,)), answers=("answer.md",)),
        [TakeAnswer("x", ("answer.md",))],
        limits=STOPPING,
    ),
    "blocked, moved there by hand while claude works: that run is ended first": Row(
        seen(BLOCKED, rec(runs=(OPEN,)), alive=True, supervised=True, answers=("answer.md",)),
        [EndMoved("x", BLOCKED)],
    ),
    "blocked without a question (moved there by hand): a person is told": Row(
        seen(BLOCKED, rec(runs=(run(verdict=Verdict.STOPPED),)), asked=False),
        [],
        ("it asks nothing; to let it go on, move it to pending/",),
    ),
    "blocked, but ended (by an answer, or moved there by hand): to where it belongs": Row(
        seen(BLOCKED, rec(runs=(run(verdict=Verdict.FAILED),), outcome=BROKEN), asked=False),
        [File("x", BLOCKED, State.FAILED)],
    ),
    "blocked, record unreadable: put aside": Row(
        seen(BLOCKED, None, trouble="no record"), [PutAside("x", BLOCKED, "no record")]
    ),
    "blocked, record missing, but more may come: waited for": Row(
        seen(BLOCKED, None, trouble="no record", settling=SOON), [], (SOON.reason,), 1005.0
    ),
    "pending with a record, its file not there, but more may come: waited for": Row(
        seen(PENDING, rec(next=START), has_task=False, bare=True, settling=SOON), [], (SOON.reason,), 1005.0
    ),
    # dropped folders
    "a folder's attachments have been taken, its task's file not yet: gone on with": Row(
        seen(PENDING, rec(), has_task=False, packed=True), [Unpack("x")]
    ),
    "a task's file in work/ that claude has made is none: the task was taken back": Row(
        seen(PENDING, rec(next=GO_ON, runs=(ENDED,)), has_task=False, packed=True),
        [Cancel("x", PENDING, "its file was taken back")],
    ),
    # answers that come late
    "running, an answer written: kept and passed on": Row(
        seen(RUNNING, rec(runs=(OPEN,)), alive=True, supervised=True, answers=("answer.md",)),
        [TakeLate("x", RUNNING, ("answer.md",))],
    ),
    "running, an answer being written: waited for": Row(
        seen(RUNNING, rec(runs=(OPEN,)), alive=True, supervised=True, answers=("answer.md",), answer_wait=SOON),
        [],
        (SOON.reason,),
        1005.0,
    ),
    "running/, judged a success, an answer written: it goes on with that": Row(
        seen(RUNNING, rec(runs=(run(verdict=Verdict.SUCCEEDED),), outcome=DONE), answers=("answer.md",)),
        [TakeLate("x", RUNNING, ("answer.md",))],
    ),
    "running/, judged a success, an answer being written: waited for": Row(
        seen(
            RUNNING, rec(runs=(run(verdict=Verdict.SUCCEEDED),), outcome=DONE), answers=("answer.md",), answer_wait=SOON
        ),
        [],
        (SOON.reason,),
        1005.0,
    ),
    "running/, judged a success, an answer open in vim: waited for": Row(
        seen(
            RUNNING, rec(runs=(run(verdict=Verdict.SUCCEEDED),), outcome=DONE), answers=("answer.md",), answer_wait=VIM
        ),
        [],
        (VIM.reason,),
        1002.0,
    ),
    "running/, judged a success, an empty answer: filed": Row(
        seen(
            RUNNING,
            rec(runs=(run(verdict=Verdict.SUCCEEDED),), outcome=DONE),
            answers=("answer.md",),
            answer_wait=BLANK,
        ),
        [File("x", RUNNING, State.DONE)],
        (BLANK.reason,),
    ),
    "running/, called off, an answer written: filed": Row(
        seen(RUNNING, rec(runs=(run(verdict=Verdict.TIMED_OUT),), outcome=BROKEN), answers=("answer.md",)),
        [File("x", RUNNING, State.FAILED)],
    ),
    "pending, queued, an answer written: kept and passed on": Row(
        seen(PENDING, rec(next=GO_ON, runs=(ENDED,)), answers=("answer.md",)),
        [TakeLate("x", PENDING, ("answer.md",))],
    ),
    "blocked, an answer that was taken before has come back: set aside": Row(
        seen(BLOCKED, rec(runs=(ENDED,)), answers=("answer.md",), returned=("answer.md",)),
        [TakeLate("x", BLOCKED, ("answer.md",))],
    ),
    "a folder made again for an answer, its task elsewhere: carried over": Row(
        seen(BLOCKED, None, stray=True, answers=("answer.md",), elsewhere=RUNNING), [CarryOver("x", BLOCKED)]
    ),
    "a folder made again for an answer that is not finished: waited for": Row(
        seen(BLOCKED, None, stray=True, answers=("answer.md",), elsewhere=State.DONE, answer_wait=SOON, settling=SOON),
        [],
        (SOON.reason,),
        1005.0,
    ),
    "what a task that was moved has left behind, all of it may not be moved yet: waited for": Row(
        seen(BLOCKED, None, stray=True, remains=True, elsewhere=PENDING, settling=SOON), [], (SOON.reason,), 1005.0
    ),
    "what a task that was moved has left behind: carried over": Row(
        seen(BLOCKED, None, stray=True, remains=True, elsewhere=PENDING), [CarryOver("x", BLOCKED)]
    ),
    "pending, handed back, more of it may be on its way: waited for": Row(
        seen(PENDING, rec(runs=(ENDED,)), settling=SOON), [], (SOON.reason,), 1005.0
    ),
    "an empty folder: nothing": Row(seen(BLOCKED, None, stray=True, trouble="no record"), []),
    # done and failed are never looked at; if they were, nothing would follow
    "done: nothing": Row(seen(State.DONE, rec(outcome=DONE), cancel=True), []),
    "failed: nothing": Row(seen(State.FAILED, rec(outcome=BROKEN, next=START)), []),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_one_task(row: Row) -> None:
    planned = plan_for(row.task, limits=row.limits)
    assert list(planned.actions) == row.actions
    assert tuple(one.wait.reason for one in planned.waiting) == row.waits
    assert {one.name for one in planned.waiting} <= {"x", "blocked/x"}
    assert planned.wake_at == row.wake_at


def test_a_run_whose_task_is_nowhere_any_more_is_stopped() -> None:
    look = Look(tasks=(busy("x"),), watched=frozenset({"run-1", "orphan"}))
    assert decide(look, NOW, Limits()).actions == (Abandon("orphan"),)


@pytest.mark.parametrize(
    ("record", "target"),
    [
        (rec(), BLOCKED),
        (rec(next=START), PENDING),
        (rec(outcome=DONE), State.DONE),
        *[
            (rec(outcome=Outcome(verdict=verdict, reason="-", at="-")), State.FAILED)
            for verdict in Verdict
            if verdict is not Verdict.SUCCEEDED
        ],
        # An outcome is final: a next run beside it would be a left-over.
        (rec(outcome=BROKEN, next=START), State.FAILED),
    ],
)
def test_only_success_leads_to_done(record: Record, target: State) -> None:
    assert home(record) is target


# ---------------------------------------------------------------------------------------------- drops


@pytest.mark.parametrize("name", ["x", "x-2"])
def test_a_task_that_was_called_off_when_nothing_but_its_folder_was_there_is_taken_into_that_folder(name: str) -> None:
    folder = replace(seen(PENDING, None, stray=True, cancel=True), name=name)
    planned = plan_for(folder, drops=(Drop("x.yaml", None, "x"),))
    assert planned.actions == (Take("x.yaml", name, begun=True),)


def test_of_two_folders_with_one_task_none_is_touched_while_a_sync_tool_may_be_moving_it() -> None:
    old = seen(BLOCKED, rec(runs=(ENDED,)), answers=("answer.md",))
    new = seen(PENDING, rec(runs=(ENDED,)), settling=SOON)
    for tasks in ((old, new), (new, old)):
        planned = decide(Look(tasks=tasks), NOW, Limits())
        assert planned.actions == ()
        [waiting] = planned.waiting
        assert "pending/x and in" in waiting.wait.reason or "blocked/x and in" in waiting.wait.reason
        assert SOON.reason in waiting.wait.reason


def test_a_copy_under_another_name_holds_up_both_and_that_is_said_of_both() -> None:
    held = seen(BLOCKED, rec(runs=(ENDED,)).with_event("-", "asked"), answers=("answer.md",))
    copy = replace(held, name="x (2)", record=rec(runs=(ENDED,)), settling=SOON)
    planned = decide(Look(tasks=(held, copy)), NOW, Limits())
    assert planned.actions == ()
    assert {one.name for one in planned.waiting} == {"x", "x (2)"}
    assert all("blocked/x (2)" in one.wait.reason for one in planned.waiting)


def test_an_edit_of_a_task_that_lies_in_two_places_waits_with_it() -> None:
    old = seen(BLOCKED, rec(runs=(ENDED,)))
    new = seen(PENDING, rec(runs=(ENDED,)), settling=SOON)
    planned = decide(Look(tasks=(old, new), drops=(EDIT,)), NOW, Limits())
    assert planned.actions == ()
    assert {one.name for one in planned.waiting} == {"x", EDIT.file}


def test_a_copy_of_a_run_that_has_just_been_judged_is_put_aside_before_that_is_filed() -> None:
    judged = seen(RUNNING, rec(runs=(run(verdict=Verdict.SUCCEEDED),), outcome=DONE), settling=SOON)
    copy = seen(PENDING, rec(runs=(OPEN,)), settling=SOON)
    first, second = decide(Look(tasks=(copy, judged)), NOW, Limits()).actions
    assert isinstance(first, PutAside)
    assert second == File("x", RUNNING, State.DONE)


def test_a_task_is_not_gone_on_with_before_its_work_has_followed_it() -> None:
    handed_back = seen(PENDING, rec(runs=(ENDED,)))
    rest = seen(BLOCKED, None, stray=True, remains=True, left_work=True, elsewhere=PENDING, settling=SOON)
    planned = decide(Look(tasks=(handed_back, rest)), NOW, Limits())
    assert planned.actions == ()
    later = decide(Look(tasks=(handed_back, replace(rest, settling=None))), NOW, Limits())
    assert later.actions == (CarryOver("x", BLOCKED), Admit("x"))


@pytest.mark.parametrize(("folder", "elsewhere"), [("x-prod", None), ("x", RUNNING)])
def test_a_cancel_that_is_for_another_task_does_not_call_off_what_is_dropped(
    folder: str, elsewhere: State | None
) -> None:
    stray = replace(seen(PENDING, None, stray=True, cancel=True, elsewhere=elsewhere), name=folder)
    actions = plan_for(stray, drops=(Drop("x.yaml", None, "x"),)).actions
    assert Take("x.yaml", "x", begun=False) in actions


def test_a_task_that_runs_is_gone_on_with_while_a_copy_of_it_is_arriving() -> None:
    runs = seen(RUNNING, rec(runs=(OPEN,)), alive=True, supervised=True, cancel=True)
    arriving = seen(PENDING, rec(runs=(OPEN,)), settling=SOON)
    [action] = decide(Look(tasks=(arriving, runs)), NOW, Limits()).actions
    assert isinstance(action, Stop)


def test_a_run_is_not_taken_for_a_stray_while_a_record_cannot_be_read() -> None:
    look = Look(tasks=(seen(RUNNING, None, unreadable="it cannot be read: EIO"),), watched=frozenset({"run-1"}))
    assert decide(look, NOW, Limits()).actions == ()


@pytest.mark.parametrize(
    ("held", "twin"),
    [
        (seen(RUNNING, rec(next=START)), seen(PENDING, rec(next=START))),
        (seen(RUNNING, rec(runs=(OPEN,)), alive=True, supervised=True), seen(PENDING, rec(next=START))),
        (seen(PENDING, rec(next=GO_ON, runs=(ENDED,))), seen(RUNNING, rec(runs=()))),
        (seen(PENDING, rec(next=START)), replace(seen(PENDING, rec(next=START)), name="x-copy")),
    ],
    ids=["half a move", "and it has been started since", "it went on in pending", "copied by hand"],
)
def test_of_two_folders_with_one_task_the_one_that_knows_more_goes_on(held: Seen, twin: Seen) -> None:
    for tasks in ((held, twin), (twin, held)):
        put_aside, *others = plan_for(*tasks).actions
        reason = f"this is a copy of {held.state}/{held.name}, which is gone on with"
        assert put_aside == PutAside(twin.name, twin.state, reason)
        # One step at a time: a start waits until the other one is out of the way.
        assert others == [one for one in plan_for(held).actions if not isinstance(one, Start) or held.name != twin.name]


def test_half_written_files_are_tidied_up_and_hold_nothing_up() -> None:
    task = seen(PENDING, rec(next=START), halves=(".record.json.1.dropbox-runner.tmp",))
    assert plan_for(task).actions == (Tidy("x", PENDING, (".record.json.1.dropbox-runner.tmp",)), Start("x"))


def test_a_finished_drop_is_taken() -> None:
    assert plan_for(drops=(Drop("x.yaml", None, "x"),)).actions == (Take("x.yaml", "x", begun=False),)


def test_an_unfinished_drop_is_waited_for_and_looked_at_when_it_may_be_finished() -> None:
    planned = plan_for(drops=(Drop("x.yaml", SOON, "x"),))
    assert planned.actions == ()
    assert [(one.name, one.wait) for one in planned.waiting] == [("x.yaml", SOON)]


def test_a_task_whose_file_was_taken_out_says_that_it_waits_for_the_one_that_is_just_arriving() -> None:
    task = seen(PENDING, rec(next=GO_ON, runs=(ENDED,)), has_task=False)
    planned = plan_for(task, drops=(Drop("x.yaml", SOON, "x"),))
    assert planned.actions == ()
    reasons = {one.name: one.wait.reason for one in planned.waiting}
    assert reasons == {"x.yaml": SOON.reason, "x": "its file was taken out of it; waiting for x.yaml"}
    assert planned.wake_at == 1005.0


def test_a_drop_is_not_taken_while_the_daemon_stops() -> None:
    assert plan_for(drops=(Drop("x.yaml", None, "x"),), limits=STOPPING).actions == ()


def test_a_pause_does_not_keep_drops_from_being_taken() -> None:
    planned = plan_for(drops=(Drop("x.yaml", None, "x"),), paused=Wait("paused"))
    assert planned.actions == (Take("x.yaml", "x", begun=False),)


def test_a_beginning_whose_file_is_still_in_the_inbox_is_gone_on_with_in_the_same_folder() -> None:
    beginning = seen(PENDING, rec("x-2", file="x.yaml"), has_task=False, bare=True)
    planned = plan_for(beginning, drops=(Drop("x.yaml", None, "x"),))
    assert planned.actions == (Take("x.yaml", "x-2", begun=True),)


def test_a_beginning_whose_file_is_being_written_again_is_neither_taken_nor_forgotten() -> None:
    beginning = seen(PENDING, rec(), has_task=False, bare=True)
    planned = plan_for(beginning, drops=(Drop("x.yaml", SOON, "x"),))
    assert planned.actions == ()
    assert [one.wait for one in planned.waiting] == [SOON]


@pytest.mark.parametrize(
    "held",
    [
        seen(PENDING, rec(next=START), cancel=False),
        seen(RUNNING, rec(runs=(OPEN,)), alive=True, supervised=True),
        seen(BLOCKED, rec(runs=(ENDED,))),
    ],
    ids=lambda held: str(held.state),
)
def test_the_same_name_while_its_task_is_unfinished_is_an_edit_and_no_second_task(held: Seen) -> None:
    planned = plan_for(held, drops=(Drop("x.yaml", None, "x"),))
    assert planned.actions == (TakeEdit("x.yaml", "x", held.state),)


EDIT = Drop("x.yaml", None, "x")
EDIT_SOON = Drop("x.yaml", SOON, "x")
EDIT_OPEN = Drop("x.yaml", VIM, "x")
EDIT_BEING_COPIED = Drop("x.yaml", Wait("a program still has it open for writing"), "x")
NO_TASK = Wait("its file was changed, and is no task any more", notable=True)
EDIT_EMPTY = Drop("x.yaml", Wait(EMPTY, notable=True), "x")
SUCCEEDED = run(verdict=Verdict.SUCCEEDED)


@pytest.mark.parametrize(
    ("held", "edit", "actions"),
    [
        # The process is gone, and the edit is complete: it belongs to this run's session.
        (seen(RUNNING, rec(runs=(OPEN,))), EDIT, [TakeEdit("x.yaml", "x", RUNNING)]),
        (seen(RUNNING, rec(runs=(OPEN,))), EDIT_SOON, [End("x")]),
        # It has been judged, but not been filed.
        (seen(RUNNING, rec(runs=(SUCCEEDED,), outcome=DONE)), EDIT, [TakeEdit("x.yaml", "x", RUNNING)]),
        (seen(RUNNING, rec(runs=(SUCCEEDED,), outcome=DONE)), EDIT_SOON, []),
        (seen(RUNNING, rec(runs=(SUCCEEDED,), outcome=DONE)), EDIT_OPEN, []),
        (seen(RUNNING, rec(runs=(SUCCEEDED,), outcome=DONE)), EDIT_BEING_COPIED, []),
        # Not for one that nobody is at; and not when it was called off.
        (seen(RUNNING, rec(runs=(SUCCEEDED,), outcome=DONE)), EDIT_EMPTY, [File("x", RUNNING, State.DONE)]),
        (seen(RUNNING, rec(runs=(SUCCEEDED,), outcome=BROKEN)), EDIT, [File("x", RUNNING, FAILED)]),
        # It goes on anyway: first to where it belongs.
        (seen(RUNNING, rec(runs=(ENDED,))), EDIT, [File("x", RUNNING, BLOCKED)]),
        (seen(RUNNING, rec(runs=(ENDED,), next=GO_ON)), EDIT, [File("x", RUNNING, PENDING)]),
    ],
)
def test_an_edit_that_comes_as_the_run_ends_starts_nothing_from_zero(
    held: Seen, edit: Drop, actions: list[Action]
) -> None:
    assert list(plan_for(held, drops=(edit,)).actions) == actions


def test_a_task_that_has_ended_and_is_being_edited_takes_no_place_from_others() -> None:
    ended = seen(RUNNING, rec(runs=(SUCCEEDED,), outcome=DONE))
    planned = decide(Look(drops=(EDIT_OPEN,), tasks=(ended, queued("next"))), NOW, Limits(max_parallel=1))
    assert planned.actions == (Start("next"),)
    assert any("it has ended, but is being edited" in one.wait.reason for one in planned.waiting)


def test_a_daemon_that_stops_does_not_wait_for_edits() -> None:
    held = seen(RUNNING, rec(runs=(OPEN,)))
    assert plan_for(held, drops=(EDIT,), limits=STOPPING).actions == (End("x"),)


@pytest.mark.parametrize("edit", [EDIT, EDIT_SOON, EDIT_OPEN])
def test_a_daemon_that_stops_leaves_a_task_to_the_next_one_that_has_ended_but_was_edited(edit: Drop) -> None:
    ended = seen(RUNNING, rec(runs=(SUCCEEDED,), outcome=DONE))
    assert plan_for(ended, drops=(edit,), limits=STOPPING).actions == ()
    assert plan_for(ended, limits=STOPPING).actions == (File("x", RUNNING, State.DONE),)


def test_a_task_that_has_ended_is_not_kept_for_an_edit_when_it_is_called_off() -> None:
    ended = seen(RUNNING, rec(runs=(SUCCEEDED,), outcome=DONE), cancel=True)
    assert plan_for(ended, drops=(EDIT_OPEN,)).actions == (File("x", RUNNING, State.DONE),)


@pytest.mark.parametrize(
    ("held", "actions"),
    [
        (seen(RUNNING, rec(runs=(OPEN,)), alive=True, supervised=True), [TakeRewrite("x", RUNNING)]),
        (seen(RUNNING, rec(runs=(SUCCEEDED,), outcome=DONE)), [TakeRewrite("x", RUNNING)]),
        (seen(RUNNING, rec(runs=(SUCCEEDED,), outcome=DONE), text_wait=VIM), []),
        (seen(RUNNING, rec(runs=(SUCCEEDED,), outcome=DONE), text_wait=NO_TASK), [File("x", RUNNING, State.DONE)]),
        (seen(BLOCKED, rec(runs=(ENDED,))), [TakeRewrite("x", BLOCKED)]),
        # The answer first: the new text is told with it.
        (seen(BLOCKED, rec(runs=(ENDED,)), answers=("answer.md",)), [TakeAnswer("x", ("answer.md",))]),
        (seen(BLOCKED, rec(runs=(ENDED,)), answers=("answer.md",), answer_wait=SOON), []),
        (seen(BLOCKED, rec(runs=(ENDED,)), text_wait=SOON), []),
    ],
)
def test_a_text_that_was_changed_where_it_lies_is_an_edit(held: Seen, actions: list[Action]) -> None:
    assert list(plan_for(replace(held, rewritten=True)).actions) == actions


def test_a_task_whose_text_somebody_has_open_is_not_started() -> None:
    planned = plan_for(seen(PENDING, rec(next=START), text_wait=VIM))
    assert planned.actions == ()
    assert [one.wait for one in planned.waiting] == [VIM]


@pytest.mark.parametrize("file", ["x.yml", "x.YAML"])
def test_an_edit_may_come_under_another_form_of_its_name(file: str) -> None:
    held = seen(PENDING, rec(next=START))
    assert plan_for(held, drops=(Drop(file, None, "x"),)).actions[0] == TakeEdit(file, "x", PENDING)


def test_an_edit_from_a_mac_is_an_edit() -> None:
    held = seen(PENDING, rec(file="\u00fc.yaml", next=START))
    drop = Drop("u\u0308.yaml", None, "\u00fc")
    assert plan_for(held, drops=(drop,)).actions[0] == TakeEdit(drop.file, "x", PENDING)


def test_two_forms_of_one_file_never_become_two_tasks() -> None:
    drops = (Drop("x.yaml", None, "x"), Drop("x.yml", None, "x"))
    assert plan_for(drops=drops).actions == (Take("x.yaml", "x", begun=False),)


def test_two_names_that_differ_in_case_are_two_tasks() -> None:
    drops = (Drop("X.yaml", None, "X"), Drop("x.yaml", None, "x"))
    assert len(plan_for(drops=drops).actions) == 2


def test_what_is_left_alone_is_told() -> None:
    look = Look(left_alone=(LeftAlone("photo.jpg", "left alone: no task"),))
    planned = decide(look, NOW, Limits())
    assert planned.actions == ()
    assert [(one.name, one.wait.reason, one.wait.notable) for one in planned.waiting] == [
        ("photo.jpg", "left alone: no task", True)
    ]


def test_an_answer_for_a_task_that_nobody_knows_is_told() -> None:
    planned = plan_for(seen(BLOCKED, None, stray=True, answers=("answer.md",)))
    assert planned.actions == ()
    [wait] = planned.waiting
    assert wait.name == "blocked/x"
    assert "no task of this name" in wait.wait.reason


def test_an_edit_waits_until_it_is_complete() -> None:
    planned = plan_for(seen(BLOCKED, rec(runs=(ENDED,))), drops=(Drop("x.yaml", SOON, "x"),))
    assert planned.actions == ()


def test_an_edit_and_an_answer_at_once_are_two_steps() -> None:
    answered = seen(BLOCKED, rec(runs=(ENDED,)), answers=("answer.md",))
    planned = plan_for(answered, drops=(Drop("x.yaml", None, "x"),))
    assert planned.actions == (TakeAnswer("x", ("answer.md",)),)


def test_a_crash_in_the_middle_of_an_edit_does_not_cancel_a_task_that_has_a_session() -> None:
    # The old text has been put aside, the new one still lies in the inbox.
    halfway = seen(PENDING, rec(next=GO_ON, runs=(ENDED,)), has_task=False)
    planned = plan_for(halfway, drops=(Drop("x.yaml", None, "x"),))
    assert planned.actions == (TakeEdit("x.yaml", "x", PENDING),)


# ---------------------------------------------------------------------------------------------- the queue


def queued(name: str, **more: object) -> Seen:
    return seen(PENDING, rec(name).but(next=START, **more))


def busy(name: str) -> Seen:
    return seen(RUNNING, rec(name, runs=(OPEN,)), alive=True, supervised=True)


def started(planned: Plan) -> list[str]:
    return [action.name for action in planned.actions if isinstance(action, Start)]


@pytest.mark.parametrize(
    ("parallel", "running", "starts"), [(1, 0, 1), (1, 1, 0), (2, 0, 2), (2, 1, 1), (3, 1, 2), (2, 3, 0), (9, 0, 4)]
)
def test_no_more_agents_than_allowed(parallel: int, running: int, starts: int) -> None:
    tasks = [busy(f"r{number}") for number in range(running)] + [queued(f"p{number}") for number in range(4)]
    planned = plan_for(*tasks, limits=Limits(max_parallel=parallel))
    assert started(planned) == [f"p{number}" for number in range(starts)]
    assert [one.name for one in planned.waiting] == [f"p{number}" for number in range(starts, 4)]
    assert {one.wait.reason for one in planned.waiting} <= {f"waiting for a free place ({parallel} at a time)"}


def test_a_task_that_is_only_to_be_filed_still_holds_its_place() -> None:
    assert started(plan_for(seen(RUNNING, rec("r", runs=(ENDED,))), queued("p"))) == []


def test_high_priority_first_then_first_come_then_by_name() -> None:
    tasks = [
        queued("low", priority=2, taken_at="2026-01-01T00:00:00+00:00"),
        queued("late", priority=1, taken_at="2026-01-02T00:00:09+00:00"),
        queued("b", priority=1, taken_at="2026-01-02T00:00:01+00:00"),
        queued("a", priority=1, taken_at="2026-01-02T00:00:01+00:00"),
        queued("high", priority=0, taken_at="2026-01-02T00:00:10+00:00"),
    ]
    assert started(plan_for(*tasks, limits=Limits(max_parallel=9))) == ["high", "a", "b", "late", "low"]
    assert started(plan_for(*tasks)) == ["high"]


def test_a_task_whose_time_has_not_come_does_not_hold_up_the_others() -> None:
    early = queued("early", priority=0, not_before=WALL.timestamp() + 7)
    planned = plan_for(early, queued("ready"))
    assert started(planned) == ["ready"]
    assert planned.wake_at == 1007.0


def test_a_pause_holds_back_starts_and_says_why_but_adopts_judges_and_takes_answers() -> None:
    paused = Wait("paused: the file PAUSE lies in the folder")
    planned = plan_for(
        queued("p"),
        seen(RUNNING, rec("left", runs=(OPEN,)), alive=True),
        seen(RUNNING, rec("over", runs=(OPEN,))),
        seen(BLOCKED, rec("asks", runs=(ENDED,)), answers=("answer.md",)),
        paused=paused,
    )
    assert planned.actions == (Adopt("left", OPEN), End("over"), TakeAnswer("asks", ("answer.md",)))
    assert [(one.name, one.wait) for one in planned.waiting] == [("p", paused)]


def test_a_pause_says_nothing_where_nothing_waits() -> None:
    planned = plan_for(busy("r"), paused=Wait("paused"))
    assert planned == Plan()


def test_it_is_woken_at_the_earliest_of_all_times() -> None:
    planned = plan_for(
        seen(RUNNING, rec("a", runs=(run(timeout=150.0),)), alive=True, supervised=True),
        seen(RUNNING, rec("b", runs=(TOLD,)), alive=True, supervised=True),
        queued("c", not_before=WALL.timestamp() + 3),
        drops=(Drop("d.yaml", SOON, "d"),),
    )
    assert planned.actions == ()
    assert planned.wake_at == 1003.0


# ---------------------------------------------------------------------------------------------- for every look

_maybe = st.booleans()
_waits = st.none() | st.just(SOON) | st.just(VIM)
_open_runs = st.sampled_from([OPEN, TOLD, TOLD_LONG_AGO, TOLD_BEFORE_REBOOT, run(timeout=50.0), run(process=None)])
_ended_runs = st.sampled_from([run(verdict=verdict) for verdict in Verdict])
_nexts = st.none() | st.sampled_from([START, GO_ON, Next(why=Why.INTERRUPTED), Next(why=Why.HANDED_BACK)])


@st.composite
def _tasks(draw: st.DrawFn, name: str) -> Seen:
    runs = draw(st.just(()) | st.tuples(_open_runs) | st.tuples(_ended_runs))
    known = rec(
        name,
        file=draw(st.sampled_from(["a.yaml", "b.yaml", f"{name}.yaml"])),
        runs=runs,
        next=draw(_nexts),
        outcome=draw(st.none() | st.just(DONE) | st.just(BROKEN)),
        priority=draw(st.integers(0, 2)),
        not_before=draw(st.none() | st.just(WALL.timestamp() + 5) | st.just(0.0)),
    )
    record = draw(st.just(known) | st.just(known) | st.just(known) | st.none())
    answers = draw(st.just(()) | st.just(("answer.md",)))
    found = Seen(
        name=name,
        state=draw(st.sampled_from([PENDING, RUNNING, BLOCKED])),
        record=record,
        trouble="" if record else "no record",
        has_task=draw(_maybe),
        bare=draw(_maybe),
        cancel=draw(_maybe),
        alive=draw(_maybe) and known.open_run is not None,
        supervised=draw(_maybe) and known.open_run is not None,
        answers=answers,
        answer_wait=draw(_waits) if answers else None,
    )
    return replace(found, bare=found.bare and not found.has_task and not found.cancel and not answers)


@st.composite
def _looks(draw: st.DrawFn) -> Look:
    names = draw(st.lists(st.sampled_from("abcdef"), unique=True, max_size=6))
    files = draw(st.lists(st.sampled_from([f"{name}.yaml" for name in "abcdefg"]), unique=True, max_size=4))
    drops = tuple(Drop(file, draw(_waits), file.removesuffix(".yaml")) for file in files)
    return Look(drops, tuple(draw(_tasks(name)) for name in names), draw(st.none() | st.just(Wait("paused"))))


_limits = st.builds(
    Limits, max_parallel=st.integers(1, 3), stop_grace=st.sampled_from([0.0, 10.0]), stopping=st.booleans()
)


def assert_one_step_for_each_task(actions: tuple[Action, ...]) -> None:
    steps = Counter(
        action.task if isinstance(action, Take) else action.name
        for action in actions
        # To watch a process and to do something about it go together; a drop that begins a new task has no folder yet.
        if not isinstance(action, Adopt) and not (isinstance(action, Take) and not action.begun)
    )
    assert set(steps.values()) <= {1}
    files = Counter(action.file for action in actions if isinstance(action, Take | TakeEdit))
    assert set(files.values()) <= {1}


def assert_starts_are_allowed(look: Look, limits: Limits, starts: list[str]) -> None:
    running = sum(
        1
        for one in look.tasks
        if one.state is RUNNING and one.record and not (one.record.outcome and one.record.open_run is None)
    )
    assert len(starts) <= max(0, limits.max_parallel - running)
    assert not (starts and (limits.stopping or look.paused))
    for one in look.tasks:
        if one.name in starts:
            assert one.state is PENDING
            assert one.has_task
            assert not one.cancel
            assert one.record is not None
            assert one.record.open_run is None, "two agents would work in one session"


def assert_only_live_processes_are_signalled(look: Look, actions: tuple[Action, ...]) -> None:
    living = {one.name for one in look.tasks if one.alive}
    assert {action.name for action in actions if isinstance(action, Stop | Kill | Adopt)} <= living


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(_looks(), _limits)
def test_never_two_orders_for_one_task_never_two_agents_in_one_session_never_too_many(
    look: Look, limits: Limits
) -> None:
    planned = decide(look, NOW, limits)
    assert_one_step_for_each_task(planned.actions)
    assert_starts_are_allowed(look, limits, started(planned))
    assert_only_live_processes_are_signalled(look, planned.actions)


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(_looks())
def test_what_is_not_done_is_explained(look: Look) -> None:
    planned = decide(look, NOW, Limits())
    acted = {action.name for action in planned.actions if not isinstance(action, Take)}
    taken = {action.file for action in planned.actions if isinstance(action, Take | TakeEdit)}
    explained = {one.name for one in planned.waiting}
    for one in look.tasks:
        if one.state is PENDING and one.has_task and one.record is not None and one.record.next is not None:
            assert one.name in explained | acted, "it lies in pending/ and nobody says why"
    for drop in look.drops:
        held = {one.name for one in look.tasks if one.record and one.record.dropped.file == drop.file}
        # An edit of a task to which something happens just now is taken by the next look.
        assert drop.file in taken | explained or held & acted, "it lies in the inbox and nobody says why"


def test_what_runs_is_answered_and_could_start_comes_before_the_thousands_that_were_dropped() -> None:
    drops = tuple(Drop(f"d{number}.yaml", None, f"d{number}") for number in range(1000))
    handed_back = tuple(seen(PENDING, rec(f"h{number}", runs=(ENDED,))) for number in range(100))
    answered = seen(BLOCKED, rec("a", runs=(ENDED,)), answers=("answer.md",))
    ended, ready = seen(RUNNING, rec("r", runs=(OPEN,))), seen(PENDING, rec("s", next=START))
    planned = plan_for(*handed_back, answered, ended, ready, drops=drops, limits=Limits(max_parallel=2))
    first = planned.actions[:3]
    assert {type(action) for action in first} == {TakeAnswer, End, Start}
    assert len(planned.actions) == 3 + 100 + 1000


def test_a_file_that_is_to_be_judged_later_has_not_been_taken_back() -> None:
    begun = seen(PENDING, rec("x"), has_task=False, bare=True)
    assert decide(Look(tasks=(begun,), later=frozenset({"x.yaml"})), NOW, Limits()).actions == ()
    assert decide(Look(tasks=(begun,)), NOW, Limits()).actions == (Forget("x"),)


@pytest.mark.parametrize(("refused", "starts"), [(1, ["p8"]), (5, ["p8"]), (6, ["p5"])])
def test_tasks_that_cannot_be_started_do_not_hold_up_the_others_unless_it_is_everybodys_trouble(
    refused: int, starts: list[str]
) -> None:
    why = Wait("claude could not be started: no permission; trying again", 1060.0)
    held = {f"p{number}": why for number in range(refused)}
    tasks = tuple(queued(name) for name in (*held, "p8", "p9"))
    planned = decide(Look(tasks=tasks, held=held), NOW, Limits())
    assert started(planned) == starts
    told = {one.name: one.wait for one in planned.waiting}
    assert {told[name] for name in list(held)[:5]} == {why}
    assert planned.wake_at == 1060.0
