"""Filesystem events → the doorbell, and hints on how a file came to be.

Built on watchdog's shared inotify descriptor rather than on its Observer: the Observer holds back every event by up
to half a second after a file has been moved out (it waits for a pair), takes one inotify instance of the user's 128
for each folder, and cannot tell a file that was moved in from one that is being written. The events are only hints;
without any of them everything works, later. Whether they can be relied on is judged in watching.py.
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
    """How a file came to have its present content."""

    folder: Path
    name: str
    arrival: Arrival


@dataclass(frozen=True)
class _Leaving:
    cookie: int
    folder: Path
    name: str


@dataclass(frozen=True)
class _Watch:
    descriptor: WatchDescriptor
    identity: tuple[int, int]
    """Device and inode: a watch follows the folder and not its path."""


class _Reader(InotifyFD):
    """The thread that reads the events."""

    def is_reading(self) -> bool:
        """Say whether events can still come: a thread whose descriptor is gone lives on, and reads nothing for ever."""
        with suppress(OSError):
            behind = str(Path(f"/proc/self/fd/{self._inotify_fd}").readlink())
            return self.is_alive() and behind == "anon_inode:inotify"
        return False


class Watcher:
    """Watches a changing set of folders, none of them recursively. OSError when the kernel's limits are reached."""

    def __init__(self, bell: Doorbell) -> None:
        self._bell = bell
        self._hints: SimpleQueue[Hint] = SimpleQueue()
        self._gone: SimpleQueue[Path] = SimpleQueue()
        self._watches: dict[Path, _Watch] = {}
        self._heard: set[Path] = set()
        self._reader = _Reader()
        self._reader.start()

    def is_alive(self) -> bool:
        """Say whether events can still come."""
        return self._reader.is_reading()

    def has_heard_from(self, folder: Path) -> bool:
        """Say whether an event has ever come from this folder."""
        return folder in self._heard

    def watch(self, folders: Iterable[Path]) -> None:
        """Watch exactly these folders from now on. OSError when the kernel's limits do not allow it."""
        wanted = {path: identity for path in set(folders) if (identity := _identity(path)) is not None}
        gone = set(_drain(self._gone))
        for path, known in list(self._watches.items()):
            # Under the same path lies another folder now, whose events would not come; and those of the one that was
            # moved away would come under a path that is not its own.
            if path in gone or wanted.get(path) != known.identity:
                del self._watches[path]
                self._reader.remove_callbacks([(known.descriptor, _id(path))])
        for path in wanted.keys() - self._watches.keys():
            self._add(path, wanted[path])

    def _add(self, path: Path, identity: tuple[int, int]) -> None:
        try:
            descriptor = self._reader.add_callback(os.fsencode(path), _MASK, _Folder(path, self), _id(path))
        except (FileNotFoundError, NotADirectoryError):
            return  # moved on between the look and now; the next look knows
        if descriptor < 0:
            # We may not read it; watchdog says nothing of that. The look has said so; the next one tries again.
            self._reader.remove_callbacks([(descriptor, _id(path))])
            return
        self._watches[path] = _Watch(descriptor, identity)
        # What happened in it before the watch was there made no event.
        self._bell.ring()

    def hints(self) -> list[Hint]:
        """Return what has been noticed since the last call, oldest first."""
        hints = _drain(self._hints)
        known = {folder: self._watches.get(folder) for folder in {hint.folder for hint in hints}}
        # A folder that was moved away has reported under its old path until now, where another may lie.
        still = {folder for folder, watch in known.items() if watch and watch.identity == _identity(folder)}
        return [hint for hint in hints if hint.folder in still]

    def notice(self, folder: Path, hint: Hint | None) -> None:
        """Pass on an event; called in the thread that reads them."""
        self._heard.add(folder)
        if hint is not None:
            self._hints.put(hint)
        self._bell.ring()

    def lost(self, folder: Path) -> None:
        """Note that a folder must be watched anew, if it is still there; called in the thread that reads the events."""
        self._gone.put(folder)
        self._bell.ring()

    def close(self) -> None:
        """Stop watching."""
        self._reader.stop()
        self._reader.join()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        seen = path.lstat()
    except OSError:
        return None
    return seen.st_dev, seen.st_ino


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
            self._watcher.notice(self._path, self._hint(event, name))

    def _hint(self, event: InotifyEvent, name: str) -> Hint | None:
        if event.is_moved_to:
            return Hint(self._path, name, self._moved(event))
        return Hint(self._path, name, Arrival.WRITTEN) if event.is_create or event.is_close_write else None

    def _moved(self, event: InotifyEvent) -> Arrival:
        before = self._leaving
        if before is None or before.cookie != event.cookie:
            return Arrival.MOVED_IN
        # Renamed within the folder: from a temp name it is some program's way to save, from any other a person's act.
        return Arrival.WRITTEN if kind_of(before.name) is Kind.TEMPORARY else Arrival.MOVED_IN

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:  # noqa: ARG002 - watchdog's signature
        self._watcher.lost(self._path)

    def on_queue_overflow(self) -> None:
        # Among the events that are lost may be the one that says that this folder is another one now.
        self._watcher.lost(self._path)
