"""`schema`: the JSON Schema of a task file, for editors."""

from __future__ import annotations

import json

import typer

from dropbox_runner.core.task import task_schema


def schema() -> None:
    """Print the JSON Schema of a task file."""
    typer.echo(json.dumps(task_schema(), indent=2))
