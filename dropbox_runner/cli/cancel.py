"""`cancel`: create the file that calls a task off."""

from __future__ import annotations

from typing import Annotated

import typer

from dropbox_runner.cli.common import FolderOption, find_task, inbox
from dropbox_runner.core.names import CANCEL
from dropbox_runner.core.states import LIVE


def cancel(
    task: Annotated[str, typer.Argument(metavar="TASK", help="The task to call off.")], folder: FolderOption = None
) -> None:
    """Call a task off: a running one is stopped, a waiting one is not started."""
    _, found = find_task(inbox(folder), task, *LIVE)
    (found.path / CANCEL).touch()
    name = found.path.name
    typer.echo(f"called off {name}; it goes to failed/. To take it up again: dropbox-runner retry {name}")
