"""Look: what lies in the inbox and in pending/, running/ and blocked/. done/ and failed/ are never read here."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from dropbox_runner.core.answer import answers_among, misnamed_answer
from dropbox_runner.core.errors import RunnerError
from dropbox_runner.core.names import Kind, is_cancel, is_pause, is_task_file, kind_of, why_no_task
from dropbox_runner.core.record import NewerRecordError, Record, RecordError, read_record
from dropbox_runner.core.seen import LeftAlone
from dropbox_runner.core.states import LIVE, State
from dropbox_runner.folder import durable
from dropbox_runner.folder.layout import QUESTION, RECORD, WORK, Layout

_COARSEST_MTIME: Final = 3.0
"""Seconds. A folder changed twice within one tick of its filesystem's clock (2 s on FAT) shows one mtime: what was
read so soon after a change is read again."""

_LOG: Final = re.compile(r"run-\d+\.(jsonl|stderr)")
"""What docs/sync/syncthing.md advises to keep off the phone, which therefore cannot move it."""
_CONFLICT: Final = (
    "the copy that a sync tool made of a file that was changed on two sides; it is not run and not read: "
    "take from it what is missing in the other, then delete it"
)
_NO_TASK_IN_IT: Final = "left alone: a folder without a task.yaml or task.md in it"
_LOOSE: Final = (
    "left alone: it lies among the folders of the tasks; "
    "move a new task into the inbox itself, and an answer into the folder of its task"
)
_MISNAMED: Final = "no answer by its name; call it answer.md if it is one"


@dataclass(frozen=True)
class Found:
    """One task's folder, as it is now. What follows from its names is found out once: there may be 10,000."""

    name: str
    state: State
    record: Record | None
    trouble: str
    files: frozenset[str]
    unreadable: str = ""
    """Why its folder cannot be read just now, if it cannot."""
    packed: bool = False
    """Whether the task's file still lies in work/, with which it was dropped."""

    @cached_property
    def task_file(self) -> str | None:
        """The name of the task's file, if it is there."""
        return min(filter(is_task_file, self.files), default=None)

    @cached_property
    def left_alone(self) -> tuple[LeftAlone, ...]:
        """What lies beside it and is not read, but may have been meant to be."""
        place = f"{self.state}/{self.name}"
        left = [LeftAlone(f"{place}/{name}", _CONFLICT) for name in self.files if kind_of(name) is Kind.CONFLICT]
        if self.state is State.BLOCKED:
            rounds = self.record.rounds if self.record is not None else None
            left += [LeftAlone(f"{place}/{name}", _MISNAMED) for name in self.files if misnamed_answer(name, rounds)]
        return tuple(sorted(left, key=lambda one: one.name))

    @cached_property
    def answers(self) -> tuple[str, ...]:
        """The answer files that lie beside it."""
        return answers_among(self.files)

    @cached_property
    def maybe_open(self) -> bool:
        """Whether anything lies here that might be the lock of an editor; asked of all, so it must cost nothing."""
        return any(name[0] in ".#" or name.endswith("___") for name in self.files)

    @cached_property
    def whole(self) -> bool:
        """Whether everything lies here that makes a task, as far as names tell."""
        return RECORD in self.files and (self.task_file is not None or self.state is not State.PENDING)

    @cached_property
    def handed_back(self) -> bool:
        """Whether a person has put it into pending/ again, so that it is to go on."""
        record = self.record
        if self.state is not State.PENDING or record is None or record.next is not None:
            return False
        return bool(record.runs) or record.outcome is not None

    @cached_property
    def headless(self) -> bool:
        """Whether no task lies here, but at most what one has left behind, or was written for one."""
        return self.record is None and not self.unreadable and is_headless(self.files)

    @cached_property
    def remains(self) -> tuple[str, ...]:
        """What a task has left behind when it moved on, because whoever moved it does not know of that."""
        return left_behind(self.files) if self.headless else ()

    @cached_property
    def remains_more_than_logs(self) -> bool:
        """Whether what lies in a headless folder may also be the beginning of a task that is on its way."""
        return any(not _LOG.fullmatch(name) for name in self.remains)

    @cached_property
    def cancel(self) -> bool:
        """Whether somebody created the file that calls the task off."""
        return any(map(is_cancel, self.files))


