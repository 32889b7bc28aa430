"""A strict reader for YAML that people and programs drop: all scalars are text, every value has a place.

Files come from anybody who can write to the folder. What makes YAML dangerous or surprising is refused while it is
being read, before anything is built from it: aliases (a few bytes that unfold to gigabytes), tags, deep nesting, a
second document, a key that is given twice (the last would win silently). Nothing is guessed: `no`, `0755` and `1:30`
stay text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn, TypeAlias

import yaml

from dropbox_runner.core.cleantext import decode_text, describe_character, find_control, join_surrogates, shorten
from dropbox_runner.core.errors import MOST_PROBLEMS, Problem, RejectedError
from dropbox_runner.core.yamladvice import (
    Place,
    comment_after,
    missing_space,
    odd_colon,
    problem_in,
    quote_it,
    special_start,
    start_of,
    swallowed_entry,
)
from dropbox_runner.core.yamlscan import MAX_DEPTH, TOO_DEEP, Loader, ShutDoorError
from dropbox_runner.core.yamlslips import Slip, explain

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_NODES = 5000

Value: TypeAlias = "dict[str, Value] | list[Value] | str | None"
"""What a file can hold. A plain empty value is None."""
Path: TypeAlias = "tuple[str | int, ...]"
"""The keys and list positions that lead to a value."""
_LINE_ENDS = str.maketrans("\u2028\u2029", "  ")


@dataclass(frozen=True)
class Document:
    """The fields of a file, and where each of them stands."""

    value: dict[str, Value]
    lines: tuple[str, ...] = ()
    comments_cut: tuple[tuple[Path, int, int], ...] = ()
    """Values without quotes that a ` #comment` ends on the same line, with the place of the `#`."""
    keys: Mapping[Path, Place] = field(default_factory=dict)
    values: Mapping[Path, Place] = field(default_factory=dict)

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Line and column of a value, or of its key; of what holds it where the path leads nowhere."""
        places = self.keys if key else self.values
        while path and path not in places:
            path = path[:-1]
        return places.get(path, (1, 1))

    def problem(self, path: Path, message: str, advice: str = "", *, key: bool = False) -> Problem:
        """Make a Problem that shows the line of a value, or of its key."""
        line, column = self.place(path, key=key)
        return problem_in(self.lines, line, column, message, advice)


def read_yaml(
    data: bytes | str, *, file: str, empty_ok: bool = False, example: str = "`instructions: what to do`"
) -> Document:
    """Read a file of fields (a mapping at the top).

    `example` is shown in the advice when there is none; a file without any content gives no fields if `empty_ok`.
    Raises RejectedError with places, excerpts and advice.
    """
    # YAML 1.1 takes these invisible characters for line ends, no editor shows them so: a text pasted from a web page
    # would end in the middle, and what follows could pass for a field.
    text = decode_text(data, file=file).translate(_LINE_ENDS)
    return _Reading(text, file, example).document(empty_ok=empty_ok)


