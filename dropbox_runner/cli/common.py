"""What several commands share: which folder is meant, which task, and dropping a finished file into a folder."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Annotated

import typer

from dropbox_runner.core.errors import RefusedError, RunnerError, UsageError
from dropbox_runner.core.names import numbered
from dropbox_runner.core.states import State
from dropbox_runner.folder import durable
from dropbox_runner.folder.config import load_settings
from dropbox_runner.folder.layout import Layout
from dropbox_runner.folder.taskfolder import TaskFolder

FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        "-f",
        metavar="DIR",
        readable=False,
        help="The inbox. Left out: the one you are in, or that of the settings.",
    ),
]
FolderArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="[DIR]", readable=False, help="The inbox. Left out: the one you are in, or that of the settings."
    ),
]


def inbox(given: Path | None, configured: str | None = None) -> Layout:
    """Find the folder that is meant. RefusedError when it is no inbox that this user can work with."""
    layout = meant(given, configured)
    if not layout.root.is_dir():
        raise RefusedError(f"there is no folder {layout.root}. Make it with: dropbox-runner init {layout.root}")
    try:
        known = layout.hidden.is_dir()
    except PermissionError:
        known = False
    if not os.access(layout.root, os.R_OK | os.W_OK | os.X_OK):
        raise RefusedError(
            f"{layout.root} cannot be read and written by this user. Mend it with: chmod u+rwx {layout.root}"
        )
    if not known:
        raise RefusedError(f"{layout.root} is not an inbox yet. Make it one with: dropbox-runner init {layout.root}")
    return layout


def meant(given: Path | None, configured: str | None = None) -> Layout:
    """Say which folder is meant: the named one, that around the present directory, or that of the settings."""
    path = given or _around_here() or _configured(configured)
    if path is None:
        raise UsageError("which folder? Name it, or put `folder: /path/to/inbox` into the settings (`init` does).")
    return Layout.of(path)


def _around_here() -> Path | None:
    here = Path.cwd()
    return next((path for path in (here, *here.parents) if (path / ".dropbox-runner" / "owner.json").is_file()), None)


def _configured(configured: str | None) -> Path | None:
    folder = configured or load_settings().folder
    return Path(folder).expanduser() if folder else None


def find_task(layout: Layout, name: str, *states: State) -> tuple[State, TaskFolder]:
    """Find a task of this name in one of these states; say where it is if it is somewhere else."""
    wanted = name.rstrip("/").rpartition("/")[2]  # `blocked/fix-login`, as the shell completes it, is meant as well
    state = layout.find(wanted) if wanted not in ("", ".", "..") else None
    if state is None:
        raise RunnerError(f"there is no task {name} in {layout.root}. What there is: dropbox-runner status")
    if state not in states:
        raise RunnerError(f"{wanted} is in {state}/; this needs it in {' or '.join(f'{one}/' for one in states)}.")
    return state, TaskFolder(layout.task(state, wanted))


def deliver_new(layout: Layout, name: str, suffix: str, data: bytes) -> str:
    """Drop a text that has no file under a name that is free, and return that name.

    Under the name of a task that has not ended it would be taken as a new text for that one.
    """
    for number in count(1):
        free = numbered(name, number)
        if layout.find(free) is None:
            with suppress(FileExistsError):
                deliver(layout, layout.root / f"{free}{suffix}", data)
                return free
    raise AssertionError("unreachable: there are more numbers than tasks")


def deliver(layout: Layout, target: Path, data: bytes) -> None:
    """Put a finished file into the folder: written elsewhere first, so it is seen complete and taken at once."""
    durable.make_directory(layout.outbox)
    temp = layout.outbox / f"{secrets.token_hex(8)}.tmp"
    durable.write(temp, data)
    try:
        durable.move(temp, target)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
