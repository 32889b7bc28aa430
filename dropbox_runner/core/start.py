"""Which of the tasks that could start do, and what the others wait for."""

from __future__ import annotations

from typing import Final

from dropbox_runner.core.actions import Start
from dropbox_runner.core.clock import Now
from dropbox_runner.core.followup import LONGEST_PAUSE
from dropbox_runner.core.plan import Draft
from dropbox_runner.core.record import Record
from dropbox_runner.core.run import Why
from dropbox_runner.core.seen import Limits, Look, Seen
from dropbox_runner.core.settle import Wait
from dropbox_runner.core.states import State

_MOST_PASSED: Final = 5
"""How many tasks that cannot be started the others go past. Where there are more, it is no single task's trouble, and
ten thousand others need not be tried as well."""


def starts(look: Look, now: Now, limits: Limits, draft: Draft) -> None:
    """Give the free places to the tasks that come first; tell of each other one why it waits."""
    ready = [(seen, seen.record) for seen in look.tasks if seen.record is not None and _may_start(seen, seen.record)]
    if not ready:
        return
    busy = sum(1 for seen in look.tasks if seen.state is State.RUNNING and seen.record and not _has_ended(seen.record))
    places = 1 if look.probing else limits.max_parallel
    free = max(0, places - busy)
    starts_left = len(ready) if look.starts_left is None else look.starts_left
    full = Wait(f"waiting for a free place ({places} at a time)")
    if free and look.paused is None:
        ready.sort(key=lambda one: _rank(*one))
    passed = 0
    for seen, record in ready:
        if draft.busy(seen.name):
            continue
        early_by = _early_by(record, now)
        if look.paused is not None:
            draft.wait(seen.name, look.paused)
        elif seen.text_wait is not None:
            draft.wait(seen.name, seen.text_wait)
        elif early_by > 0:
            draft.wait(seen.name, Wait(_too_early(record), now.steady + early_by))
        elif seen.name in look.held and passed < _MOST_PASSED:
            passed += 1
            draft.wait(seen.name, look.held[seen.name])
        elif free > 0 and starts_left > 0:
            free, starts_left = free - 1, starts_left - 1
            draft.act(Start(seen.name))
        elif free > 0:
            draft.wait(seen.name, Wait("as many runs were started as the settings allow within an hour"))
        else:
            draft.wait(seen.name, full)


def _has_ended(record: Record) -> bool:
    # It may lie in running/ for as long as somebody is at an edit of it, and nothing runs for it.
    return record.outcome is not None and record.open_run is None


def _early_by(record: Record, now: Now) -> float:
    early_by = (record.not_before or 0.0) - now.wall.timestamp()
    # No pause of ours is that long: the clock was set back since. What a person has named as the time holds.
    return 0.0 if early_by > LONGEST_PAUSE and not record.changed and _is_tried_again(record) else early_by


def _is_tried_again(record: Record) -> bool:
    return bool(record.runs) and record.next is not None and record.next.why in (Why.OVERLOADED, Why.RETRY)


def _too_early(record: Record) -> str:
    if record.changed:
        return "its text was just changed; waiting until it stays as it is"
    last = record.last
    if last is None or not _is_tried_again(record):
        return "it is not to be started before its time"
    return f"{last.verdict}, will be tried again: {last.reason.strip().partition(chr(10))[0]}"


def _may_start(seen: Seen, record: Record) -> bool:
    if seen.unreadable or seen.cancel or not seen.has_task:
        return False
    return seen.state is State.PENDING and record.next is not None


def _rank(seen: Seen, record: Record) -> tuple[int, str, str]:
    # First come, first served: a task that has been answered came before those that were dropped meanwhile.
    return record.priority, record.taken_at, seen.name