class _Reading:
    """One pass over the parser's events."""

    def __init__(self, text: str, file: str, example: str) -> None:
        self._file = file
        self._example = example
        self._lines = tuple(text.split("\n"))
        self._loader = Loader(text)
        self._before: yaml.Event | None = None
        self._opened: list[yaml.CollectionStartEvent] = []
        self._nodes = 0
        self._problems: list[Problem] = []
        self._cut: list[tuple[Path, int, int]] = []
        self._keys: dict[Path, Place] = {}
        self._values: dict[Path, Place] = {}

    def document(self, *, empty_ok: bool) -> Document:
        try:
            value = self._top(empty_ok=empty_ok)
        except yaml.MarkedYAMLError as error:
            slip = Slip(error, self._lines, self._before, self._opened)
            raise RejectedError(self._file, (explain(slip),)) from None
        except ShutDoorError as error:
            self._refuse(self._here(), *error.args)
        finally:
            self._loader.dispose()
        if self._problems:
            raise RejectedError(self._file, tuple(self._problems))
        return Document(value, self._lines, tuple(self._cut), self._keys, self._values)

    def _top(self, *, empty_ok: bool) -> dict[str, Value]:
        self._next()  # the start of the stream
        event = self._next()
        if isinstance(event, yaml.StreamEndEvent):
            return self._nothing(empty_ok=empty_ok)
        event = self._next()
        if isinstance(event, yaml.ScalarEvent) and _is_empty(event) and event.tag is None and event.anchor is None:
            self._end()
            return self._nothing(empty_ok=empty_ok)
        if not isinstance(event, yaml.MappingStartEvent):
            self._refuse_top(event)
        value = self._mapping(event, ())
        self._end()
        return value

    def _end(self) -> None:
        self._next()  # the end of the document
        event = self._next()
        if not isinstance(event, yaml.StreamEndEvent):
            advice = "one file is one task: put the second into a file of its own; "
            advice += "if it is the text of the instructions, name the file .md"
            self._refuse(start_of(event), "a second document begins here", advice)

    def _nothing(self, *, empty_ok: bool) -> dict[str, Value]:
        if empty_ok:
            return {}
        what = "holds only comments" if any(map(str.strip, self._lines)) else "is empty"
        raise RejectedError(self._file, (Problem(f"the file {what}", f"write at least {self._example}"),))

    def _refuse_top(self, event: yaml.Event) -> NoReturn:
        self._refuse_reference(event)
        place = start_of(event)
        if isinstance(event, yaml.SequenceStartEvent):
            advice = f"write fields without `- `, as in {self._example}"
            self._refuse(place, "the file holds a list, not fields", advice)
        if odd := odd_colon(self._lines, place[0]):
            raise RejectedError(self._file, (odd,))
        if spaced := missing_space(self._lines, place[0]):
            self._refuse(place, "there is no space after the colon", spaced)
        # The text may be cut short by a mistake of its own; reading on brings that to light.
        while not isinstance(self._next(), yaml.StreamEndEvent):
            pass
        message = "the file holds only a text, not fields"
        advice = f"put the name of a field before it, as in {self._example}"
        self._refuse(place, message, advice)

    def _parsed(self) -> yaml.Event:
        try:
            event: yaml.Event = self._loader.get_event()  # type: ignore[no-untyped-call] # the stubs know no types here
        except (yaml.MarkedYAMLError, ShutDoorError):
            raise
        except Exception as error:
            # Odd text makes the parser trip in many ways (ValueError, OverflowError, RecursionError): the text's fault.
            advice = quote_it(self._lines, self._here()[0])
            raise ShutDoorError("YAML can make nothing of this place", advice) from error
        return event

    def _next(self) -> yaml.Event:
        event = self._parsed()
        if isinstance(event, yaml.NodeEvent):
            self._nodes += 1
            if self._nodes > MAX_NODES:
                message = f"the file holds more than {MAX_NODES} values"
                self._refuse(start_of(event), message, "put large data into a file of its own")
        if isinstance(event, yaml.CollectionStartEvent):
            self._opened.append(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._opened.pop()
        self._before = event
        return event

    def _node(self, event: yaml.Event, path: Path) -> Value:
        self._refuse_reference(event)
        self._values[path] = start_of(event)
        if len(path) > MAX_DEPTH:
            self._refuse(start_of(event), *TOO_DEEP)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(event, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        assert isinstance(event, yaml.ScalarEvent)
        return self._scalar(event, path)

    def _sequence(self, path: Path) -> list[Value]:
        values: list[Value] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            values.append(self._node(event, (*path, len(values))))
            if isinstance(event, yaml.ScalarEvent) and (line := swallowed_entry(self._lines, event)):
                message = "this entry is indented further than the one above it, so it belongs to the text of that"
                self._refuse((line, 1), message, "begin all `- ` of one list in the same column")
        return values

    def _mapping(self, start: yaml.Event, path: Path) -> dict[str, Value]:
        self._refuse_reference(start)
        values: dict[str, Value] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._key(event)
            twice = key in values
            if twice:
                first = self._keys[(*path, key)][0]
                self._note(event, f"`{shorten(key)}` is given twice: here and in line {first}", "delete one of the two")
            else:
                self._keys[(*path, key)] = start_of(event)
            value = self._node(self._next(), (*path, key))
            if not twice:
                values[key] = value
        return values

    def _key(self, event: yaml.Event) -> str:
        self._refuse_reference(event)
        if not isinstance(event, yaml.ScalarEvent):
            message = "a list or a bracket stands where the name of a field is expected"
            self._refuse(start_of(event), message, quote_it(self._lines, start_of(event)[0]))
        if not event.value.strip():
            self._refuse(start_of(event), "a field has no name", "write the name before the colon")
        for char in event.value:
            if not char.isprintable():
                message = f"the name of a field holds an invisible character, {describe_character(char)}"
                self._refuse(start_of(event), message, "delete it, or write the name anew")
        return event.value

    def _scalar(self, event: yaml.ScalarEvent, path: Path) -> str | None:
        if comment := comment_after(self._lines, event):
            self._cut.append((path, *comment))
        if _is_empty(event):
            return None
        value = join_surrogates(event.value).replace("\r\n", "\n")
        at = find_control(value)
        if at is not None:
            message = f"an escape in this text gives an invisible control character, {describe_character(value[at])}"
            self._note(event, f"{message}, at character {at + 1} of it", "take the escape out")
        return value

    def _refuse_reference(self, event: yaml.Event) -> None:
        """Refuse aliases, anchors and tags; in the files of people they are texts that begin with * & or !."""
        if getattr(event, "anchor", None) is not None or getattr(event, "tag", None) is not None:
            raise RejectedError(self._file, (special_start(self._lines, *start_of(event)),))

    def _here(self) -> Place:
        mark = self._loader.get_mark()
        return mark.line + 1, mark.column + 1

    def _note(self, event: yaml.Event, message: str, advice: str) -> None:
        self._problems.append(problem_in(self._lines, *start_of(event), message, advice))
        if len(self._problems) > MOST_PROBLEMS:
            raise RejectedError(self._file, tuple(self._problems))

    def _refuse(self, place: Place, message: str, advice: str) -> NoReturn:
        raise RejectedError(self._file, (problem_in(self._lines, *place, message, advice),))


def _is_empty(event: yaml.ScalarEvent) -> bool:
    return event.style is None and not event.value
