"""What is going on, in one line: for `systemctl status`."""

from __future__ import annotations

from dropbox_runner.core.seen import Look
from dropbox_runner.core.states import State


def headline(look: Look) -> str:
    """Count what there is, and say why nothing new is started, if nothing is."""
    counts = {state: sum(1 for seen in look.tasks if seen.state is state) for state in State}
    waiting = counts[State.BLOCKED]
    parts = [
        (counts[State.RUNNING], "running"),
        (waiting, "waits for you" if waiting == 1 else "wait for you"),
        (counts[State.PENDING], "pending"),
        (len(look.drops), "not taken yet"),
    ]
    said = ", ".join(f"{count} {what}" for count, what in parts if count) or "nothing to do"
    return f"{said}; {look.paused.reason}" if look.paused is not None else said
