"""A small ledger outside the folder: which files were taken, and what each run cost.

Losing it loses only the recognition of copies that a sync tool brings back, and the sums in `status`.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from dropbox_runner.core.errors import RunnerError
from dropbox_runner.core.record import Dropped
from dropbox_runner.core.run import Run

log = logging.getLogger("dropbox_runner")

_T = TypeVar("_T")
_PATIENCE: Final = 5.0
"""Seconds that another program may keep it locked."""

_SCHEMA = (
    (
        "CREATE TABLE IF NOT EXISTS taken (file TEXT, sha256 TEXT, mtime_ns INTEGER, task_id TEXT, at TEXT, "
        "PRIMARY KEY (file, sha256, mtime_ns))"
    ),
    "CREATE TABLE IF NOT EXISTS starts (id TEXT PRIMARY KEY, at REAL)",
    "CREATE TABLE IF NOT EXISTS configs (path TEXT PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS runs (id TEXT PRIMARY KEY, task TEXT, ended_at TEXT, verdict TEXT, cost_usd REAL)",
)


class LedgerError(RunnerError):
    """The ledger cannot be read just now."""


@dataclass(frozen=True)
class Spent:
    """What runs have cost, as far as they could say."""

    today: float = 0.0
    total: float = 0.0
    unknown: int = 0
    """Runs that were killed before they could say."""


class Ledger:
    """The ledger of one watched folder.

    What cannot be noted is lost, with a word in the log: the work goes on. What cannot be read is a LedgerError,
    because nobody then knows whether a file has been run already.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = path
        self._note(lambda _: None)

    def is_copy(self, dropped: Dropped, task_id: str) -> bool:
        """Say whether this very file (name, content and time) was taken before, as another task."""
        query = "SELECT mtime_ns FROM taken WHERE file = ? AND sha256 = ? AND task_id != ?"
        row = (dropped.file, dropped.sha256, task_id)
        taken = self._ask(lambda base: base.execute(query, row).fetchall())
        return any(_same_time(mtime_ns, dropped.mtime_ns) for (mtime_ns,) in taken)

    def knows(self, dropped: Dropped) -> bool:
        """Say whether this very file has been taken before, as whatever task."""
        return self.is_copy(dropped, "")

    def note_taken(self, dropped: Dropped, task_id: str, at: str) -> None:
        """Remember a file, after it has been moved: a crash in between must not make it a copy of itself."""
        row = (dropped.file, dropped.sha256, dropped.mtime_ns, task_id, at)
        self._note(lambda base: base.execute("INSERT OR IGNORE INTO taken VALUES (?, ?, ?, ?, ?)", row))

    def forget(self, task_id: str) -> None:
        """Forget the files of a task that was taken back."""
        self._note(lambda base: base.execute("DELETE FROM taken WHERE task_id = ?", (task_id,)))

    def note_start(self, run_id: str, at: float) -> None:
        """Remember when a run was started (unix time)."""
        self._note(lambda base: base.execute("INSERT OR IGNORE INTO starts VALUES (?, ?)", (run_id, at)))

    def knows_start(self, run_id: str) -> bool:
        """Say whether a run was started from here."""
        query = "SELECT 1 FROM starts WHERE id = ?"
        return self._ask(lambda base: base.execute(query, (run_id,)).fetchone()) is not None

    def starts_since(self, moment: float) -> list[float]:
        """Return when runs were started after this moment, oldest first."""
        query = "SELECT at FROM starts WHERE at > ? ORDER BY at"
        return [float(row[0]) for row in self._ask(lambda base: base.execute(query, (moment,)).fetchall())]

    def note_config(self, path: str) -> None:
        """Remember where claude's configuration lay when a session began."""
        self._note(lambda base: base.execute("INSERT OR IGNORE INTO configs VALUES (?)", (path,)))

    def knows_config(self, path: str) -> bool:
        """Say whether sessions have begun with claude's configuration there."""
        query = "SELECT 1 FROM configs WHERE path = ?"
        return bool(self._ask(lambda base: base.execute(query, (path,)).fetchall()))

    def note_run(self, task: str, run: Run) -> None:
        """Remember what a run cost. Noting it twice counts it once."""
        row = (run.id, task, run.ended_at, str(run.verdict), run.cost_usd)
        self._note(lambda base: base.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?)", row))

    def spent(self, today: str) -> Spent:
        """Sum up the runs; `today` is the time (UTC, ISO 8601) at which the local day began."""
        query = """SELECT COALESCE(SUM(CASE WHEN ended_at >= ? THEN cost_usd END), 0), COALESCE(SUM(cost_usd), 0),
                          COALESCE(SUM(cost_usd IS NULL), 0) FROM runs"""
        row = self._ask(lambda base: base.execute(query, (today,)).fetchone())
        return Spent(float(row[0]), float(row[1]), int(row[2]))

    def _note(self, change: Callable[[sqlite3.Connection], object]) -> None:
        try:
            self._ask(change)
        except LedgerError as error:
            log.warning("%s; what was to be noted there is lost", error)

    def _ask(self, question: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            try:
                return self._once(question)
            except sqlite3.OperationalError:
                raise  # a full disk, a bad one, no permission: what is in it is sound
            except sqlite3.DatabaseError:
                # Broken by a full disk or a power cut: it is a convenience, and the daemon must go on without.
                self._path.replace(self._path.with_suffix(".broken"))
                return self._once(question)
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(f"the ledger {self._path} cannot be used: {error}") from error

    def _once(self, question: Callable[[sqlite3.Connection], _T]) -> _T:
        with closing(sqlite3.connect(self._path, timeout=_PATIENCE)) as base, base:
            # A power cut may cost the last rows, which is all that waiting for the disk here would save.
            base.execute("PRAGMA synchronous = OFF")
            for table in _SCHEMA:
                base.execute(table)
            return question(base)


def _same_time(one: int, other: int) -> bool:
    """Say whether two times are the same as far as the coarser one is known: many tools keep whole seconds only."""
    units = (unit for unit in (1, 1_000, 1_000_000, 1_000_000_000) if one % unit == 0 or other % unit == 0)
    return any(one // unit == other // unit for unit in units)
