"""Why nothing new is started just now, if that is so: whatever holds the whole queue, and no single task."""

from __future__ import annotations

from dataclasses import dataclass

from dropbox_runner.agent.program import claude_to_start
from dropbox_runner.core.clock import Now
from dropbox_runner.core.durations import time_of_day
from dropbox_runner.core.gate import Gate, paused_by
from dropbox_runner.core.settings import Settings
from dropbox_runner.core.settle import Wait
from dropbox_runner.daemon.confinement import Readiness
from dropbox_runner.daemon.local import Local
from dropbox_runner.daemon.spending import Spending
from dropbox_runner.folder.ground import lack_of_room
from dropbox_runner.folder.layout import Layout


@dataclass(frozen=True)
class Held:
    """What holds the queue."""

    paused: Wait | None
    """Why nothing is started, if nothing is."""
    probing: bool
    """Whether the account has just refused: one start at a time, until one has gone well."""
    starts_left: int | None
    """How many runs the settings let be started just now; None: no limit."""


class Holding:
    """Looks at everything that may hold the queue."""

    def __init__(self, layout: Layout, settings: Settings, local: Local) -> None:
        self._layout = layout
        self._settings = settings
        self._gate = local.gate
        self._spending = Spending(local.ledger, settings)
        self._readiness = Readiness(layout, settings)

    def look(self, names: frozenset[str], now: Now) -> Held:
        """Say what holds the queue; `names` are those of the files in the inbox."""
        gate = self._gate.read()
        probing = gate is not None and gate.probing
        return Held(self._paused(names, gate, now), probing, self._spending.starts_left(now))

    def _paused(self, names: frozenset[str], gate: Gate | None, now: Now) -> Wait | None:
        if (pause := paused_by(names)) is not None:
            return Wait(pause)
        if claude_to_start(self._settings) is None:
            return Wait(
                f"the claude command ({self._settings.claude}) was not found: install it, or name it in the settings "
                "(`claude: /path/to/claude`) or with --claude",
                notable=True,
            )
        if (trouble := self._readiness.trouble(now)) is not None:
            return Wait(trouble, notable=True)
        if (lack := lack_of_room(self._layout, self._settings.min_free_mb)) is not None:
            return Wait(f"{lack} (setting `min_free_mb`); make room on it", notable=True)
        if gate is not None and (left := gate.left(now.wall.timestamp())) > 0:
            until = time_of_day(gate.until, now.wall.timestamp())
            return Wait(gate.in_words(until), now.steady + left)
        return self._spending.wait(now)
