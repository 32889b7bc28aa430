"""A task that another one handed over: marked with its parent, held to its parent's limits, counted there."""

from __future__ import annotations

from collections.abc import Iterator

from dropbox_runner.core.errors import Problem, RejectedError, RunnerError
from dropbox_runner.core.handover import beyond_parent, handed_over, no_room, share_of
from dropbox_runner.core.record import Record
from dropbox_runner.core.task import Task, TaskFile
from dropbox_runner.daemon.desk import Desk, written_task
from dropbox_runner.folder.admission import is_within
from dropbox_runner.folder.taskfolder import TaskFolder


def under_parent(desk: Desk, record: Record, file: TaskFile) -> Record:
    """Return the record of a task that names a parent, marked as its sub-task. RejectedError when it asks for more.

    The parent's record is written first: a crash in between counts the sub-task that is admitted again later, by its
    id and only once.
    """
    name = record.parent or file.task.parent
    if name is None:
        return record
    found = _parent(desk, name)
    if found is None:
        if record.parent is not None:
            return record  # it has been held to its parent's limits when that was still there
        advice = "leave `parent` out; `dropbox-runner subtask` writes it for what a task hands over"
        raise RejectedError(file.name, (file.problem("parent", "names a task that is not there", advice),))
    folder, parent, above = found
    problems = [*beyond_parent(file, parent, above, desk.settings), *_elsewhere(file, folder, parent, above)]
    if record.parent is None:
        problems += no_room(file, record, parent, above, desk.settings)
    if problems:
        raise RejectedError(file.name, tuple(problems))
    if record.parent is not None:
        return record
    share = share_of(parent, above, file.task.max_budget_usd)
    parent = handed_over(parent, record, share)
    folder.write_record(parent)
    return record.but(parent=name, depth=parent.depth + 1, share_usd=share)


def _parent(desk: Desk, name: str) -> tuple[TaskFolder, Record, Task] | None:
    state = desk.store.layout.find(name)
    if state is None:
        return None
    folder = desk.store.task(state, name)
    try:
        record = folder.record()
    except (RunnerError, FileNotFoundError):
        return None
    task = written_task(folder, record)
    return (folder, record, task) if task is not None else None


def _elsewhere(file: TaskFile, folder: TaskFolder, parent: Record, above: Task) -> Iterator[Problem]:
    reach = (parent.working_dir or str(folder.work), *above.context_files)
    advice = f"name something within {', '.join(reach)}, or leave it out"
    message = f"leads out of where {parent.name} works"
    if file.task.working_dir is not None and not is_within(file.task.working_dir, reach):
        yield file.problem("working_dir", message, advice)
    for entry, path in enumerate(file.task.context_files):
        if not is_within(path, reach):
            yield file.problem("context_files", message, advice, entry)
