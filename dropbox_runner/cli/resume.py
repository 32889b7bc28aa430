"""`resume`: take the pause away."""

from __future__ import annotations

import typer

from dropbox_runner.cli.common import FolderOption, inbox
from dropbox_runner.core.names import is_pause


def resume(folder: FolderOption = None) -> None:
    """Start what is waiting."""
    files = [path for path in inbox(folder).root.iterdir() if is_pause(path.name)]
    for path in files:
        path.unlink()
    typer.echo("resumed." if files else "it was not paused.")
