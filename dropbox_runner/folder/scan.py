"""Look: what lies in the inbox and in pending/, running/ and blocked/. done/ and failed/ are never read here."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from dropbox_runner.core.answer import ANSWER_NAMES
from dropbox_runner.core.errors import RunnerError
from dropbox_runner.core.names import Kind, kind_of
from dropbox_runner.core.record import NewerRecordError, Record, RecordError, read_record
from dropbox_runner.core.states import LIVE, State
from dropbox_runner.folder import durable
from dropbox_runner.folder.layout import CANCEL_NAMES, RECORD, TASK_FILES, Layout

_COARSEST_MTIME: Final = 3.0
"""Seconds. A folder changed twice within one tick of its filesystem's clock (2 s on FAT) shows one mtime: what was
read so soon after a change is read again."""


@dataclass(frozen=True)
class Found:
    """One task's folder, as it is now."""

    name: str
    state: State
    record: Record | None
    trouble: str
    files: frozenset[str]
    unreadable: str = ""
    """Why its folder cannot be read just now, if it cannot."""

    @property
    def task_file(self) -> str | None:
        """The name of the task's file, if it is there."""
        return next((name for name in TASK_FILES if name in self.files), None)

    @property
    def answers(self) -> tuple[str, ...]:
        """The answer files that lie beside it."""
        return tuple(name for name in ANSWER_NAMES if name in self.files)

    @property
    def cancel(self) -> bool:
        """Whether somebody created the file that calls the task off."""
        return any(name.lower() in CANCEL_NAMES for name in self.files)


@dataclass(frozen=True)
class _Kept:
    identity: tuple[int, int]
    read_at: float
    found: Found


class Scanner:
    """Looks at the folders and reads again only what has changed since its last look."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._kept: dict[tuple[State, str], _Kept] = {}
        self._kinds: dict[str, Kind] = {}

    def tasks(self) -> tuple[Found, ...]:
        """Return all tasks that are not finished, in no particular order."""
        kept: dict[tuple[State, str], _Kept] = {}
        for state in LIVE:
            for entry in self._folders(state):
                with suppress(FileNotFoundError):  # moved or deleted by hand between the listing and the reading
                    kept[state, entry.name] = self._one_or_why_not(state, entry)
        self._kept = kept
        return tuple(one.found for one in kept.values())

    def inbox(self) -> frozenset[str]:
        """Return the names of everything in the inbox that is not a folder."""
        with os.scandir(self._layout.root) as entries:
            return frozenset(one.name for one in entries if not _is_folder(one))

    def drops(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return those that are meant to be tasks, sorted."""
        self._kinds = {name: self._kinds.get(name) or kind_of(name) for name in names}
        return tuple(sorted(name for name, kind in self._kinds.items() if kind is Kind.TASK))

    def _folders(self, state: State) -> Iterator[os.DirEntry[str]]:
        with os.scandir(self._layout.state(state)) as entries:
            yield from (one for one in entries if not one.name.startswith(".") and _is_folder(one))

    def _one_or_why_not(self, state: State, entry: os.DirEntry[str]) -> _Kept:
        try:
            return self._one(state, entry)
        except FileNotFoundError:
            raise
        except (OSError, RunnerError) as error:
            # The trouble of one folder must not hide the others. What was known of it still holds, as far as we know.
            before = self._kept.get((state, entry.name))
            known = before.found if before is not None else Found(entry.name, state, None, "", frozenset())
            return _Kept((0, 0), 0.0, replace(known, unreadable=f"it cannot be read: {error}"))

    def _one(self, state: State, entry: os.DirEntry[str]) -> _Kept:
        seen = entry.stat(follow_symlinks=False)
        identity = (seen.st_ino, seen.st_mtime_ns)
        before = self._kept.get((state, entry.name))
        if before is not None and before.identity == identity and before.read_at - seen.st_mtime > _COARSEST_MTIME:
            return before
        return _Kept(identity, time.time(), _read(Path(entry.path), state))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _read(folder: Path, state: State) -> Found:
    files = frozenset(entry.name for entry in folder.iterdir())
    try:
        record = read_record(durable.read(folder / RECORD))
    except FileNotFoundError:
        return Found(folder.name, state, None, f"{state}/{folder.name} holds no {RECORD}", files)
    except (RecordError, durable.UnreadableError) as error:
        if isinstance(error, NewerRecordError) or (isinstance(error, durable.UnreadableError) and error.passing):
            raise
        return Found(folder.name, state, None, str(error), files)
    return Found(folder.name, state, record, "", files)
