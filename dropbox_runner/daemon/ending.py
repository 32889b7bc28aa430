"""The end of a run: sweep up, look at what it left, judge it, and write down what follows."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from typing import assert_never

from dropbox_runner.core import asking as asking_texts
from dropbox_runner.core.actions import End
from dropbox_runner.core.cleantext import clipped
from dropbox_runner.core.clock import Now
from dropbox_runner.core.denials import Denial, denials
from dropbox_runner.core.durations import time_of_day
from dropbox_runner.core.followup import Patience, conclude
from dropbox_runner.core.gate import after
from dropbox_runner.core.money import budget_of
from dropbox_runner.core.question import Question, Questions, is_by_runner, parse_questions, to_json, to_markdown
from dropbox_runner.core.record import Asking, Record, Topic
from dropbox_runner.core.run import Run
from dropbox_runner.core.settings import Settings
from dropbox_runner.core.states import State, Verdict
from dropbox_runner.core.stream import Ending, read_stream
from dropbox_runner.core.task import Task
from dropbox_runner.core.verdict import Evidence, Judgement, cut_off_later, judge, never_began, served
from dropbox_runner.core.wrapping import reached
from dropbox_runner.daemon.desk import Desk, first_line, log, written_task
from dropbox_runner.daemon.wrapped import bring_in_question, is_wrapped
from dropbox_runner.folder import durable
from dropbox_runner.folder.layout import LATE_ANSWER, QUESTION, QUESTION_TEXT
from dropbox_runner.folder.taskfolder import TaskFolder


def end(desk: Desk, action: End) -> None:
    """Judge a run whose process is gone.

    Everything that lies beside the task is written first and the record last: until that is on disk, a crash only
    means that all of this is done again, from the same evidence.
    """
    folder = desk.store.task(State.RUNNING, action.name)
    record = folder.record()
    run = record.open_run
    if run is None:
        return
    exit_code = desk.agents.exit_code(run.id)
    swept = desk.agents.sweep(run.id)
    if swept:
        log.info("%s: run %d left processes behind, ended: %s", action.name, run.number, ", ".join(swept))
    ending = read_stream(folder.lines(run.number))
    bring_in_question(folder, run.id)
    evidence = _evidence(desk, folder, record, run, ending, exit_code)
    measured = _measured(record, run, evidence, desk.now).but(exit_code=exit_code, swept=swept)
    record = record.but(session_seen=record.session_seen or ending.session_id is not None)
    task = written_task(folder, record)
    mode = (task and task.permission_mode) or desk.settings.permission_mode
    found = denials(ending.denials, record.rules, os.path.isdir, planning=mode == "plan")
    judgement = _with_what_was_denied(judge(evidence), found)
    record = conclude(
        record,
        measured,
        judgement,
        _patience(task, desk.settings),
        at=desk.now.stamp(),
        now=desk.now.wall.timestamp(),
        rules=tuple(one.rule for one in found if one.rule is not None),
    )
    _pass_on(desk, judgement, evidence)
    last = record.last
    assert last is not None
    desk.ledger.note_run(record.name, last)
    if record.outcome is not None:
        desk.finish(folder, record, ending.text)
        folder.remove_cancel()
    elif record.next is None:
        _leave_question(desk, folder, record, found)
    else:
        folder.write_record(record)
    desk.agents.forget(run.id)


def _evidence(
    desk: Desk, folder: TaskFolder, record: Record, run: Run, ending: Ending, exit_code: int | None
) -> Evidence:
    started, stderr = reached(folder.stderr_head(run.number))
    started = started or not is_wrapped(desk.settings)
    return Evidence(ending, exit_code, stderr, _claude_asked(folder, record), run.stop, reached=started)


def _with_what_was_denied(judgement: Judgement, found: tuple[Denial, ...]) -> Judgement:
    if judgement.verdict is not Verdict.DENIED:
        return judgement
    return replace(judgement, reason=clipped("claude was not allowed to " + "; ".join(one.words for one in found)))


def _claude_asked(folder: TaskFolder, record: Record) -> bool:
    try:
        # One of our own lies there when the daemon died between writing it and writing down the verdict.
        return not is_by_runner(durable.read(folder.question))
    except FileNotFoundError:
        return folder.unreadable_question(record.rounds + 1) is not None
    except durable.UnreadableError as error:
        if error.again:
            raise
        return True


def _patience(task: Task | None, settings: Settings) -> Patience:
    retries = task.retries if task is not None else None
    return Patience(
        retries=settings.retries if retries is None else retries,
        max_cut_off=settings.max_cut_off,
        outage=settings.outage_patience,
        on_denial=settings.on_denial,
    )


def _pass_on(desk: Desk, judgement: Judgement, evidence: Evidence) -> None:
    """Close or open the gate for all tasks, as this run has shown the account to be."""
    before = desk.gate.read()
    ending = evidence.ending
    resets = max((reset for _, reset in ending.used_up), default=None)
    how = served(evidence)
    gate = after(before, how, clipped(ending.text or judgement.reason), resets, desk.now.wall.timestamp())
    if gate != before:
        desk.gate.write(gate)
    if gate is not None and how in (Verdict.LIMITED, Verdict.ACCOUNT):
        level = logging.WARNING if how is Verdict.LIMITED else logging.ERROR
        until = time_of_day(gate.until, desk.now.wall.timestamp())
        log.log(level, "%s: %s; nothing is started before %s", gate.why, first_line(gate.reason), until)


def _measured(record: Record, run: Run, evidence: Evidence, now: Now) -> Run:
    ending = evidence.ending
    total = ending.number("total_cost_usd") if not cut_off_later(evidence) else None
    earlier = 0.0
    for one in record.runs:
        # A session that had to be begun anew counts from nothing.
        earlier = max(earlier if one.resumed else 0.0, one.session_cost_usd or 0.0)
    turns = ending.number("num_turns")
    return run.but(
        session_cost_usd=total,
        # The CLI's total is cumulative over the session's resumes.
        cost_usd=_cost(total, earlier, evidence),
        turns=None if turns is None else int(turns),
        messages=ending.turns_seen,
        seconds=now.steady - run.steady if run.boot == now.boot else None,
    )


def _cost(total: float | None, earlier: float, evidence: Evidence) -> float | None:
    if total is None:
        # Killed before it could say, that is not nothing; but what never had a session has asked nobody.
        return 0.0 if never_began(evidence) else None
    return max(0.0, round(total - earlier, 6))


def ask_for_money(desk: Desk, folder: TaskFolder, record: Record) -> None:
    """Ask before a run that nothing is left for."""
    _leave_question(desk, folder, record.but(asking=Asking(topic=Topic.MONEY, planned=record.next), next=None), ())


def _leave_question(desk: Desk, folder: TaskFolder, record: Record, found: tuple[Denial, ...]) -> None:
    questions = _asked(folder, record) if record.asking is None else (_own(desk, folder, record, record.asking, found),)
    number = record.rounds + 1
    asked = Questions(
        number=number,
        run=len(record.runs),
        asked_at=desk.now.stamp(),
        questions=questions,
        by_runner=record.asking is not None,
    )
    record = _with_late_answers(folder, record)
    folder.write_text(QUESTION, to_json(asked))
    folder.write_text(QUESTION_TEXT, to_markdown(record.name, asked))
    folder.write_record(record)


def _with_late_answers(folder: TaskFolder, record: Record) -> Record:
    """Set aside what lies here already: it was written before anybody could have read this question."""
    kept = tuple(name for name in folder.late_answers if not any(name in run.late for run in record.runs))
    late = folder.set_aside(folder.answers, LATE_ANSWER)
    if late:
        log.warning("%s: an answer that came too late for its question is kept as %s", folder.name, ", ".join(late))
    # Not only these: a crash may have come between an earlier renaming and its being written down.
    return record.but(late=tuple(dict.fromkeys((*record.late, *kept, *late))))


def _own(desk: Desk, folder: TaskFolder, record: Record, asking: Asking, found: tuple[Denial, ...]) -> Question:
    match asking.topic:
        case Topic.CUT_OFF:
            return asking_texts.cut_off(record)
        case Topic.OUTAGE:
            return asking_texts.outage(record, desk.now.wall.timestamp())
        case Topic.SESSION:
            return asking_texts.session_lost()
        case Topic.DENIED:
            return asking_texts.denied(found)
        case Topic.MONEY:
            task = written_task(folder, record)
            return asking_texts.money(record, (budget_of(record, task) if task is not None else None) or 0.0)
        case _:
            assert_never(asking.topic)


def _asked(folder: TaskFolder, record: Record) -> tuple[Question, ...]:
    number = record.rounds + 1
    try:
        data = durable.read(folder.question)
    except (durable.UnreadableError, FileNotFoundError) as error:
        if isinstance(error, durable.UnreadableError) and error.again:
            raise
        # Its name says which round it belongs to: a crash right after this must not forget that there is a question.
        folder.set_aside_question(number)
        return (Question(text=f"(claude left a question that cannot be read: {error})"),)
    questions, understood = parse_questions(data)
    if not understood and data.strip():
        # It is shown as text, as far as it is text; the bytes themselves are kept.
        durable.write(folder.path / f"question-{number}.raw", data)
    return questions
