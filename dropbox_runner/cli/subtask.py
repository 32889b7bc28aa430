"""`subtask`: for the agent, inside a run."""

from __future__ import annotations

import os
import re
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from dropbox_runner.agent.environment import INSIDE
from dropbox_runner.cli.common import deliver_new
from dropbox_runner.core.errors import RunnerError, UsageError
from dropbox_runner.core.names import folder_name
from dropbox_runner.core.task import Task, parse_task
from dropbox_runner.folder import durable
from dropbox_runner.folder.layout import Layout
from dropbox_runner.folder.taskfolder import MAX_TASK, TaskFolder

_INHERITED = (
    *("model", "effort", "fallback_model", "permission_mode", "allowed_tools", "disallowed_tools", "mcp_config"),
    *("timeout", "retries", "priority"),
)
"""What a sub-task takes over. The daemon holds it to its parent's limits, and gives it a share of the budget."""
_NAME_WORDS = 5
_PATIENCE = 20.0
"""Seconds that the daemon gets to say no. It has looked within a fraction of one, unless the machine is very busy."""


def subtask(
    text: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="What to do; left out or `-`: from stdin.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
) -> None:
    """Hand a piece of work over as a task of its own (inside a run only); it does not come back to this one."""
    inbox, parent = os.environ.get("DROPBOX_RUNNER_INBOX"), os.environ.get("DROPBOX_RUNNER_TASK_DIR")
    if not inbox or not parent:
        raise UsageError("`subtask` works only inside a run. Outside, say: dropbox-runner add")
    if os.environ.get(INSIDE):
        # It would be a task like any other, and could ask for a folder that this one does not see.
        raise UsageError("`subtask` is not possible in the sandbox. Tell the person in your report what is to be done.")
    words = " ".join(text or [])
    said = sys.stdin.read() if words in ("", "-") else words
    if not said.strip():
        raise UsageError('what is to be done? Say: dropbox-runner subtask "…"')
    folder = TaskFolder(Path(parent))
    fields = _inherited(folder) | {"parent": folder.name, "description": f"handed over by {folder.name}"}
    layout = Layout.of(Path(inbox))
    short = name or "-".join(re.findall(r"\w+", said.lower())[:_NAME_WORDS])
    # The text as it is, below the fields: whatever it holds, nothing of it can be taken for a field.
    front = yaml.safe_dump(fields, allow_unicode=True, sort_keys=False)
    data = f"---\n{front}---\n{said.strip()}\n".encode("utf-8", "replace")
    handed_over = deliver_new(layout, folder_name(f"{folder.name}-{short}"), ".md", data)
    if refused := _refusal(layout, handed_over):
        raise RunnerError(f"not handed over:\n{refused}")
    typer.echo(f"handed over as {handed_over}; it runs by itself, and its result goes to the person.")


def _refusal(layout: Layout, name: str) -> str:
    """Wait until the daemon has looked at a task, and return why it cannot be; empty when nothing speaks against it."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        with suppress(RunnerError, OSError):
            state = layout.find(name)
            record = TaskFolder(layout.task(state, name)).record() if state is not None else None
            if record is not None and record.outcome is not None and not record.runs:
                return record.outcome.reason
            if record is not None and (record.next is not None or record.runs):
                break
        time.sleep(0.02)
    return ""


def _inherited(folder: TaskFolder) -> dict[str, Any]:
    path = folder.find_task_file()
    if path is None:
        raise UsageError("the task that this run belongs to has gone away, so nothing can be handed over.")
    task: Task = parse_task(path.name, durable.read(path, MAX_TASK))
    given = task.model_dump(mode="json", include=set(_INHERITED), exclude_defaults=True)
    if "timeout" in given:
        given["timeout"] = f"{given['timeout']:g}s"
    here = Path.cwd()
    if here.is_relative_to(folder.path.resolve()):
        return given  # it moves away with this task, so the sub-task gets a folder of its own
    # Where it works now, whatever the file says: relative to that the sub-task's text is meant.
    return {"working_dir": str(here)} | given
