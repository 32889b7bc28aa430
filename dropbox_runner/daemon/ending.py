"""The end of a run: sweep up, look at what it left, judge it, and write down what follows."""

from __future__ import annotations

from dropbox_runner.agent import processes
from dropbox_runner.core.actions import End
from dropbox_runner.core.clock import Now
from dropbox_runner.core.errors import RejectedError
from dropbox_runner.core.followup import Patience, conclude, cut_off_question
from dropbox_runner.core.question import Question, Questions, parse_questions, to_json, to_markdown
from dropbox_runner.core.record import Record, Run
from dropbox_runner.core.settings import Settings
from dropbox_runner.core.states import State, Verdict
from dropbox_runner.core.stream import Ending, read_stream
from dropbox_runner.core.verdict import Evidence, judge
from dropbox_runner.daemon.desk import Desk, log, read_task
from dropbox_runner.folder import durable
from dropbox_runner.folder.layout import QUESTION, QUESTION_TEXT
from dropbox_runner.folder.store import TaskFolder


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
    swept = processes.sweep(run.id)
    if swept:
        log.info("%s: run %d left processes behind, ended: %s", action.name, run.number, ", ".join(swept))
    ending = read_stream(folder.lines(run.number))
    evidence = Evidence(ending, exit_code, folder.stderr_head(run.number), folder.question.exists(), run.stop)
    measured = _measured(record, run, ending, desk.now).but(exit_code=exit_code, swept=swept)
    record = record.but(session_seen=record.session_seen or ending.session_id is not None)
    record = conclude(record, measured, judge(evidence), _patience(folder, record, desk.settings), desk.now.stamp())
    if record.outcome is not None:
        desk.finish(folder, record, ending.text)
        folder.remove_cancel()
    elif record.next is None:
        _leave_question(desk, folder, record)
    else:
        folder.write_record(record)
    desk.agents.forget(run.id)
    last = record.last
    assert last is not None
    desk.ledger.note_run(record.name, last)


def _patience(folder: TaskFolder, record: Record, settings: Settings) -> Patience:
    try:
        retries = read_task(folder, record, settings).retries
    except (RejectedError, OSError):
        retries = None  # edited into something else meanwhile
    return Patience(settings.retries if retries is None else retries, settings.max_cut_off)


def _measured(record: Record, run: Run, ending: Ending, now: Now) -> Run:
    total = ending.number("total_cost_usd")
    earlier = max((one.session_cost_usd or 0.0 for one in record.runs), default=0.0)
    turns = ending.number("num_turns")
    return run.but(
        session_cost_usd=total,
        # The CLI's total is cumulative over the session's resumes.
        cost_usd=None if total is None else max(0.0, round(total - earlier, 6)),
        turns=None if turns is None else int(turns),
        messages=ending.turns_seen,
        seconds=now.steady - run.steady if run.boot == now.boot else None,
    )


def _leave_question(desk: Desk, folder: TaskFolder, record: Record) -> None:
    run = record.last
    assert run is not None
    if run.verdict is Verdict.ASKED:
        questions = _asked(folder, record)
    else:
        text, options = cut_off_question(record)
        questions = (Question(text=text, options=options),)
    number = record.rounds + 1
    asked = Questions(number=number, run=run.number, asked_at=desk.now.stamp(), questions=questions)
    # An answer that lies here already was written before anybody could have read this question.
    late = folder.set_aside(folder.answers, "late-answer")
    if late:
        log.warning("%s: an answer that came too late for its question is kept as %s", folder.name, ", ".join(late))
    folder.write_text(QUESTION, to_json(asked))
    folder.write_text(QUESTION_TEXT, to_markdown(record.name, asked))
    folder.write_record(record.but(late=(*record.late, *late)))


def _asked(folder: TaskFolder, record: Record) -> tuple[Question, ...]:
    try:
        data = durable.read(folder.question)
    except (durable.UnreadableError, OSError) as error:
        folder.set_aside((QUESTION,), "unreadable-question")
        return (Question(text=f"(claude left a question that cannot be read: {error})"),)
    questions, understood = parse_questions(data)
    if not understood:
        # It is shown as text, as far as it is text; the bytes themselves are kept.
        durable.write(folder.path / f"question-{record.rounds + 1}.raw", data)
    return questions
