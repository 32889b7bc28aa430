"""What a task is, and how a dropped file reads as one. All that is wrong with it is said at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from dropbox_runner.core.cleantext import is_blank, shorten
from dropbox_runner.core.errors import MOST_PROBLEMS, Problem, RejectedError
from dropbox_runner.core.names import printable
from dropbox_runner.core.sheet import MINIMAL, Sheet, open_sheet
from dropbox_runner.core.taskfields import (
    Amount,
    Argument,
    Arguments,
    ArgumentText,
    Duration,
    Effort,
    Flag,
    FlagOrName,
    Line,
    Lines,
    Moment,
    Options,
    PermissionModeField,
    Priority,
    PriorityField,
    Retries,
    TaskName,
    Text,
    Texts,
    did_you_mean,
    to_bool,
)
from dropbox_runner.core.yamladvice import problem_in, quote_it
from dropbox_runner.core.yamltext import Document

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
    system_prompt_append: ArgumentText | None = Field(None, description="Added to claude's system prompt.")
    mcp_config: Arguments = Field((), description="Files that describe MCP servers.")
    additional_args: Options = Field((), description="More of claude's options, as far as the settings allow.")
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
    parent: TaskName | None = Field(None, description="The task that handed this one over; its limits hold for both.")


KNOWN_FIELDS: tuple[str, ...] = tuple(Task.model_fields)
NOT_ACTED_ON = ("depends_on", "exclusive", "worktree", "verify", "notify")
"""Fields that are read and checked, but about which this version does nothing; a task that uses one is told so."""

_ALIASES = {"prompt": "instructions"}
_AT_THE_TOP = ("claude", "done")
_TEXTS = ("instructions", "description", "system_prompt_append")
_NOTHING = ("~", "null")
"""How YAML writes "no value"; a model of this name is never meant, nor are these the instructions."""
_ALL = f"the fields are: {', '.join(KNOWN_FIELDS)}"
_SYNONYMS = {
    "working_dir": ("cwd", "dir", "directory", "folder", "path", "workdir", "project"),
    "instructions": ("task", "text", "body", "content", "message", "do", "todo"),
    "max_budget_usd": ("budget", "cost", "max_cost", "max_usd"),
    "allowed_tools": ("tools", "allow"),
    "context_files": ("files", "context", "add_dir"),
    "permission_mode": ("mode", "permissions"),
    "depends_on": ("after", "needs", "depends"),
    "not_before": ("at", "when", "start", "start_at"),
    "name": ("title", "subject"),
}
"""What else people call the fields; not accepted, so that there is one way to write a task, but understood."""


def task_schema() -> dict[str, Any]:
    """Describe a task file for editors: the fields, and the other names and places that are accepted."""
    schema = Task.model_json_schema()
    fields = schema["properties"]
    marks = {"prompt": fields["instructions"], "done": {"type": "boolean", "description": "The file is complete."}}
    older = {"type": "object", "properties": fields, "additionalProperties": False}
    schema["properties"] = fields | marks | {"claude": older}
    del schema["required"]
    return schema


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


@dataclass(frozen=True)
class TaskFile:
    """A task, and where in its file each of its fields stands."""

    name: str
    task: Task
    _fields: dict[str, _Given]

    def problem(self, field: str, message: str, advice: str = "", entry: int | None = None) -> Problem:
        """Say what is wrong with a field, or with an entry of a list, showing its line."""
        given = self._fields.get(field)
        if given is None:
            return Problem(f"`{field}` {message}", advice)
        return given.problem(f"`{field}` {message}", advice, () if entry is None else (entry,))


def read_task_file(filename: str, data: bytes) -> TaskFile:
    """Read a dropped file. Raises RejectedError with all that is wrong with it."""
    file = printable(filename)
    fields, problems = _collect(open_sheet(file, data))
    if len(problems) > MOST_PROBLEMS:
        raise RejectedError(file, tuple(problems))  # not all fields have been gathered
    try:
        task = Task.model_validate({name: given.value for name, given in fields.items()})
    except ValidationError as error:
        problems += _in_words(error, fields, problems)
    else:
        if not problems:
            return TaskFile(file, task, fields)
    raise RejectedError(file, tuple(sorted(problems, key=lambda one: (one.line or 0, one.column or 0))))


def parse_task(filename: str, data: bytes) -> Task:
    """Read a dropped file for its task alone."""
    return read_task_file(filename, data).task


def ends_explicitly(filename: str, data: bytes) -> bool:
    """Whether the file says itself that it is complete: a last line `.`, or `done: true`. Never raises."""
    try:
        sheet = open_sheet(printable(filename), data)
        return sheet.ended or to_bool(sheet.document.value.get("done") or "no")
    except (RejectedError, PydanticCustomError):
        return False


def _collect(sheet: Sheet) -> tuple[dict[str, _Given], list[Problem]]:
    """Gather the fields of all places where they may stand, under their own names."""
    fields: dict[str, _Given] = {}
    problems = list(_cut_texts(sheet.document))
    for path, value in _entries(sheet.document, problems):
        if len(problems) > MOST_PROBLEMS:
            break
        key = str(path[-1])
        field = _ALIASES.get(key, key)
        if field not in KNOWN_FIELDS:
            problems.append(
                _unknown(sheet.document, path, key, show_all=not any(_ALL in other.advice for other in problems))
            )
        elif field in fields:
            problems.append(_given_twice(sheet.document, path, fields[field]))
        elif field == "instructions":
            fields[field] = _Given("" if value in (None, *_NOTHING) else value, sheet.document, path)
        elif value is not None and (field in _TEXTS or value not in _NOTHING or _is_home(field, value)):
            fields[field] = _Given(value, sheet.document, path)
    if sheet.body is not None and not is_blank(sheet.body):
        given = fields.get("instructions")
        if given and given.value:
            message = f"the instructions are given twice: here and as the text that begins in line {sheet.body_line}"
            problems.append(given.problem(message, "keep one of the two"))
        fields["instructions"] = _Given(sheet.body.strip("\n").rstrip(), sheet.document)
    return fields, problems


def _is_home(field: str, value: Value) -> bool:
    return field == "working_dir" and value == "~"


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
        if path[-1] in (*_TEXTS, *_ALIASES, "name"):
            message = f"`{path[-1]}` is cut off at the `#`: outside quotes, ` #` begins a comment"
            yield problem_in(document.lines, line, column, message, quote_it(document.lines, line))


def _unknown(document: Document, path: Path, key: str, *, show_all: bool) -> Problem:
    synonyms = (field for field, others in _SYNONYMS.items() if key.casefold().replace("-", "_") in others)
    guess = next(synonyms, None) or did_you_mean(key, (*KNOWN_FIELDS, *_ALIASES, *_AT_THE_TOP * (len(path) == 1)))
    advice = f"did you mean `{guess}`?" if guess else _ALL * show_all
    return document.problem(path, f"there is no field `{shorten(key)}`", advice, key=True)


def _given_twice(document: Document, path: Path, first: _Given) -> Problem:
    assert first.path is not None
    other = first.path[-1]
    what = f"`{path[-1]}` is given twice" if other == path[-1] else f"`{path[-1]}` and `{other}` are the same field"
    line = document.place(first.path, key=True)[0]
    return document.problem(path, f"{what}: here and in line {line}", "keep one of the two", key=True)


def _in_words(error: ValidationError, fields: dict[str, _Given], others: list[Problem]) -> list[Problem]:
    details = error.errors(include_url=False)[: MOST_PROBLEMS + 1]
    problems = [_in_our_words(detail, fields) for detail in details]
    # Where a line has been complained of already, or the name of the field was misspelt, the rest follows from that.
    lines = {other.line for other in others if other.line}
    misspelt = any(other.advice in ("did you mean `instructions`?", "did you mean `prompt`?") for other in others)
    return [one for one in problems if one.line not in lines and not (one.line is None and misspelt)]


def _in_our_words(detail: ErrorDetails, fields: dict[str, _Given]) -> Problem:
    field, *inside = detail["loc"]
    if detail["type"] == "missing":
        return Problem("there are no instructions", f"write at least {MINIMAL}")
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
    inside = len(detail["loc"]) > 1
    if detail["type"] == "string_type" and field in _TEXTS:
        return "must be a text", f"write `{field}: |` and the text below it, indented by two spaces"
    if detail["type"] == "string_type":
        where = "as an entry" if inside else "after the colon"
        return "must be a text", f"write one text {where}; put it in quotes if it holds colons or brackets"
    if detail["type"] == "tuple_type":
        return "must be a list", "write one entry on each line, as `- entry`"
    return f"does not fit: {detail['msg']}", ""
