"""What a run is told, put together from the files beside the task."""

from __future__ import annotations

from pathlib import Path

from dropbox_runner.core.answer import parse_answer
from dropbox_runner.core.prompts import (
    answer_prompt,
    continuation_prompt,
    first_prompt,
    unanswered_prompt,
    with_edit,
    with_late_words,
)
from dropbox_runner.core.question import Question, joined_text, parse_questions
from dropbox_runner.core.record import Next, Record, Why
from dropbox_runner.core.task import Task
from dropbox_runner.folder import durable
from dropbox_runner.folder.store import TaskFolder


def prompt_for(folder: TaskFolder, record: Record, task: Task) -> str:
    """Return the prompt of the run that the record plans next."""
    planned = record.next
    assert planned is not None
    questions = _questions(folder, planned)
    answer = _answer(folder, planned, questions)
    if not record.session_seen:
        # There is no session to go on with: everything has to be said (again), whatever the run is for.
        text = first_prompt(task.instructions, _files(task))
        text += f"\n{answer_prompt(joined_text(questions), answer)}" if answer else ""
    elif planned.why is Why.ANSWER:
        text = answer_prompt(joined_text(questions), answer)
    elif planned.why is Why.EDITED and questions:
        text = unanswered_prompt(joined_text(questions))
    else:
        text = continuation_prompt(planned.why, planned.detail, answer)
    if record.edited and record.session_seen:
        text = with_edit(text, task.instructions)
    return with_late_words(text, _texts(folder, record.late))


def answer_to(folder: TaskFolder, planned: Next) -> str:
    """Return what the person answered in the round that the next run goes on with."""
    return _answer(folder, planned, _questions(folder, planned))


def question_text(folder: TaskFolder) -> str:
    """Return the question that waits for its answer, on one line."""
    return " ".join(joined_text(parse_questions(durable.read(folder.question))[0]).split())


def _questions(folder: TaskFolder, planned: Next) -> tuple[Question, ...]:
    path = folder.path / f"question-{planned.round}.json"
    return parse_questions(durable.read(path))[0] if planned.round is not None and path.exists() else ()


def _answer(folder: TaskFolder, planned: Next, questions: tuple[Question, ...]) -> str:
    if planned.round is None:
        return ""
    files = sorted(folder.path.glob(f"answer-{planned.round}[.-]*")) + sorted(
        folder.path.glob(f"answer-{planned.round}")
    )
    return "\n\n".join(parse_answer(_unnumbered(file), durable.read(file), questions).text for file in files)


def _unnumbered(file: Path) -> str:
    return f"answer{file.suffix}"


def _texts(folder: TaskFolder, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(durable.read(folder.path / name).decode("utf-8", "replace") for name in names)


def _files(task: Task) -> tuple[str, ...]:
    paths = [Path(path).expanduser() for path in task.context_files]
    return tuple(str(path) for path in paths if not path.is_dir())
