"""One daemon per folder on this machine.

The lock is a flock on a file outside the folder, named after the folder's real path: a sync tool that replaces files
cannot defeat it, and it is gone with the process that held it, however that ended.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final

import psutil

from dropbox_runner.core.errors import FolderBusyError

_LOOKING_TAKES: Final = 1.0


class FolderLock:
    """Held from construction until the process ends."""

    def __init__(self, path: Path, root: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + _LOOKING_TAKES
        while not self._locked():
            holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip()
            # `status` holds the lock for an instant to see whether it is free.
            if _exists(holder) or time.monotonic() > deadline:
                os.close(self._descriptor)
                raise FolderBusyError(f"{root} is already run by another daemon (pid {holder or 'unknown'}).")
            time.sleep(0.001)
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def _locked(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Give the folder free."""
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def _exists(pid: str) -> bool:
    return pid.isdigit() and psutil.pid_exists(int(pid))


def holder(path: Path) -> int | None:
    """Return the pid of the daemon that holds the lock, or None when nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(descriptor, 32).decode(errors="replace").strip()
        return int(text) if text.isdigit() else 0
    finally:
        os.close(descriptor)
    return None
