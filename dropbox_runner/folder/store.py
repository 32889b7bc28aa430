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
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dropbox_runner.core.answer import answers_among
from dropbox_runner.core.errors import RunnerError
from dropbox_runner.core.names import in_folder, is_task_file, readable
from dropbox_runner.core.record import Dropped, Next, Record, read_record
from dropbox_runner.core.states import State
from dropbox_runner.folder import durable
from dropbox_runner.folder.freenames import Names
from dropbox_runner.folder.layout import (
    CANCEL_NAMES,
    ERROR,
    LATE_ANSWER,
    QUESTION,
    QUESTION_TEXT,
    RECORD,
    RESULT,
    RESULT_TEXT,
    WORK,
    Layout,
)
from dropbox_runner.folder.scan import is_stray

_LONGEST_LINE = 16 << 20
"""Bytes. claude's own lines are far shorter; a gigabyte without a line end must not come into memory."""
MAX_TASK = 1024 * 1024
"""Bytes of a task file."""


@dataclass(frozen=True)
class TaskFolder:
    """One task's folder in one state, and the names in it."""

    path: Path

    @property
    def name(self) -> str:
        """The task's name."""
        return self.path.name

    @property
    def task_file(self) -> Path | None:
        """The file that was dropped."""
        name = min(filter(is_task_file, self._names()), default=None)
        return self.path / name if name is not None else None

    def text_sha256(self) -> str:
        """Return what the task's text is known by; nothing where it cannot be read."""
        try:
            return hashlib.sha256(durable.read(self.task_file, MAX_TASK)).hexdigest() if self.task_file else ""
        except (OSError, durable.UnreadableError):
            return ""

    @property
    def work(self) -> Path:
        """The working directory of a task that names none."""
        return self.path / WORK

    @property
    def question(self) -> Path:
        """Where the agent leaves a question, and where it lies while it waits for its answer."""
        return self.path / QUESTION

    def stream(self, run: int) -> Path:
        """Return claude's stdout of a run."""
        return self.path / f"run-{run}.jsonl"

    def stderr(self, run: int) -> Path:
        """Return claude's stderr of a run."""
        return self.path / f"run-{run}.stderr"

    def prompt(self, run: int) -> Path:
        """Return what claude was told at the start of a run."""
        return self.path / f"run-{run}.prompt.md"

    @property
    def has_record(self) -> bool:
        """Whether a task lies here, and not only what was written for one."""
        return os.path.lexists(self.path / RECORD)

    @property
    def is_stray(self) -> bool:
        """Whether nothing of a task lies here, but at most what was written for one."""
        return self.path.is_dir() and is_stray(self._names())

    def record(self) -> Record:
        """Read record.json."""
        return read_record(durable.read(self.path / RECORD))

    def write_record(self, record: Record) -> None:
        """Write record.json."""
        durable.write(self.path / RECORD, record.to_json())

    def write_text(self, name: str, text: str) -> None:
        """Write a text of ours beside the task."""
        durable.write(self.path / name, text.encode("utf-8", "replace"))

    def lines(self, run: int) -> Iterator[bytes]:
        """Go through the lines of a run's stream, one in memory at a time; what is no line of claude's is left out."""
        with suppress(FileNotFoundError), self.stream(run).open("rb") as stream:
            whole = True
            while line := stream.readline(_LONGEST_LINE):
                if whole and (line.endswith(b"\n") or len(line) < _LONGEST_LINE):
                    yield line
                whole = line.endswith(b"\n")

    def stderr_head(self, run: int, limit: int = 4000) -> str:
        """Return the beginning of what a run wrote to stderr."""
        try:
            with self.stderr(run).open("rb") as file:
                return file.read(limit).decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def file_round(self, planned: Next) -> None:
        """Give question and answers their number: question.json → question-1.json, answer.md → answer-1.md.

        Does only what is still to be done, so it can be repeated after a crash: which files belong to the round was
        written to the record before.
        """
        if planned.round is None:
            return
        if self.question.exists():
            durable.move(self.question, self._free(f"question-{planned.round}", ".json"))
        durable.remove(self.path / QUESTION_TEXT)  # only another view of question.json
        for name in planned.answers:
            answer = self.path / name
            if os.path.lexists(answer):
                durable.move(answer, self._free(f"answer-{planned.round}", answer.suffix))

    def is_filed(self, planned: Next) -> bool:
        """Say whether question and answers of this round have their number already.

        An answer that lies here all the same was saved again since: it may not be finished, and is not for this round.
        """
        number = planned.round
        return not self.question.exists() and any(
            path.stem == f"answer-{number}" for path in self.path.glob(f"answer-{number}*")
        )

    def set_aside(self, names: tuple[str, ...], stem: str, source: Path | None = None) -> tuple[str, ...]:
        """Rename files of a person out of the way (`late-answer-1.md`), losing none; return their new names."""
        moved = []
        for name in names:
            target = self.free(stem, PurePosixPath(name).suffix)
            durable.move((source or self.path) / name, target)
            moved.append(target.name)
        return tuple(moved)

    @property
    def late_answers(self) -> tuple[str, ...]:
        """The answers that came too late, and have been set aside."""
        return tuple(sorted(path.name for path in self.path.glob(f"{LATE_ANSWER}-*")))

    def set_aside_question(self, number: int) -> None:
        """Put what claude left as its question out of the way, if it is still there."""
        if os.path.lexists(self.question):
            durable.move(self.question, self._free(_unreadable(number), ".json"))

    def unreadable_question(self, number: int) -> Path | None:
        """Return what claude left as this question and nobody could read, if that is so."""
        path = self.path / f"{_unreadable(number)}.json"
        return path if os.path.lexists(path) else None

    def unpack(self) -> None:
        """Move the task's file out of the attachments with which it was dropped."""
        name = min(filter(is_task_file, os.listdir(self.work)))  # noqa: PTH208 - names are what is wanted
        durable.move(self.work / name, self.path / _task_name(name))

    def keep_task_file(self) -> None:
        """Number the task's file, to make room for a newer one."""
        if self.task_file is not None:
            durable.move(self.task_file, self.free("task", self.task_file.suffix))

    def free(self, stem: str, suffix: str) -> Path:
        """Return the first name of `task-1.yaml`, `task-2.yaml` … that is free."""
        names = (f"{stem}-{number}{suffix}" for number in itertools.count(1))
        return next(path for name in names if not os.path.lexists(path := self.path / name))

    def remove_cancel(self) -> None:
        """Remove the file that called the task off, once that has been done."""
        for path in list(self.path.iterdir()):
            if path.name.lower() in CANCEL_NAMES:
                durable.remove(path)

    @property
    def answers(self) -> tuple[str, ...]:
        """The answer files that lie here."""
        return answers_among(self._names())

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.path)  # noqa: PTH208 - names are what is wanted
        except FileNotFoundError:
            return []

    def was_answered_with(self, path: Path, *, same_time: bool) -> bool:
        """Say whether this very text has been filed as an answer before; with `same_time`, this very file."""
        seen = path.lstat()
        for filed in self.path.glob("answer-*"):
            known = filed.lstat()
            if known.st_size == seen.st_size and (known.st_mtime_ns == seen.st_mtime_ns or not same_time):
                with suppress(OSError, durable.UnreadableError):
                    if durable.read(filed) == durable.read(path):
                        return True
        return False

    def put_away_ending(self, run: int) -> None:
        """Number the texts of an earlier ending, so that a task that goes on does not show them as its own."""
        for name in (ERROR, RESULT, RESULT_TEXT):
            path = self.path / name
            if path.exists():
                durable.move(path, self._free(f"{path.stem}-{run}", path.suffix))

    def _free(self, stem: str, suffix: str) -> Path:
        # Several answer files of one round, or a name that a person has used: never replace.
        names = itertools.chain([f"{stem}{suffix}"], (f"{stem}-{n}{suffix}" for n in itertools.count(2)))
        return next(path for name in names if not os.path.lexists(path := self.path / name))


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
            durable.move(self.layout.root / file, folder.path / _task_name(file))
        return folder

    def take_edit(self, file: str, folder: TaskFolder, record: Record) -> None:
        """Put a newer text in the place of a task's file, which is kept as task-1.yaml.

        The record goes before the new text: a crash in between is an edit that is still in the inbox, and is taken
        again; the other way round it could be forgotten.
        """
        folder.keep_task_file()
        folder.write_record(record)
        durable.move(self.layout.root / file, folder.path / _task_name(file))
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

    def holds(self, state: State, name: str, task_id: str) -> bool:
        """Say whether this very task lies in a state as well: half of a move that a power cut has undone."""
        with suppress(OSError, RunnerError):
            return self.task(state, name).record().id == task_id
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
        if wanted.is_stray:
            self._absorb(wanted, self.task(source, name))
        if os.path.lexists(wanted.path):
            wanted = self.task(target, self.free_name(name))
        durable.move(self.layout.task(source, name), wanted.path)
        return wanted

    def _absorb(self, stray: TaskFolder, folder: TaskFolder) -> None:
        """Take into a task's folder what was written for it where it is to go.

        It would else get another name there; and left as it is, an answer in it would be taken for one to a question
        that its writer has never seen.
        """
        if late := folder.set_aside(stray.answers, "late-answer", stray.path):
            record = folder.record()
            folder.write_record(record.but(late=(*record.late, *late)))
        for path in list(stray.path.iterdir()):
            if not os.path.lexists(folder.path / path.name):
                durable.move(path, folder.path / path.name)
        self.remove_if_empty(stray)


def _unreadable(number: int) -> str:
    return f"unreadable-question-{number}"


def is_bare(names: Iterable[str]) -> bool:
    """Say whether a task's folder holds nothing but our record, or the half of one that a crash has left."""
    return all(name == RECORD or durable.is_half_of(name, RECORD) for name in names)


def _task_name(file: str) -> str:
    suffix = PurePosixPath(file).suffix.lower()
    return f"task{'.yaml' if suffix == '.yml' else suffix}"