@dataclass(frozen=True)
class Inbox:
    """What lies in the inbox itself."""

    names: frozenset[str]
    """Of all files, and of a folder called PAUSE."""
    drops: tuple[str, ...]
    """The files that are meant to be tasks, and those of folders that are (`report/task.yaml`), sorted."""
    left_alone: tuple[LeftAlone, ...]
    """What is no task, but may have been meant for one."""


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
        self._loose: list[LeftAlone] = []

    def tasks(self) -> tuple[Found, ...]:
        """Return all tasks that are not finished, in no particular order."""
        kept: dict[tuple[State, str], _Kept] = {}
        self._loose = []
        for state in LIVE:
            for entry in self._folders(state):
                with suppress(FileNotFoundError):  # moved or deleted by hand between the listing and the reading
                    kept[state, entry.name] = self._one_or_why_not(state, entry)
        self._kept = kept
        return tuple(one.found for one in kept.values())

    @property
    def loose(self) -> tuple[LeftAlone, ...]:
        """What the last look found among the tasks' folders: dropped, or answered, in the wrong place."""
        return tuple(self._loose)

    @property
    def occupied(self) -> frozenset[State]:
        """The states in which the last look found tasks."""
        return frozenset(state for state, _ in self._kept)

    def inbox(self) -> Inbox:
        """Return what lies in the inbox itself."""
        with os.scandir(self._layout.root) as listed:
            entries = [(one.name, _is_folder(one)) for one in listed]
        self._kinds = kinds = {name: self._kinds.get(name) or kind_of(name) for name, _ in entries}
        # Where people can make folders only (an iPhone), a folder of that name is to pause as well.
        files = frozenset(name for name, is_folder in entries if not is_folder or is_pause(name))
        drops = [name for name in files if kinds[name] is Kind.TASK]
        folders = (name for name, is_folder in entries if is_folder and kinds[name] in (Kind.TASK, Kind.OTHER))
        left = [LeftAlone(name, _CONFLICT) for name, _ in entries if kinds[name] is Kind.CONFLICT]
        left += [LeftAlone(name, f"left alone: {why_no_task(name)}") for name in files if kinds[name] is Kind.OTHER]
        for name in folders:
            with suppress(FileNotFoundError):
                task_file = _task_file_in(self._layout.root / name)
                drops += [f"{name}/{task_file}"] if task_file is not None else []
                left += [LeftAlone(name, _NO_TASK_IN_IT)] if task_file is None else []
        return Inbox(files, tuple(sorted(drops)), tuple(sorted(left, key=lambda one: one.name)))

    def _folders(self, state: State) -> Iterator[os.DirEntry[str]]:
        with os.scandir(self._layout.state(state)) as entries:
            for one in entries:
                if one.name.startswith("."):
                    continue
                if _is_folder(one):
                    yield one
                elif kind_of(one.name) not in (Kind.TEMPORARY, Kind.LEFT_ALONE):
                    self._loose.append(LeftAlone(f"{state}/{one.name}", _LOOSE))

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


def is_headless(names: Iterable[str]) -> bool:
    """Say whether a folder holds nothing that makes a task, or that a task would be asked about."""
    return not any(name in (RECORD, QUESTION) or is_task_file(name) for name in names)


def left_behind(names: Iterable[str]) -> tuple[str, ...]:
    """Return what of the files in a headless folder is a task's own, and not what was written for it."""
    written = set(answers_among(names := sorted(names)))
    written |= {name for name in names if is_cancel(name) or misnamed_answer(name)}
    return tuple(name for name in names if name not in written and kind_of(name) in (Kind.TASK, Kind.OTHER))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _read(folder: Path, state: State) -> Found:
    files = frozenset(entry.name for entry in folder.iterdir())
    try:
        record = read_record(durable.read(folder / RECORD))
    except FileNotFoundError:
        if RECORD in files:
            raise  # moved away since it was listed: what lies here the next moment may be another, and whole
        return Found(folder.name, state, None, f"{state}/{folder.name} holds no {RECORD}", files)
    except (RecordError, durable.UnreadableError) as error:
        if isinstance(error, NewerRecordError) or (isinstance(error, durable.UnreadableError) and error.passing):
            raise
        return Found(folder.name, state, None, str(error), files)
    found = Found(folder.name, state, record, "", files)
    return replace(found, packed=found.task_file is None and WORK in files and _task_file_in(folder / WORK) is not None)


def _task_file_in(folder: Path) -> str | None:
    try:
        return min(filter(is_task_file, os.listdir(folder)), default=None)  # noqa: PTH208 - names are what is wanted
    except (NotADirectoryError, PermissionError):
        return None
