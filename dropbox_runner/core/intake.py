"""Which dropped files become tasks, which are newer texts of tasks that there are, and which were taken back."""

from __future__ import annotations

from dropbox_runner.core.actions import Cancel, Forget, Take, TakeEdit
from dropbox_runner.core.names import readable, same_file
from dropbox_runner.core.plan import Draft, wanted_as
from dropbox_runner.core.record import Record
from dropbox_runner.core.seen import Look, Seen
from dropbox_runner.core.settle import Wait
from dropbox_runner.core.states import State


def drops(look: Look, draft: Draft) -> None:
    """Decide about what lies in the inbox, and about tasks whose file does not lie where it should."""
    if not look.drops and not any(map(_lacks_its_file, look.tasks)):
        return  # the usual case, whatever waits in pending/
    beginnings = {_dropped(seen.record): seen.name for seen in look.tasks if _is_beginning(seen) and seen.record}
    unfinished = {
        _dropped(seen.record): seen for seen in look.tasks if seen.record is not None and not _is_beginning(seen)
    }
    # The daemon died before it had written the record, and meanwhile somebody has called the task off in its folder.
    strays = [seen for seen in look.tasks if seen.stray and seen.elsewhere is None and seen.state is State.PENDING]
    called_off = [seen.name for seen in strays if seen.cancel]
    taken: set[str] = set()
    for drop in look.drops:
        file = same_file(readable(drop.file))
        started = beginnings.pop(file, None)
        if (wait := drop.wait or draft.held.get(file)) is not None:
            draft.wait(drop.file, wait)
        elif (held := unfinished.get(file)) is not None:
            if not draft.busy(held.name) and drop.file not in draft.edits:
                draft.act(TakeEdit(drop.file, held.name, held.state))
        elif file not in taken:  # else the next look finds the task that the other one has become
            if started is None and (cancelled := [one for one in called_off if drop.task in wanted_as(one)]):
                called_off.remove(started := cancelled[0])
            draft.act(Take(drop.file, started or drop.task, begun=started is not None))
            taken.add(file)
    in_inbox: set[str] = set()
    for seen in [one for one in look.tasks if _lacks_its_file(one) and not draft.busy(one.name)]:
        in_inbox = in_inbox or {
            same_file(readable(file)) for file in (*(drop.file for drop in look.drops), *look.later)
        }
        if seen.record is None:
            continue
        if _dropped(seen.record) in in_inbox:
            if not _is_beginning(seen):
                draft.wait(seen.name, Wait(f"its file was taken out of it; waiting for {seen.record.dropped.file}"))
        elif seen.settling is not None:
            # A sync tool may have brought half of a folder that was moved here on another device.
            draft.wait(seen.name, seen.settling)
        else:
            # Its file is neither here nor in the inbox: somebody took the task back.
            bare = _is_beginning(seen) and seen.bare
            draft.act(Forget(seen.name) if bare else Cancel(seen.name, seen.state, "its file was taken back"))


def _dropped(record: Record) -> str:
    return same_file(record.dropped.file)


def _lacks_its_file(seen: Seen) -> bool:
    return seen.state is State.PENDING and not seen.has_task and not seen.unreadable


def _is_beginning(seen: Seen) -> bool:
    return _lacks_its_file(seen) and seen.record is not None and not seen.record.runs and not is_packed(seen)


def is_packed(seen: Seen) -> bool:
    """Say whether a task's file still lies among the attachments with which it was dropped."""
    # Once it has been admitted, what lies in work/ under such a name is claude's, or a person's.
    record = seen.record
    return _lacks_its_file(seen) and seen.packed and record is not None and record.next is None and not record.runs
