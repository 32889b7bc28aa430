"""`show`: one task, and all that is known of it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from dropbox_runner.cli.common import FolderOption, find_task, inbox
from dropbox_runner.core.states import State
from dropbox_runner.views.taskpage import show_task


def show(task: Annotated[str, typer.Argument(metavar="TASK", help="The task.")], folder: FolderOption = None) -> None:
    """Show one task: where it stands, its runs, what you have allowed it, what happened to it."""
    state, found = find_task(inbox(folder), task, *State)
    show_task(state, found, Console())
