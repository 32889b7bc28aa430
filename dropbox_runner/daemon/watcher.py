"""Filesystem events → the doorbell, and hints on how a file came to be.

Built on watchdog's shared inotify descriptor rather than on its Observer: the Observer holds back every event by up
to half a second after a file has been moved out (it waits for a pair), takes one inotify instance of the user's 128
for each folder, and cannot tell a file that was moved in from one that is being written. The events are only hints;
without any of them everything works, later.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, TypeVar

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchCallback,
    WatchDescriptor,
)

from dropbox_runner.core.names import Kind, kind_of
from dropbox_runner.core.settle import Arrival
from dropbox_runner.daemon.doorbell import Doorbell

_T = TypeVar("_T")

_MASK: Final = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_MOVED_FROM
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR
)
"""Not IN_MODIFY: an agent's log grows line by line, and nobody needs to wake up for that. Not the opening and reading
of files either: our own looks would ring for the next one."""


@dataclass(frozen=True)
class Hint:
    """How the file of this path came to have its present content."""

    path: Path
    arrival: Arrival


@dataclass(frozen=True)
class _Leaving:
    cookie: int
    folder: Path
    name: str


class Watcher:
    """Watches a changing set of folders, none of them recursively."""

    def __init__(self, bell: Doorbell) -> None:
        self._bell = bell
        self._hints: SimpleQueue[Hint] = SimpleQueue()
        self._gone: SimpleQueue[Path] = SimpleQueue()
        self._watches: dict[Path, WatchDescriptor] = {}
        self._inotify = InotifyFD()
        self._inotify.start()

    def watch(self, folders: Iterable[Path]) -> None:
        """Watch exactly these folders from now on. OSError when the kernel's limits do not allow it."""
        if not self._inotify.is_alive():
            raise OSError("the thread that reads the events has ended")
        wanted = set(folders)
        for path in {*_drain(self._gone), *(self._watches.keys() - wanted)}:
            descriptor = self._watches.pop(path, None)
            if descriptor is not None:
                self._inotify.remove_callbacks([(descriptor, _id(path))])
        for path in wanted - self._watches.keys():
            try:
                self._watches[path] = self._inotify.add_callback(
                    os.fsencode(path), _MASK, _Folder(path, self), _id(path)
                )
            except FileNotFoundError:
                continue  # moved on between the look and now; the next look knows
            # What happened in it before the watch was there made no event.
            self._bell.ring()

    def hints(self) -> list[Hint]:
        """Return what has been noticed since the last call, oldest first."""
        return _drain(self._hints)

    def notice(self, hint: Hint | None) -> None:
        """Pass on an event; called in the thread that reads them."""
        if hint is not None:
            self._hints.put(hint)
        self._bell.ring()

    def lost(self, folder: Path) -> None:
        """Note that a folder is gone, or has another path by now; called in the thread that reads the events."""
        self._gone.put(folder)
        self._bell.ring()

    def close(self) -> None:
        """Stop watching."""
        self._inotify.stop()
        self._inotify.join()


def _id(path: Path) -> CallbackId:
    return CallbackId(hash(path))


def _drain(queue: SimpleQueue[_T]) -> list[_T]:
    found = []
    with suppress(Empty):
        while True:
            found.append(queue.get_nowait())
    return found


class _Folder(WatchCallback):
    """What to do with the events of one folder."""

    def __init__(self, path: Path, watcher: Watcher) -> None:
        self._path = path
        self._watcher = watcher
        self._leaving: _Leaving | None = None

    def on_event(self, event: InotifyEvent) -> None:
        name = os.fsdecode(event.name)
        if event.is_moved_from:
            self._leaving = _Leaving(event.cookie, self._path, name)
        if event.mask & (InotifyConstants.IN_DELETE_SELF | InotifyConstants.IN_MOVE_SELF):
            # A moved folder would go on reporting under its old path.
            self._watcher.lost(self._path)
        else:
            self._watcher.notice(self._hint(event, name))

    def _hint(self, event: InotifyEvent, name: str) -> Hint | None:
        if event.is_moved_to:
            return Hint(self._path / name, self._moved(event))
        return Hint(self._path / name, Arrival.WRITTEN) if event.is_create or event.is_close_write else None

    def _moved(self, event: InotifyEvent) -> Arrival:
        before = self._leaving
        if before is None or before.cookie != event.cookie:
            return Arrival.MOVED_IN
        # Renamed within the folder: from a temp name it is some program's way to save, from any other a person's act.
        return Arrival.WRITTEN if kind_of(before.name) is Kind.TEMPORARY else Arrival.MOVED_IN

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:  # noqa: ARG002 - watchdog's signature
        self._watcher.lost(self._path)

    def on_queue_overflow(self) -> None:
        self._watcher.notice(None)
