"""What stands at the gate: a task's file, held against the settings and the disk of the machine that is to run it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from dropbox_runner.core.cleantext import shorten
from dropbox_runner.core.errors import Problem, RejectedError
from dropbox_runner.core.names import printable
from dropbox_runner.core.permission import not_allowed
from dropbox_runner.core.settings import Settings
from dropbox_runner.core.task import TaskFile, read_task_file
from dropbox_runner.folder import durable
from dropbox_runner.folder.taskfolder import MAX_TASK


def admitted(name: str, data: bytes, settings: Settings, works_in: str | None = None) -> TaskFile:
    """Read a task that may be run here. Raises RejectedError with all that is wrong with it.

    `works_in` is where its session works already, which is held against the settings as well: the record that says so
    lies in the folder, and links and settings may have changed since.
    """
    file = read_task_file(name, data)
    problems = (*_paths(file, settings, works_in), *not_allowed(file, settings))
    if problems:
        raise RejectedError(file.name, problems)
    return file


def content_of(name: str, path: Path) -> bytes:
    """Return what is in a task's file. RejectedError when it is none that may be read, whatever time passes."""
    try:
        return durable.read(path, MAX_TASK)
    except durable.UnreadableError as error:
        if error.again:
            raise
        raise RejectedError(printable(name), (Problem(f"the file {error.reason}", error.advice),)) from error


def is_within(path: str, folders: Iterable[str]) -> bool:
    """Whether a path lies in one of these folders, or is one of them, wherever symbolic links lead."""
    real = Path(os.path.realpath(_in_full(path)))
    return any(real.is_relative_to(os.path.realpath(_in_full(folder))) for folder in folders)


# The functions of os.path take any text; pathlib raises for a name too long, a folder that may not be looked into,
# the home of a user who does not exist.


def _in_full(path: str) -> str:
    return os.path.expanduser(path)  # noqa: PTH111


def _is_there(path: str, *, folder: bool) -> bool:
    return os.path.isdir(path) if folder else os.path.exists(path)  # noqa: PTH110, PTH112


def _paths(file: TaskFile, settings: Settings, works_in: str | None) -> Iterator[Problem]:
    wanted = file.task.working_dir
    if wanted is not None:
        yield from _path(file, "working_dir", wanted, settings)
    if works_in is not None and (wanted is None or os.path.realpath(_in_full(wanted)) != works_in):
        yield from _path(file, "working_dir", works_in, settings)
    for entry, path in enumerate(file.task.context_files):
        yield from _path(file, "context_files", path, settings, entry)


def _path(file: TaskFile, field: str, path: str, settings: Settings, entry: int | None = None) -> Iterator[Problem]:
    full, shown = _in_full(path), shorten(path, 200)
    if not full.startswith("/"):
        advice = "write it from `/`, or from `~/` for your home"
        yield file.problem(field, f"holds no whole path: `{shown}`", advice, entry)
    elif (allowed := settings.allowed_working_dirs) is not None and not is_within(full, allowed):
        leads = os.path.realpath(full)
        link = f" (which leads to {shorten(leads, 200)})" if leads != os.path.normpath(full) else ""
        listed = ", ".join(allowed) or "none"
        advice = f"whoever owns this machine can add its folder to `allowed_working_dirs` of the settings ({listed})"
        yield file.problem(field, f"may not name {shown}{link} on this machine", advice, entry)
    elif not _is_there(full, folder=field == "working_dir"):
        what = "folder " if field == "working_dir" else ""
        advice = "make it, mend the path, or leave it out"
        if field == "working_dir":
            advice += ": the task then gets a folder of its own"
        yield file.problem(field, f"cannot be used: there is no {what}{shown}", advice, entry)
