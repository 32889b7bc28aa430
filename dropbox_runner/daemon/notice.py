"""What the daemon lets others know of itself: notice.json, outside the folder, read by `status`."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Final

from dropbox_runner.core.clock import Now
from dropbox_runner.core.plan import Plan, Waiting
from dropbox_runner.core.settle import Wait
from dropbox_runner.folder import durable

log = logging.getLogger("dropbox_runner")

_MOST: Final = 1000
"""Of how many is written down why they wait: what is special comes first, the end of a long queue last."""
_NAMED: Final = 3
"""How many of those that wait for the same reason are named in the log."""


class Notice:
    """Writes down what is being waited for and why, whenever that changes, and logs what a person should know."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._shown: object = None
        self._logged: set[tuple[str, str]] = set()

    def publish(self, planned: Plan, held: Wait | None, now: Now) -> None:
        """Make the present waits known; `held` is why nothing new is started, if nothing is."""
        # What holds all of them is said once, and not of each.
        own = tuple(one for one in planned.waiting if one.wait != held)
        self._log((*own, Waiting("nothing new is started", held)) if held else own)
        rows = [{"name": one.name, **_row(one.wait, now)} for one in planned.waiting[:_MOST]]
        shown = (rows, _row(held, now) if held else None)
        if shown == self._shown:
            return
        # Not durable on purpose: it describes this moment, and is written by every daemon anew.
        said = {"pid": os.getpid(), "at": now.stamp(), "held": _row(held, now) if held else None, "waiting": rows}
        durable.replace_soon(self._path, json.dumps(said, indent=1).encode())
        self._shown = shown

    def _log(self, waiting: tuple[Waiting, ...]) -> None:
        present = {(one.name, one.wait.reason) for one in waiting if one.wait.notable}
        news: dict[str, list[str]] = {}
        for name, reason in sorted(present - self._logged):
            news.setdefault(reason, []).append(name)
        for reason, names in news.items():
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            log.warning("%s%s: %s", ", ".join(names[:_NAMED]), more, reason)
        self._logged = present


def _row(wait: Wait, now: Now) -> dict[str, object]:
    # Whole seconds: put together anew from two clocks at every look, the same moment differs by a little each time.
    until = None if wait.until is None else round(now.wall.timestamp() + wait.until - now.steady)
    return {"reason": wait.reason, "until": until}
