"""Answers that come when nothing is asked any more: kept beside the task, passed on, never taken for another answer.

An editor that is still open saves an answer again after it was taken. By then its task has moved on, and the file
lands in running/, or in a folder that the editor or a sync tool has made anew where the task was.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from dropbox_runner.core.actions import CarryOver, TakeLate
from dropbox_runner.core.decide import may_go_on
from dropbox_runner.core.names import is_cancel
from dropbox_runner.core.run import Next, Why
from dropbox_runner.core.states import LIVE, State
from dropbox_runner.daemon.desk import Desk, log
from dropbox_runner.folder import durable
from dropbox_runner.folder.taskfolder import TaskFolder


def take_late(desk: Desk, action: TakeLate) -> None:
    """Put answers aside that lie beside a task that asks nothing, or that a sync tool has brought back."""
    folder = desk.store.task(action.state, action.name)
    _keep(desk, folder, folder, action.answers)


def carry_over(desk: Desk, action: CarryOver) -> None:
    """Bring answers, the order to call it off, and what was left behind to the task that they belong to."""
    stray = desk.store.task(action.state, action.name)
    state = next(
        (one for one in State if one is not action.state and desk.store.task(one, action.name).has_record), None
    )
    if state is None:
        return
    folder = desk.store.task(state, action.name)
    orders = tuple(path.name for path in stray.path.iterdir() if is_cancel(path.name))
    if state in LIVE:
        for name in orders:
            durable.move(stray.path / name, folder.path / name)
        _keep(desk, folder, stray, stray.answers)
    else:
        if folder.set_aside(orders, "late-cancel", stray.path):
            log.warning("%s: it was called off when it had ended", action.name)
        late = folder.set_aside(stray.answers, "late-answer", stray.path)
        if late:
            log.warning(
                "%s: an answer came when it had ended; it is kept in %s/%s/ as %s. To pass it on, rename it to "
                "answer.md and move the task to pending/",
                *(action.name, state, action.name, ", ".join(late)),
            )
    for left in map(PurePosixPath, stray.remains):
        durable.move(stray.path / left, folder.free_for(left.stem, left.suffix))
    desk.store.remove_if_empty(stray)


def _keep(desk: Desk, folder: TaskFolder, source: TaskFolder, answers: tuple[str, ...]) -> None:
    """Set answers aside, and pass on those that say something new.

    The record names them first: after a crash in between they are still where they were, and it is done again.
    """
    record = folder.record()
    news = [name for name in answers if not folder.was_answered_with(source.path / name, same_time=False)]
    old = tuple(name for name in answers if name not in news)
    names = folder.set_aside(old, "late-answer", source.path)
    if names:
        log.info("%s: an answer that was taken before has been saved again; kept as %s", folder.name, ", ".join(names))
    for name in news:
        target = folder.free("late-answer", (source.path / name).suffix)
        record = record.but(late=tuple(dict.fromkeys((*record.late, target.name))))
        if may_go_on(record):
            folder.put_away_ending(len(record.runs))
            record = record.but(outcome=None, next=Next(why=Why.LATE))
        folder.write_record(record.with_event(desk.now.stamp(), f"an answer came late: {target.name}"))
        durable.move(source.path / name, target)
        log.warning("%s: an answer that came too late is kept as %s, and passed on", folder.name, target.name)
