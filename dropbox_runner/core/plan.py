"""What should happen next: purely computational. No clock, no disk, no process.

`decide` looks at everything at once and returns the actions for this moment. It keeps no memory: whatever it needs
to know is in the folders, and an action that was cut off half-way leaves something that the next call understands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from dropbox_runner.core.clock import Now
from dropbox_runner.core.durations import format_duration
from dropbox_runner.core.record import Record, Run
from dropbox_runner.core.settle import Wait
from dropbox_runner.core.states import State, Verdict

# ---------------------------------------------------------------------------------------------- what was seen


@dataclass(frozen=True)
class Drop:
    """A file in the inbox that is meant to be a task."""

    file: str
    wait: Wait | None
    """None: it is complete and can be taken."""
    task: str
    """The name that its folder would have."""


@dataclass(frozen=True)
class Seen:
    """One task's folder as a look found it."""

    name: str
    state: State
    record: Record | None
    """None: there is none that can be read; `trouble` says why."""
    trouble: str = ""
    has_task: bool = True
    """Whether the task's file is there: the move that brings it is the last step of taking it."""
    bare: bool = False
    """Whether there is nothing in it but our record."""
    cancel: bool = False
    alive: bool = False
    """Whether the process of the open run exists."""
    supervised: bool = False
    """Whether this daemon already watches that process."""
    answers: tuple[str, ...] = ()
    """The answer files beside it."""
    answer_wait: Wait | None = None
    """Why the answer is not taken yet, when there is one."""


@dataclass(frozen=True)
class Look:
    """Everything that one look has found."""

    drops: tuple[Drop, ...] = ()
    tasks: tuple[Seen, ...] = ()
    paused: Wait | None = None
    """Why nothing new is started, if nothing is."""


@dataclass(frozen=True)
class Limits:
    """The settings that decisions depend on."""

    max_parallel: int = 1
    stop_grace: float = 10.0
    stopping: bool = False
    """The daemon has been told to stop, and its agents with it: nothing is started any more."""


# ---------------------------------------------------------------------------------------------- what to do


@dataclass(frozen=True)
class Take:
    """Make a task of a dropped file: pending/NAME, or failed/NAME with what is wrong with it."""

    file: str
    task: str
    begun: bool
    """Whether that folder has been made already, and only the file is missing in it."""


@dataclass(frozen=True)
class TakeEdit:
    """Give a task that has not ended the newer text that was dropped under the same name."""

    file: str
    name: str
    state: State


@dataclass(frozen=True)
class Forget:
    """Remove what is left of a task that was never started and whose file was taken back: our own record."""

    name: str


@dataclass(frozen=True)
class Admit:
    """Read a task in pending/ that has no next run: decide what that is for, or that it is no task at all.

    It was handed back by hand, or has just been taken and did not parse.
    """

    name: str


@dataclass(frozen=True)
class Start:
    """Move pending → running and start claude."""

    name: str


@dataclass(frozen=True)
class Adopt:
    """Watch the process of a run that an earlier daemon started."""

    name: str
    run: Run


@dataclass(frozen=True)
class Stop:
    """Tell a run to end: write down why, then SIGTERM."""

    name: str
    verdict: Verdict
    reason: str


@dataclass(frozen=True)
class Kill:
    """SIGKILL a run that did not end in its time of grace."""

    name: str
    run: Run


@dataclass(frozen=True)
class End:
    """Judge a run whose process is gone, and write the verdict down."""

    name: str


@dataclass(frozen=True)
class File:
    """Move a task out of running/, where nothing runs, to where its record says it belongs."""

    name: str
    target: State


@dataclass(frozen=True)
class TakeAnswer:
    """File question and answer under their number and queue the next run."""

    name: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Cancel:
    """End a task that is not running."""

    name: str
    state: State
    reason: str


@dataclass(frozen=True)
class PutAside:
    """Move a task that cannot be understood to failed/, with the reason."""

    name: str
    state: State
    reason: str


Action = Take | TakeEdit | Forget | Admit | Start | Adopt | Stop | Kill | End | File | TakeAnswer | Cancel | PutAside


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


_CANCELLED = "somebody created the file `cancel`"

# ---------------------------------------------------------------------------------------------- deciding


@dataclass
class _Desk:
    """Where one call of `decide` collects what it decides."""

    actions: list[Action] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    wake_at: list[float] = field(default_factory=list)

    def act(self, action: Action) -> None:
        self.actions.append(action)

    def busy(self, name: str) -> bool:
        """Whether something happens to this task already: one step at a time, the next look sees where it then is."""
        return any(getattr(action, "name", None) == name for action in self.actions)

    def wait(self, name: str, wait: Wait) -> None:
        self.waiting.append(Waiting(name, wait))
        if wait.until is not None:
            self.wake_at.append(wait.until)


def decide(look: Look, now: Now, limits: Limits) -> Plan:
    """Return what should happen now. Calling it again after everything has been done returns no actions."""
    desk = _Desk()
    for seen in look.tasks:
        _one_task(seen, now, limits, desk)
    if not limits.stopping:
        _drops(look, desk)
        _starts(look, now, limits, desk)
    return Plan(tuple(desk.actions), tuple(desk.waiting), min(desk.wake_at, default=None))


