"""What the settings allow the whole queue to spend and to start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from dropbox_runner.core.clock import Now
from dropbox_runner.core.settings import Settings
from dropbox_runner.core.settle import Wait
from dropbox_runner.folder.ledger import Ledger, LedgerError

_HOUR: Final = 3600.0


class Spending:
    """Holds the queue against the ledger."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        self._ledger = ledger
        self._settings = settings

    def wait(self, now: Now) -> Wait | None:
        """Say until when nothing may be started, if so much has been spent or started already."""
        try:
            return self._budget(now) or self._starts(now)
        except LedgerError as error:
            return Wait(f"nobody knows what has been spent: {error}", notable=True)

    def starts_left(self, now: Now) -> int | None:
        """Return how many runs may be started just now; None: no limit."""
        most = self._settings.max_starts_per_hour
        try:
            return None if most is None else max(0, most - len(self._started(now)))
        except LedgerError:
            return 0

    def _budget(self, now: Now) -> Wait | None:
        budget = self._settings.daily_budget_usd
        if budget is None:
            return None
        midnight = start_of_day(now.wall)
        spent = self._ledger.spent(midnight.astimezone(UTC).isoformat(timespec="seconds")).today
        if spent < budget:
            return None
        left = (midnight + timedelta(days=1) - now.wall).total_seconds()
        return Wait(
            f"the daily budget is spent (${spent:.2f} of ${budget:.2f}); goes on at midnight", now.steady + left
        )

    def _starts(self, now: Now) -> Wait | None:
        most = self._settings.max_starts_per_hour
        if most is None:
            return None
        starts = self._started(now)
        if len(starts) < most:
            return None
        left = starts[-most] + _HOUR - now.wall.timestamp()
        return Wait(f"{len(starts)} runs were started within an hour", now.steady + left)

    def _started(self, now: Now) -> list[float]:
        present = now.wall.timestamp()
        # What lies ahead was noted before the clock was set back: it would hold the queue until that moment comes.
        return [at for at in self._ledger.starts_since(present - _HOUR) if at <= present]


def start_of_day(moment: datetime) -> datetime:
    """Return the midnight, on this machine's wall, before a moment."""
    return moment.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
