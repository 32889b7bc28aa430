"""One daemon per folder on this machine.

The lock is a flock on a file outside the folder, named after the folder's real path: a sync tool that replaces files
cannot defeat it, and it is gone with the process that held it, however that ended.

With it goes a name that only the kernel keeps. It is made of what the folder is and not of what it is called, so it
also holds where the file was deleted, and where a second path (a bind mount) leads to the same folder.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from dropbox_runner.core.errors import FolderBusyError

_LOOKING_TAKES: Final = 1.0
_PEER: Final = struct.Struct("3i")
"""struct ucred of unix(7): pid, uid, gid."""


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
                raise _busy(root, holder or str(_by_name(root) or ""))
            time.sleep(0.001)
        try:
            self._name = _take_name(root)
        except FolderBusyError:
            os.close(self._descriptor)
            raise
        with suppress(OSError):  # a full disk: who it is can be asked of the kernel as well
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
        if self._name is not None:
            self._name.close()
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def _busy(root: Path, holder: str) -> FolderBusyError:
    return FolderBusyError(f"{root} is already run by another daemon (pid {holder or 'unknown'}).")


def _exists(pid: str) -> bool:
    return pid.isdigit() and psutil.pid_exists(int(pid))


def holder(path: Path, root: Path) -> int | None:
    """Return the pid of the daemon that holds the lock of this folder, or None when nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return _by_name(root)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(descriptor, 32).decode(errors="replace").strip()
        return int(text) if text.isdigit() else (_by_name(root) or 0)
    finally:
        os.close(descriptor)
    return _by_name(root)


def _name_of(root: Path) -> str:
    seen = root.stat()
    # The leading zero byte: a name without a file. Its end is that of the process.
    return f"\0dropbox-runner/{os.geteuid()}/{seen.st_dev:x}/{seen.st_ino:x}"


def _take_name(root: Path) -> socket.socket | None:
    """Take the folder's name; None where that cannot be done, for the file is locked all the same."""
    kept = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        kept.bind(_name_of(root))
        kept.listen(socket.SOMAXCONN)  # nobody is ever answered: all there is to know is who listens
    except OSError as error:
        kept.close()
        pid = _by_name(root) if error.errno == errno.EADDRINUSE else None
        if pid is not None:
            raise _busy(root, str(pid or "")) from error
        return None
    return kept


def _by_name(root: Path) -> int | None:
    """Return the process of this user that has taken the folder's name (0: it does not say); None when nobody has."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as way:
        way.settimeout(0)
        try:
            way.connect(_name_of(root))
            pid, uid, _ = _PEER.unpack(way.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        except BlockingIOError:
            return 0  # so many have asked it already
        except OSError:
            return None
    return int(pid) if uid == os.geteuid() else None
