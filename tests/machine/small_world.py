"""One inbox, its person, its machine and its daemon, all in this process: fast enough for thousands of steps."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from faulty_disk import Disk, Killed
from pretend_claude import Machine, PretendedAgents

from dropbox_runner.core.clock import Now
from dropbox_runner.core.plan import Plan
from dropbox_runner.core.settings import Settings
from dropbox_runner.core.settle import Arrival
from dropbox_runner.daemon.doorbell import Doorbell
from dropbox_runner.daemon.local import Local
from dropbox_runner.daemon.notify import Manager
from dropbox_runner.daemon.service import Service
from dropbox_runner.daemon.watcher import Hint
from dropbox_runner.folder import owner
from dropbox_runner.folder.layout import Layout
from dropbox_runner.folder.store import Store

STATES = ("pending", "running", "blocked", "done", "failed")
ENDED = ("done", "failed")
MORNING = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
_MANY = 60
"""Looks after which a daemon that is still busy goes round in circles."""


class Journal(logging.Handler):
    """What the daemon says."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.bugs: list[str] = []
        """What it calls a bug of its own."""

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(self.format(record))
        if record.exc_info:
            self.bugs.append(self.said[-1])


class SmallWorld:
    """Everything there is."""

    def __init__(self, base: Path, bell: Doorbell, *, settings: Settings | None = None) -> None:
        self.base = base
        self.root = base / "inbox"
        self.outside = base / "outside"
        self.outside.mkdir(parents=True)
        self.disk = Disk(base)
        self.machine = Machine(self.disk)
        self.journal = Journal()
        self.wall = MORNING
        self.steady = 1000.0
        self._changes = 0
        self.given: set[bytes] = set()
        """What the person has written and not thrown away."""
        self.placed: set[str] = set()
        """Ids of tasks that the person has put into done/ or failed/: what lies there then is the person's affair."""
        self.plan = Plan()
        self._claude = base / "claude"
        self._claude.write_text("#!/bin/sh\n")
        self._claude.chmod(0o700)
        known = {"claude": str(self._claude), "max_parallel": 2}
        self._settings = Settings(**known) if settings is None else settings.model_copy(update=known)
        self.layout = Layout(self.root)
        Store(self.layout).make()
        owner.claim(self.layout, take_over=True)
        self.bell = bell
        self.service: Service | None = None
        self.start()

    def close(self) -> None:
        for one in self.machine.alive:
            self.machine.end(one, -9)

    # ---------------------------------------------------------------- the daemon

    def now(self) -> Now:
        return Now(self.wall, self.steady, self.machine.boot)

    def start(self) -> None:
        local = self.base / "state"
        self.service = Service(
            self.layout,
            self._settings,
            Local.at(local),
            Manager({}),
            agents=PretendedAgents(self.machine),
            read_settings=lambda: self._settings,
            watching=None,
            bell=self.bell,
            clock=self.now,
        )

    def tick(self) -> bool:
        """Let the daemon look and act once; say whether it is still busy."""
        if self.service is None:
            return False
        try:
            with self.disk.in_use():
                _, self.plan = self.service.tick()
        except Killed:
            self.disk.dead, self.disk.dies_at = False, None
            self.service = None
            return False
        except OSError:
            return False  # `run` says that the folder cannot be read, and looks again later
        return bool(self.plan.actions)

    def settle(self) -> None:
        """Let it act until it is at rest."""
        for _ in range(_MANY):
            if not self.tick():
                return
        raise AssertionError(f"the daemon never comes to rest: {self.plan.actions}")

    def pass_time(self, seconds: float) -> None:
        self.steady += seconds
        self.wall += timedelta(seconds=seconds)

    # ---------------------------------------------------------------- what lies in the folders

    def folders(self, *states: str) -> list[Path]:
        """The tasks' folders, in an order that does not change from run to run."""
        there = [self.root / state for state in states or STATES if (self.root / state).is_dir()]
        return sorted(path for state in there for path in state.iterdir() if path.is_dir())

    def record(self, folder: Path) -> dict[str, Any] | None:
        try:
            known: dict[str, Any] = json.loads((folder / "record.json").read_bytes())
        except (OSError, ValueError):
            return None
        return known

    def id_of(self, folder: Path) -> str:
        return str((self.record(folder) or {}).get("id", ""))

    def snapshot(self) -> dict[str, tuple[int, int]]:
        """Every file there is, with its size and the time of its last change."""
        seen = ((path, path.lstat()) for path in self.root.rglob("*"))
        return {str(path): (stat.st_size, stat.st_mtime_ns) for path, stat in seen}

    def contents(self, base: Path | None = None) -> set[bytes]:
        return {path.read_bytes() for path in (base or self.base).rglob("*") if path.is_file()}

    # ---------------------------------------------------------------- the person

    def write(self, path: Path, data: bytes) -> None:
        """Write a file in place, over what lies there."""
        self.given.discard(path.read_bytes() if path.exists() else b"")
        path.write_bytes(data)
        self._stamp(path)
        self.given.add(data)

    def _stamp(self, path: Path, mtime_ns: int | None = None) -> None:
        """Let the time of a file's last change follow this world's clock: the system's may stand still for two."""
        self._changes += 1
        moment = int(self.wall.timestamp()) * 1_000_000_000 + self._changes if mtime_ns is None else mtime_ns
        os.utime(path, ns=(moment, moment))

    def move_in(self, path: Path, data: bytes, mtime_ns: int | None = None) -> None:
        """Move a finished file in from elsewhere."""
        self.given.discard(path.read_bytes() if path.exists() else b"")
        finished = self.outside / "finished"
        finished.write_bytes(data)
        self._stamp(finished, mtime_ns)
        finished.replace(path)
        self.given.add(data)
        self._told_of(path)

    def _told_of(self, path: Path) -> None:
        if self.service is not None:
            self.service._arrivals.note([Hint(path.parent, path.name, Arrival.MOVED_IN)])

    def take_out(self, path: Path) -> None:
        """Move a file out of the inbox, to where the person keeps it."""
        path.replace(self.outside / f"{len(list(self.outside.iterdir()))}-{path.name}")

    def move(self, folder: Path, state: str, *, told: bool = True) -> None:
        """Move a task's folder by hand; whether the daemon is told of it depends on the filesystem."""
        task = self.id_of(folder)
        moved = folder.rename(self.root / state / folder.name)
        if told:
            self._told_of(moved)
        self.placed.discard(task)
        if state in ENDED:
            self.placed.add(task)

    def throw_away(self, folder: Path) -> None:
        self.given -= self.contents(folder)
        shutil.rmtree(folder)

    # ---------------------------------------------------------------- what must always hold

    def wrongs(self) -> list[str]:
        """What holds at every moment, also in the middle of everything."""
        wrongs = [*self.machine.wrongs, *self.journal.bugs]
        ids = Counter(filter(None, map(self.id_of, self.folders())))
        wrongs += [
            f"task {one} was worked on {often} times from zero"
            for one, often in self.machine.beginnings.items()
            if often > 1
        ]
        wrongs += [f"task {task} lies in {often} folders" for task, often in ids.items() if often > 1]
        for folder in self.folders(*ENDED):
            wrongs += self._wrongs_of_ended(folder)
        return wrongs

    def _wrongs_of_ended(self, folder: Path) -> list[str]:
        task = self.id_of(folder)
        where = f"{folder.parent.name}/{folder.name}"
        if task in self.placed:
            return []
        if folder.parent.name == "failed":
            return [] if (folder / "error.md").exists() else [f"{where} does not say what is wrong"]
        outcome = (self.record(folder) or {}).get("outcome", {})
        by_person = outcome.get("reason", "").startswith("you took it as finished")
        said = outcome.get("verdict") == "succeeded" and (by_person or task in self.machine.successes)
        return ([] if said else [f"{where}, but claude never said so"]) + self._unheard(folder)

    def _unheard(self, folder: Path) -> list[str]:
        """What the person wrote for this task and its session does not know."""
        session = self.machine.sessions.get((self.record(folder) or {}).get("session_id", ""))
        heard = "".join(session.heard) if session is not None else ""
        texts = [*folder.glob("task.yaml"), *folder.glob("answer-*"), *folder.glob("late-answer-*")]
        words = {path.name: re.findall("piece [0-9]+ of|Answer [0-9]+ is", path.read_text()) for path in texts}
        where = f"{folder.parent.name}/{folder.name}"
        return [
            f"{where}, but claude never heard of {name}: {said}"
            for name, said in words.items()
            if said and said[0] not in heard
        ]

    def wrongs_at_rest(self) -> list[str]:
        """What holds as soon as the daemon has nothing more to do."""
        wrongs = self.wrongs()
        lost = self.given - self.contents()
        wrongs += [f"what the person wrote is gone: {data!r}" for data in lost]
        if self.service is None:
            return wrongs
        waiting = {one.name for one in self.plan.waiting}
        for folder in self.folders("pending"):
            begun = not (folder / "task.yaml").exists() and not (self.record(folder) or {}).get("runs")
            wrongs += [] if begun or folder.name in waiting else [f"pending/{folder.name} waits without a reason"]
        for folder in self.folders("blocked"):
            asked = (folder / "question.json").exists()
            wrongs += [] if asked or folder.name in waiting else [f"blocked/{folder.name} waits without a question"]
        for path in self.root.glob("*.yaml"):
            wrongs += [] if path.name in waiting else [f"{path.name} waits in the inbox without a reason"]
        running = {(self.record(folder) or {"runs": [{}]})["runs"][-1].get("id") for folder in self.folders("running")}
        wrongs += [f"run {run} goes on, but its task does not" for run in self.machine.marked() - running]
        return wrongs
