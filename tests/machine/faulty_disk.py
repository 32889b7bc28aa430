"""A disk that fails, and a daemon that dies, at any effect of the daemon's choosing.

Python announces every file that is opened, renamed, made or removed to its audit hooks, and a hook that raises keeps it
from happening. So no line of the program has to know that it is being tested.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_MAKES = ("open", "os.mkdir")
"""What needs room on the disk; renaming and removing need none."""


class Killed(BaseException):
    """The daemon is gone, as after kill -9: whatever it still tries on its way out does not happen either."""


class Disk:
    """What becomes of the daemon's effects on the files below a folder."""

    def __init__(self, base: Path) -> None:
        self._base = str(base)
        self._looking = False
        self.full = False
        """ENOSPC for whatever needs room."""
        self.broken = False
        """EIO for everything that writes, the ledger included."""
        self.fails_at: int | None = None
        """This many effects from now, one fails."""
        self.dies_at: int | None = None
        """This many effects from now, the daemon dies."""
        self.dead = False

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Let the daemon's effects be subject to it, and only these."""
        self._looking = True
        try:
            yield
        finally:
            self._looking = False

    def mend(self) -> None:
        """From now on everything works."""
        self.full = self.broken = self.dead = False
        self.fails_at = self.dies_at = None

    def effect(self, kind: str) -> None:
        """Raise if this effect is not to happen."""
        if not self._looking:
            return
        if self.dies_at is not None:
            self.dead |= self.dies_at == 0
            self.dies_at -= 1
        if self.dead:
            raise Killed
        if self.fails_at is not None:
            self.fails_at -= 1
        if kind == "process":
            return
        if self.broken or self.fails_at == -1:
            if kind == "sqlite3.connect":
                raise sqlite3.OperationalError("disk I/O error")
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self.full and kind in _MAKES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def hear(self, event: str, args: tuple[object, ...]) -> None:
        """Be told by Python what is about to happen."""
        if not self._looking or event not in (
            "open",
            "os.rename",
            "os.mkdir",
            "os.remove",
            "os.rmdir",
            "sqlite3.connect",
        ):
            return
        if event == "open" and not (isinstance(args[2], int) and args[2] & _WRITES):
            return
        path = args[0]
        if isinstance(path, str | bytes | os.PathLike) and os.fsdecode(path).startswith(self._base):
            self.effect(event)


class Ear:
    """The one audit hook of this process (they cannot be removed), and the disk that it listens for just now."""

    def __init__(self) -> None:
        self.disk: Disk | None = None
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[object, ...]) -> None:
        if self.disk is not None:
            self.disk.hear(event, args)
