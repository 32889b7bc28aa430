"""`add`: drop a file, or a text, into the inbox."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from dropbox_runner.cli.common import FolderOption, deliver, deliver_new, inbox
from dropbox_runner.core.errors import RejectedError, RunnerError, UsageError
from dropbox_runner.core.names import TASK_SUFFIXES, folder_name, printable, why_no_task
from dropbox_runner.core.task import parse_task
from dropbox_runner.folder import durable
from dropbox_runner.folder.layout import Layout
from dropbox_runner.folder.taskfolder import MAX_TASK

_NAME_WORDS = 5


def add(
    what: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE or TEXT]…", help="Task files, or one text.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call the task of a text.")] = None,
    folder: FolderOption = None,
) -> None:
    """Add tasks: files, or a text such as `add "tidy up the notes"`. Without either, the text comes from stdin."""
    layout = inbox(folder)
    given = what or [sys.stdin.read()]
    files = [Path(one) for one in given if _is_file(one)]
    if not files and len(given) == 1 and _looks_like_a_file(given[0]):
        # Else claude would be paid for making sense of a misspelt file name.
        raise UsageError(f"there is no file {given[0]}")
    if files and len(files) != len(given):
        missing = next(one for one in given if not _is_file(one))
        raise UsageError(f"there is no file {missing} (and a text cannot be mixed with files).")
    if files:
        for file in files:
            _add(layout, file.name, durable.read(file, MAX_TASK))
    else:
        _add_text(layout, " ".join(given), name)


def _looks_like_a_file(text: str) -> bool:
    return not re.search(r"\s", text) and text.lower().endswith(TASK_SUFFIXES)


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # a text that is too long, or holds what no name can
        return False


def _add_text(layout: Layout, text: str, name: str | None) -> None:
    data = f"{text.rstrip()}\n".encode("utf-8", "replace")
    wanted = folder_name(f"{name}.txt") if name else _name_for(text)
    _check(f"{wanted}.txt", data)
    typer.echo(f"added {deliver_new(layout, wanted, '.txt', data)}.txt")


def _check(name: str, data: bytes) -> None:
    if reason := why_no_task(name):
        raise RunnerError(f"{name} would not be taken as a task: {reason}.")
    try:
        parse_task(name, data)
    except RejectedError as error:
        raise RunnerError(f"not added:\n{error}") from error


def _add(layout: Layout, name: str, data: bytes) -> None:
    _check(name, data)
    target = layout.root / name
    try:
        deliver(layout, target, data)
    except FileExistsError as error:
        raise RunnerError(f"{target} is there already and waits to be taken; nothing was replaced.") from error
    typer.echo(f"added {printable(name)}")


def _name_for(text: str) -> str:
    words = re.findall(r"\w+", text.lower())[:_NAME_WORDS]
    return "-".join(words) or "task"
