"""The real daemon in a forked process, with somebody at its elbow: every audit event may be noted, or go wrong.

A fault point is named by what is done, for which task, and at which step: `Take/x.yaml: write: sync
inbox/pending/x/record.json`, with a number behind it from the second time on. The names come from
`dropbox_runner.core.trace`; what Python itself audits (opening, listing, SQLite) joins them.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dropbox_runner import __main__ as program
from dropbox_runner.cli import app
from dropbox_runner.cli import run as command
from dropbox_runner.core import followup, trace
from dropbox_runner.core.states import State
from dropbox_runner.daemon import refusals

START = "Start-up"
_NOT_PEOPLE = 0.05
"""Seconds. Pauses that are meant for people and machines in trouble would only make the tests slow."""


@dataclass(frozen=True)
class Point:
    """A moment in the daemon's life."""

    action: str
    task: str
    step: str
    path: str
    number: int

    def __str__(self) -> str:
        task = f"/{self.task}" if self.task else ""
        return f"{self.action}{task}: {self.step} {self.path}" + (f" #{self.number}" if self.number > 1 else "")

    @property
    def reads(self) -> bool:
        """Whether the disk is the same before and after: dying here is dying at the point before."""
        return self.step.startswith(("read", "list"))


Listener = Callable[[Point], None]


class Elbow:
    """An audit hook that turns events into points."""

    def __init__(self, base: Path, listener: Listener) -> None:
        self._base = f"{base}/"
        self._listener = listener
        self._action, self._task = START, ""
        self._count: Counter[tuple[str, ...]] = Counter()
        self._busy = False
        self._thread = threading.get_ident()

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._busy or threading.get_ident() != self._thread:
            return
        self._busy = True
        try:
            self._note(event, arguments)
        finally:
            self._busy = False

    def _note(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == trace.ACTION:
            self._action, self._task = (_without_random(str(one)) for one in arguments)
        elif event == trace.STEP:
            self._point(str(arguments[0]), str(arguments[1]))
        elif event == "sqlite3.connect":
            self._point("ledger: open", str(arguments[0]))
        elif event in ("os.scandir", "os.listdir"):
            self._point("list", str(arguments[0]))
        elif event == "open":
            path, _, flags = arguments
            reads = isinstance(flags, int) and not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_DIRECTORY)
            if reads and isinstance(path, str):
                self._point("read", path)

    def _point(self, step: str, path: str) -> None:
        if path and not path.startswith(self._base):
            return
        shown = _without_random(path.removeprefix(self._base))
        name = (self._action, self._task, step, shown)
        self._count[name] += 1
        self._listener(Point(*name, self._count[name]))


def _without_random(path: str) -> str:
    """Name a thing alike in every run: a folder's state lies under the digest of its path, runs have random ids."""
    return re.sub(r"\b[0-9a-f]{32}\b", "RUN", re.sub(r"\b[0-9a-f]{16}\b", "DIGEST", path))


@dataclass(frozen=True)
class Fault:
    """What goes wrong at a point, once: the mark says that it has."""

    kind: str
    point: str
    mark: Path

    def __call__(self, point: Point) -> None:
        if self.kind.endswith("for a while") and self._lasts() and not point.reads:
            raise _error(self.kind, point)
        if str(point) != self.point or self.mark.exists():
            return
        self.mark.touch()
        if self.kind in ("kill", "stop"):
            os.kill(os.getpid(), signal.SIGKILL if self.kind == "kill" else signal.SIGTERM)
            return
        raise _error(self.kind, point)

    def _lasts(self) -> bool:
        try:
            return time.time() - self.mark.stat().st_mtime < 0.3
        except FileNotFoundError:
            return False


def _error(kind: str, point: Point) -> Exception:
    number: int = getattr(errno, kind.split(maxsplit=1)[0])
    if point.step.startswith("ledger"):
        return sqlite3.OperationalError("database or disk is full" if number == errno.ENOSPC else "disk I/O error")
    return OSError(number, os.strerror(number), str(point))


def fork(folder: Path, claude: Path, environment: Mapping[str, str], log: Path, listener: Listener | None) -> int:
    """Run `dropbox-runner run` in a child of this process; return its pid.

    Only ever called where there is one thread. The command line itself is left out: parsing it would cost more than
    all the rest.
    """
    base = log.parent
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.setsid()
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for number, descriptor in enumerate((os.open(os.devnull, os.O_RDONLY), out, out)):
            os.dup2(descriptor, number)
        sys.stdout = sys.stderr = open(2, "w", closefd=False, buffering=1, encoding="utf-8")  # noqa: SIM115
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(base)
        for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(one, signal.SIG_DFL)
        app.run = lambda _: command.run(folder, claude=str(claude), allow_root=True)  # type: ignore[assignment,return-value]
        refusals._FIRST_RETRY = followup._FIRST_PAUSE = _NOT_PEOPLE  # type: ignore[misc]
        if listener is not None:
            sys.addaudithook(Elbow(base, listener))
        code = program.main() or 0
        sys.stderr.flush()
    finally:
        os._exit(code)


STATES = tuple(state.value for state in State)
