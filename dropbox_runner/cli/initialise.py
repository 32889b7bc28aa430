"""`init`: make a folder into an inbox."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from dropbox_runner.core.errors import RunnerError
from dropbox_runner.core.task import task_schema
from dropbox_runner.folder import durable, owner
from dropbox_runner.folder.config import load_settings
from dropbox_runner.folder.layout import Layout, config_file
from dropbox_runner.folder.store import Store

_SAMPLE = """\
# A first task. Rename this file to hello.yaml, and it runs.
instructions: |
  Write a haiku about folders into haiku.txt.
"""


def initialise(
    folder: Annotated[Path, typer.Argument(metavar="DIR", readable=False, help="The folder to be watched.")],
    *,
    take_over: Annotated[bool, typer.Option("--take-over", help="From now on this machine runs the folder.")] = False,
) -> None:
    """Make DIR into an inbox, or complete it; nothing that is there is touched."""
    layout = Layout.of(folder)
    if layout.root.exists() and not layout.root.is_dir():
        raise RunnerError(f"{layout.root} is a file, and cannot be made an inbox.")
    layout.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    owner.claim(layout, take_over=take_over)
    Store(layout).make()
    durable.write(layout.hidden / "task.schema.json", (json.dumps(task_schema(), indent=2) + "\n").encode())
    sample = layout.root / "hello.draft.yaml"
    if not sample.exists():
        durable.write(sample, _SAMPLE.encode())
    path = shlex.quote(str(folder))
    typer.echo(f"{layout.root} is an inbox.{_remember(layout)}")
    typer.echo(
        f"\nNext:\n"
        f"  1. Watch it (^C stops):          dropbox-runner run {path}\n"
        f"  2. Start a first task:           mv {path}/hello.draft.yaml {path}/hello.yaml\n"
        f"  3. See what waits for you:       dropbox-runner status {path}"
    )


def _remember(layout: Layout) -> str:
    file = config_file()
    if file.exists():
        known = load_settings().folder
        same = known is not None and Layout.of(Path(known)) == layout
        return "" if same else f" ({file} names another one: commands need DIR or --folder.)"
    file.parent.mkdir(parents=True, exist_ok=True)
    durable.write(file, f"# Settings of dropbox-runner.\nfolder: {json.dumps(str(layout.root))}\n".encode())
    return f" It is the one that commands mean from now on ({file})."
