"""A dropped file taken apart: its fields, and the text that is not in a field."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from dropbox_runner.core.cleantext import decode_text, is_blank, shorten, without_end_mark
from dropbox_runner.core.errors import Problem, RejectedError
from dropbox_runner.core.names import TASK_SUFFIXES
from dropbox_runner.core.yamltext import Document, read_yaml

MINIMAL = "`instructions: what claude should do`"
_YAML = (".yaml", ".yml")
_OR_TEXT = "or name the file .md"


@dataclass(frozen=True)
class Sheet:
    """A file taken apart: its fields, and the text that is not in a field."""

    document: Document
    body: str | None = None
    body_line: int = 1
    ended: bool = False


def open_sheet(file: str, data: bytes) -> Sheet:
    """Take a file apart, by its ending. Raises RejectedError when it is no readable text or no YAML."""
    ending = PurePosixPath(file).suffix.lower()
    if ending not in TASK_SUFFIXES:
        message = f"a name that ends in `{shorten(ending)}` is not that of a task"
        advice = f"name a task .yaml, .md or .txt ({', '.join(TASK_SUFFIXES)} are read)"
        raise RejectedError(file, (Problem(message if ending else "the name has no ending", advice),))
    text = decode_text(data, file=file)
    body, ended = without_end_mark(text)
    if is_blank(body):
        minimal = MINIMAL if ending in _YAML else "what claude should do, in your own words"
        raise RejectedError(file, (Problem("the file is empty", f"write at least {minimal}"),))
    if ending in _YAML:
        return Sheet(read_yaml(text, file=file, example=f"{MINIMAL}, {_OR_TEXT}"))
    front, line = ("", 1) if ending == ".txt" else _front_matter(file, body)
    document = read_yaml(front, file=file, empty_ok=True, example="`model: opus`") if front else Document({})
    body = "\n".join(body.split("\n")[line - 1 :])
    return Sheet(document, body, line, ended)


def _front_matter(file: str, text: str) -> tuple[str, int]:
    """Cut off the fields between `---` lines: them, and the line where the body begins.

    The first `---` stays with them: YAML takes it for the start of a document, and lines count as in the file.
    """
    lines = text.split("\n")
    first = next(number for number, line in enumerate(lines, start=1) if line.strip())
    if lines[first - 1].rstrip() != "---":
        return "", 1
    for number, line in enumerate(lines[first:], start=first + 1):
        if line.rstrip() in ("---", "..."):
            return "\n".join(lines[: number - 1]), number + 1
    advice = "write a line `---` after the last field; if the file has no fields, delete the first line"
    raise RejectedError(file, (Problem("the fields that begin here have no end", advice, first, 1, "---"),))
