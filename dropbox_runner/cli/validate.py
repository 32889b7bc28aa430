"""`validate`: what the daemon would say of these files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dropbox_runner.core.errors import RejectedError, RunnerError
from dropbox_runner.core.names import why_no_task
from dropbox_runner.core.task import parse_task
from dropbox_runner.folder import durable
from dropbox_runner.folder.store import MAX_TASK
from dropbox_runner.folder.taskpaths import check_paths


def validate(files: Annotated[list[Path], typer.Argument(metavar="FILE…", readable=False, help="Task files.")]) -> None:
    """Check task files: the same reader and the same messages as in the daemon."""
    bad = 0
    for file in files:
        try:
            check_paths(str(file), parse_task(str(file), durable.read(file, MAX_TASK)))
        except RejectedError as error:
            bad += 1
            typer.echo(str(error), err=True)
        except FileNotFoundError:
            bad += 1
            typer.echo(f"{file}: there is no such file", err=True)
        except RunnerError as error:
            bad += 1
            typer.echo(f"{file}: {error}", err=True)
        else:
            reason = why_no_task(file.name)
            typer.echo(f"{file}: fine" + (f", but it would not be taken as a task: {reason}" if reason else ""))
    if bad:
        raise typer.Exit(1)
