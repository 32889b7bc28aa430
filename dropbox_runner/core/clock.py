"""One moment, taken once per look, so that all decisions of one look agree."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Now:
    """The same moment on two clocks."""

    wall: datetime
    """Time zone aware; only for what people read and for times that people set."""
    steady: float
    """Seconds of CLOCK_MONOTONIC: not moved by clock changes, stands still in suspend, starts anew at boot.

    All waiting is measured with it, and it goes on over a restart of the daemon.
    """
    boot: str
    """The kernel's boot id; `steady` values of another boot mean nothing."""

    def stamp(self) -> str:
        """Return the wall clock as it is written into files: UTC, whole seconds, ISO 8601."""
        return self.wall.astimezone(UTC).isoformat(timespec="seconds")
