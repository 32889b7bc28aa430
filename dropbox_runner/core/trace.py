"""Names for the moments between two effects, as Python's own audit events.

Nobody listens in production, and then they cost nothing. The tests do: they kill the daemon, raise an error or cut
the power at each of these moments (see docs/architecture.md).
"""

from __future__ import annotations

import sys
from pathlib import Path

ACTION = "dropbox_runner.action"
"""What the daemon is about to do: the action's name, and the task it is for."""
STEP = "dropbox_runner.step"
"""The effect that comes next (`write: rename`), or that the last one is over (`write: done`); the path it is for."""


def action(name: str, task: str = "") -> None:
    """Say what all that follows belongs to."""
    sys.audit(ACTION, name, task)


def step(name: str, path: Path | str = "") -> None:
    """Say which effect comes next."""
    sys.audit(STEP, name, str(path))
