"""From a dropped file to a task in pending/, or in failed/ with the reason."""

from __future__ import annotations

import uuid
from contextlib import suppress
from datetime import datetime

from dropbox_runner.core.actions import Admit, Forget, PutAside, Take, TakeEdit, TakeRewrite, Tidy, Unpack
from dropbox_runner.core.clock import Now
from dropbox_runner.core.errors import RejectedError, RunnerError
from dropbox_runner.core.names import folder_name
from dropbox_runner.core.record import Dropped, Record
from dropbox_runner.core.run import Next, Why
from dropbox_runner.core.states import State, Verdict
from dropbox_runner.core.task import NOT_ACTED_ON, Task
from dropbox_runner.core.taskfields import Priority
from dropbox_runner.daemon.desk import Desk, log, read_task
from dropbox_runner.daemon.handover import under_parent
from dropbox_runner.daemon.prompting import take_back_unheard
from dropbox_runner.folder import durable
from dropbox_runner.folder.admission import admitted
from dropbox_runner.folder.layout import ERROR
from dropbox_runner.folder.taskfolder import MAX_TASK, TaskFolder

_RANK = {Priority.HIGH: 0, Priority.NORMAL: 1, Priority.LOW: 2}


def take(desk: Desk, action: Take) -> None:
    """Make pending/NAME of a dropped file, and admit it."""
    dropped = desk.store.describe(action.file)
    name = action.task if action.begun else desk.store.free_name(action.task)
    record = Record(
        id=uuid.uuid4().hex,
        name=name,
        dropped=dropped,
        taken_at=desk.now.stamp(),
        session_id=str(uuid.uuid4()),
    )
    folder = desk.store.take(action.file, record.with_event(desk.now.stamp(), f"taken from {action.file}"))
    log.debug("%s: taken from %s", name, action.file)
    admit(desk, Admit(folder.name))


def take_edit(desk: Desk, action: TakeEdit) -> None:
    """Give a task that has not ended its newer text; the session is told with its next prompt."""
    folder = desk.store.task(action.state, action.name)
    record = folder.record()
    dropped = desk.store.describe(action.file)
    try:
        # What may not be run must not take the place of what is running.
        file = admitted(action.file, durable.read(desk.store.layout.root / action.file, MAX_TASK), desk.settings)
        if record.parent is not None:
            under_parent(desk, record, file)
        usable = not desk.ledger.knows(dropped)
    except RejectedError:
        usable = False
    except durable.UnreadableError as error:
        if error.again:
            raise
        usable = False
    if not usable:
        # No task, or a copy that a sync tool brought back: the usual way, at whose end stands failed/ and a reason.
        take(desk, Take(action.file, folder_name(action.file), begun=False))
        return
    present = folder.find_task_file()
    if present is not None and durable.read(present) == durable.read(desk.store.layout.root / action.file):
        desk.store.keep_edit(action.file, folder)
        # Not before it has been moved: after a crash in between it would be taken for a copy of itself, and set aside.
        desk.ledger.note_taken(dropped, record.id, desk.now.stamp())
        return
    changed = _edited(record, dropped, action.state)
    if record.outcome is not None:
        folder.put_away_ending(len(record.runs))
    if (attached := desk.store.attachments(action.file, folder)) is not None:
        changed = changed.but(attached=(*record.attached, attached))
    desk.store.take_edit(action.file, folder, changed.with_event(desk.now.stamp(), "edited"))
    desk.ledger.note_taken(dropped, record.id, desk.now.stamp())
    log.info("%s: %s (edited: %s)", folder.name, action.state, action.file)


def _edited(record: Record, dropped: Dropped, state: State) -> Record:
    """Note a newer text of a task that has not ended, or that has just ended while this was on its way."""
    if not record.runs:
        # Before its first run there is nobody to be told; it is simply read again.
        return record.but(dropped=dropped, next=None)
    changed = record.but(dropped=dropped, edited=True)
    if record.outcome is not None:
        return changed.but(outcome=None, next=Next(why=Why.EDITED))
    if state is State.BLOCKED and record.next is None:
        return changed.but(next=Next(why=Why.EDITED, round=record.rounds + 1), rounds=record.rounds + 1)
    return changed


def take_rewrite(desk: Desk, action: TakeRewrite) -> None:
    """Take note of a text that was changed where it lies; the session is told with its next prompt."""
    folder = desk.store.task(action.state, action.name)
    record = folder.record()
    dropped = record.dropped.but(sha256=folder.text_sha256())
    changed = _edited(record, dropped, action.state)
    if record.outcome is not None:
        folder.put_away_ending(len(record.runs))
    folder.write_record(changed.with_event(desk.now.stamp(), "edited where it lies"))
    log.info("%s: %s (its file was edited there)", folder.name, action.state)


