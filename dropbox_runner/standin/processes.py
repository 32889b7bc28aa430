"""Signals that are only noticed where it is safe, and the tools that have to die with us."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_KILLING_TAKES_AT_MOST = 1.6


class StopSignal(Exception):  # noqa: N818 - a request from outside, no error
    """Somebody wants us to end."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class Signals:
    """Collects signals; they take effect in check() and pause() only, so that no line and no file is cut in two."""

    def __init__(self) -> None:
        self._ignored: set[int] = set()
        self._received: list[int] = []
        self._wakeup, wakeup_in = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(wakeup_in, False)
        signal.set_wakeup_fd(wakeup_in, warn_on_full_buffer=False)
        for signum in (*ENDINGS, signal.SIGCHLD):
            signal.signal(signum, self._note)

    def ignore(self, signum: int) -> None:
        """Take no notice of it. (Not SIG_IGN: the tools would inherit that.)"""
        self._ignored.add(signum)

    def check(self) -> None:
        """Raise StopSignal if one has come."""
        if self._received:
            raise StopSignal(self._received.pop(0))

    def pause(self, seconds: float) -> None:
        """Wait, but at most until any signal comes: also the end of a child."""
        self.check()
        if select.select([self._wakeup], [], [], max(seconds, 0))[0]:
            os.read(self._wakeup, 4096)
        self.check()

    def sleep(self, seconds: float) -> None:
        """Wait that long; only StopSignal cuts it short."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.pause(left)
        self.check()

    def _note(self, signum: int, _frame: FrameType | None) -> None:
        if signum in ENDINGS and signum not in self._ignored:
            self._received.append(signum)


def run_tool(command: str, env: dict[str, str], output_file: Path, signals: Signals) -> tuple[int, str]:
    """Run a shell command as claude's Bash tool does: in a session of its own, and output to a file, not to a pipe.

    A signal to us ends all of it. What it leaves running after a normal end goes on living.
    """
    with output_file.open("w+b") as output:
        output_file.unlink()
        process = subprocess.Popen(
            ["/bin/bash", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                signals.pause(1)
        except StopSignal:
            _kill_family(process.pid)
            process.wait()
            raise
        output.seek(0)
        return process.returncode, output.read().decode(errors="replace")


def _kill_family(root: int) -> None:
    """Kill a tool with everything that descends from it or is in its group or session: only a double fork gets away."""
    end = time.monotonic() + _KILLING_TAKES_AT_MOST
    while (family := _family(root)) and time.monotonic() < end:
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.002)


def _family(root: int) -> set[int]:
    processes = _processes()
    family = {pid for pid, (_, group, session) in processes.items() if root in (pid, group, session)}
    grown = True
    while grown:
        children = {pid for pid, (parent, _, _) in processes.items() if parent in family} - family
        family |= children
        grown = bool(children)
    return family


def _processes() -> dict[int, tuple[int, int, int]]:
    """List all processes that are not dead yet: parent, group, session."""
    found: dict[int, tuple[int, int, int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_bytes()
        except OSError:  # it ended while we were looking
            continue
        # "pid (name) state parent group session ...": the name may hold spaces and parentheses.
        state, parent, group, session = text.rpartition(b")")[2].split()[:4]
        if state not in (b"Z", b"X"):
            found[int(stat.parent.name)] = (int(parent), int(group), int(session))
    return found
