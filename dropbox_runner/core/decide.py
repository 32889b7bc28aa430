"""What should happen next: purely computational. No clock, no disk, no process.

`decide` looks at everything at once and returns the actions for this moment. It keeps no memory: whatever it needs
to know is in the folders, and an action that was cut off half-way leaves something that the next call understands.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from dropbox_runner.core.actions import (
    Abandon,
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
from dropbox_runner.core.durations import format_duration
from dropbox_runner.core.intake import drops, is_packed
from dropbox_runner.core.names import readable, same_file
from dropbox_runner.core.plan import Draft, Plan
from dropbox_runner.core.record import Record
from dropbox_runner.core.run import Run
from dropbox_runner.core.seen import Drop, Limits, Look, Seen
from dropbox_runner.core.settle import Wait
from dropbox_runner.core.start import starts
from dropbox_runner.core.states import State, Verdict

_CANCELLED = "somebody created the file `cancel`"
_MANY = (Take, TakeEdit, Admit, Cancel, Forget)
"""What there can be any number of at a time."""


def decide(look: Look, now: Now, limits: Limits) -> Plan:
    """Return what should happen now. Calling it again after everything has been done returns no actions."""
    draft = Draft(dropped=frozenset(drop.task for drop in look.drops))
    look = _without_twins(look, draft)
    edits = {same_file(readable(drop.file)): drop for drop in look.drops}
    draft.left_behind = {seen.name: seen.settling for seen in look.tasks if seen.left_work and seen.settling}
    for seen in look.tasks:
        edit = edits.get(same_file(seen.record.dropped.file)) if edits and seen.record is not None else None
        edit = None if edit is None or edit.file in draft.edits else edit
        _one_task(seen, edit, now, limits, draft)
    known = {seen.record.open_run.id for seen in look.tasks if seen.record is not None and seen.record.open_run}
    if all(seen.record is not None or not seen.unreadable for seen in look.tasks):
        # Whose run it is may stand in a record that cannot be read just now.
        for run_id in sorted(look.watched - known):
            draft.act(Abandon(run_id))
    if look.more_at is not None:
        # No event tells of what is put into a folder that was just made.
        draft.wake_at.append(look.more_at)
    for one in look.left_alone:
        draft.wait(readable(one.name), Wait(one.reason, notable=True))
    if not limits.stopping:
        drops(look, draft)
        starts(look, now, limits, draft)
    return Plan(
        # Thousands of dropped files must not hold up what runs, what has been answered, and what could start.
        tuple(sorted(draft.actions, key=lambda action: isinstance(action, _MANY))),
        tuple(draft.waiting),
        min(draft.wake_at, default=None),
    )


def _without_twins(look: Look, draft: Draft) -> Look:
    """Put aside all but one of several folders that hold the same task, and go on with the rest.

    A power cut can leave a moved folder in its old place as well (seen on btrfs), and people copy folders. The one of
    which most is known holds; it says what has been started.
    """
    known = [(seen, seen.record) for seen in look.tasks if seen.record is not None]
    if len({record.id for _, record in known}) == len(known):
        return look
    best = {record.id: (seen, record) for seen, record in sorted(known, key=lambda one: _how_much(*one))}
    twins = [(seen, *best[record.id]) for seen, record in known if best[record.id][0] is not seen]
    left_out = {(seen.state, seen.name) for seen, _, _ in twins}
    for seen, held, record in twins:
        place, runs = f"{held.state}/{held.name}", held.state is State.RUNNING
        # Where it runs, its folder changes all the time; and when it has ended, it goes where nobody looks for a copy.
        wait = seen.settling or (None if runs else held.settling)
        if wait is None or (runs and record.open_run is None):
            draft.act(PutAside(seen.name, seen.state, f"this is a copy of {place}, which is gone on with"))
            continue
        # A sync tool that moves a folder brings it to the one place first, and then removes it from the other.
        wait = replace(wait, reason=f"it lies in {seen.state}/{seen.name} and in {place}; {wait.reason}")
        draft.wait(seen.name, wait)
        if not runs:
            if held.name != seen.name:
                draft.wait(held.name, wait)  # its answer waits as well
            left_out.add((held.state, held.name))
            draft.held[same_file(record.dropped.file)] = wait
    return replace(look, tasks=tuple(seen for seen in look.tasks if (seen.state, seen.name) not in left_out))


def _how_much(seen: Seen, record: Record) -> tuple[int, int, bool, bool, bool]:
    where = seen.state is State.RUNNING, seen.state is State.PENDING  # that is where it was to go
    return len(record.runs), len(record.history), *where, seen.name == record.name


def _one_task(seen: Seen, edit: Drop | None, now: Now, limits: Limits, draft: Draft) -> None:
    if seen.unreadable:
        draft.wait(seen.name, Wait(seen.unreadable, notable=True))
        return
    if seen.halves:
        draft.act(Tidy(seen.name, seen.state, seen.halves))
    begun = seen.record is None and seen.state is State.PENDING and seen.bare
    if begun and (seen.settling is None or draft.is_for_a_drop(seen.name)):
        # The daemon died before it had written the record; the file is still in the inbox, or was taken back.
        draft.act(Forget(seen.name))
        return
    if seen.record is None and seen.settling is not None and not seen.stray:
        draft.wait(seen.name, seen.settling)
        return
    if seen.stray:
        _stray(seen, draft)
        return
    if seen.record is None:
        draft.act(PutAside(seen.name, seen.state, seen.trouble))
        return
    match seen.state:
        case State.PENDING | State.BLOCKED if seen.record.open_run is not None:
            draft.act(EndMoved(seen.name, seen.state))
        case State.RUNNING:
            _running(seen, seen.record, edit, now, limits, draft)
        case State.BLOCKED:
            _blocked(seen, seen.record, draft)
        case State.PENDING:
            _pending(seen, seen.record, draft)
        case State.DONE | State.FAILED:
            pass  # never looked at
        case _:
            assert_never(seen.state)


def _running(seen: Seen, record: Record, edit: Drop | None, now: Now, limits: Limits, draft: Draft) -> None:
    run = record.open_run
    if run is not None:
        if not seen.alive:
            # An edit that is complete comes first: the run is then judged as one whose task goes on.
            ready = edit is not None and edit.wait is None and not limits.stopping
            draft.act(TakeEdit(edit.file, seen.name, seen.state) if edit is not None and ready else End(seen.name))
            return
        if not seen.supervised or run.process is None:
            draft.act(Adopt(seen.name, run))
        _alive(seen, run, now, limits, draft)
        _rewritten(seen, draft)
        _late(seen, draft)
    elif limits.stopping and may_go_on(record) and edit is not None and not seen.cancel:
        pass  # filed now, it would have ended when the next daemon takes the edit
    elif seen.cancel or not (may_go_on(record) and (_edited(seen, edit, draft) or _late(seen, draft))):
        # Either its run has just been judged, or the daemon died between the move to running/ and the start.
        draft.act(File(seen.name, seen.state, home(record)))


def may_go_on(record: Record) -> bool:
    """Say whether a task that has ended goes on when a person has more to say before it has been filed."""
    ended = record.outcome.verdict if record.outcome is not None else None
    return ended in (Verdict.SUCCEEDED, Verdict.FAILED, Verdict.DENIED)


def _edited(seen: Seen, edit: Drop | None, draft: Draft) -> bool:
    """Say whether an edit of a task that has ended is there, or soon will be: it is not to begin another from zero."""
    if edit is not None and edit.wait is None:
        draft.act(TakeEdit(edit.file, seen.name, seen.state))
    elif edit is not None and edit.wait is not None and edit.wait.somebody_is_at_it:
        draft.wait(
            seen.name, replace(edit.wait, reason=f"it has ended, but is being edited; {edit.file}: {edit.wait.reason}")
        )
    else:
        return _rewritten(seen, draft)
    return True


def _rewritten(seen: Seen, draft: Draft) -> bool:
    """Do what there is to do about a text that was changed where it lies; say if it will soon be done."""
    if not seen.rewritten or draft.busy(seen.name):
        return False
    if seen.text_wait is None:
        draft.act(TakeRewrite(seen.name, seen.state))
        return True
    draft.wait(seen.name, seen.text_wait)
    return seen.text_wait.somebody_is_at_it


def _late(seen: Seen, draft: Draft) -> bool:
    """Do what there is to do about an answer that lies beside a task that asks nothing; say if it will soon be done."""
    if not seen.answers or draft.busy(seen.name):
        return False
    if seen.answer_wait is None:
        draft.act(TakeLate(seen.name, seen.state, seen.answers))
        return True
    draft.wait(seen.name, seen.answer_wait)
    return seen.answer_wait.somebody_is_at_it


def _stray(seen: Seen, draft: Draft) -> None:
    place = f"{seen.state}/{seen.name}"
    if not seen.answers and not seen.cancel and not seen.remains:
        return  # an empty folder, the lock of an editor: nothing to carry, and perhaps more is to come
    if seen.elsewhere is None:
        reason = "there is no task of this name: move the file to the task that it is for, or delete the folder"
        draft.wait(place, Wait(reason, notable=True))
    elif wait := seen.answer_wait or (seen.settling if seen.remains else None):
        draft.wait(place, wait)
    else:
        draft.act(CarryOver(seen.name, seen.state))


def home(record: Record) -> State:
    """Say where a task belongs while nothing runs for it."""
    if record.outcome is not None:
        return State.DONE if record.outcome.verdict is Verdict.SUCCEEDED else State.FAILED
    return State.PENDING if record.next is not None else State.BLOCKED


def _alive(seen: Seen, run: Run, now: Now, limits: Limits, draft: Draft) -> None:
    if run.stop is not None:
        kill_at = run.stop.steady + limits.stop_grace if run.stop.boot == now.boot else now.steady
        if now.steady >= kill_at:
            draft.act(Kill(seen.name, run))
        else:
            draft.wait(seen.name, Wait(f"told to end ({run.stop.reason})", kill_at))
    elif seen.cancel:
        draft.act(Stop(seen.name, Verdict.CANCELLED, _CANCELLED))
    elif seen.linger_until is not None and now.steady >= seen.linger_until:
        draft.act(Stop(seen.name, Verdict.SUCCEEDED, "it did not end by itself after its result"))
    elif limits.stopping:
        draft.act(Stop(seen.name, Verdict.STOPPED, "the daemon was told to stop"))
    elif run.timeout is not None and now.steady >= run.steady + run.timeout:
        reason = f"it took longer than its timeout ({format_duration(run.timeout)})"
        draft.act(Stop(seen.name, Verdict.TIMED_OUT, reason))
    else:
        deadline = run.steady + run.timeout if run.timeout is not None else None
        draft.wake_at += [moment for moment in (deadline, seen.linger_until) if moment is not None]


def _blocked(seen: Seen, record: Record, draft: Draft) -> None:
    if seen.cancel:
        draft.act(Cancel(seen.name, seen.state, _CANCELLED))
    elif record.outcome is not None and not seen.asked:
        draft.act(File(seen.name, seen.state, home(record)))
    elif record.outcome is not None:
        # The answer has ended the task, and the daemon died before question and answer had got their number.
        draft.act(TakeAnswer(seen.name, seen.answers))
    elif record.next is not None:
        # The answer was taken, and the daemon died before the task had moved.
        draft.act(TakeAnswer(seen.name, record.next.answers))
    elif seen.returned:
        draft.act(TakeLate(seen.name, seen.state, seen.returned))
    elif seen.answers and seen.answer_wait is None:
        draft.act(TakeAnswer(seen.name, seen.answers))
    elif seen.answer_wait is not None:
        draft.wait(seen.name, seen.answer_wait)
    elif seen.rewritten:
        _rewritten(seen, draft)
    elif not seen.asked:
        draft.wait(seen.name, Wait("it asks nothing; to let it go on, move it to pending/", notable=True))


def _pending(seen: Seen, record: Record, draft: Draft) -> None:
    if is_packed(seen):
        draft.act(Unpack(seen.name))
    if not seen.has_task:
        return  # see _drops: its file may still be in the inbox
    if seen.cancel:
        draft.act(Cancel(seen.name, seen.state, _CANCELLED))
    elif record.next is None and (wait := seen.settling or draft.left_behind.get(seen.name)) is not None:
        draft.wait(seen.name, wait)
    elif record.next is None:
        draft.act(Admit(seen.name))
    else:
        _late(seen, draft)
