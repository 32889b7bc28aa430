"""From an answer file to the next run, and tasks that are called off while they wait."""

from __future__ import annotations

from dropbox_runner.core.actions import Cancel, TakeAnswer
from dropbox_runner.core.followup import GIVE_UP
from dropbox_runner.core.record import Next, Outcome, Why
from dropbox_runner.core.states import State, Verdict
from dropbox_runner.daemon.desk import Desk
from dropbox_runner.daemon.prompting import answer_to
from dropbox_runner.folder.store import TaskFolder


def take_answer(desk: Desk, action: TakeAnswer) -> None:
    """File question and answer under their number and queue the next run.

    The record names the files first, then they are renamed, then the task moves: each crash in between leaves a
    task in blocked/ with a next run planned, and that is taken up here again.
    """
    folder = desk.store.task(State.BLOCKED, action.name)
    record = folder.record()
    if record.next is None:
        planned = Next(why=Why.ANSWER, round=record.rounds + 1, answers=action.answers)
        record = record.but(next=planned, rounds=record.rounds + 1).with_event(desk.now.stamp(), "answered")
        folder.write_record(record)
    assert record.next is not None
    folder.file_round(record.next)
    last = record.last
    by_runner = last is not None and last.verdict is not Verdict.ASKED
    if by_runner and answer_to(folder, record.next).strip() == GIVE_UP:
        _end(desk, folder, State.BLOCKED, "stopped by your answer")
    else:
        why = "answered" if record.next.why is Why.ANSWER else "its task was edited"
        desk.move(action.name, State.BLOCKED, State.PENDING, why)


def cancel(desk: Desk, action: Cancel) -> None:
    """End a task that is not running."""
    folder = desk.store.task(action.state, action.name)
    if folder.task_file is None:
        # It was taken back, so it may be dropped again as it is.
        desk.ledger.forget(folder.record().id)
    _end(desk, folder, action.state, action.reason)


def _end(desk: Desk, folder: TaskFolder, state: State, reason: str) -> None:
    record = folder.record()
    outcome = Outcome(verdict=Verdict.CANCELLED, reason=reason, at=desk.now.stamp())
    desk.finish(folder, record.but(outcome=outcome, next=None).with_event(desk.now.stamp(), "cancelled"), "")
    moved = desk.move(folder.name, state, State.FAILED, f"cancelled: {reason}")
    # Only now: removed before the move, a crash in between would forget that it was called off.
    moved.remove_cancel()
