"""`pause`: create the file that keeps new runs from being started."""

from __future__ import annotations

import typer

from dropbox_runner.cli.common import FolderOption, inbox


def pause(folder: FolderOption = None) -> None:
    """Start nothing new from now on; what is running goes on."""
    (inbox(folder).root / "PAUSE").touch()
    typer.echo("paused: nothing new is started until `dropbox-runner resume`, or until the file PAUSE is removed.")
