"""What went wrong in a YAML file, in words for people who do not know YAML, and how to mend it.

PyYAML's messages name tokens. Most mistakes are few and the same: text that needed quotes, a tab, a bracket left open.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dropbox_runner.core.cleantext import shorten
from dropbox_runner.core.errors import Problem
from dropbox_runner.core.yamladvice import (
    Place,
    as_block,
    comment_after,
    end_of,
    line_at,
    missing_space,
    problem_in,
    quote_it,
    special_start,
    spot,
    start_of,
    taken_apart,
    value_start,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import yaml

_FIRST_LINES = 1000


@dataclass(frozen=True)
class Slip:
    """What PyYAML knows when it stumbles."""

    error: yaml.MarkedYAMLError
    lines: Sequence[str]
    before: yaml.Event | None
    """The last thing that it had understood."""
    opened: Sequence[yaml.CollectionStartEvent]
    """The lists and sets of fields that had begun and not ended."""

    @property
    def after_end(self) -> bool:
        """Whether the fields had been ended by a line `...`."""
        return any(line.rstrip() == "..." for line in self.lines[: self.place[0]])

    @property
    def problem(self) -> str:
        """What is wrong, in PyYAML's words."""
        return self.error.problem or ""

    @property
    def context(self) -> str:
        """What PyYAML was about to read, in its words."""
        return self.error.context or ""

    @property
    def place(self) -> Place:
        """Where it stumbled."""
        return spot(self.error.problem_mark)

    @property
    def since(self) -> Place:
        """Where the thing begins that it was about to read."""
        return spot(self.error.context_mark)


def explain(slip: Slip) -> Problem:
    """Say in plain words what PyYAML stumbled over."""
    for look in (
        _at_conflict,
        _at_tab,
        _at_quote,
        _at_escape,
        _at_bracket,
        _at_special,
        _at_colon,
        _at_no_colon,
        _at_end_of_block,
    ):
        problem = look(slip)
        if problem is not None:
            return problem
    line, column = slip.place
    return problem_in(slip.lines, line, column, f"this is not YAML: {slip.problem}", quote_it(slip.lines, line))


def _at_conflict(slip: Slip) -> Problem | None:
    """See the marks that git leaves in a file that was changed on two sides."""
    for number, line in enumerate(slip.lines[:_FIRST_LINES], start=1):
        if line.startswith("<<<<<<< "):
            advice = "keep one of the two sides, and delete the lines `<<<<<<<`, `=======` and `>>>>>>>`"
            return problem_in(slip.lines, number, 1, "a conflict that git has marked here is not resolved", advice)
    return None


def _at_tab(slip: Slip) -> Problem | None:
    if "'\\t'" not in slip.problem:
        return None
    line, column = slip.place
    if line_at(slip.lines, line)[: column - 1].strip():
        return problem_in(
            slip.lines, line, column, "a tab stands where YAML takes only spaces", "replace it by one space"
        )
    advice = "replace each tab at the start of a line by two spaces"
    return problem_in(slip.lines, line, column, "the line is indented with a tab; YAML takes only spaces", advice)


def _at_quote(slip: Slip) -> Problem | None:
    """See a quote that is never closed, or that is closed by the next quote, lines later."""
    found = "is not closed"
    line, column = slip.since
    if slip.context != "while scanning a quoted scalar":
        if slip.before is None or getattr(slip.before, "style", None) not in ("'", '"'):
            return None
        (line, column), (last, _column) = start_of(slip.before), end_of(slip.before)
        if not line < last == slip.place[0]:
            return None
        found = f"closes only in line {last}, and more text follows there"
    advice = f"close it at the end of the text, or {as_block(taken_apart(slip.lines, line)[0])}"
    quote = slip.lines[line - 1][column - 1 : column]
    return problem_in(slip.lines, line, column, f"the quote {quote} that opens here {found}", advice)


def _at_escape(slip: Slip) -> Problem | None:
    if slip.context != "while scanning a double-quoted scalar":
        return None
    line, column = slip.place
    _key, lead, value = taken_apart(slip.lines, line)
    inner = value[1:-1] if value[:1] == value[-1:] == '"' else ""
    inner = shorten(inner)
    single = f", or use single quotes: `{lead}'{inner}'`" if inner and "'" not in inner and '"' not in inner else ""
    message = "between double quotes a backslash begins an escape such as `\\n`, and this is none"
    return problem_in(slip.lines, line, column, message, f"write the backslash twice (`\\\\`){single}")


