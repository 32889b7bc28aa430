"""What a task is, and how a dropped file reads as one. All that is wrong with it is said at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from dropbox_runner.core.cleantext import clean_line, decode_text, shorten, without_end_mark
from dropbox_runner.core.errors import Problem, RejectedError
from dropbox_runner.core.names import TASK_SUFFIXES
from dropbox_runner.core.taskfields import (
    Amount,
    Argument,
    Arguments,
    Duration,
    Effort,
    Flag,
    FlagOrName,
    Line,
    Lines,
    Moment,
    PermissionModeField,
    Priority,
    PriorityField,
    Retries,
    Text,
    Texts,
    did_you_mean,
    to_bool,
)
from dropbox_runner.core.yamladvice import problem_in, quote_it
from dropbox_runner.core.yamltext import Document, read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import ErrorDetails

    from dropbox_runner.core.yamltext import Path, Value


class Task(BaseModel):
    """One piece of work for claude. Only the instructions are needed."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Task")

    instructions: Text = Field(description="What claude is to do.")
    name: Line | None = Field(None, description="A name for people; the folder is named after the file.")
    description: Text | None = Field(None, description="A note for people; claude does not see it.")
    tags: Lines = Field((), description="Words for people to find the task by.")
    working_dir: Argument | None = Field(None, description="Where claude works; left out, the task's own folder work/.")
    model: Argument | None = Field(None, description="The model to use.")
    effort: Effort | None = Field(None, description="How hard to think: low, medium, high, xhigh, max.")
    fallback_model: Argument | None = Field(None, description="The model to use when the first is overloaded.")
    max_budget_usd: Amount | None = Field(None, description="The most that the whole task may cost, in dollars.")
    permission_mode: PermissionModeField | None = Field(None, description="What claude may do without asking.")
    allowed_tools: Arguments = Field((), description="Tools that need no permission, such as Bash(git *).")
    disallowed_tools: Arguments = Field((), description="Tools that are never used.")
    context_files: Arguments = Field((), description="Files and folders that claude may read besides its own.")
    system_prompt_append: Text | None = Field(None, description="Added to claude's system prompt.")
    mcp_config: Arguments = Field((), description="Files that describe MCP servers.")
    additional_args: Texts = Field((), description="More of claude's options, as far as the settings allow.")
    skip_planning: Flag = Field(default=False, description="Leave out our words on how to ask and to hand over.")
    timeout: Duration | None = Field(None, description="The longest that one run may take, such as 90m or 2h.")
    retries: Retries | None = Field(None, description="How often to try again after a failure.")
    priority: PriorityField = Field(Priority.NORMAL, description="high, normal or low.")
    depends_on: Lines = Field((), description="Tasks that must be done before.")
    not_before: Moment | None = Field(None, description="A date or time before which it is not started.")
    exclusive: FlagOrName = Field(default=False, description="Run alone, or alone among those of the same word.")
    worktree: FlagOrName = Field(
        default=False, description="Work in a git worktree of its own, or in one of this name."
    )
    verify: Texts = Field((), description="Commands that must succeed at the end.")
    notify: Lines = Field((), description="The events of this task to tell about.")


KNOWN_FIELDS: tuple[str, ...] = tuple(Task.model_fields)
NOT_ACTED_ON = ("depends_on", "exclusive", "worktree", "verify", "notify")
"""Fields that are read and checked, but about which this version does nothing; a task that uses one is told so."""

_YAML = (".yaml", ".yml")
_ALIASES = {"prompt": "instructions"}
_TEXTS = ("instructions", "description", "system_prompt_append")
_NOTHING = ("~", "null")
"""How YAML writes "no value"; a model or a folder of this name is never meant."""
_MINIMAL = "`instructions: what claude should do`"
_ALL = f"the fields are: {', '.join(KNOWN_FIELDS)}"
_WORDS = {
    "string_type": ("must be a text", "if the text holds colons, brackets or lists, write `{field}: |` and it below"),
    "tuple_type": ("must be a list", "write one entry on each line, as `- entry`"),
}
"""Pydantic's own errors that a file can cause, in our words; all others come from taskfields."""


