"""What a folder stands on: whether it is still the same folder, on one filesystem, and with room to write.

"The folder is gone" is not "there are no tasks": a disk that was unmounted leaves an empty folder behind, and a daemon
that believed it would call off whatever it runs.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from dropbox_runner.core.errors import RefusedError
from dropbox_runner.core.states import State
from dropbox_runner.folder import owner
from dropbox_runner.folder.layout import Layout
from dropbox_runner.folder.owner import Owner
from dropbox_runner.folder.store import Store
from dropbox_runner.folder.trust import MEND, links_among

_MEGABYTE: Final = 1024 * 1024
MB_TO_TAKE: Final = 4
"""Megabytes that must be free before a dropped file is taken: with less, its record might not find room."""
_INODES: Final = 64
"""Files that must be creatable before anything is begun; one run makes about ten."""


class Ground:
    """Makes sure, before every look, that the folder is the one that this daemon was started for."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._here = owner.this_machine(layout)
        self._root = _identity(layout.root)
        self._read: tuple[tuple[int, int, int], Owner | None] | None = None

    def check(self, occupied: Collection[State] = ()) -> None:
        """OSError when the folder is away, or another one lies in its place; RefusedError when it is another's now.

        `occupied` are the states in which tasks were seen before: what goes away with tasks in it is waited for.
        """
        root = _identity(self._layout.root)
        for path in links_among(self._layout):
            raise OSError(errno.ELOOP, f"it is a symbolic link. {MEND}", str(path))
        known = self._owner()
        if known is not None and known.id != self._here.id:
            raise RefusedError(
                f"{self._layout.root} has been taken over by {known.host} (there: {known.path}). Two machines would "
                "run every task twice, so this one stops. To take it back: dropbox-runner run --take-over."
            )
        if known is None and root != self._root:
            raise OSError(
                errno.ESTALE, "another folder lies in its place (is its disk mounted?)", str(self._layout.root)
            )
        self._root = root
        if known is None:
            owner.claim(self._layout, take_over=True)  # somebody removed .dropbox-runner/
        missing = [state for state in State if not os.path.isdir(self._layout.state(state))]  # noqa: PTH112 - five a look
        for state in missing:
            if state in occupied:
                reason = "it is gone, and tasks lay in it (put it back, or make an empty one)"
                raise FileNotFoundError(errno.ENOENT, reason, str(self._layout.state(state)))
        if missing:
            # An empty one goes easily: removed on another device, and synced.
            Store(self._layout).make()

    def _owner(self) -> Owner | None:
        try:
            seen = self._layout.owner.stat()
        except FileNotFoundError:
            return None
        version = (seen.st_ino, seen.st_mtime_ns, seen.st_size)
        if self._read is None or self._read[0] != version:
            try:
                self._read = version, owner.owner_of(self._layout)
            except RefusedError as error:
                # Half of it has been synced, perhaps: the next look will tell. No reason to end what runs.
                raise OSError(errno.ESTALE, str(error), str(self._layout.owner)) from error
        return self._read[1]


def _identity(path: Path) -> tuple[int, int]:
    seen = path.stat()
    return seen.st_dev, seen.st_ino


_PASSING: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""What a bad or a full disk says. That is to be waited for: a daemon that refused would not be started again."""


def check_moves(layout: Layout) -> None:
    """RefusedError unless a folder can be moved from each state to every other in one step.

    Tried, and not guessed from device numbers: bind mounts share them, and rename(2) fails between them all the same.
    """
    probe = layout.outbox / f"probe-{os.getpid()}"
    for state in State:
        place = layout.state(state) / f".{probe.name}"
        try:
            probe.mkdir(exist_ok=True)
            probe.rename(place)
            place.rename(probe)
        except OSError as error:
            if error.errno in _PASSING:
                return
            across = error.errno == errno.EXDEV
            mend = "all of the folder must lie on one filesystem" if across else "see that this user may write there"
            raise RefusedError(
                f"{layout.state(state)}: no task could be moved there ({error.strerror}): {mend}."
            ) from error
        finally:
            for path in (place, probe):
                with suppress(OSError):
                    path.rmdir()


def lack_of_room(layout: Layout, needed_mb: int) -> str | None:
    """Say what is missing, if so many megabytes are not free, or hardly a file can be made."""
    seen = os.statvfs(layout.root)
    free = seen.f_bavail * seen.f_frsize // _MEGABYTE
    if free < needed_mb:
        return f"the disk is nearly full: {free} MB are free, {needed_mb} MB are needed"
    # btrfs and others make inodes as they need them, and say that they have 0 of 0.
    if seen.f_files and seen.f_favail < _INODES:
        return f"the disk is nearly full: it has room for {seen.f_favail} more files"
    return None
