"""What claude wants to know: from whatever it left in the question file to what a person reads."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from dropbox_runner.core.cleantext import clean_line, clean_text, decode_anyhow
from dropbox_runner.core.secrets import masked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

EMPTY = "claude stopped to ask, but left an empty question file. What should it know, or how should it go on?"

MAX_QUESTION_BYTES = 4 << 20
_LONGEST = 64 << 10
"""Characters. Nobody reads more; and the daemon, STATUS.md and every command read it again and again."""
_CUT = "\n\n(cut off here: what claude left is {:,} bytes long)"
_MOST = 100
"""Questions at a time, and options of each; more are a mistake, and shown as the text that they are."""
_TEXT_KEYS = ("text", "question")
_LABEL_KEYS = ("label", "text", "value", "option")


def _clean_question(text: str) -> str:
    cleaned = clean_text(text).strip()
    if not cleaned:
        raise ValueError("a question must not be blank")
    return cleaned


_Text: TypeAlias = Annotated[str, AfterValidator(_clean_question)]
_Options: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(clean_line)], ...], AfterValidator(lambda options: tuple(filter(None, options)))
]


RUNNER = "dropbox-runner"


class Question(BaseModel):
    """One question, with the answers that claude proposes. Its texts are safe to show in a terminal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: _Text
    options: _Options = ()


class Questions(BaseModel):
    """All that was asked at the end of one run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    """Counts the rounds of a task: question-N.json."""
    run: int
    asked_at: str
    """ISO 8601."""
    questions: Annotated[tuple[Question, ...], Field(min_length=1)]
    by_runner: bool = False
    """Whether the runner itself asks, and not claude."""


class _StrangeError(Exception):
    """The content has another shape than a question."""


def parse_questions(data: bytes) -> tuple[tuple[Question, ...], bool]:
    """Read what claude left, and tell whether it was understood as it stands. Never raises.

    What has another shape than it was asked for is shown as text: a person can answer it all the same.
    """
    text = decode_anyhow(data[:MAX_QUESTION_BYTES])
    try:
        questions = _understood(text, len(data))
        return (questions, True) if questions else ((Question(text=EMPTY),), False)
    except (ValueError, RecursionError, _StrangeError):
        # Bytes that stand for nothing (a preallocated file, NULs) are as good as none.
        nothing = not text.replace("␀", "").replace("\ufeff", "").strip()
        shown = text if len(text) <= _LONGEST else text[:_LONGEST] + _CUT.format(len(data))
        return (Question(text=EMPTY if nothing else shown),), False


def _understood(text: str, size: int) -> tuple[Question, ...]:
    if size > MAX_QUESTION_BYTES:
        raise _StrangeError
    # Not strict: a line break inside a JSON string is what a shell's echo makes of one.
    questions = tuple(_questions(json.loads(text, strict=False)))
    if sum(len(one.text) + sum(map(len, one.options)) for one in questions) > _LONGEST + len(_CUT) + 20:
        raise _StrangeError
    return questions


def is_by_runner(data: bytes) -> bool:
    """Say whether a question.json is one of the runner's own."""
    try:
        content = json.loads(decode_anyhow(data))
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("by") == RUNNER


def joined_text(questions: Sequence[Question]) -> str:
    """Put all questions into one text, numbered where there are several."""
    if len(questions) == 1:
        return questions[0].text
    return "\n".join(f"{number}. {question.text}" for number, question in enumerate(questions, start=1))


def to_json(asked: Questions) -> str:
    """Write question.json, in the shape in which claude may write it too."""
    questions = [{"text": one.text, "options": list(one.options)} for one in asked.questions]
    content: dict[str, Any] = {"number": asked.number, "run": asked.run, "asked_at": clean_line(asked.asked_at)}
    if asked.by_runner:
        content |= {"by": RUNNER}
    if len(questions) == 1:
        content |= questions[0]
    else:
        content |= {"text": joined_text(asked.questions), "options": [], "questions": questions}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def to_markdown(task_name: str, asked: Questions) -> str:
    """Write question.md: the question for people, and how to answer it."""
    name = clean_line(task_name)
    parts = [f"# {name}: {'the runner' if asked.by_runner else 'claude'} asks"]
    several = len(asked.questions) > 1
    for number, question in enumerate(asked.questions, start=1):
        if several:
            parts.append(f"## Question {number}")
        parts.append(_as_quote(question.text))
        if question.options:
            parts.append("\n".join(f"{at}. {option}" for at, option in enumerate(question.options, start=1)))
    parts.append(_how_to_answer(name, asked.questions))
    return masked("\n\n".join(parts)) + "\n"


def _how_to_answer(name: str, questions: Sequence[Question]) -> str:
    ways = [f"Write a file `answer.md` beside this one (in `blocked/{name}/`) that holds your answer."]
    if len(questions) > 1:
        ways.append("Answer all questions in that one file, by their numbers.")
    if any(question.options for question in questions):
        ways.append("For one of the options, its number or its text is enough; you may also answer something else.")
    ways.append("The task goes on by itself a little after you have saved the file.")
    ways.append('A last line with nothing but `.` says "I am done": then it goes on at once.')
    command = f'dropbox-runner answer {shlex.quote(name)} "…"'
    return "## How to answer\n\n" + "\n".join(ways) + f"\n\nOr on the command line:\n\n    {command}"


def _as_quote(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def _questions(content: Any) -> Iterable[Question]:
    if isinstance(content, dict) and "questions" in content:
        content = content["questions"] or (content if _first_of(content, _TEXT_KEYS) else [])
    if isinstance(content, list):
        if len(content) > _MOST:
            raise _StrangeError
        return [_question(one) for one in content]
    return [_question(content)]


def _question(content: Any) -> Question:
    if isinstance(content, str):
        return Question(text=clean_text(content).strip() or EMPTY)
    if not isinstance(content, dict):
        raise _StrangeError
    text = _first_of(content, _TEXT_KEYS)
    options = content.get("options") or []
    if isinstance(options, str):
        options = [options]
    if not isinstance(text, str) or not isinstance(options, list) or len(options) > _MOST:
        raise _StrangeError
    return Question(text=clean_text(text).strip() or EMPTY, options=tuple(map(_option, options)))


def _option(content: Any) -> str:
    if isinstance(content, dict):
        label, more = _option(_first_of(content, _LABEL_KEYS)), content.get("description")
        return f"{label} — {more}" if isinstance(more, str) and more.strip() else label
    if isinstance(content, bool):
        return "yes" if content else "no"
    if isinstance(content, str | int | float):
        return str(content)
    raise _StrangeError


def _first_of(content: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((content[key] for key in keys if key in content), None)
