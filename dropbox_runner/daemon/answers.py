"""From an answer file to the next run, and tasks that are called off while they wait."""

from __future__ import annotations

import uuid

from dropbox_runner.core.actions import Cancel, TakeAnswer
from dropbox_runner.core.asking import reply
from dropbox_runner.core.record import Outcome, Record
from dropbox_runner.core.run import Next, Why
from dropbox_runner.core.states import State, Verdict
from dropbox_runner.core.stream import read_stream
from dropbox_runner.daemon.desk import Desk
from dropbox_runner.daemon.prompting import answer_given
from dropbox_runner.folder.taskfolder import TaskFolder


def take_answer(desk: Desk, action: TakeAnswer) -> None:
    """File question and answer under their number, and do what the answer says.

    The record names the files and what follows first, then they are renamed, then the task moves: each crash in
    between leaves a task in blocked/ with a next run planned (or with its outcome), and that is taken up again.
    """
    folder = desk.store.task(State.BLOCKED, action.name)
    record = folder.record()
    if record.next is None and record.outcome is None:
        record = _answered(desk, folder, record, action.answers)
    if record.next is None:
        desk.finish(folder, record, _last_words(folder, record))
        folder.file_round(Next(why=Why.ANSWER, round=record.rounds, answers=action.answers))
        target = State.DONE if record.outcome and record.outcome.verdict is Verdict.SUCCEEDED else State.FAILED
        desk.move(action.name, State.BLOCKED, target, record.outcome.reason if record.outcome else "")
        return
    folder.write_record(record)
    folder.file_round(record.next)
    desk.move(action.name, State.BLOCKED, State.PENDING, _HOW.get(record.next.why, "answered"))


_HOW = {
    Why.EDITED: "its task was edited",
    Why.ALLOWED: "you allowed it",
    Why.MONEY: "it may spend more",
    Why.START: "it starts from the beginning",
}


def _last_words(folder: TaskFolder, record: Record) -> str:
    return read_stream(folder.lines(record.last.number)).text if record.last is not None else ""


def _answered(desk: Desk, folder: TaskFolder, record: Record, answers: tuple[str, ...]) -> Record:
    closing = Next(why=Why.ANSWER, round=record.rounds + 1, answers=answers)
    said = answer_given(folder, answers)
    record = reply(record, said, closing, str(uuid.uuid4()), desk.now.stamp())
    return record.but(rounds=record.rounds + 1).with_event(desk.now.stamp(), "answered")


def cancel(desk: Desk, action: Cancel) -> None:
    """End a task that is not running."""
    folder = desk.store.task(action.state, action.name)
    if folder.find_task_file() is None:
        # It was taken back, so it may be dropped again as it is.
        desk.ledger.forget(folder.record().id)
    record = folder.record()
    outcome = Outcome(verdict=Verdict.CANCELLED, reason=action.reason, at=desk.now.stamp())
    record = record.but(outcome=outcome, next=None).with_event(desk.now.stamp(), "cancelled")
    why = f"cancelled: {action.reason}"
    if action.state is State.PENDING:
        moved = desk.finish_pending(folder, record, why)
    else:
        desk.finish(folder, record, "")
        moved = desk.move(folder.name, action.state, State.FAILED, why)
    # Only now: removed before the move, a crash in between would forget that it was called off.
    moved.remove_cancel()