def task_schema() -> dict[str, Any]:
    """Describe a task file for editors: the fields, and the other names and places that are accepted."""
    schema = Task.model_json_schema()
    fields = schema["properties"]
    marks = {"prompt": fields["instructions"], "done": {"type": "boolean", "description": "The file is complete."}}
    older = {"type": "object", "properties": fields, "additionalProperties": False}
    schema["properties"] = fields | marks | {"claude": older}
    del schema["required"]
    return schema


def parse_task(filename: str, data: bytes) -> Task:
    """Read a dropped file. Raises RejectedError with all that is wrong with it."""
    file = clean_line(filename)
    fields, problems = _collect(_open(file, data))
    try:
        task = Task.model_validate({name: given.value for name, given in fields.items()})
    except ValidationError as error:
        problems += _in_words(error, fields, problems)
    else:
        if not problems:
            return task
    raise RejectedError(file, tuple(sorted(problems, key=lambda one: (one.line or 0, one.column or 0))))


def ends_explicitly(filename: str, data: bytes) -> bool:
    """Whether the file says itself that it is complete: a last line `.`, or `done: true`. Never raises."""
    try:
        sheet = _open(clean_line(filename), data)
        return sheet.ended or to_bool(sheet.document.value.get("done") or "no")
    except (RejectedError, PydanticCustomError):
        return False


@dataclass(frozen=True)
class _Sheet:
    """A file taken apart: its fields, and the text that is not in a field."""

    document: Document
    body: str | None = None
    body_line: int = 1
    ended: bool = False


@dataclass(frozen=True)
class _Given:
    """A field's value and where it comes from; the body of a Markdown file comes from no field."""

    value: Value
    document: Document
    path: Path | None = None

    def problem(self, message: str, advice: str = "", path: Path = ()) -> Problem:
        if self.path is None:
            return Problem(message, advice)
        return self.document.problem((*self.path, *path), message, advice)


def _open(file: str, data: bytes) -> _Sheet:
    ending = PurePosixPath(file).suffix.lower()
    if ending not in TASK_SUFFIXES:
        message = f"a name that ends in `{shorten(ending)}` is not that of a task"
        advice = f"name a task .yaml, .md or .txt ({', '.join(TASK_SUFFIXES)} are read)"
        raise RejectedError(file, (Problem(message if ending else "the name has no ending", advice),))
    text = decode_text(data, file=file)
    body, ended = without_end_mark(text)
    if not body.strip():
        minimal = _MINIMAL if ending in _YAML else "what claude should do, in your own words"
        raise RejectedError(file, (Problem("the file is empty", f"write at least {minimal}"),))
    if ending in _YAML:
        return _Sheet(read_yaml(text, file=file, example=_MINIMAL))
    front, line = ("", 1) if ending == ".txt" else _front_matter(file, body)
    document = read_yaml(front, file=file, empty_ok=True, example="`model: opus`") if front else Document({})
    body = "\n".join(body.split("\n")[line - 1 :])
    return _Sheet(document, body, line, ended)


def _front_matter(file: str, text: str) -> tuple[str, int]:
    """Cut off the fields between `---` lines: them, and the line where the body begins.

    The first `---` stays with them: YAML takes it for the start of a document, and lines count as in the file.
    """
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        return "", 1
    for number, line in enumerate(lines[1:], start=2):
        if line.rstrip() in ("---", "..."):
            return "\n".join(lines[: number - 1]), number + 1
    advice = "write a line `---` after the last field; if the file has no fields, delete the first line"
    raise RejectedError(file, (Problem("the fields that begin here have no end", advice, 1, 1, "---"),))


