"""What the daemon lets others know of itself: notice.json, outside the folder, read by `status`."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from dropbox_runner.core.clock import Now
from dropbox_runner.core.plan import Plan, Waiting

log = logging.getLogger("dropbox_runner")


class Notice:
    """Writes down what is being waited for and why, whenever that changes, and logs what a person should know."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._shown: tuple[Waiting, ...] | None = None
        self._logged: set[tuple[str, str]] = set()

    def publish(self, planned: Plan, now: Now) -> None:
        """Make the present waits known."""
        if planned.waiting == self._shown:
            return
        self._shown = planned.waiting
        self._log(planned.waiting)
        rows = [
            {
                "name": one.name,
                "reason": one.wait.reason,
                "until": None if one.wait.until is None else now.wall.timestamp() + one.wait.until - now.steady,
            }
            for one in planned.waiting
        ]
        # Not durable on purpose: it describes this moment, and is written by every daemon anew.
        temp = self._path.with_suffix(".tmp")
        temp.write_text(json.dumps({"pid": os.getpid(), "at": now.stamp(), "waiting": rows}, indent=1))
        temp.replace(self._path)

    def _log(self, waiting: tuple[Waiting, ...]) -> None:
        notable = [one for one in waiting if one.wait.notable]
        present = {(one.name, one.wait.reason) for one in notable}
        for one in notable:
            if (one.name, one.wait.reason) not in self._logged:
                log.warning("%s: %s", one.name, one.wait.reason)
        self._logged = present
