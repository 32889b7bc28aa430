"""Processes: who they are beyond doubt, signals to them, sweeping up what a run leaves behind (Linux).

A process is known by its pid, its start time from the kernel and the boot id. Every signal goes through a pidfd that
was checked against these three after it had been opened, so it can never reach somebody else who got the same pid.
"""

from __future__ import annotations

import functools
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from dropbox_runner.agent.environment import MARK
from dropbox_runner.core.run import ProcessId
from dropbox_runner.core.trace import step

_PROC: Final = Path("/proc")
_EXEC_TAKES: Final = 0.02
_SWEEP_GRACE: Final = 0.5
"""Seconds that left-overs get between SIGTERM and SIGKILL. Their run has ended; they have nothing left to save."""


@functools.cache
def boot_id() -> str:
    """Return the kernel's id of this boot."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


@dataclass(frozen=True)
class _Stat:
    """What we need of /proc/PID/stat."""

    dead: bool
    """A zombie that only waits to be reaped."""
    parent: int
    started: int


def _stat(pid: int) -> _Stat | None:
    try:
        text = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The second field is the program's name in parentheses and may itself hold spaces and parentheses.
    fields = text.rpartition(b")")[2].split()
    return _Stat(dead=fields[0] in (b"Z", b"X"), parent=int(fields[1]), started=int(fields[19]))


def identify(pid: int, *, dead_too: bool = False) -> ProcessId | None:
    """Return who a pid is now; None when it is nobody. `dead_too`: also one that only waits to be reaped."""
    stat = _stat(pid)
    if stat is None or (stat.dead and not dead_too):
        return None
    return ProcessId(pid=pid, started=stat.started, boot=boot_id())


def is_alive(process: ProcessId) -> bool:
    """Say whether this very process still runs."""
    return identify(process.pid) == ProcessId(pid=process.pid, started=process.started, boot=process.boot)


@contextmanager
def _held(process: ProcessId) -> Iterator[int | None]:
    """Hold a process by a pidfd, or give None when it is gone."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        yield None
        return
    try:
        yield descriptor if is_alive(process) else None
    finally:
        os.close(descriptor)


def send(process: ProcessId, number: signal.Signals) -> bool:
    """Send a signal to this very process; False when it is gone."""
    with _held(process) as descriptor:
        if descriptor is None:
            return False
        step(f"signal: {number.name}")
        try:
            signal.pidfd_send_signal(descriptor, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True


def marked(run_id: str, mark: str = MARK) -> list[ProcessId]:
    """Return all live processes that carry the run's mark, oldest first."""
    own = os.getpid()
    found = [identify(pid) for pid in psutil.pids() if pid != own and _carries(pid, run_id, mark)]
    return sorted((one for one in found if one is not None), key=lambda one: (one.started, one.pid))


def _carries(pid: int, run_id: str, mark: str = MARK) -> bool:
    return _variable(mark, run_id) in _environment(pid)


def _variable(name: str, value: str) -> bytes:
    return f"\0{name}={value}\0".encode("utf-8", "surrogateescape")


def _environment(pid: int) -> bytes:
    """Return all that a process carries, with a NUL before and after each `NAME=VALUE`.

    Every process of the machine is asked, at the end of every run: so it is neither taken apart, as psutil would,
    nor is a Path made for it.
    """
    with suppress(OSError), open(f"{_PROC}/{pid}/environ", "rb", buffering=0) as file:  # noqa: PTH123
        return b"\0" + file.read() + b"\0"
    return b""  # gone, or another user's


def strays(mark: str, value: str) -> frozenset[str]:
    """Return the ids of all runs whose processes carry this in their environment: here, those of one inbox."""
    wanted = _variable(mark, value)
    carried = [environment for pid in psutil.pids() if wanted in (environment := _environment(pid))]
    variables = (variable for environment in carried for variable in environment.split(b"\0"))
    return frozenset(one.partition(b"=")[2].decode() for one in variables if one.startswith(f"{MARK}=".encode()))


def leader(run_id: str, log: Path) -> ProcessId | None:
    """Return the process that was started for a run: marked, leading its own session, below an unmarked parent."""
    for process in _surely_marked(run_id):
        stat = _stat(process.pid)
        # Shell commands of the agent lead sessions of their own as well, but their parent is marked. When the agent has
        # ended, what it has left behind has no parent any more either, but speaks into another file.
        with suppress(OSError):
            leads = os.getsid(process.pid) == process.pid and _speaks_into(process.pid, log)
            if stat and leads and not _carries(stat.parent, run_id):
                return process
    return None


def _speaks_into(pid: int, log: Path) -> bool:
    try:
        wanted = log.stat()
    except OSError:
        return True  # somebody has taken it away: nobody can tell
    return os.path.samestat((_PROC / str(pid) / "fd/1").stat(), wanted)


def innermost(process: ProcessId, argument: str) -> ProcessId:
    """Return the process that was really meant: the last one, below whatever wraps it, that has this argument.

    One that has all the words of its parent is none: a tool of claude's that was forked just now, or what holds a
    sandbox together.
    """
    found: ProcessId | None = None
    with suppress(psutil.Error, OSError):
        words = {process.pid: _words(process.pid)}
        for one in psutil.Process(process.pid).children(recursive=True):  # parents before their children
            words[one.pid] = _words(one.pid)
            stat = _stat(one.pid)
            if stat and argument in words[one.pid] and words[one.pid] != words.get(stat.parent):
                found = identify(one.pid) or found
    return found or process


def _words(pid: int) -> list[str]:
    with suppress(psutil.Error, OSError):
        return psutil.Process(pid).cmdline()
    return []


def sweep(run_id: str, mark: str = MARK) -> tuple[str, ...]:
    """End everything that carries the run's mark; return what it was (`pid name`), for the record."""
    left = _left_over(run_id, mark)
    swept = {process.pid: f"{process.pid} {_name(process.pid)}" for process in left}
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not left:
            break
        for process in left:
            send(process, number)
        deadline = time.monotonic() + _SWEEP_GRACE
        while left and time.monotonic() < deadline:
            time.sleep(0.01)
            left = [process for process in left if is_alive(process)]
        # Something may have been started meanwhile; it carries the mark as well.
        left = _left_over(run_id, mark)
        swept |= {process.pid: f"{process.pid} {_name(process.pid)}" for process in left if process.pid not in swept}
    return tuple(swept.values())


def _left_over(run_id: str, mark: str) -> list[ProcessId]:
    return [process for process in _surely_marked(run_id, mark) if _is_this_users(process.pid)]


def _surely_marked(run_id: str, mark: str = MARK) -> list[ProcessId]:
    """Look twice before saying that there is nothing: while a process becomes another program it has no environment."""
    found = marked(run_id, mark)
    if not found:
        time.sleep(_EXEC_TAKES)
        found = marked(run_id, mark)
    return found


def _is_this_users(pid: int) -> bool:
    # Root can read, and would end, what the agent has started under another name on purpose.
    with suppress(OSError):
        return (_PROC / str(pid)).stat().st_uid == os.geteuid()
    return False


def _name(pid: int) -> str:
    with suppress(psutil.Error, OSError):
        return psutil.Process(pid).name()
    return "?"
