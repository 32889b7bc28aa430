"""`validate`: what the daemon would say of these files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dropbox_runner.core.errors import RejectedError, RunnerError
from dropbox_runner.core.names import printable, why_no_task
from dropbox_runner.folder.admission import admitted, content_of
from dropbox_runner.folder.config import load_settings


def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", readable=False, help="Task files.")],
    config: Annotated[Path | None, typer.Option(metavar="FILE", readable=False, help="The settings file.")] = None,
) -> None:
    """Check task files: the same reader and the same messages as in the daemon."""
    settings = load_settings(config)
    bad = 0
    for file in files:
        shown = printable(str(file))
        try:
            admitted(str(file), content_of(str(file), file), settings)
        except RejectedError as error:
            bad += 1
            typer.echo(str(error), err=True)
        except FileNotFoundError:
            bad += 1
            typer.echo(f"{shown}: there is no such file", err=True)
        except RunnerError as error:
            bad += 1
            typer.echo(f"{shown}: {printable(str(error))}", err=True)
        else:
            reason = why_no_task(file.name)
            typer.echo(f"{shown}: fine" + (f", but it would not be taken as a task: {reason}" if reason else ""))
    if bad:
        raise typer.Exit(1)
