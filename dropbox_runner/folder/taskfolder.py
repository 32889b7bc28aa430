"""The files in one task's folder: what they are called, and how they change, each step durable before the next."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from dropbox_runner.core.answer import answers_among
from dropbox_runner.core.names import CANCEL, is_cancel, is_task_file
from dropbox_runner.core.record import Record, read_record
from dropbox_runner.core.run import Next
from dropbox_runner.folder import durable
from dropbox_runner.folder.layout import (
    ERROR,
    LATE_ANSWER,
    QUESTION,
    QUESTION_TEXT,
    RECORD,
    RESULT,
    RESULT_TEXT,
    WORK,
)
from dropbox_runner.folder.scan import is_headless, left_behind

_LONGEST_LINE = 128 << 20
"""Bytes. A result repeats the whole last message, and a denial a whole file; but a disk full of something without
a line end must not come into memory."""
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

    def find_task_file(self) -> Path | None:
        """Return the file that was dropped; asked a moment later it may be gone, as somebody may move the folder."""
        name = min(filter(is_task_file, self._names()), default=None)
        return self.path / name if name is not None else None

    def text_sha256(self) -> str:
        """Return what the task's text is known by; nothing where it cannot be read."""
        path = self.find_task_file()
        try:
            return hashlib.sha256(durable.read(path, MAX_TASK)).hexdigest() if path is not None else ""
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
    def is_headless(self) -> bool:
        """Whether no task lies here, but at most what one has left behind, or what was written for one."""
        return self.path.is_dir() and is_headless(self._names())

    @property
    def remains(self) -> tuple[str, ...]:
        """What a task that has moved on has left behind in this headless folder."""
        return left_behind(self._names())

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
        if (log := _log(self.stream(run))) is None:
            return
        with log as stream:
            whole = True
            while line := stream.readline(_LONGEST_LINE):
                if whole and (line.endswith(b"\n") or len(line) < _LONGEST_LINE):
                    yield line
                whole = line.endswith(b"\n")

    def stderr_head(self, run: int, limit: int = 4000) -> str:
        """Return the beginning of what a run wrote to stderr."""
        if (log := _log(self.stderr(run))) is None:
            return ""
        with log as file:
            return file.read(limit).decode("utf-8", "replace")

    def file_round(self, planned: Next) -> None:
        """Give question and answers their number: question.json → question-1.json, answer.md → answer-1.md.

        Does only what is still to be done, so it can be repeated after a crash: which files belong to the round was
        written to the record before.
        """
        if planned.round is None:
            return
        if self.question.exists():
            durable.move(self.question, self.free_for(f"question-{planned.round}", ".json"))
        durable.remove(self.path / QUESTION_TEXT)  # only another view of question.json
        for name in planned.answers:
            answer = self.path / name
            if os.path.lexists(answer):
                durable.move(answer, self.free_for(f"answer-{planned.round}", answer.suffix))

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
            durable.move(self.question, self.free_for(_unreadable(number), ".json"))

    def unreadable_question(self, number: int) -> Path | None:
        """Return what claude left as this question and nobody could read, if that is so."""
        path = self.path / f"{_unreadable(number)}.json"
        return path if os.path.lexists(path) else None

    def unpack(self) -> None:
        """Move the task's file out of the attachments with which it was dropped."""
        name = min(filter(is_task_file, os.listdir(self.work)))  # noqa: PTH208 - names are what is wanted
        durable.move(self.work / name, self.path / task_name(name))

    def keep_task_file(self) -> None:
        """Number the task's file, to make room for a newer one."""
        if (path := self.find_task_file()) is not None:
            durable.move(path, self.free("task", path.suffix))

    def free(self, stem: str, suffix: str) -> Path:
        """Return the first name of `task-1.yaml`, `task-2.yaml` … that is free."""
        names = (f"{stem}-{number}{suffix}" for number in itertools.count(1))
        return next(path for name in names if not os.path.lexists(path := self.path / name))

    def remove_cancel(self) -> None:
        """Remove the file that called the task off, once that has been done: handed back, it is to go on."""
        for path in list(self.path.iterdir()):
            if is_cancel(path.name) and path.is_dir():
                # Where people can make folders only (an iPhone), they make one of this name; it may hold something.
                durable.move(path, self.free(CANCEL, ""))
            elif is_cancel(path.name):
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
                durable.move(path, self.free_for(f"{path.stem}-{run}", path.suffix))

    def free_for(self, stem: str, suffix: str) -> Path:
        """Return this name, or the first of NAME-2, NAME-3 … that is free.

        There may be several answer files of one round, and names that a person has used; nothing is ever replaced.
        """
        names = itertools.chain([f"{stem}{suffix}"], (f"{stem}-{n}{suffix}" for n in itertools.count(2)))
        return next(path for name in names if not os.path.lexists(path := self.path / name))


def _log(path: Path) -> BinaryIO | None:
    """Open what a run has written; None when it is not there, or something else has been put in its place."""
    try:
        return durable.opened(path)
    except FileNotFoundError:
        return None
    except durable.UnreadableError as error:
        if error.again:
            raise
        return None


def _unreadable(number: int) -> str:
    return f"unreadable-question-{number}"


def is_bare(names: Iterable[str]) -> bool:
    """Say whether a task's folder holds nothing but our record, or the half of one that a crash has left."""
    return all(name == RECORD or durable.is_half_of(name, RECORD) for name in names)


def task_name(file: str) -> str:
    """Return the name that a task's file gets in its folder."""
    suffix = PurePosixPath(file).suffix.lower()
    return f"task{'.yaml' if suffix == '.yml' else suffix}"
