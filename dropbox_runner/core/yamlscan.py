"""PyYAML's scanner in Python (the one in C crashes the whole process on deep nesting), with some doors shut.

They must be shut here: the scanner reads far ahead before the parser reports a first event.
"""

from __future__ import annotations

import re
from typing import NoReturn

import yaml

MAX_DEPTH = 16
MAX_OUTSIDE_BLOCKS = 128 << 10
"""Characters outside of `key: |` blocks. PyYAML looks at each of them several times, and the daemon has other work."""

TOO_DEEP = (f"this is nested more than {MAX_DEPTH} levels deep", "write it flatter")
_TOO_LONG = (
    f"the file holds more than {MAX_OUTSIDE_BLOCKS >> 10} KiB outside of `|` blocks",
    "put a long text below `instructions: |`, indented by two spaces, or drop it as a file .md",
)
_BLANK = re.compile(r"[ \n]*")
_FOLDED = re.compile(r"^([^ \t\n][^\n]*)\n(\n*)(?=[^ \t\n])", re.MULTILINE)


class ShutDoorError(Exception):
    """A message and its advice, for the place where the scanner is."""


class Loader(yaml.BaseLoader):
    """All scalars are text. The text that it is given holds no NUL, and no line end but the newline."""

    buffer: str
    pointer: int
    index: int
    line: int
    column: int
    indent: int

    def __init__(self, text: str) -> None:
        self._in_blocks = 0
        super().__init__(text)

    def peek(self, index: int = 0) -> str:
        """Look at a character further on; as far as that, one scalar may reach without our noticing."""
        if index > MAX_OUTSIDE_BLOCKS:
            raise ShutDoorError(*_TOO_LONG)
        return self.buffer[self.pointer + index]

    def forward(self, length: int = 1) -> None:
        """Go on, counting lines and columns."""
        if self.pointer - self._in_blocks > MAX_OUTSIDE_BLOCKS:
            raise ShutDoorError(*_TOO_LONG)
        self._pass(self.buffer[self.pointer : self.pointer + length])

    def _pass(self, text: str) -> None:
        self.pointer += len(text)
        self.index = self.pointer
        ends = text.count("\n")
        self.line += ends
        self.column = len(text) - text.rindex("\n") - 1 if ends else self.column + len(text)

    def scan_block_scalar(self, style: str) -> yaml.ScalarToken:
        """Read a whole block at once; character by character, a megabyte of text would take a second."""
        start = self.get_mark()
        self.forward()
        chomping, increment = self.scan_block_scalar_indicators(start)
        self.scan_block_scalar_ignored_line(start)
        least = max(self.indent + 1, 1)
        indent = least + increment - 1 if increment else max(least, self._indent_here())
        # Possessive, so that nothing is remembered for each of a million lines.
        lines = rf"(?: {{{indent}}}[^\n\0]++(?:\n|(?=\0))| {{0,{indent}}}\n)*+"
        found = re.compile(lines).match(self.buffer, self.pointer)
        assert found is not None
        self._in_blocks += len(found[0])
        self._pass(found[0])
        text = re.sub(rf"^ {{1,{indent}}}", "", found[0], flags=re.MULTILINE)
        inner = text.rstrip("\n")
        ends = text[len(inner) :]
        if style == ">":
            inner = _FOLDED.sub(lambda line: line[1] + (line[2] or " "), inner)
        if chomping is None:
            ends = ends[:1] if inner else ""
        elif chomping is False:
            ends = ""
        return yaml.ScalarToken(inner + ends, False, start, self.get_mark(), style)  # noqa: FBT003 - its third word

    def _indent_here(self) -> int:
        found = _BLANK.match(self.buffer, self.pointer)
        return max(map(len, set(found[0].split("\n")))) if found else 0

    def fetch_flow_collection_start(self, TokenClass: type[yaml.Token]) -> None:  # noqa: N803 - its name there
        """Refuse deep nesting between brackets, where each level is one character."""
        if self.flow_level >= MAX_DEPTH:
            raise ShutDoorError(*TOO_DEEP)
        super().fetch_flow_collection_start(TokenClass)

    def fetch_directive(self) -> NoReturn:
        """Refuse `%YAML`, `%TAG` and whatever else may come."""
        advice = "delete it; if it is text, write `instructions: |` and the text below it, indented by two spaces"
        raise ShutDoorError("a line cannot begin with `%`, which has a meaning of its own in YAML", advice)