def _at_bracket(slip: Slip) -> Problem | None:
    brackets = [start_of(opened) for opened in slip.opened if opened.flow_style]
    # Within brackets, `a: b` is a set of fields without any of its own.
    brackets = [place for place in brackets if slip.lines[place[0] - 1][place[1] - 1 : place[1]] in ("[", "{")]
    if not slip.context.startswith("while parsing a flow") or not brackets:
        return None
    line, column = brackets[-1]
    bracket = slip.lines[line - 1][column - 1]
    closing = "]" if bracket == "[" else "}"
    here, there = slip.place
    if here == line and closing in slip.lines[line - 1][there - 1 :]:
        message = "a comma is missing here, or there is one too many"
        return problem_in(slip.lines, here, there, message, quote_it(slip.lines, line, column))
    advice = f"close it with `{closing}`; if it belongs to a text, {as_block(taken_apart(slip.lines, line)[0])}"
    return problem_in(slip.lines, line, column, f"the bracket `{bracket}` that opens here is not closed", advice)


def _at_special(slip: Slip) -> Problem | None:
    """See a value that begins as something else than text: `- x`, `@x`, `"fix" the bug`, `[wip] fix`."""
    line, column = slip.place
    _key, _lead, value = taken_apart(slip.lines, line)
    if not value or re.fullmatch(r"[|>][-+\d]*", value):
        return None
    start = value_start(slip.lines, line, value)
    if value[0] in "*&!%@`|>,]}" or re.match(r"[-?](\s|$)", value):
        return special_start(slip.lines, line, start)
    if value[0] not in "[{'\"" or column <= start or "<block end>" not in slip.problem:
        return None
    what = "quote" if value[0] in "'\"" else "bracket"
    message = f"the value begins with a {what}, and more text follows after that is closed"
    return problem_in(slip.lines, line, column, message, quote_it(slip.lines, line))


def _at_colon(slip: Slip) -> Problem | None:
    """See a second colon in a line: part of a text, or a line that is indented too far."""
    if slip.problem != "mapping values are not allowed here":
        return None
    line, column = slip.place
    _key, lead, _value = taken_apart(slip.lines, line)
    indent = len(line_at(slip.lines, line)) - len(line_at(slip.lines, line).lstrip())
    if lead and column > indent + len(lead):
        message = "a colon with a space after it, inside a text that is not in quotes"
        return problem_in(slip.lines, line, column, message, quote_it(slip.lines, line))
    if not indent:
        advice = "write `instructions: |` before the text and indent it by two spaces"
        return problem_in(slip.lines, line, column, "the text above this line belongs to no field", advice)
    message = "this line is indented as part of the text above it, but looks like a field"
    advice = f"if it is a field, begin it in the same column as the field above; if it is text, {as_block('')}"
    return problem_in(slip.lines, line, column, message, advice)


def _at_no_colon(slip: Slip) -> Problem | None:
    if slip.problem != "could not find expected ':'":
        return None
    line, column = slip.since
    if advice := missing_space(slip.lines, line):
        return problem_in(slip.lines, line, column, "there is no space after the colon", advice)
    advice = "text of several lines goes below `instructions: |`, indented by two spaces"
    return problem_in(slip.lines, line, column, "this line is not of the form `field: value`", advice)


def _at_end_of_block(slip: Slip) -> Problem | None:
    if slip.problem == "expected the node content, but found '<document end>'":
        message = "the line `...` ends the fields, and there are none before it"
        return problem_in(slip.lines, *slip.place, message, "delete that line")
    found = re.fullmatch(r"expected '?<(?:block end|document start)>'?, but found '(.+)'", slip.problem)
    if not found:
        return None
    line, column = slip.place
    if found[1] in ("}", "]"):
        message = f"this `{found[1]}` closes nothing"
        return problem_in(slip.lines, line, column, message, "delete it, or put the text in quotes")
    if found[1] == ":":
        return problem_in(slip.lines, line, column, "a field has no name", "write the name before the colon")
    if found[1] == "<scalar>" and slip.before is not None and comment_after(slip.lines, slip.before):
        # A plain text goes on over lines; only a comment ends it early.
        cut = end_of(slip.before)[0]
        message = "a ` #` outside quotes begins a comment, so the text that goes on here had ended before it"
        return problem_in(slip.lines, line, column, message, f"line {cut}: {quote_it(slip.lines, cut)}")
    if found[0].startswith("expected '<document start>'") and slip.after_end:
        message = "text follows after the line `...`, which ends the fields"
        return problem_in(slip.lines, line, column, message, "delete that line, or what follows it")
    message = "the line does not begin in the same column as what it belongs to"
    advice = "begin all fields in the same column, and likewise all `- ` of one list"
    return problem_in(slip.lines, line, column, message, advice)
