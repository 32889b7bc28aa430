"""The runs of this daemon, as processes: starting them, adopting them, seeing them end."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from dropbox_runner.agent import processes
from dropbox_runner.agent.environment import TASK_DIR
from dropbox_runner.core.run import ProcessId
from dropbox_runner.core.trace import step


@dataclass(frozen=True)
class Launch:
    """Everything that one run is started with."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    working_dir: Path
    stdin: Path
    stdout: Path
    stderr: Path


@dataclass
class _Watched:
    process: ProcessId
    descriptor: int | None
    """The pidfd; None once the end has been noticed, which would wake us again and again."""
    child: subprocess.Popen[bytes] | None

    def release(self) -> None:
        """Close the pidfd."""
        if self.descriptor is not None:
            os.close(self.descriptor)
        self.descriptor = None


def _private(path: str, flags: int) -> int:
    # Streams hold everything the agent has read. Only these files: a umask would also change what it makes.
    # Whoever shares the folder may have put a link under this name, or a pipe, which would keep us waiting.
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, f"{Path(path).name} is a symbolic link") from error
        if error.errno == errno.ENXIO:
            raise OSError(errno.ENXIO, f"{Path(path).name} is not a plain file") from error
        raise
    if not S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.ENXIO, f"{Path(path).name} is not a plain file")
    return descriptor


class Agents:
    """The daemon's one door to processes, and what it watches through it: its own children and adopted runs."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}

    def start(self, run_id: str, launch: Launch) -> ProcessId | None:
        """Start a run: in a session of its own (^C in the daemon's terminal must not reach it), straight to files.

        No pipe and no thread copies its output, so it outlives a dead daemon and costs a live one nothing. OSError
        when it was not started. None when it was, but nobody can say yet who it is: its mark will tell.
        """
        with (
            launch.stdin.open("rb") as stdin,
            open(launch.stdout, "ab", opener=_private) as stdout,
            open(launch.stderr, "ab", opener=_private) as stderr,
        ):
            step("start: fork", launch.stdout)
            child = subprocess.Popen(
                launch.arguments,
                cwd=launch.working_dir,
                env=dict(launch.environment),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        try:
            step("start: watch", launch.stdout)
            process = processes.identify(child.pid, dead_too=True)
            if process is None:
                return None
            self._watched[run_id] = _Watched(process, os.pidfd_open(child.pid), child)
        except OSError:
            # No descriptor left, say. It works all the same, and whoever calls it "not started" would start it twice.
            return None
        return process

    def adopt(self, run_id: str, process: ProcessId) -> bool:
        """Watch a run that an earlier daemon started; False when it is gone."""
        try:
            descriptor = os.pidfd_open(process.pid)
        except OSError:
            return False
        if not processes.is_alive(process):
            os.close(descriptor)
            return False
        self._watched[run_id] = _Watched(process, descriptor, None)
        return True

    def is_alive(self, process: ProcessId) -> bool:
        """Say whether this very process still runs."""
        return processes.is_alive(process)

    def leader(self, run_id: str, log: Path) -> ProcessId | None:
        """Return the process that was started for a run and writes this log, by its mark alone."""
        return processes.leader(run_id, log)

    def innermost(self, process: ProcessId, argument: str) -> ProcessId:
        """Return the process below this one that has this very argument and that nothing else wraps."""
        return processes.innermost(process, argument)

    def send(self, process: ProcessId, number: signal.Signals) -> bool:
        """Send a signal to this very process; False when it is gone."""
        return processes.send(process, number)

    def sweep(self, run_id: str) -> tuple[str, ...]:
        """End everything that carries the run's mark; return what it was."""
        return processes.sweep(run_id)

    def strays(self, mark: str, value: str) -> frozenset[str]:
        """Return the ids of all runs whose processes carry this in their environment."""
        return processes.strays(mark, value)

    def sweep_task(self, folder: Path) -> tuple[str, ...]:
        """End everything that was started for the task that lies, or lay, in this folder; return what it was."""
        return processes.sweep(str(folder), TASK_DIR)

    def watched(self) -> frozenset[str]:
        """Return the ids of the runs whose end will wake us."""
        return frozenset(self._watched)

    def watches(self, run_id: str) -> bool:
        """Say whether the end of this run will wake us."""
        return run_id in self._watched

    def descriptors(self) -> list[int]:
        """Return what becomes readable when one of the runs ends: no polling, also for those that are adopted."""
        return [one.descriptor for one in self._watched.values() if one.descriptor is not None]

    def exit_code(self, run_id: str) -> int | None:
        """Return the exit code of a run that has ended (negative: killed by that signal), if it is known.

        Can be asked again until `forget`: nobody else could say it any more, should writing it down fail.
        """
        watched = self._watched.get(run_id)
        if watched is None:
            return None
        watched.release()
        return None if watched.child is None else watched.child.wait()

    def forget(self, run_id: str) -> None:
        """Stop watching a run that has ended, and been written down."""
        watched = self._watched.pop(run_id, None)
        if watched is not None:
            watched.release()
            if watched.child is not None:
                watched.child.poll()
