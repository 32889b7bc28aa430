"""When a file that somebody is writing is finished.

A file moved in from elsewhere is a deliberate act and complete at once. A file written in place, or renamed from a
temp name beside it (what editors and sync tools do at every save), is complete when it has been quiet for a while:
81 % of all prefixes of a typical task are valid YAML, so "it parses" says nothing. Quiet is measured on our own
steady clock: sync tools keep the mtime of the other machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

LEFT_OVER: Final = 900.0
"""Seconds without a change after which a lock counts as left over, where nobody can tell whether its editor lives."""
EMPTY = "it is empty; waiting for its content"


_EDITOR_POLL = 2.0
"""Seconds between two looks at whether an editor has a file open still."""
REPLACED: Final = 2.0
"""Seconds for which a lock must have been gone: Syncthing removes a file before it puts a newer one in its place."""


class Arrival(Enum):
    """How the present content came to be under its name, as far as the watcher saw it."""

    MOVED_IN = auto()
    """Renamed from another folder, or from a name that a person gave."""
    WRITTEN = auto()
    """Written in place, or renamed from a temp name beside it."""
    FOUND = auto()
    """No event: it was there at the start, or the watcher is off."""


@dataclass(frozen=True)
class Fingerprint:
    """What changes whenever a file's content may have changed."""

    inode: int
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Sighting:
    """A file as we have come to know it over several looks."""

    fingerprint: Fingerprint
    since: float
    """Steady clock: since when it has looked like this."""
    arrival: Arrival


@dataclass(frozen=True)
class Wait:
    """Why something is not done yet. Shown to people, so a wait is never a mystery."""

    reason: str
    until: float | None = None
    """Steady clock; None: nobody knows."""
    notable: bool = False
    """Whether it deserves a line in the log: nothing will change unless a person does something."""
    again: float | None = None
    """Steady clock: when to look again at what ends without an event, as an editor does that is killed."""

    @property
    def somebody_is_at_it(self) -> bool:
        """Whether it will go on: what it belongs to must not end meanwhile, or it would come too late."""
        return self.until is not None or self.again is not None or not self.notable


def observe(before: Sighting | None, now_seen: Fingerprint, hint: Arrival | None, now: float) -> Sighting:
    """Bring the sighting up to date with what a look and the watcher have seen."""
    if hint is not None:
        return Sighting(now_seen, now, hint)
    if before is None:
        return Sighting(now_seen, now, Arrival.FOUND)
    if before.fingerprint != now_seen:
        return Sighting(now_seen, now, Arrival.WRITTEN)
    return before


@dataclass(frozen=True)
class Surroundings:
    """What a look can see of who else is busy with the file."""

    open_for_writing: bool = False
    editor: str | None = None
    """The editor that has it open, by its lock file beside it."""
    editor_known: bool = True
    """Whether that editor is known to live, and not only its lock."""
    editor_until: float | None = None
    """Steady clock: when the lock of one that is not known to live counts as left over."""
    closing_until: float | None = None
    """Steady clock: until when its lock, which has just gone, may come back."""
    left_over: str = ""
    """A lock that is not waited for, because its editor is gone."""
    ends_explicitly: bool = False
    """The text says itself that it is finished: a last line `.`, or `done: true`."""


def still_open(editor: str, what: str, *, known: bool) -> str:
    """Say that an editor has something open, or seems to."""
    maybe = f" (or has left its lock behind: taken when that has not changed for {LEFT_OVER / 60:.0f} min)"
    return f"{editor} still has {what} open{'' if known else maybe}"


def waits_for(sighting: Sighting, around: Surroundings, settle: float, now: float) -> Wait | None:
    """Say what is still missing, or None when the file is finished."""
    quiet_at = sighting.since + settle
    if around.open_for_writing:
        return Wait("a program still has it open for writing")
    if sighting.fingerprint.size == 0:
        # So it is for a moment when an editor saves, and for seconds when something slow has just made it.
        return Wait(EMPTY, notable=True, again=quiet_at if now < quiet_at else None)
    if around.ends_explicitly:
        return None
    if around.editor is not None:
        open_in = still_open(around.editor, "it", known=around.editor_known)
        return Wait(open_in, around.editor_until, notable=True, again=now + _EDITOR_POLL)
    if around.closing_until is not None:
        return Wait("the editor that had it open has just closed it; waiting a moment", around.closing_until)
    if sighting.arrival is Arrival.MOVED_IN:
        return None
    if now >= quiet_at:
        return None
    left_over = f" ({around.left_over} is left over and not waited for)" if around.left_over else ""
    return Wait(f"waiting until it has been quiet for a while{left_over}", quiet_at, notable=bool(left_over))
