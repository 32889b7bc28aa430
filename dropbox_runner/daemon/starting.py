"""The start of a run: what it may do, with what and where it is started. It is in the record before it happens."""

from __future__ import annotations

import os
import uuid
from dataclasses import replace
from pathlib import Path

from dropbox_runner.agent.agents import Launch
from dropbox_runner.agent.command import Granted, Session, command_line
from dropbox_runner.agent.environment import (
    CONFIG_DIR,
    INBOX,
    MARK,
    QUESTION_FILE,
    READS_CLAUDE_MD,
    TASK_DIR,
    agent_environment,
)
from dropbox_runner.agent.program import claude_to_start
from dropbox_runner.core.actions import Start
from dropbox_runner.core.errors import RejectedError, RunnerError
from dropbox_runner.core.money import left_to_spend
from dropbox_runner.core.record import Record
from dropbox_runner.core.run import Next, Run, Why
from dropbox_runner.core.settings import Settings
from dropbox_runner.core.states import State, Verdict
from dropbox_runner.core.task import Task
from dropbox_runner.daemon.desk import Desk, check_config_dir, log, read_task
from dropbox_runner.daemon.ending import ask_for_money
from dropbox_runner.daemon.handover import under_parent
from dropbox_runner.daemon.intake import note_change, read_anew
from dropbox_runner.daemon.prompting import prompt_for, question_text
from dropbox_runner.daemon.wrapped import wrapped
from dropbox_runner.folder import durable
from dropbox_runner.folder.layout import QUESTION
from dropbox_runner.folder.taskfolder import TaskFolder


def start(desk: Desk, action: Start) -> None:
    """Move pending → running and start claude."""
    folder = desk.store.task(State.PENDING, action.name)
    record = folder.record()
    if (changed := note_change(folder, record, desk.now, desk.settings.settle)) is not None:
        folder.write_record(changed)
        return
    try:
        file = read_task(folder, record, desk.settings)
        record = under_parent(desk, record, file)
        check_config_dir(desk, record)
    except RejectedError as error:
        desk.reject(folder, record, Verdict.REJECTED, str(error))
        return
    task = file.task
    if record.changed:
        record = read_anew(record, task).with_event(desk.now.stamp(), "edited where it lay")
        folder.write_record(record)
        if record.not_before is not None and record.not_before > desk.now.wall.timestamp():
            return  # that is what the edit was about
    left = left_to_spend(record, task)
    if left is not None and left <= 0:
        # Move first: in pending/ it would look as if a person had moved it there with the question open. In blocked/
        # without a question, but with a next run, it comes back here.
        folder = desk.store.move(action.name, State.PENDING, State.BLOCKED)
        ask_for_money(desk, folder, _with_what_came(folder, record))
        log.info("%s: pending → blocked (asks: %s)", folder.name, question_text(folder))
        return
    # Move first: a crash in between leaves a task in running/ without an open run, which the next look puts back.
    folder = desk.store.move(action.name, State.PENDING, State.RUNNING)
    try:
        record = _launch(desk, folder, _with_what_came(folder, record), task)
    except (OSError, RunnerError):
        if folder.record().open_run is None:
            desk.store.move(folder.name, State.RUNNING, State.PENDING)
        raise
    run = record.last
    assert run is not None
    why = _WHY["interrupted" if run.why is Why.START and run.resumed else run.why]
    log.info("%s: pending → running (run %d%s)", folder.name, run.number, f", {why}" if run.number > 1 else "")


def _with_what_came(folder: TaskFolder, record: Record) -> Record:
    """Add the late answers that lay where the task was moved to, and that the move has brought into its folder."""
    return record.but(late=folder.record().late)


_WHY = {
    "start": "from the beginning: there is no session yet",
    "answer": "with your answer",
    "interrupted": "it had been cut off",
    "stopped": "it had been stopped",
    "limited": "the usage limit is over",
    "overloaded": "another try",
    "account": "another try",
    "allowed": "you allowed it",
    "denied": "you did not allow it",
    "money": "it may spend more",
    "retry": "another try",
    "handed_back": "handed back",
    "edited": "the task was edited",
    "late": "with what you wrote late",
}


