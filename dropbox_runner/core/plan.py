"""What should happen next: purely computational. No clock, no disk, no process.

`decide` looks at everything at once and returns the actions for this moment. It keeps no memory: whatever it needs
to know is in the folders, and an action that was cut off half-way leaves something that the next call understands.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import assert_never

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
from dropbox_runner.core.durations import format_duration
from dropbox_runner.core.names import readable, same_file
from dropbox_runner.core.record import Record, Run, Why
from dropbox_runner.core.seen import Drop, Limits, Look, Seen
from dropbox_runner.core.settle import Wait
from dropbox_runner.core.states import State, Verdict

_CANCELLED = "somebody created the file `cancel`"
_MANY = (Take, TakeEdit, Admit, Cancel, Forget)
"""What there can be any number of at a time."""


@dataclass(frozen=True)
class Waiting:
    """Something that is not done yet, for people to see."""

    name: str
    wait: Wait


@dataclass(frozen=True)
class Plan:
    """What to do now, what is being waited for, and when to look again without being rung."""

    actions: tuple[Action, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    wake_at: float | None = None
    """Steady clock."""


@dataclass
class _Desk:
    """Where one call of `decide` collects what it decides."""

    actions: list[Action] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    wake_at: list[float] = field(default_factory=list)
    dropped: frozenset[str] = frozenset()
    """The names that what lies in the inbox would get as tasks."""
    names: set[str] = field(default_factory=set)
    """The tasks that something happens to already."""
    edits: set[str] = field(default_factory=set)
    """The files that one of several tasks of the same name in the inbox gets as its newer text."""

    def act(self, action: Action) -> None:
        self.actions.append(action)
        # What is taken is no task yet; and to tidy up may fail again and again, but is in nobody's way.
        if not isinstance(action, Take | Tidy):
            self.names.add(action.name)
        if isinstance(action, TakeEdit):
            self.edits.add(action.file)

    def busy(self, name: str) -> bool:
        """Whether something happens to this task already: one step at a time, the next look sees where it then is."""
        return name in self.names

    def is_for_a_drop(self, name: str) -> bool:
        """Whether something in the inbox would get a folder of this name, or this one with a number behind it."""
        return name in self.dropped or name.rpartition("-")[0] in self.dropped

    def wait(self, name: str, wait: Wait) -> None:
        self.waiting.append(Waiting(name, wait))
        self.wake_at += [moment for moment in (wait.until, wait.again) if moment is not None]


def decide(look: Look, now: Now, limits: Limits) -> Plan:
    """Return what should happen now. Calling it again after everything has been done returns no actions."""
    desk = _Desk(dropped=frozenset(drop.task for drop in look.drops))
    look = _without_twins(look, desk)
    edits = {} if limits.stopping else {same_file(readable(drop.file)): drop for drop in look.drops}
    for seen in look.tasks:
        edit = edits.get(_dropped(seen.record)) if edits and seen.record is not None else None
        edit = None if edit is None or edit.file in desk.edits else edit
        _one_task(seen, edit, now, limits, desk)
    known = {seen.record.open_run.id for seen in look.tasks if seen.record is not None and seen.record.open_run}
    if all(seen.record is not None or not seen.unreadable for seen in look.tasks):
        # Whose run it is may stand in a record that cannot be read just now.
        for run_id in sorted(look.watched - known):
            desk.act(Abandon(run_id))
    for one in look.left_alone:
        desk.wait(readable(one.name), Wait(one.reason, notable=True))
    if not limits.stopping:
        _drops(look, desk)
        _starts(look, now, limits, desk)
    return Plan(
        # Thousands of dropped files must not hold up what runs, what has been answered, and what could start.
        tuple(sorted(desk.actions, key=lambda action: isinstance(action, _MANY))),
        tuple(desk.waiting),
        min(desk.wake_at, default=None),
    )


def _without_twins(look: Look, desk: _Desk) -> Look:
    """Put aside all but one of several folders that hold the same task, and go on with the rest.

    A power cut can leave a moved folder in its old place as well (seen on btrfs), and people copy folders. The one of
    which most is known holds; it says what has been started.
    """
    known = [(seen, seen.record) for seen in look.tasks if seen.record is not None]
    if len({record.id for _, record in known}) == len(known):
        return look
    best = {record.id: seen for seen, record in sorted(known, key=lambda one: _how_much(*one))}
    twins = [(seen, best[record.id]) for seen, record in known if best[record.id] is not seen]
    for seen, held in twins:
        reason = f"this is a copy of {held.state}/{held.name}, which is gone on with"
        desk.act(PutAside(seen.name, seen.state, reason))
    put_aside = {(seen.state, seen.name) for seen, _ in twins}
    return replace(look, tasks=tuple(seen for seen in look.tasks if (seen.state, seen.name) not in put_aside))


def _how_much(seen: Seen, record: Record) -> tuple[int, int, bool, bool]:
    return len(record.runs), len(record.history), seen.state is State.RUNNING, seen.name == record.name


def _one_task(seen: Seen, edit: Drop | None, now: Now, limits: Limits, desk: _Desk) -> None:
    if seen.unreadable:
        desk.wait(seen.name, Wait(seen.unreadable, notable=True))
        return
    if seen.halves:
        desk.act(Tidy(seen.name, seen.state, seen.halves))
    begun = seen.record is None and seen.state is State.PENDING and seen.bare
    if begun and (seen.settling is None or desk.is_for_a_drop(seen.name)):
        # The daemon died before it had written the record; the file is still in the inbox, or was taken back.
        desk.act(Forget(seen.name))
        return
    if seen.record is None and seen.settling is not None and not seen.stray:
        desk.wait(seen.name, seen.settling)
        return
    if seen.stray:
        _stray(seen, desk)
        return
    if seen.record is None:
        desk.act(PutAside(seen.name, seen.state, seen.trouble))
        return
    match seen.state:
        case State.PENDING | State.BLOCKED if seen.record.open_run is not None:
            desk.act(EndMoved(seen.name, seen.state))
        case State.RUNNING:
            _running(seen, seen.record, edit, now, limits, desk)
        case State.BLOCKED:
            _blocked(seen, seen.record, desk)
        case State.PENDING:
            _pending(seen, seen.record, desk)
        case State.DONE | State.FAILED:
            pass  # never looked at
        case _:
            assert_never(seen.state)


def _running(seen: Seen, record: Record, edit: Drop | None, now: Now, limits: Limits, desk: _Desk) -> None:
    run = record.open_run
    if run is not None:
        if not seen.alive:
            # An edit that is complete comes first: the run is then judged as one whose task goes on.
            ready = edit is not None and edit.wait is None
            desk.act(TakeEdit(edit.file, seen.name, seen.state) if edit is not None and ready else End(seen.name))
            return
        if not seen.supervised or run.process is None:
            desk.act(Adopt(seen.name, run))
        _alive(seen, run, now, limits, desk)
        _rewritten(seen, desk)
        _late(seen, desk)
    elif not (may_go_on(record) and (_edited(seen, edit, desk) or _late(seen, desk))):
        # Either its run has just been judged, or the daemon died between the move to running/ and the start.
        desk.act(File(seen.name, seen.state, home(record)))


def may_go_on(record: Record) -> bool:
    """Say whether a task that has ended goes on when a person has more to say before it has been filed."""
    ended = record.outcome.verdict if record.outcome is not None else None
    return ended in (Verdict.SUCCEEDED, Verdict.FAILED, Verdict.DENIED)


def _edited(seen: Seen, edit: Drop | None, desk: _Desk) -> bool:
    """Say whether an edit of a task that has ended is there, or soon will be: it is not to begin another from zero."""
    if edit is not None and edit.wait is None:
        desk.act(TakeEdit(edit.file, seen.name, seen.state))
    elif edit is not None and edit.wait is not None and edit.wait.until is not None:
        desk.wait(seen.name, Wait("it has ended, but an edit of it is just arriving", edit.wait.until))
    else:
        return _rewritten(seen, desk)
    return True


def _rewritten(seen: Seen, desk: _Desk) -> bool:
    """Do what there is to do about a text that was changed where it lies; say if it will soon be done."""
    if not seen.rewritten or desk.busy(seen.name):
        return False
    if seen.text_wait is None:
        desk.act(TakeRewrite(seen.name, seen.state))
        return True
    desk.wait(seen.name, seen.text_wait)
    return seen.text_wait.until is not None


def _late(seen: Seen, desk: _Desk) -> bool:
    """Do what there is to do about an answer that lies beside a task that asks nothing; say if it will soon be done."""
    if not seen.answers or desk.busy(seen.name):
        return False
    if seen.answer_wait is None:
        desk.act(TakeLate(seen.name, seen.state, seen.answers))
        return True
    desk.wait(seen.name, seen.answer_wait)
    # Not for one that somebody may keep open for hours.
    return seen.answer_wait.until is not None


def _stray(seen: Seen, desk: _Desk) -> None:
    place = f"{seen.state}/{seen.name}"
    if not seen.answers and not seen.cancel:
        return  # an empty folder, the lock of an editor: nothing to carry, and perhaps more is to come
    if seen.elsewhere is None:
        reason = "there is no task of this name: move the file to the task that it is for, or delete the folder"
        desk.wait(place, Wait(reason, notable=True))
    elif seen.answer_wait is None:
        desk.act(CarryOver(seen.name, seen.state))
    else:
        desk.wait(place, seen.answer_wait)


def home(record: Record) -> State:
    """Say where a task belongs while nothing runs for it."""
    if record.outcome is not None:
        return State.DONE if record.outcome.verdict is Verdict.SUCCEEDED else State.FAILED
    return State.PENDING if record.next is not None else State.BLOCKED


def _alive(seen: Seen, run: Run, now: Now, limits: Limits, desk: _Desk) -> None:
    if run.stop is not None:
        kill_at = run.stop.steady + limits.stop_grace if run.stop.boot == now.boot else now.steady
        if now.steady >= kill_at:
            desk.act(Kill(seen.name, run))
        else:
            desk.wait(seen.name, Wait(f"told to end ({run.stop.reason})", kill_at))
    elif seen.cancel:
        desk.act(Stop(seen.name, Verdict.CANCELLED, _CANCELLED))
    elif seen.linger_until is not None and now.steady >= seen.linger_until:
        desk.act(Stop(seen.name, Verdict.SUCCEEDED, "it did not end by itself after its result"))
    elif limits.stopping:
        desk.act(Stop(seen.name, Verdict.STOPPED, "the daemon was told to stop"))
    elif run.timeout is not None and now.steady >= run.steady + run.timeout:
        reason = f"it took longer than its timeout ({format_duration(run.timeout)})"
        desk.act(Stop(seen.name, Verdict.TIMED_OUT, reason))
    else:
        deadline = run.steady + run.timeout if run.timeout is not None else None
        desk.wake_at += [moment for moment in (deadline, seen.linger_until) if moment is not None]


def _blocked(seen: Seen, record: Record, desk: _Desk) -> None:
    if seen.cancel:
        desk.act(Cancel(seen.name, seen.state, _CANCELLED))
    elif record.outcome is not None and not seen.asked:
        desk.act(File(seen.name, seen.state, home(record)))
    elif record.outcome is not None:
        # The answer has ended the task, and the daemon died before question and answer had got their number.
        desk.act(TakeAnswer(seen.name, seen.answers))
    elif record.next is not None:
        # The answer was taken, and the daemon died before the task had moved.
        desk.act(TakeAnswer(seen.name, record.next.answers))
    elif seen.returned:
        desk.act(TakeLate(seen.name, seen.state, seen.returned))
    elif seen.answers and seen.answer_wait is None:
        desk.act(TakeAnswer(seen.name, seen.answers))
    elif seen.answer_wait is not None:
        desk.wait(seen.name, seen.answer_wait)
    elif seen.rewritten:
        _rewritten(seen, desk)
    elif not seen.asked:
        desk.wait(seen.name, Wait("it asks nothing; to let it go on, move it to pending/", notable=True))


def _pending(seen: Seen, record: Record, desk: _Desk) -> None:
    if _is_packed(seen):
        desk.act(Unpack(seen.name))
    if not seen.has_task:
        return  # see _drops: its file may still be in the inbox
    if seen.cancel:
        desk.act(Cancel(seen.name, seen.state, _CANCELLED))
    elif record.next is None:
        desk.act(Admit(seen.name))
    else:
        _late(seen, desk)


def _drops(look: Look, desk: _Desk) -> None:
    if not look.drops and not any(map(_lacks_its_file, look.tasks)):
        return  # the usual case, whatever waits in pending/
    beginnings = {_dropped(seen.record): seen.name for seen in look.tasks if _is_beginning(seen) and seen.record}
    unfinished = {
        _dropped(seen.record): seen for seen in look.tasks if seen.record is not None and not _is_beginning(seen)
    }
    taken: set[str] = set()
    for drop in look.drops:
        file = same_file(readable(drop.file))
        started = beginnings.pop(file, None)
        if drop.wait is not None:
            desk.wait(drop.file, drop.wait)
        elif (held := unfinished.get(file)) is not None:
            if not desk.busy(held.name) and drop.file not in desk.edits:
                desk.act(TakeEdit(drop.file, held.name, held.state))
        elif file not in taken:  # else the next look finds the task that the other one has become
            desk.act(Take(drop.file, started or drop.task, begun=started is not None))
            taken.add(file)
    in_inbox: set[str] = set()
    for seen in [one for one in look.tasks if _lacks_its_file(one) and not desk.busy(one.name)]:
        in_inbox = in_inbox or {
            same_file(readable(file)) for file in (*(drop.file for drop in look.drops), *look.later)
        }
        if seen.record is None or _dropped(seen.record) in in_inbox:
            continue
        if seen.settling is not None:
            # A sync tool may have brought half of a folder that was moved here on another device.
            desk.wait(seen.name, seen.settling)
        else:
            # Its file is neither here nor in the inbox: somebody took the task back.
            bare = _is_beginning(seen) and seen.bare
            desk.act(Forget(seen.name) if bare else Cancel(seen.name, seen.state, "its file was taken back"))


def _dropped(record: Record) -> str:
    return same_file(record.dropped.file)


def _lacks_its_file(seen: Seen) -> bool:
    return seen.state is State.PENDING and not seen.has_task and not seen.unreadable


def _is_beginning(seen: Seen) -> bool:
    return _lacks_its_file(seen) and seen.record is not None and not seen.record.runs and not _is_packed(seen)


def _is_packed(seen: Seen) -> bool:
    # Once it has been admitted, what lies in work/ under such a name is claude's, or a person's.
    record = seen.record
    return _lacks_its_file(seen) and seen.packed and record is not None and record.next is None and not record.runs


def _starts(look: Look, now: Now, limits: Limits, desk: _Desk) -> None:
    ready = [(seen, seen.record) for seen in look.tasks if seen.record is not None and _may_start(seen, seen.record)]
    if not ready:
        return
    busy = sum(1 for seen in look.tasks if seen.state is State.RUNNING and seen.record is not None)
    places = 1 if look.probing else limits.max_parallel
    free = max(0, places - busy)
    starts_left = len(ready) if look.starts_left is None else look.starts_left
    full = Wait(f"waiting for a free place ({places} at a time)")
    if free and look.paused is None:
        ready.sort(key=lambda one: _rank(*one))
    for seen, record in ready:
        if desk.busy(seen.name):
            continue
        early_by = (record.not_before or 0.0) - now.wall.timestamp()
        if look.paused is not None:
            desk.wait(seen.name, look.paused)
        elif seen.text_wait is not None:
            desk.wait(seen.name, seen.text_wait)
        elif early_by > 0:
            desk.wait(seen.name, Wait(_too_early(record), now.steady + early_by))
        elif free > 0 and starts_left > 0:
            free, starts_left = free - 1, starts_left - 1
            desk.act(Start(seen.name))
        elif free > 0:
            desk.wait(seen.name, Wait("as many runs were started as the settings allow within an hour"))
        else:
            desk.wait(seen.name, full)


def _too_early(record: Record) -> str:
    last = record.last
    if last is None or record.next is None or record.next.why not in (Why.OVERLOADED, Why.RETRY):
        return "it is not to be started before its time"
    return f"{last.verdict}, will be tried again: {last.reason.strip().partition(chr(10))[0]}"


def _may_start(seen: Seen, record: Record) -> bool:
    if seen.unreadable or seen.cancel or not seen.has_task:
        return False
    return seen.state is State.PENDING and record.next is not None


def _rank(seen: Seen, record: Record) -> tuple[int, str, str]:
    # First come, first served: a task that has been answered came before those that were dropped meanwhile.
    return record.priority, record.taken_at, seen.name