def _one_task(seen: Seen, now: Now, limits: Limits, desk: _Desk) -> None:
    if seen.record is None:
        desk.act(PutAside(seen.name, seen.state, seen.trouble))
        return
    match seen.state:
        case State.RUNNING:
            _running(seen, seen.record, now, limits, desk)
        case State.BLOCKED:
            _blocked(seen, seen.record, desk)
        case State.PENDING:
            _pending(seen, seen.record, desk)
        case State.DONE | State.FAILED:
            pass  # never looked at
        case _:
            assert_never(seen.state)


def _running(seen: Seen, record: Record, now: Now, limits: Limits, desk: _Desk) -> None:
    run = record.open_run
    if run is not None:
        if not seen.alive:
            desk.act(End(seen.name))
            return
        if not seen.supervised:
            desk.act(Adopt(seen.name, run))
        _alive(seen, run, now, limits, desk)
    else:
        # Either its run has just been judged, or the daemon died between the move to running/ and the start.
        desk.act(File(seen.name, home(record)))


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
    elif limits.stopping:
        desk.act(Stop(seen.name, Verdict.STOPPED, "the daemon was told to stop"))
    elif run.timeout is not None:
        deadline = run.steady + run.timeout
        if now.steady >= deadline:
            reason = f"it took longer than its timeout ({format_duration(run.timeout)})"
            desk.act(Stop(seen.name, Verdict.TIMED_OUT, reason))
        else:
            desk.wake_at.append(deadline)


def _blocked(seen: Seen, record: Record, desk: _Desk) -> None:
    if seen.cancel:
        desk.act(Cancel(seen.name, seen.state, _CANCELLED))
    elif record.next is not None:
        # The answer was taken, and the daemon died before the task had moved.
        desk.act(TakeAnswer(seen.name, record.next.answers))
    elif seen.answers and seen.answer_wait is None:
        desk.act(TakeAnswer(seen.name, seen.answers))
    elif seen.answer_wait is not None:
        desk.wait(seen.name, seen.answer_wait)


def _pending(seen: Seen, record: Record, desk: _Desk) -> None:
    if _is_beginning(seen):
        return  # see _drops
    if seen.cancel:
        desk.act(Cancel(seen.name, seen.state, _CANCELLED))
    elif not seen.has_task:
        desk.act(Cancel(seen.name, seen.state, "its file was taken back"))
    elif record.next is None:
        desk.act(Admit(seen.name))


def _drops(look: Look, desk: _Desk) -> None:
    beginnings = {seen.record.dropped.file: seen.name for seen in look.tasks if _is_beginning(seen) and seen.record}
    unfinished = {
        seen.record.dropped.file: seen for seen in look.tasks if seen.record is not None and not _is_beginning(seen)
    }
    for drop in look.drops:
        started = beginnings.pop(drop.file, None)
        if drop.wait is not None:
            desk.wait(drop.file, drop.wait)
        elif (held := unfinished.get(drop.file)) is not None:
            if not desk.busy(held.name):
                desk.act(TakeEdit(drop.file, held.name, held.state))
        else:
            desk.act(Take(drop.file, started or drop.task, begun=started is not None))
    for seen in look.tasks:
        if seen.name in beginnings.values() and _is_beginning(seen):
            # Its file is neither here nor in the inbox: somebody took the task back.
            desk.act(Forget(seen.name) if seen.bare else Cancel(seen.name, seen.state, "its file was taken back"))


def _is_beginning(seen: Seen) -> bool:
    return seen.state is State.PENDING and not seen.has_task and seen.record is not None and not seen.record.runs


def _starts(look: Look, now: Now, limits: Limits, desk: _Desk) -> None:
    ready = [(seen, seen.record) for seen in look.tasks if seen.record is not None and _may_start(seen, seen.record)]
    if not ready:
        return
    busy = sum(1 for seen in look.tasks if seen.state is State.RUNNING and seen.record is not None)
    free = max(0, limits.max_parallel - busy)
    for seen, record in sorted(ready, key=lambda one: _rank(*one)):
        if desk.busy(seen.name):
            continue
        early_by = (record.not_before or 0.0) - now.wall.timestamp()
        if look.paused is not None:
            desk.wait(seen.name, look.paused)
        elif early_by > 0:
            desk.wait(seen.name, Wait("it is not to be started before its time", now.steady + early_by))
        elif free > 0:
            free -= 1
            desk.act(Start(seen.name))
        else:
            desk.wait(seen.name, Wait(f"waiting for a free place ({limits.max_parallel} at a time)"))


def _may_start(seen: Seen, record: Record) -> bool:
    return seen.state is State.PENDING and seen.has_task and not seen.cancel and record.next is not None


def _rank(seen: Seen, record: Record) -> tuple[int, str, str]:
    # First come, first served: a task that has been answered came before those that were dropped meanwhile.
    return record.priority, record.taken_at, seen.name
