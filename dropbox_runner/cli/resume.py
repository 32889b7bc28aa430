"""`resume`: take the pause away."""

from __future__ import annotations

import typer

from dropbox_runner.cli.common import FolderOption, inbox
from dropbox_runner.core.names import is_pause
from dropbox_runner.folder.gatefile import GateFile
from dropbox_runner.folder.layout import GATE, local_state


def resume(folder: FolderOption = None) -> None:
    """Take the pause away, and try at once although a usage limit or trouble with the account was reported."""
    layout = inbox(folder)
    gate = GateFile(local_state(layout) / GATE)
    files = [path for path in layout.root.iterdir() if is_pause(path.name)]
    for path in files:
        path.rmdir() if path.is_dir() else path.unlink()
    closed = gate.read() is not None
    gate.write(None)
    typer.echo("resumed." if files or closed else "it was not paused.")
