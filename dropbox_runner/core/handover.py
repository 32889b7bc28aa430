"""What a sub-task may be: no more than the task that hands it over.

This holds for what comes through `subtask`. An agent that may write files can also drop one into the inbox itself;
such a task is like any other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from dropbox_runner.core.cleantext import shorten
from dropbox_runner.core.errors import Problem
from dropbox_runner.core.money import left_to_spend
from dropbox_runner.core.record import Record, Subtask
from dropbox_runner.core.settings import Settings
from dropbox_runner.core.task import Task, TaskFile

_SHARE: Final = 0.25
"""Of what the parent's budget has left: the first ones get enough to do something, and it keeps some to finish."""
_LEAST: Final = 0.01
"""Dollars; with less claude cannot even begin."""


def share_of(parent: Record, task: Task, asked: float | None) -> float | None:
    """Return what a new sub-task may cost, which is taken off its parent's budget; None: no limit."""
    left = left_to_spend(parent, task)
    if left is None:
        return asked
    return math.floor(left * _SHARE * 100) / 100 if asked is None else asked


def no_room(file: TaskFile, record: Record, parent: Record, above: Task, settings: Settings) -> Iterator[Problem]:
    """Say why a parent may hand nothing more over; asked only once for each sub-task."""
    name = shorten(parent.name)
    others = parent.but(subtasks=tuple(one for one in parent.subtasks if one.id != record.id))
    if parent.depth >= settings.max_subtask_depth:
        advice = (
            f"do it in {name} itself; `max_subtask_depth: {settings.max_subtask_depth}` of the settings says how deep"
        )
        yield file.problem("parent", f"cannot be {name}: that is a sub-task itself, and hands nothing on", advice)
    if len(others.subtasks) >= settings.max_subtasks:
        advice = f"do it in {name} itself; `max_subtasks` of the settings says how many"
        yield file.problem("parent", f"cannot be {name}: it has handed over {len(others.subtasks)} tasks", advice)
    left, share = left_to_spend(others, above), share_of(others, above, file.task.max_budget_usd)
    if left is not None and share is not None and not _LEAST <= share <= left:
        said = f"${max(left, 0):.2f} of the budget of {name} are left"
        yield file.problem("max_budget_usd", f"cannot be taken off its parent's: {said}", f"do it in {name} itself")


def beyond_parent(file: TaskFile, parent: Record, above: Task, settings: Settings) -> Iterator[Problem]:
    """Say what a sub-task asks for that its parent may not do itself."""
    name, task = shorten(parent.name), file.task
    mode, most = (one.permission_mode or settings.permission_mode for one in (task, above))
    if mode.rank > most.rank:
        advice = f"write `permission_mode: {most}`"
        yield file.problem("permission_mode", f"cannot be `{mode}`: {name} may do no more than `{most}`", advice)
    yield from _more_than(file, "allowed_tools", task.allowed_tools, (*above.allowed_tools, *parent.rules), name)
    yield from _more_than(file, "mcp_config", task.mcp_config, above.mcp_config, name)
    yield from _more_than(file, "additional_args", task.additional_args, above.additional_args, name)
    for tool in above.disallowed_tools:
        if tool not in task.disallowed_tools:
            advice = f"add `{shorten(tool)}` to it"
            yield file.problem("disallowed_tools", f"must hold what {name} may not use either", advice)


def handed_over(parent: Record, child: Record, share: float | None) -> Record:
    """Return the parent's record with this sub-task in it, once."""
    others = tuple(one for one in parent.subtasks if one.id != child.id)
    return parent.but(subtasks=(*others, Subtask(id=child.id, name=child.name, share_usd=share)))


def _more_than(
    file: TaskFile, field: str, asked: tuple[str, ...], parents: tuple[str, ...], name: str
) -> Iterator[Problem]:
    for entry, one in enumerate(asked):
        if one not in parents:
            yield file.problem(field, f"asks for `{shorten(one)}`, which {name} does not have", "take it out", entry)
