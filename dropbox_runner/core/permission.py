"""What a task may ask for. The folder may ask; only the settings may allow."""

from __future__ import annotations

from collections.abc import Iterator

from dropbox_runner.core.cleantext import shorten
from dropbox_runner.core.errors import Problem
from dropbox_runner.core.settings import Settings, is_the_runners_own
from dropbox_runner.core.task import TaskFile
from dropbox_runner.core.taskfields import PermissionMode

_OWNER = "whoever owns this machine can"


def not_allowed(file: TaskFile, settings: Settings) -> Iterator[Problem]:
    """Say what the settings do not allow of what a task asks for, each with the setting that would."""
    task, most = file.task, settings.ceiling
    if task.permission_mode is not None and task.permission_mode.rank > most.rank:
        message = f"may not be `{task.permission_mode}`: no more than `{most}` is allowed on this machine"
        advice = f"leave it out, or {_OWNER} set `max_permission_mode: {task.permission_mode}` in the settings"
        yield file.problem("permission_mode", message, advice)
    options = [argument.partition("=")[0] for argument in task.additional_args]
    yield from _not_listed(file, "additional_args", options, settings.allowed_args, "allowed_args")
    if most is not PermissionMode.BYPASS_PERMISSIONS:
        # Each of these goes past the permission mode; where that may be bypassed anyway, they add nothing to it.
        yield from _not_listed(file, "allowed_tools", task.allowed_tools, settings.allowed_tools, "allowed_tools")
        configs = settings.allowed_mcp_configs
        yield from _not_listed(file, "mcp_config", task.mcp_config, configs, "allowed_mcp_configs")


def _not_listed(
    file: TaskFile, field: str, asked: tuple[str, ...] | list[str], allowed: tuple[str, ...], setting: str
) -> Iterator[Problem]:
    for entry, one in enumerate(asked):
        if one not in allowed:
            message = f"asks for `{shorten(one)}`, which is not allowed on this machine"
            advice = f"take it out: the runner itself decides it for each run, `{setting}` cannot hold it"
            if setting != "allowed_args" or not is_the_runners_own(one):
                advice = f"take it out, or {_OWNER} put `{shorten(one)}` into `{setting}` of the settings"
            yield file.problem(field, message, advice, entry)