def _collect(sheet: _Sheet) -> tuple[dict[str, _Given], list[Problem]]:
    """Gather the fields of all places where they may stand, under their own names."""
    fields: dict[str, _Given] = {}
    problems = list(_cut_texts(sheet.document))
    for path, value in _entries(sheet.document, problems):
        key = str(path[-1])
        field = _ALIASES.get(key, key)
        if field not in KNOWN_FIELDS:
            problems.append(
                _unknown(sheet.document, path, key, show_all=not any(_ALL in other.advice for other in problems))
            )
        elif field in fields:
            problems.append(_given_twice(sheet.document, path, fields[field]))
        elif field == "instructions":
            fields[field] = _Given(value or "", sheet.document, path)
        elif value is not None and (field in _TEXTS or value not in _NOTHING):
            fields[field] = _Given(value, sheet.document, path)
    if sheet.body is not None and sheet.body.strip():
        given = fields.get("instructions")
        if given and given.value:
            message = f"the instructions are given twice: here and as the text that begins in line {sheet.body_line}"
            problems.append(given.problem(message, "keep one of the two"))
        fields["instructions"] = _Given(sheet.body.strip("\n").rstrip(), sheet.document)
    return fields, problems


def _entries(document: Document, problems: list[Problem]) -> Iterator[tuple[Path, Value]]:
    """All fields, those under `claude:` (where older files have them) last; `done` is a mark and no field."""
    for key, value in document.value.items():
        if key == "done":
            try:
                to_bool(value or "no")
            except PydanticCustomError as error:
                problems.append(document.problem((key,), f"`done` {error.message()}"))
        elif key != "claude":
            yield (key,), value
    claude = document.value.get("claude")
    if isinstance(claude, dict):
        for key, value in claude.items():
            yield ("claude", key), value
    elif claude is not None:
        problems.append(document.problem(("claude",), "`claude` must hold fields, each on a line of its own below it"))


def _cut_texts(document: Document) -> Iterator[Problem]:
    for path, line, column in document.comments_cut:
        if path[-1] in (*_TEXTS, *_ALIASES):
            message = f"`{path[-1]}` is cut off at the `#`: outside quotes, ` #` begins a comment"
            yield problem_in(document.lines, line, column, message, quote_it(document.lines, line))


def _unknown(document: Document, path: Path, key: str, *, show_all: bool) -> Problem:
    guess = did_you_mean(key, (*KNOWN_FIELDS, *_ALIASES, "claude", "done"))
    advice = f"did you mean `{guess}`?" if guess else _ALL * show_all
    return document.problem(path, f"there is no field `{shorten(key)}`", advice, key=True)


def _given_twice(document: Document, path: Path, first: _Given) -> Problem:
    assert first.path is not None
    other = first.path[-1]
    what = f"`{path[-1]}` is given twice" if other == path[-1] else f"`{path[-1]}` and `{other}` are the same field"
    line = document.place(first.path, key=True)[0]
    return document.problem(path, f"{what}: here and in line {line}", "keep one of the two", key=True)


def _in_words(error: ValidationError, fields: dict[str, _Given], others: list[Problem]) -> list[Problem]:
    problems = [_in_our_words(detail, fields) for detail in error.errors(include_url=False)]
    # Where a line has been complained of already, or the name of the field was misspelt, the rest follows from that.
    lines = {other.line for other in others if other.line}
    misspelt = any(other.advice in ("did you mean `instructions`?", "did you mean `prompt`?") for other in others)
    return [one for one in problems if one.line not in lines and not (one.line is None and misspelt)]


def _in_our_words(detail: ErrorDetails, fields: dict[str, _Given]) -> Problem:
    field, *inside = detail["loc"]
    if detail["type"] == "missing":
        return Problem("there are no instructions", f"write at least {_MINIMAL}")
    message, advice = _message(detail, str(field))
    if field == "instructions" and message == "is empty":
        advice = "write what claude should do"
    given = fields[str(field)]
    entry = "".join(f", entry {at + 1}," for at in inside if isinstance(at, int) and isinstance(given.value, list))
    return given.problem(f"`{field}`{entry} {message}", advice, tuple(inside))


def _message(detail: ErrorDetails, field: str) -> tuple[str, str]:
    if detail["type"] == "flaw":
        context: dict[str, Any] = detail["ctx"]
        return context["message"], context["advice"]
    if detail["input"] is None:
        return "is empty", "write something, or delete the line"
    message, advice = _WORDS.get(detail["type"], (f"does not fit: {detail['msg']}", ""))
    return message, advice.replace("{field}", field)