def _launch(desk: Desk, folder: TaskFolder, record: Record, task: Task) -> Record:
    planned = record.next
    assert planned is not None
    if not folder.is_filed(planned):
        folder.file_round(planned)
    folder.put_away_ending(len(record.runs))
    waiting = record
    record = record.but(
        working_dir=record.working_dir or _own_choice(task),
        config_dir=os.environ.get(CONFIG_DIR, "") if record.config_dir is None else record.config_dir,
    )
    if record.config_dir:
        desk.ledger.note_config(record.config_dir)
    prompt = prompt_for(folder, record, task)
    run = _new_run(desk, record, planned, task)
    record = record.with_run(run).but(next=None, late=(), edited=False, attached=())
    launch = _what_to_start(desk, folder, record, run, task)
    folder.write_text(launch.stdin.name, prompt)
    # On disk before the process exists: whatever happens from here on, this session is never started a second time.
    folder.write_record(record.with_event(desk.now.stamp(), f"run {run.number} starting"))
    try:
        process = desk.agents.start(run.id, launch)
    except OSError as error:
        folder.write_record(waiting)
        raise RunnerError(f"claude could not be started: {error}") from error
    record = record.with_run(run.but(process=process))
    try:
        if process is not None:
            folder.write_record(record)
    except OSError as error:
        # It works, and must not be taken for something that was not started. The next look knows it by its mark.
        log.warning("%s: run %d was started, but that could not be written down: %s", folder.name, run.number, error)
    desk.ledger.note_start(run.id, desk.now.wall.timestamp())
    return record


def _own_choice(task: Task) -> str | None:
    return os.path.realpath(Path(task.working_dir).expanduser()) if task.working_dir is not None else None


def _new_run(desk: Desk, record: Record, planned: Next, task: Task) -> Run:
    return Run(
        number=len(record.runs) + 1,
        id=uuid.uuid4().hex,
        why=planned.why,
        resumed=record.session_seen,
        started_at=desk.now.stamp(),
        steady=desk.now.steady,
        boot=desk.now.boot,
        timeout=task.timeout or desk.settings.timeout,
        planned=planned,
        late=record.late,
        edited=record.edited,
    )


def _what_to_start(desk: Desk, folder: TaskFolder, record: Record, run: Run, task: Task) -> Launch:
    claude = claude_to_start(desk.settings)
    if claude is None:
        raise RunnerError(f"the claude command ({desk.settings.claude}) has gone away")
    if record.working_dir is None:
        durable.make_directory(folder.work)
    session = Session(record.session_id, resume=run.resumed)
    marks = {
        **({CONFIG_DIR: record.config_dir} if record.config_dir else {}),
        MARK: run.id,
        "DROPBOX_RUNNER_TASK_ID": record.id,
        TASK_DIR: str(folder.path),
        QUESTION_FILE: str(folder.path / QUESTION),
        INBOX: str(desk.store.layout.root),
    }
    settings = desk.settings
    working_dir = Path(record.working_dir) if record.working_dir is not None else folder.work
    granted = _granted(folder, record, task, settings)
    if settings.project_settings == "ignore":
        marks |= {READS_CLAUDE_MD: "1"}
        granted = replace(granted, directories=(str(working_dir), *granted.directories))
    # Of the session's first start, also where that had none and the daemon has got one since: see `marks`.
    own = {name: value for name, value in os.environ.items() if name != CONFIG_DIR}
    launch = Launch(
        arguments=command_line(claude, task, settings, session, granted),
        environment=agent_environment(own, settings.pass_env, marks, settings.api_retries, desk.commands),
        working_dir=working_dir,
        stdin=folder.prompt(run.number),
        stdout=folder.stream(run.number),
        stderr=folder.stderr(run.number),
    )
    return wrapped(desk, folder, run, task, launch)


def _granted(folder: TaskFolder, record: Record, task: Task, settings: Settings) -> Granted:
    directories = _directories(task)
    if record.working_dir is not None and folder.work.is_dir():
        directories += (str(folder.work),)  # what came with the task
    # Where nobody is asked, nobody can have granted anything, whatever the record says.
    rules = record.rules if settings.on_denial == "ask" else ()
    return Granted(directories=directories, rules=rules, budget_usd=left_to_spend(record, task))


def _directories(task: Task) -> tuple[str, ...]:
    paths = [Path(path).expanduser() for path in task.context_files]
    return tuple(dict.fromkeys(str(path if path.is_dir() else path.parent) for path in paths))
