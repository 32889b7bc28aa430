"""What a look has found: everything that a decision is made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dropbox_runner.core.names import Kind, kind_of
from dropbox_runner.core.record import Record
from dropbox_runner.core.settle import Wait
from dropbox_runner.core.states import State


@dataclass(frozen=True)
class Drop:
    """A file in the inbox that is meant to be a task, or that of a folder (`report/task.yaml`) that is."""

    file: str
    wait: Wait | None
    """None: it is complete and can be taken."""
    task: str
    """The name that its folder would have."""


@dataclass(frozen=True)
class LeftAlone:
    """Something that nothing is done about, and what its owner may do. Shown, and else left where it is."""

    name: str
    """Its path below the inbox."""
    reason: str


def conflicts_first(left: Iterable[LeftAlone]) -> tuple[LeftAlone, ...]:
    """Put the copies of conflicts in front: a page shows only so many, and in these somebody's words may be lost."""
    return tuple(sorted(left, key=lambda one: kind_of(one.name.rpartition("/")[2]) is not Kind.CONFLICT))


@dataclass(frozen=True)
class Seen:
    """One task's folder as a look found it."""

    name: str
    state: State
    record: Record | None
    """None: there is none that can be read; `trouble` says why."""
    trouble: str = ""
    unreadable: str = ""
    """Why its folder cannot be read just now, if it cannot: then nothing is done about it."""
    has_task: bool = True
    """Whether the task's file is there: the move that brings it is the last step of taking it."""
    settling: Wait | None = None
    """Whether more of it may be on its way: it is not whole, was just handed back, or lies in two places."""
    rewritten: bool = False
    """Whether its text is another than the one that was taken: somebody has changed it where it lies."""
    text_wait: Wait | None = None
    """Why its text is not read just now: somebody is still at it."""
    packed: bool = False
    """Whether the task's file still lies in work/, with which it was dropped."""
    stray: bool = False
    """Whether there is no task in it, but only what was written for one, or left behind by one, that has moved on."""
    elsewhere: State | None = None
    """Where the task of a stray folder is by now, if anywhere."""
    remains: bool = False
    """Whether that task has left something behind in it."""
    left_work: bool = False
    """Whether it has left its working directory behind, without which it is not to go on."""
    bare: bool = False
    """Whether there is nothing in it but our record."""
    halves: tuple[str, ...] = ()
    """Temp files of ours whose writer has died."""
    cancel: bool = False
    alive: bool = False
    """Whether the process of the open run exists."""
    linger_until: float | None = None
    """Steady clock: how long the process, which has given its result, may take to end; None: it still works."""
    supervised: bool = False
    """Whether this daemon already watches that process."""
    asked: bool = True
    """Whether a question lies in it."""
    answers: tuple[str, ...] = ()
    """The answer files beside it."""
    returned: tuple[str, ...] = ()
    """Those of them that were taken before, and that a sync tool has brought back."""
    answer_wait: Wait | None = None
    """Why the answer is not taken yet, when there is one."""


@dataclass(frozen=True)
class Look:
    """Everything that one look has found."""

    drops: tuple[Drop, ...] = ()
    tasks: tuple[Seen, ...] = ()
    paused: Wait | None = None
    """Why nothing new is started, if nothing is."""
    probing: bool = False
    """Whether the account has just refused: one start at a time, until one has gone well."""
    starts_left: int | None = None
    """How many runs the settings let be started just now; None: no limit."""
    later: frozenset[str] = frozenset()
    """More files in the inbox, which a later look will judge: there are so many that this one has enough to do."""
    watched: frozenset[str] = frozenset()
    """The ids of the runs whose processes this daemon watches."""
    left_alone: tuple[LeftAlone, ...] = ()
    more_at: float | None = None
    """Steady clock: when to look again at what would be left alone as it is, but may not be whole yet."""
    held: Mapping[str, Wait] = field(default_factory=dict)
    """The tasks that could not be started a moment ago, and why."""


@dataclass(frozen=True)
class Limits:
    """The settings that decisions depend on."""

    max_parallel: int = 1
    stop_grace: float = 10.0
    stopping: bool = False
    """The daemon has been told to stop, and its agents with it: nothing is started any more."""
