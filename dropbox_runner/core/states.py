"""Where a task is (its folder) and how a run ended: two types that are never mixed."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """The folder a task lies in. Moving the folder is the transition."""

    PENDING = "pending"
    RUNNING = "running"
    BLOCKED = "blocked"
    DONE = "done"
    FAILED = "failed"


class Verdict(StrEnum):
    """How a run, and with it perhaps the task, ended."""

    SUCCEEDED = "succeeded"
    ASKED = "asked"
    DENIED = "denied"
    """It did its turn, but wanted to do something that it was not allowed to."""
    LIMITED = "limited"
    """The account's usage limit: nothing can go on before it is reset."""
    OVERLOADED = "overloaded"
    """The API could not serve it just now: throttled, overloaded, out of reach."""
    ACCOUNT = "account"
    """The account does not work: not logged in, refused, not paid."""
    OUT_OF_MONEY = "out_of_money"
    """It has spent its budget."""
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    """Cut off without a result line, and nobody had asked for it."""
    STOPPED = "stopped"
    """The daemon was told to stop; the task goes on at the next start."""
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    REJECTED = "rejected"
    """Never ran: the file is not a task that can be run."""
    DUPLICATE = "duplicate"
    """Never ran: a sync tool brought back a file that had already been taken."""


LIVE = (State.PENDING, State.RUNNING, State.BLOCKED)
"""The folders the loop looks into. done/ and failed/ only grow, so they are never scanned."""
