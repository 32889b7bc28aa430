"""The paths that a task names, held against the disk of the machine that is to run it."""

from __future__ import annotations

from pathlib import Path

from dropbox_runner.core.errors import Problem, RejectedError
from dropbox_runner.core.task import Task


def check_paths(file: str, task: Task) -> None:
    """RejectedError when a folder or file that the task names is not there."""
    problems = []
    if task.working_dir is not None and not Path(task.working_dir).expanduser().is_dir():
        problems.append(
            Problem(
                f"working_dir: there is no folder {task.working_dir}",
                "make it, mend the path, or leave the field out: the task then gets a folder of its own",
            )
        )
    problems += [
        Problem(f"context_files: there is no {path}", "mend the path; it must exist on the machine that runs the task")
        for path in task.context_files
        if not Path(path).expanduser().exists()
    ]
    if problems:
        raise RejectedError(file, tuple(problems))
