"""What the daemon does to the folders, each step durable before the next.

The order inside each method is chosen so that the next look understands whatever a crash leaves behind; the comments
say how.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import unicodedata
from contextlib import suppress
from pathlib import PurePosixPath

from dropbox_runner.core.errors import RunnerError
from dropbox_runner.core.names import in_folder, is_task_file, readable
from dropbox_runner.core.record import Dropped, Record
from dropbox_runner.core.states import State
from dropbox_runner.folder import durable
from dropbox_runner.folder.freenames import Names
from dropbox_runner.folder.layout import Layout
from dropbox_runner.folder.taskfolder import MAX_TASK, TaskFolder, is_bare, task_name


class Store:
    """The folders of one inbox."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._names = Names(layout)

    def task(self, state: State, name: str) -> TaskFolder:
        """Return a task's folder; it need not exist."""
        return TaskFolder(self.layout.task(state, name))

    def make(self) -> None:
        """Make what is missing of the folder's structure."""
        self.layout.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in (self.layout.hidden, self.layout.outbox, *map(self.layout.state, State)):
            durable.make_directory(path)

    def free_name(self, wanted: str) -> str:
        """Return the name for a new task: nothing in any state has it, so nothing can ever be replaced."""
        return self._names.free(wanted)

    def describe(self, file: str) -> Dropped:
        """Return what a dropped file is, to recognise it when a sync tool brings it back."""
        path = self.layout.root / file
        mtime = path.lstat().st_mtime_ns
        try:
            digest = hashlib.sha256(durable.read(path, MAX_TASK)).hexdigest()
        except durable.UnreadableError as error:
            if error.again:
                raise
            digest = ""
        return Dropped(file=unicodedata.normalize("NFC", readable(file)), sha256=digest, mtime_ns=mtime)

    def take(self, file: str, record: Record) -> TaskFolder:
        """Make pending/NAME of a dropped file.

        The move of the file is the last step: without it the folder is a mere beginning, which the next look either
        goes on with (the file is still in the inbox) or forgets. A dropped folder becomes work/ as a whole, and then
        its task's file is moved out of it: in between, the next look finds it there, and goes on with `unpack`.
        """
        folder = self.task(State.PENDING, record.name)
        durable.make_directory(folder.path)
        try:
            folder.write_record(record)
        except OSError:
            # Left empty it would keep the name from the next try. After a crash, the next look forgets it.
            with suppress(OSError):
                folder.path.rmdir()
            raise
        self._names.note(State.PENDING, record.name)
        if in_folder(file):
            durable.move(self.layout.root / PurePosixPath(file).parent, folder.work)
            folder.unpack()
        else:
            durable.move(self.layout.root / file, folder.path / task_name(file))
        return folder

    def take_edit(self, file: str, folder: TaskFolder, record: Record) -> None:
        """Put a newer text in the place of a task's file, which is kept as task-1.yaml.

        The record goes before the new text: a crash in between is an edit that is still in the inbox, and is taken
        again; the other way round it could be forgotten.
        """
        folder.keep_task_file()
        folder.write_record(record)
        durable.move(self.layout.root / file, folder.path / task_name(file))
        self._take_attachments(file, folder)

    def keep_edit(self, file: str, folder: TaskFolder) -> None:
        """Keep a newer copy of the same text beside the task, where it changes nothing."""
        durable.move(self.layout.root / file, folder.free("task", PurePosixPath(file).suffix))
        self._take_attachments(file, folder)

    def attachments(self, file: str, folder: TaskFolder) -> str | None:
        """Say under which name in work/ the attachments of an edit will lie; None when it has none."""
        source = self.layout.root / PurePosixPath(file).parent
        if not in_folder(file) or all(is_task_file(path.name) for path in source.iterdir()):
            return None
        names = (f"attached-{number}" for number in itertools.count(1))
        return next(name for name in names if not os.path.lexists(folder.work / name))

    def _take_attachments(self, file: str, folder: TaskFolder) -> None:
        """Move what came with an edit to a place of its own: what lies in work/ may have been changed by claude.

        A crash before that leaves them in the inbox, as a folder without a task, which is shown.
        """
        name = self.attachments(file, folder)
        source = self.layout.root / PurePosixPath(file).parent
        if name is not None:
            durable.make_directory(folder.work)
            durable.move(source, folder.work / name)
        elif in_folder(file):
            with suppress(OSError):
                source.rmdir()

    def forget(self, name: str) -> None:
        """Remove the beginning of a task whose file was taken back; refuses if there is anything of a person in it."""
        folder = self.task(State.PENDING, name)
        paths = list(folder.path.iterdir())
        if not is_bare(path.name for path in paths):
            raise OSError(errno.ENOTEMPTY, "the folder is not empty", str(folder.path))
        for path in paths:
            durable.remove(path)
        durable.remove_directory(folder.path)

    def holds(self, state: State, name: str, record: Record) -> bool:
        """Say whether this very task lies in a state as well: half of a move that a power cut has undone.

        One that knows of other runs is what was left where a task lay that was handed back since.
        """
        with suppress(OSError, RunnerError):
            there = self.task(state, name).record()
            return (there.id, there.runs) == (record.id, record.runs)
        return False

    def tidy(self) -> None:
        """Remove what a daemon that was killed has left half-written; in the tasks' folders, each look sees it."""
        for folder in (self.layout.root, self.layout.hidden):
            durable.remove_halves(folder)

    @staticmethod
    def remove_if_empty(folder: TaskFolder) -> None:
        """Remove a folder in which nothing is left."""
        with suppress(OSError):
            folder.path.rmdir()

    def move(self, name: str, source: State, target: State) -> TaskFolder:
        """Move a task to another state; under another name if somebody has put a folder of this name there."""
        wanted = self.task(target, name)
        if wanted.is_headless:
            self._absorb(wanted, self.task(source, name))
        if os.path.lexists(wanted.path):
            wanted = self.task(target, self.free_name(name))
        durable.move(self.layout.task(source, name), wanted.path)
        return wanted

    def _absorb(self, stray: TaskFolder, folder: TaskFolder) -> None:
        """Take into a task's folder what was written for it, or left behind by it, where it is to go.

        It would else get another name there; and left as it is, an answer in it would be taken for one to a question
        that its writer has never seen. The record names an answer first, so that a crash does not leave one that is
        kept, and that nobody is told of.
        """
        for name in stray.answers:
            target, record = folder.free("late-answer", PurePosixPath(name).suffix), folder.record()
            folder.write_record(record.but(late=tuple(dict.fromkeys((*record.late, target.name)))))
            durable.move(stray.path / name, target)
        for path in list(stray.path.iterdir()):
            if not os.path.lexists(folder.path / path.name):
                durable.move(path, folder.path / path.name)
        self.remove_if_empty(stray)
