"""What the performing of actions has to work with, and the few steps that several actions share."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass

from dropbox_runner.agent.agents import Agents
from dropbox_runner.agent.environment import CONFIG_DIR, Commands
from dropbox_runner.core.cleantext import shorten
from dropbox_runner.core.clock import Now
from dropbox_runner.core.errors import Problem, RejectedError, RunnerError
from dropbox_runner.core.record import Outcome, Record
from dropbox_runner.core.reports import error_markdown, result_json, result_markdown
from dropbox_runner.core.settings import Settings
from dropbox_runner.core.states import State, Verdict
from dropbox_runner.core.task import Task, TaskFile, parse_task
from dropbox_runner.daemon.confinement import check_confined
from dropbox_runner.folder import durable
from dropbox_runner.folder.admission import admitted, content_of
from dropbox_runner.folder.gatefile import GateFile
from dropbox_runner.folder.layout import ERROR, RESULT, RESULT_TEXT
from dropbox_runner.folder.ledger import Ledger
from dropbox_runner.folder.store import Store
from dropbox_runner.folder.taskfolder import MAX_TASK, TaskFolder

log = logging.getLogger("dropbox_runner")


@dataclass(frozen=True)
class Desk:
    """The effects that actions are made of, and the moment they happen in."""

    store: Store
    agents: Agents
    ledger: Ledger
    gate: GateFile
    settings: Settings
    commands: Commands
    now: Now
    failures: list[str]
    """Tasks that went to failed/ while this daemon ran."""

    def move(self, name: str, source: State, target: State, why: str, *, level: int = logging.INFO) -> TaskFolder:
        """Move a task and log its transition."""
        folder = self.store.move(name, source, target)
        log.log(level, "%s: %s → %s (%s)", folder.name, source, target, why)
        if target is State.FAILED:
            self.failures.append(folder.name)
        return folder

    def finish(self, folder: TaskFolder, record: Record, text: str) -> None:
        """Write everything that is to lie beside a task that has ended; the record, last, makes it so."""
        self._explain(folder, record, text)
        folder.write_record(record)

    def finish_pending(self, folder: TaskFolder, record: Record, why: str, *, level: int = logging.INFO) -> TaskFolder:
        """End a task in pending/: as `finish`, but its record comes after the move to failed/.

        A task in pending/ whose record says that it has ended is one that a person hands back, and is run. Until the
        move, a crash only means that it is ended once more, for the same reason.
        """
        self._explain(folder, record, "")
        moved = self.move(folder.name, State.PENDING, State.FAILED, why, level=level)
        # The move may have brought in answers that lay there, and named them in the record.
        moved.write_record(record.but(late=moved.record().late))
        return moved

    def _explain(self, folder: TaskFolder, record: Record, text: str) -> None:
        outcome = record.outcome
        assert outcome is not None
        folder.write_text(RESULT, result_json(record, outcome, text))
        if record.runs:
            folder.write_text(RESULT_TEXT, result_markdown(record, outcome, text))
        if outcome.verdict is not Verdict.SUCCEEDED:
            folder.write_text(ERROR, error_markdown(record, outcome))

    def reject(self, folder: TaskFolder, record: Record, verdict: Verdict, reason: str) -> None:
        """End a task in pending/ that cannot be run."""
        outcome = Outcome(verdict=verdict, reason=reason, at=self.now.stamp())
        record = record.but(outcome=outcome, next=None).with_event(self.now.stamp(), f"{verdict}: {first_line(reason)}")
        self.finish_pending(folder, record, f"{verdict}: {first_line(reason)}", level=logging.WARNING)


def read_task(folder: TaskFolder, record: Record, settings: Settings) -> TaskFile:
    """Read and check a task's file. RejectedError says what is wrong with it, where, and what to do."""
    path = folder.find_task_file()
    name = record.dropped.file
    if path is None:
        raise RejectedError(name, (Problem("the task's file is gone", "put it back, or drop it again"),))
    if folder.work.is_symlink():
        message = "the task's folder work/ is a symbolic link, and claude would work where that leads to"
        raise RejectedError(
            name, (Problem(message, "put a folder in its place, or name the other one as working_dir"),)
        )
    file = admitted(name, content_of(name, path), settings, record.working_dir)
    check_confined(file, record.working_dir, folder.path.parent.parent, settings)
    return file


def check_config_dir(desk: Desk, record: Record) -> None:
    """RejectedError when claude was to start with a configuration that we have never given it.

    It can name programs to be run, and the record that names it lies in the folder: others may have written it.
    """
    chosen = record.config_dir
    if chosen and chosen != os.environ.get(CONFIG_DIR) and not desk.ledger.knows_config(chosen):
        message = f"its session is said to have begun with claude's configuration in {shorten(chosen, 200)}"
        advice = f"if that is so, start the daemon with {CONFIG_DIR} set to it; else drop the task's file again"
        raise RejectedError(record.dropped.file, (Problem(message + ", which is not known here", advice),))


def written_task(folder: TaskFolder, record: Record) -> Task | None:
    """Return what a task's file says, whether it may be run now or not; None when nobody can read it any more."""
    try:
        return parse_task(record.dropped.file, durable.read(folder.find_task_file() or folder.path / "task", MAX_TASK))
    except (RunnerError, OSError):
        return None


def first_line(text: str) -> str:
    """Return the first line: what fits into the log."""
    return text.strip().partition("\n")[0]
