"""How much a task may still spend."""

from __future__ import annotations

from dropbox_runner.core.record import Record
from dropbox_runner.core.task import Task


def budget_of(record: Record, task: Task) -> float | None:
    """Return the total that the task may cost: what a person answered last, else what its file and its parent say."""
    if record.budget_usd is not None:
        return record.budget_usd
    return min((one for one in (task.max_budget_usd, record.share_usd) if one is not None), default=None)


def left_to_spend(record: Record, task: Task) -> float | None:
    """Return what the next run may cost; None: no limit.

    The CLI's own limit counts from zero at every start, so each run is given what the earlier ones have left.
    """
    budget = budget_of(record, task)
    return None if budget is None else round(budget - record.cost_usd - record.handed_over_usd, 6)
