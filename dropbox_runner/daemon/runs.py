"""The life of a run that has been started: adopt, stop, end, file. What is about to happen is in the record first."""

from __future__ import annotations

import logging
import signal
import time

from dropbox_runner.agent.command import Session
from dropbox_runner.core.actions import Abandon, Adopt, EndMoved, File, Kill, PutAside, Stop
from dropbox_runner.core.errors import RunnerError
from dropbox_runner.core.record import Record
from dropbox_runner.core.reports import summary
from dropbox_runner.core.run import ProcessId, Run, StopOrder, Why
from dropbox_runner.core.states import State, Verdict
from dropbox_runner.core.stream import read_stream
from dropbox_runner.daemon.desk import Desk, first_line, log
from dropbox_runner.daemon.intake import put_aside
from dropbox_runner.daemon.prompting import question_text, take_back_unheard
from dropbox_runner.daemon.wrapped import bring_in_question, drop_question
from dropbox_runner.folder.taskfolder import TaskFolder

_DEATH_TAKES = 1.0
"""Seconds until a killed process is gone, unless it hangs in the kernel."""


def adopt(desk: Desk, action: Adopt) -> None:
    """Watch a run that an earlier daemon started. If it has ended meanwhile, the next look sees that."""
    run = action.run
    process = _process(desk, action.name, run)
    if process is None or not (desk.agents.watches(run.id) or desk.agents.adopt(run.id, process)):
        return
    if run.process is None:
        # A daemon died between the start and writing down who it is, or could not write; the mark has told us.
        folder = desk.store.task(State.RUNNING, action.name)
        folder.write_record(folder.record().with_run(run.but(process=process)))
    if run.stop is not None:
        # It was told to end, perhaps: the order is written down before it is given.
        desk.agents.send(process, signal.SIGTERM)
    log.info("%s: running (run %d goes on, adopted: pid %d)", action.name, run.number, process.pid)


def stop(desk: Desk, action: Stop) -> None:
    """Tell a run to end. The reason is on disk first: it decides how the end is judged, whoever judges it."""
    folder = desk.store.task(State.RUNNING, action.name)
    record = folder.record()
    run = record.open_run
    if run is None:
        return
    order = StopOrder(verdict=action.verdict, reason=action.reason, steady=desk.now.steady, boot=desk.now.boot)
    folder.write_record(record.with_run(run.but(stop=order)))
    log.info("%s: stopping run %d (%s)", action.name, run.number, action.reason)
    process = _process(desk, action.name, run)
    if process is not None:
        # claude itself, for it ends its tools and saves its session: bubblewrap and many launchers do not pass it on.
        session = Session(record.session_id, resume=run.resumed)
        desk.agents.send(desk.agents.innermost(process, session.option), signal.SIGTERM)


def kill(desk: Desk, action: Kill) -> None:
    """End a run that did not end when it was told to."""
    log.warning("%s: run %d did not end when it was told to; killing it", action.name, action.run.number)
    process = _process(desk, action.name, action.run)
    if process is not None:
        # The outermost: what stands for the run. Whatever it was to hold together is swept when its end is judged.
        desk.agents.send(process, signal.SIGKILL)
    deadline = time.monotonic() + _DEATH_TAKES
    while process is not None and desk.agents.is_alive(process):
        if time.monotonic() > deadline:
            raise RunnerError(f"process {process.pid} does not die; it may be waiting for a disk or a network")
        time.sleep(0.01)


def _process(desk: Desk, name: str, run: Run) -> ProcessId | None:
    log_file = desk.store.task(State.RUNNING, name).stream(run.number)
    return run.process or desk.agents.leader(run.id, log_file)


def end_moved(desk: Desk, action: EndMoved) -> None:
    """Stop the run of a task that was moved out of running/ by hand: that is how a person stops it."""
    folder = desk.store.task(action.state, action.name)
    record = folder.record()
    run = record.open_run
    if run is None:
        return
    swept = desk.agents.sweep(run.id)
    desk.agents.forget(run.id)
    bring_in_question(folder, run.id)
    ending = read_stream(folder.lines(run.number))
    reason = f"its folder was moved to {action.state}/ while claude worked on it"
    ended = run.but(
        verdict=Verdict.STOPPED,
        reason=reason,
        ended_at=desk.now.stamp(),
        swept=swept,
        messages=ending.turns_seen,
    )
    record = record.but(session_seen=record.session_seen or ending.session_id is not None).with_run(ended)
    record = take_back_unheard(folder, record, ended).with_event(desk.now.stamp(), reason)
    desk.ledger.note_run(record.name, ended)
    folder.write_record(record)
    log.info("%s: stopped run %d (%s)", action.name, run.number, reason)


def abandon(desk: Desk, action: Abandon) -> None:
    """Stop a run whose task's folder is gone: nobody could say any more what became of it."""
    desk.agents.sweep(action.name)
    desk.agents.forget(action.name)
    drop_question(desk.store.layout, action.name)
    log.warning("a run was stopped, because its task was deleted or moved away (run id %s)", action.name)


def file(desk: Desk, action: File) -> None:
    """Move a task out of running/ as its record says."""
    folder = desk.store.task(action.state, action.name)
    level = logging.WARNING if action.target is State.FAILED else logging.INFO
    if desk.store.holds(action.target, action.name, folder.record()):
        reason = f"this is a copy of {action.target}/{action.name}, which has ended"
        put_aside(desk, PutAside(action.name, action.state, reason))
        return
    record = folder.record()
    if record.outcome is not None:
        # Called off when it had ended: handed back one day, it is not to be called off again.
        folder.remove_cancel()
    desk.move(action.name, action.state, action.target, _why_moved(folder, record), level=level)


def _why_moved(folder: TaskFolder, record: Record) -> str:
    last = record.last
    if record.outcome is not None:
        if record.outcome.verdict is Verdict.SUCCEEDED:
            return f"succeeded: {summary(record)}"
        return f"{record.outcome.verdict}: {first_line(record.outcome.reason)}"
    if last is None or last.verdict is None:
        return "it had not been started"
    if record.next is None:
        # Without a question, a person has put it into running/ by hand.
        return f"asks: {question_text(folder)}" if folder.question.exists() else "nothing is planned for it"
    goes_on = "its task was edited, so it goes on" if record.next.why is Why.EDITED else "goes on in its session"
    return f"{last.verdict}: {first_line(last.reason)}; {goes_on}"