def note_change(folder: TaskFolder, record: Record, now: Now, settle: float) -> Record | None:
    """Note that a task's file was changed in pending/, which is seen when the task is about to start; else None.

    Nobody has watched it: it may be half written, or empty for a moment. It is read when it has stayed the same for
    the settle time.
    """
    sha256 = folder.text_sha256()
    if not record.dropped.sha256 or sha256 in ("", record.dropped.sha256):
        return None
    quiet_at = now.wall.timestamp() + settle
    return record.but(
        dropped=record.dropped.but(sha256=sha256), changed=True, not_before=max(quiet_at, record.not_before or 0.0)
    )


def read_anew(record: Record, task: Task) -> Record:
    """Bring a record up to date with a text that was changed in pending/."""
    return record.but(
        changed=False, edited=bool(record.runs), priority=_RANK[task.priority], not_before=_moment(task.not_before)
    )


def unpack(desk: Desk, action: Unpack) -> None:
    """Go on with the taking of a dropped folder where a crash has cut it off."""
    folder = desk.store.task(State.PENDING, action.name)
    folder.unpack()
    admit(desk, Admit(folder.name))


def forget(desk: Desk, action: Forget) -> None:
    """Remove what is left of a task whose file was taken back. The same file may be dropped again."""
    folder = desk.store.task(State.PENDING, action.name)
    with suppress(OSError, RunnerError):
        desk.ledger.forget(folder.record().id)
    desk.store.forget(action.name)
    log.info("%s: its file was taken back", action.name)


def admit(desk: Desk, action: Admit) -> None:
    """Decide what the next run of a task in pending/ is for, or that it can have none."""
    folder = desk.store.task(State.PENDING, action.name)
    record = folder.record()
    if record.outcome is None and not record.runs:
        # Only at its first admission: a person who hands it back means it.
        if desk.ledger.is_copy(record.dropped, record.id):
            reason = f"{record.dropped.file} is the very file that was taken before (name, content, time are the same)"
            desk.reject(folder, record, Verdict.DUPLICATE, reason)
            return
        desk.ledger.note_taken(record.dropped, record.id, desk.now.stamp())
    try:
        file = read_task(folder, record, desk.settings)
        record = under_parent(desk, record, file)
    except RejectedError as error:
        desk.reject(folder, record, Verdict.REJECTED, str(error))
        return
    folder.put_away_ending(len(record.runs))
    record = take_back_unheard(folder, record, record.last)
    record = _queued(record, file.task, folder.answers if record.runs else (), asked=folder.question.exists())
    folder.write_record(record.with_event(desk.now.stamp(), "queued"))
    assert record.next is not None
    folder.file_round(record.next)
    origin = f"dropped as {record.dropped.file}" if not record.runs else "handed back"
    log.info("%s: pending (%s)", folder.name, origin)
    if record.not_acted_on:
        log.warning("%s: this version does not act on %s", folder.name, ", ".join(record.not_acted_on))


def _queued(record: Record, task: Task, answers: tuple[str, ...], *, asked: bool) -> Record:
    planned = Next(why=Why.HANDED_BACK if record.runs else Why.START)
    ignored = tuple(field for field in NOT_ACTED_ON if getattr(task, field))
    if asked or answers:
        # It was moved here by hand with a question open: that round is closed, with or without an answer.
        planned = planned.but(round=record.rounds + 1, answers=answers)
        record = record.but(rounds=record.rounds + 1)
    return record.but(
        next=planned,
        outcome=None,
        cut_off=0,
        retried=0,
        not_acted_on=ignored,
        priority=_RANK[task.priority],
        not_before=_moment(task.not_before),
    )


def _moment(text: str | None) -> float | None:
    # A time without a zone is meant as the clock on this machine's wall shows it.
    return datetime.fromisoformat(text).astimezone().timestamp() if text else None


def tidy(desk: Desk, action: Tidy) -> None:
    """Remove what a daemon, or an `ask`, that was killed has left half-written."""
    folder = desk.store.task(action.state, action.name)
    for name in action.halves:
        durable.remove(folder.path / name)


def put_aside(desk: Desk, action: PutAside) -> None:
    """Move a task whose record cannot be understood to failed/; nothing in it is touched."""
    folder = desk.store.task(action.state, action.name)
    if action.state is State.RUNNING and (ended := desk.agents.sweep_task(folder.path)):
        # Nobody could say any more what becomes of it; in failed/ it would go on spending money unseen.
        log.warning("%s: still worked, and was ended: %s", action.name, ", ".join(ended))
    folder.write_text(
        ERROR,
        f"# {action.name}: put aside\n\n{action.reason}\n\n"
        "Without its record nobody knows what has been started for this task, so it is not run again by itself. "
        "To run it from zero, drop its task file into the inbox.\n",
    )
    desk.move(action.name, action.state, State.FAILED, action.reason)
