"""How the daemon comes to know of a change: by events where they can be relied on, else by looking often.

Nothing here decides what happens to a task: a folder that is not watched is only looked at more often. So every doubt
(the kernel's limits, a network, a mount that is silent, a thread that has died) ends in the same plain answer.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from dropbox_runner.core.seen import Look
from dropbox_runner.core.settle import Arrival
from dropbox_runner.core.states import LIVE, State
from dropbox_runner.daemon.doorbell import Doorbell
from dropbox_runner.daemon.watcher import Hint, Watcher
from dropbox_runner.folder.filesystem import Filesystem, filesystem_of
from dropbox_runner.folder.layout import Layout

log = logging.getLogger("dropbox_runner")

BLIND_POLL: Final = 2.0
"""Seconds between two looks where events cannot be relied on."""
_RETRY: Final = 300.0
"""Seconds until it is tried again to get what the kernel has refused, and between two new watchers at least."""
_HEARING: Final = 1.0
"""Seconds within which the event of our own file must have come; it takes less than one thousandth of that."""
_STAGES: Final = (".dropbox.cache", ".maestral.cache", ".tmp.drivedownload", ".debris")
"""Where Dropbox, Maestral, Google Drive and MEGA write what they download, to move it to its place when it is
there: below such a folder a file that was moved in may be half a sentence that an app on a phone has just saved."""
_FEW: Final = 100
"""So many pending tasks are watched one by one."""


class Watching:
    """Keeps the right folders watched, and knows how long the loop may sleep without being rung."""

    def __init__(
        self,
        layout: Layout,
        gate: Path,
        bell: Doorbell,
        *,
        open_watcher: Callable[[Doorbell], Watcher] = Watcher,
        filesystem: Callable[[Path], Filesystem] = filesystem_of,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._layout = layout
        self._gate = gate
        self._bell = bell
        self._open = open_watcher
        self._filesystem_of = filesystem
        self._clock = clock
        self._filesystem: Filesystem | None = None
        self._device: int | None = None
        self._watcher: Watcher | None = None
        self._opened_at = 0.0
        self._asked_at: float | None = None
        """Since when the event of our own file has been waited for."""
        self._retry_at = 0.0
        self._trouble = ""
        places = (layout.root, *layout.root.parents)
        self._staged = any((place / name).is_dir() for place in places for name in _STAGES)

    def hints(self) -> list[Hint]:
        """Return what has been noticed since the last call, oldest first."""
        hints = self._watcher.hints() if self._watcher is not None else []
        return [replace(hint, arrival=Arrival.WRITTEN) for hint in hints] if self._staged else hints

    def longest_pause(self, poll: float) -> float:
        """Return how long the loop may sleep when nothing rings; `poll` is for where every change does."""
        return poll if self._hears() and not self._trouble and self._is_told_all() else min(poll, BLIND_POLL)

    def attend(self, look: Look) -> None:
        """Watch what this look has found. Never fails: without events, the next look only comes sooner."""
        self._note_filesystem()
        now = self._clock()
        if self._watcher is not None and not self._watcher.is_alive():
            self.close()
            self._retry_at = max(now, self._opened_at + _RETRY)
            self._doubt("the thread that reads the file events has ended")
        if self._watcher is None and now < self._retry_at:
            return
        try:
            if self._watcher is None:
                self._watcher, self._opened_at, self._asked_at = self._open(self._bell), now, None
            self._watcher.watch(self._folders(look))
        except OSError as error:
            self.close()
            self._retry_at = now + _RETRY
            self._doubt(_in_words(error))
            return
        self._listen()

    def close(self) -> None:
        """Stop watching."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None

    def _hears(self) -> bool:
        return self._watcher is not None and self._watcher.has_heard_from(self._layout.outbox)

    def _is_told_all(self) -> bool:
        return self._filesystem is not None and self._filesystem.tells_all

    def _folders(self, look: Look) -> list[Path]:
        # gate.json goes when somebody says `resume`.
        folders = [self._gate, self._layout.root, *map(self._layout.state, LIVE)]
        # Only where a person is expected to write something. Not into working directories: agents make many files.
        pending = [one for one in look.tasks if one.state is State.PENDING]
        shown = [one for one in look.tasks if one.state is not State.PENDING]
        # A long queue would use up the watches; there a `cancel` is noticed at the next look.
        shown += pending if len(pending) <= _FEW else []
        folders += [self._layout.task(one.state, one.name) for one in shown]
        return folders if self._hears() else [*folders, self._layout.outbox]

    def _listen(self) -> None:
        """Make sure that events arrive at all: make a file where only we look, and wait for its event."""
        if self._hears():
            if self._trouble:
                log.info("file events arrive again")
            self._trouble = ""
        elif self._asked_at is None:
            with suppress(OSError):  # a full disk: the next look tries again
                _make_an_event(self._layout)
                self._asked_at = self._clock()
        elif self._clock() - self._asked_at >= _HEARING:
            self._doubt("no file events arrive")

    def _doubt(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.warning("%s: %s; looking every %g s instead", self._layout.root, trouble, BLIND_POLL)
        self._trouble = trouble

    def _note_filesystem(self) -> None:
        with suppress(OSError):
            device = self._layout.root.stat().st_dev
            if device == self._device:
                return
            self._device = device
        found = self._filesystem = self._filesystem_of(self._layout.root)
        if not found.tells_all:
            log.info(
                "%s is on %s (%s), where not every change causes an event: looking every %g s as well",
                self._layout.root,
                found.mounted_at,
                found.kind,
                BLIND_POLL,
            )


def events_arrive(layout: Layout) -> bool:
    """Say whether a change in the folder causes an event; waits for it if it must."""
    bell = Doorbell()
    try:
        watcher = Watcher(bell)
        try:
            watcher.watch([layout.outbox])
            _make_an_event(layout)
            end = time.monotonic() + _HEARING
            while not watcher.has_heard_from(layout.outbox) and (left := end - time.monotonic()) > 0:
                bell.wait(left)
            return watcher.has_heard_from(layout.outbox)
        finally:
            watcher.close()
    except OSError:
        return False
    finally:
        bell.close()


def _make_an_event(layout: Layout) -> None:
    probe = layout.outbox / f"probe-{os.getpid()}"
    probe.touch(mode=0o600)
    probe.unlink()


def _in_words(error: OSError) -> str:
    """Say what is missing, and how to get it. The limits are shared with every editor and sync tool of this user."""
    match error.errno:
        case errno.ENOSPC:
            return "no more folders can be watched (raise it: sysctl fs.inotify.max_user_watches)"
        case errno.EMFILE:
            return "file events cannot be had (raise it: sysctl fs.inotify.max_user_instances, or ulimit -n)"
        case _:
            return f"it cannot be watched ({error})"
