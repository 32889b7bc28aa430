"""Processes that have given their result and do not end."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dropbox_runner.folder import durable
from dropbox_runner.folder.tail import ends_in_result


@dataclass(frozen=True)
class _Silence:
    """A log that has not grown."""

    size: int
    since: float
    after_result: bool


class Lingering:
    """Remembers since when each run's log has been silent.

    On the steady clock and not by the log's mtime: a stepped wall clock must not end a run that is about to end by
    itself. Losing this memory with the daemon costs one more grace.
    """

    def __init__(self) -> None:
        self._silences: dict[str, _Silence] = {}

    def over_at(self, run_id: str, log: Path, grace: float, now: float) -> float | None:
        """Return when a run that has given its result will have had its time to end; None while it works."""
        try:
            size = log.stat().st_size
        except OSError:
            return None
        known = self._silences.get(run_id)
        if known is None or known.size != size:
            known = self._silences[run_id] = _Silence(size, now, _has_result(log))
        return known.since + grace if known.after_result else None

    def forget_all_but(self, run_ids: Iterable[str]) -> None:
        """Drop what is known of runs that have ended."""
        live = set(run_ids)
        self._silences = {run_id: known for run_id, known in self._silences.items() if run_id in live}


def _has_result(log: Path) -> bool:
    with suppress(OSError, durable.UnreadableError):
        return ends_in_result(log)
    return False
