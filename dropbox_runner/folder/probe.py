"""What can be told of a file without reading it, and whether a program has it open for writing."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
from pathlib import Path

from dropbox_runner.core.settle import Fingerprint


def fingerprint(path: Path) -> Fingerprint | None:
    """Return what changes with the file's content; None when it is not there."""
    try:
        seen = path.lstat()
    except OSError:
        return None
    return Fingerprint(seen.st_ino, seen.st_size, seen.st_mtime_ns)


def is_plain(path: Path) -> bool:
    """Say whether it is a regular file: not a link, a pipe, a socket or a device."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def open_for_writing(path: Path) -> bool:
    """Say whether a local program has the file open for writing; False also where nobody can tell.

    A read lease is refused exactly then (fcntl(2), F_SETLEASE). Not on network filesystems, not for files of others.
    """
    # While we hold the lease, a writer that comes makes the kernel send us SIGIO, whose default action is to kill.
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(descriptor)
    return False
