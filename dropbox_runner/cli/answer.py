"""`answer`: write the answer file."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dropbox_runner.cli.common import FolderOption, deliver, find_task, inbox
from dropbox_runner.core.errors import RunnerError, UsageError
from dropbox_runner.core.states import State


def answer(
    task: Annotated[str, typer.Argument(metavar="TASK", help="The task that asked.")],
    text: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT]", help="The answer; left out: from stdin.")
    ] = None,
    folder: FolderOption = None,
) -> None:
    """Answer a question; the task goes on by itself."""
    layout = inbox(folder)
    _, found = find_task(layout, task, State.BLOCKED)
    if found.answers:
        raise RunnerError(f"{found.path / found.answers[0]} is there already; change that file instead.")
    said = " ".join(text) if text else _from_stdin(found.path.name)
    if not said.strip():
        raise UsageError(f'the answer is empty. Say: dropbox-runner answer {found.path.name} "…"')
    # The last line says that this is all, so that it is taken at once also where no watcher sees how it arrived.
    deliver(layout, found.path / "answer.md", f"{said.rstrip()}\n.\n".encode("utf-8", "replace"))
    typer.echo(f"answered {found.path.name}; it goes on by itself.")


def _from_stdin(name: str) -> str:
    if sys.stdin.isatty():
        typer.echo(f"Your answer to {name}; end it with ^D on a line of its own:", err=True)
    return sys.stdin.read()
