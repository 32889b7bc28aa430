"""`retry`: hand a finished or failed task back."""

from __future__ import annotations

from typing import Annotated

import typer

from dropbox_runner.cli.common import FolderOption, find_task, inbox
from dropbox_runner.core.states import State
from dropbox_runner.folder import durable


def retry(
    task: Annotated[str, typer.Argument(metavar="TASK", help="A task in failed/ or done/.")],
    folder: FolderOption = None,
) -> None:
    """Hand a task back: it goes on in its session. (To start from zero, drop its file again.)"""
    layout = inbox(folder)
    _, found = find_task(layout, task, State.FAILED, State.DONE)
    durable.move(found.path, layout.task(State.PENDING, found.path.name))
    typer.echo(f"handed back {found.path.name}.")
