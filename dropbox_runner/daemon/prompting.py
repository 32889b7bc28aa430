"""What a run is told, put together from the files beside the task."""

from __future__ import annotations

from pathlib import Path

from dropbox_runner.core.answer import is_answer_of, parse_answer
from dropbox_runner.core.names import in_folder
from dropbox_runner.core.prompts import (
    answer_prompt,
    continuation_prompt,
    first_prompt,
    unanswered_prompt,
    with_attachments,
    with_edit,
    with_late_words,
)
from dropbox_runner.core.question import Question, joined_text, parse_questions
from dropbox_runner.core.record import Record
from dropbox_runner.core.run import Next, Run, Why
from dropbox_runner.core.task import Task
from dropbox_runner.folder import durable
from dropbox_runner.folder.taskfolder import TaskFolder

_LOGGED = 160
"""Characters of a question in one line of the log."""


def prompt_for(folder: TaskFolder, record: Record, task: Task) -> str:
    """Return the prompt of the run that the record plans next."""
    planned = record.next
    assert planned is not None
    questions = _questions(folder, planned)
    answer = _answer(folder, planned, questions) if planned.passes_answer else ""
    if not record.session_seen:
        # There is no session to go on with: everything has to be said (again), whatever the run is for.
        text = first_prompt(task.instructions, _files(task))
        text += f"\n{answer_prompt(joined_text(questions), answer)}" if answer else ""
    elif planned.why is Why.START:
        # The run that was to say it was cut off before the model had said a word: it may have, or may not.
        text = continuation_prompt(Why.INTERRUPTED) + "\n" + first_prompt(task.instructions, _files(task))
    elif planned.why is Why.ANSWER:
        text = answer_prompt(joined_text(questions), answer)
    elif planned.why is Why.EDITED and questions:
        text = unanswered_prompt(joined_text(questions))
    else:
        text = continuation_prompt(planned.why, planned.detail, answer)
    if record.edited and record.session_seen:
        text = with_edit(text, task.instructions)
    text = with_attachments(text, attachments(folder, record))
    return with_late_words(text, _texts(folder, record.late))


def attachments(folder: TaskFolder, record: Record) -> tuple[str, ...]:
    """Return where what came with the task lies, as far as claude has not been told of it, or does not work there."""
    told = record.session_seen or record.working_dir is None
    places = [folder.work] if in_folder(record.dropped.file) and not told else []
    return tuple(str(path) for path in (*places, *(folder.work / name for name in record.attached)) if path.is_dir())


def answer_given(folder: TaskFolder, answers: tuple[str, ...]) -> str:
    """Return what the person has answered in these files to the question that lies there."""
    questions = parse_questions(durable.read(folder.question))[0] if folder.question.exists() else ()
    return "\n\n".join(parse_answer(name, durable.read(folder.path / name), questions).text for name in answers)


def question_text(folder: TaskFolder) -> str:
    """Return the question that waits for its answer, on one line."""
    text = " ".join(joined_text(parse_questions(durable.read(folder.question))[0]).split())
    return text if len(text) <= _LOGGED else f"{text[:_LOGGED]}…"


def _questions(folder: TaskFolder, planned: Next) -> tuple[Question, ...]:
    told = _told(planned)
    path = folder.path / f"question-{told}.json"
    return parse_questions(durable.read(path))[0] if told is not None and path.exists() else ()


def _told(planned: Next) -> int | None:
    return planned.round if planned.told is None else planned.told


def _answer(folder: TaskFolder, planned: Next, questions: tuple[Question, ...]) -> str:
    told = _told(planned)
    if told is None:
        return ""
    files = _answer_files(folder, told)
    return "\n\n".join(parse_answer(_unnumbered(file), durable.read(file), questions).text for file in files)


def _answer_files(folder: TaskFolder, told: int) -> list[Path]:
    files = sorted(path for path in folder.path.glob(f"answer-{told}*") if is_answer_of(path.name, told))
    return sorted(files, key=lambda path: path.suffix == "")


def take_back_unheard(folder: TaskFolder, record: Record, run: Run | None) -> Record:
    """Have the next prompt pass on what this run was to tell, if claude has not said a word since."""
    if run is None or run.untold is None:
        return record
    told = _told(run.untold) if run.untold.passes_answer else None
    words = tuple(path.name for path in _answer_files(folder, told)) if told is not None else ()
    return record.with_what_was_not_told(run, words)


def _unnumbered(file: Path) -> str:
    return f"answer{file.suffix}"


def _texts(folder: TaskFolder, names: tuple[str, ...]) -> tuple[str, ...]:
    # One that is not there was named in the record by a daemon that died before it could move it; it comes again.
    paths = [folder.path / name for name in names]
    return tuple(parse_answer(path.name, durable.read(path)).text for path in paths if path.exists())


def _files(task: Task) -> tuple[str, ...]:
    paths = [Path(path).expanduser() for path in task.context_files]
    return tuple(str(path) for path in paths if not path.is_dir())
