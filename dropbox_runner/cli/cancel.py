"""`cancel`: create the file that calls a task off."""

from __future__ import annotations

from typing import Annotated

import typer

from dropbox_runner.cli.common import FolderOption, find_task, inbox
from dropbox_runner.core.states import LIVE
from dropbox_runner.folder.layout import CANCEL_NAMES


def cancel(
    task: Annotated[str, typer.Argument(metavar="TASK", help="The task to call off.")], folder: FolderOption = None
) -> None:
    """Call a task off: a running one is stopped, a waiting one is not started."""
    _, found = find_task(inbox(folder), task, *LIVE)
    (found.path / CANCEL_NAMES[0]).touch()
    name = found.path.name
    typer.echo(f"called off {name}; it goes to failed/. To take it up again: dropbox-runner retry {name}")
