"""What a task may ask for. The folder may ask; only the settings may allow."""

from __future__ import annotations

from dropbox_runner.core.errors import Problem, RejectedError
from dropbox_runner.core.settings import Settings
from dropbox_runner.core.task import Task


def check_allowed(file: str, task: Task, settings: Settings) -> None:
    """RejectedError when the task asks for something that the settings do not allow, with the setting that would."""
    problems = tuple(
        Problem(
            f"additional_args: {argument} is not allowed on this machine",
            f"whoever owns it can put `{argument.partition('=')[0]}` into `allowed_args` of the settings",
        )
        for argument in task.additional_args
        if argument.partition("=")[0] not in settings.allowed_args
    )
    if problems:
        raise RejectedError(file, problems)
