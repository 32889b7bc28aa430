"""The five folders in a few lines: the look around at the end."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from dropbox_runner.core.states import State
from dropbox_runner.folder.layout import Layout

_FOR_PROGRAMS = re.compile(r"record\.json|result\.json|run-\d+\..*|question-\d+\.json")


def tree(layout: Layout, width: int) -> Iterator[str]:
    """Draw the folder: each task in its state, with the files that people look at."""
    yield f"{layout.root.name}/"
    for state in State:
        tasks = sorted(path for path in layout.state(state).iterdir() if path.is_dir())
        if not tasks:
            yield f"  {state + '/':<9} (empty)"
        for number, task in enumerate(tasks):
            head = f"  {'' if number else state + '/':<9} {task.name + '/':<17} "
            yield from textwrap.wrap(
                " ".join(_files(task)), width, initial_indent=head, subsequent_indent=" " * len(head)
            )


def _files(folder: Path) -> list[str]:
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    # What was dropped comes first, what lies in folders last.
    return sorted(
        (name for name in found if not _FOR_PROGRAMS.fullmatch(name)),
        key=lambda name: (not name.startswith("task."), "/" in name, name),
    )
