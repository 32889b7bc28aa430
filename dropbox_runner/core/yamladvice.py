"""How a line of YAML reads, and how it would have to be written: advice for people who do not know YAML."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from dropbox_runner.core.cleantext import describe_character, excerpt, shorten
from dropbox_runner.core.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    import yaml
    from yaml.events import _Mark

Place: TypeAlias = "tuple[int, int]"
"""Line and column, both counted from 1."""

_FIELD = re.compile(r"(?P<lead>\s*(?:- +)?(?P<key>[A-Za-z_][\w-]{0,59}) *: +)(?P<value>\S.*)")
_ITEM = re.compile(r"(?P<lead>\s*- +)(?P<value>\S.*)")
_NO_SPACE = re.compile(r"(?P<key>\s*[A-Za-z_][\w-]{0,59}):(?!//)(?P<value>\S.*)")
_COMMENT = re.compile(r"[ \t]*#")
_ODD_COLON = re.compile(r"\s*[A-Za-z_][\w-]*\s*(?:(?P<blank>:[^\S \t\n])|(?P<colon>[：﹕∶]))")


def problem_in(lines: Sequence[str], line: int, column: int, message: str, advice: str) -> Problem:
    """Make a Problem that shows its line."""
    return Problem(message, advice, line, column, excerpt(line_at(lines, line), column))


def special_start(lines: Sequence[str], line: int, column: int) -> Problem:
    """Refuse a value that begins with a character to which YAML gives a meaning of its own."""
    char = lines[line - 1][column - 1 : column]
    shown = "a backtick" if char == "`" else f"`{char}`"
    message = f"a value cannot begin with {shown}, which has a meaning of its own in YAML"
    return problem_in(lines, line, column, message, quote_it(lines, line, column))


def quote_it(lines: Sequence[str], line: int, column: int | None = None) -> str:
    """Advise to put the value of a line in quotes, showing how that line would look.

    With `column`, only if the value begins there: within a list, other advice is needed.
    """
    key, lead, value = taken_apart(lines, line)
    if column is not None and column != value_start(lines, line, value):
        return "if it belongs to a text, put the text in quotes"
    quoted = _quoted(value)
    shown = f": `{lead}{quoted}`" if quoted else ""
    return f"put the text in quotes{shown}, or {as_block(key)}"


def missing_space(lines: Sequence[str], line: int) -> str | None:
    """Advise about `model:opus`; None when the line is not of that kind."""
    found = _NO_SPACE.fullmatch(line_at(lines, line).rstrip())
    return f"put a space after the colon: `{found['key'].strip()}: {shorten(found['value'])}`" if found else None


def odd_colon(lines: Sequence[str], line: int) -> Problem | None:
    """See a colon of another script, or a blank after it that looks like a space and is none."""
    found = _ODD_COLON.match(line_at(lines, line))
    if found is None:
        return None
    column = found.end()
    if found["colon"]:
        message = f"this is not the plain colon that YAML needs, but {describe_character(found['colon'])}"
        return problem_in(lines, line, column, message, "write `:` and a space instead")
    message = f"what follows the colon looks like a space, but is {describe_character(found['blank'][1])}"
    return problem_in(lines, line, column, message, "delete it, and type a space instead")


def comment_after(lines: Sequence[str], event: yaml.Event) -> Place | None:
    """Where a ` #comment` begins that ends a text without quotes on its line."""
    if getattr(event, "style", "") is not None:
        return None
    line, column = end_of(event)
    found = _COMMENT.match(line_at(lines, line), column - 1)
    return (line, found.end()) if found else None


def swallowed_entry(lines: Sequence[str], event: yaml.ScalarEvent) -> int | None:
    """Where a text without quotes goes on over a line that was meant as the next entry of its list."""
    if event.style is not None:
        return None
    after = range(start_of(event)[0] + 1, end_of(event)[0] + 1)
    return next((line for line in after if re.match(r"\s*-\s", line_at(lines, line))), None)


def line_at(lines: Sequence[str], line: int) -> str:
    """Return a line of the file; empty where there is none."""
    return lines[line - 1] if 0 < line <= len(lines) else ""


def start_of(event: yaml.Event) -> Place:
    """Where the text of an event begins."""
    return spot(event.start_mark)


def end_of(event: yaml.Event) -> Place:
    """The place just after the text of an event."""
    return spot(event.end_mark)


def spot(mark: _Mark | None) -> Place:
    """Return a mark of PyYAML as we count."""
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def taken_apart(lines: Sequence[str], line: int) -> tuple[str, str, str]:
    """Read a line as (key, all that stands before the value, value)."""
    text = line_at(lines, line).rstrip()
    if found := _FIELD.fullmatch(text):
        return found["key"], found["lead"].lstrip(), found["value"]
    if found := _ITEM.fullmatch(text):
        return "", found["lead"].lstrip(), found["value"]
    return "", "", ""


def value_start(lines: Sequence[str], line: int, value: str) -> int:
    """Return the column where the value of a line begins."""
    return len(line_at(lines, line).rstrip()) - len(value) + 1


def as_block(key: str) -> str:
    """Advise to write a text as a block."""
    return f"write `{key or 'instructions'}: |` and the text below it, indented by two spaces"


def _quoted(value: str) -> str:
    """Put a text in those quotes in which it can stand as it is; empty when there are none such."""
    if value[:1] in ("'", '"') and value.count(value[0]) % 2:
        # A quote too many: without the outer ones it is the text that was meant.
        value = value[1:].removesuffix(value[0])
    elif len(value) > 1 and value[0] == value[-1] and value[0] in ("'", '"') and value.count(value[0]) == 2:
        value = value[1:-1]
    if not value or ("'" in value and ('"' in value or "\\" in value)):
        return ""
    value = shorten(value)
    return f"'{value}'" if '"' in value or "\\" in value else f'"{value}"'
