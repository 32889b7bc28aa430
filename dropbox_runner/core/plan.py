"""What is to happen now, what is waited for, and why: what `decide` returns, and how it is put together."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from dropbox_runner.core.actions import Action, Take, TakeEdit, Tidy
from dropbox_runner.core.settle import Wait

_NUMBERED = re.compile(r"(.+)-[0-9]+")


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
class Draft:
    """A plan in the making."""

    actions: list[Action] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    wake_at: list[float] = field(default_factory=list)
    dropped: frozenset[str] = frozenset()
    """The names that what lies in the inbox would get as tasks."""
    names: set[str] = field(default_factory=set)
    """The tasks that something happens to already."""
    held: dict[str, Wait] = field(default_factory=dict)
    """The files of tasks that are not touched for now: an edit of one is not to begin another."""
    left_behind: dict[str, Wait] = field(default_factory=dict)
    """The tasks whose work has not followed them yet."""
    edits: set[str] = field(default_factory=set)
    """The files that one of several tasks of the same name in the inbox gets as its newer text."""

    def act(self, action: Action) -> None:
        """Note something to do."""
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
        return not self.dropped.isdisjoint(wanted_as(name))

    def wait(self, name: str, wait: Wait) -> None:
        """Note what is not done yet, and why."""
        self.waiting.append(Waiting(name, wait))
        self.wake_at += [moment for moment in (wait.until, wait.again) if moment is not None]


def wanted_as(name: str) -> tuple[str, ...]:
    """Return the names of which a task may be one: where a name is not free, it gets a number behind it."""
    numbered = _NUMBERED.fullmatch(name)
    return (name,) if numbered is None else (name, numbered[1])
