"""What claude was not allowed to do, in words, and the exact rule that would allow just that."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlsplit

from dropbox_runner.core.cleantext import clipped

_PATHS: Final = {"Write": "Edit", "Edit": "Edit", "MultiEdit": "Edit", "NotebookEdit": "Edit", "Read": "Read"}
"""Tool → the name of its rule: claude has one rule for everything that changes a file."""
_UNESCAPED: Final = re.compile(r"\\(?:[\\()]|\Z)")
"""In a rule these stand for the second character alone; the last one would do that to the rule's own bracket."""
_LONGEST_RULE: Final = 8192
"""Bytes; the kernel takes 128 KiB in one argument, and the same again in all of them is soon too much."""
_WORDS: Final = 1000
"""Characters of one thing; its rule, if there is one, says it in full."""
_ALL_SHOWN: Final = 40_000
"""Characters of all that a person is asked to allow at once; what is not shown is not allowed either."""


@dataclass(frozen=True)
class Denial:
    """One thing that was denied."""

    words: str
    rule: str | None
    """None: no rule grants just this."""


def denials(
    reported: Iterable[dict[str, Any]],
    granted: tuple[str, ...],
    is_folder: Callable[[str], bool] = lambda _: False,
    *,
    planning: bool = False,
) -> tuple[Denial, ...]:
    """Return what was denied, each thing once, in the order it was tried; `planning`: in plan mode.

    What was denied although a person had granted it (`granted`) has no rule that helps: claude does not write over a
    redirect by rule, say. Nor is there one by which it writes a file in plan mode (measured on claude 2.1.330).
    """
    found = dict.fromkeys(_denial(one, is_folder) for one in reported)
    useless = {one.rule for one in found if planning and one.rule is not None and one.rule.startswith("Edit(")}
    useless.update(granted)
    return _as_many_as_fit(
        replace(
            one,
            words=clipped(one.words, _WORDS),
            rule=None if one.rule in useless or not _passable(one.rule) else one.rule,
        )
        for one in found
    )


def _as_many_as_fit(found: Iterable[Denial]) -> tuple[Denial, ...]:
    shown: list[Denial] = []
    left, more = _ALL_SHOWN, 0
    for one in found:
        left -= len(one.words) + len(one.rule or "")
        if left >= 0:
            shown.append(one)
        else:
            more += 1
    return (*shown, Denial(f"do {more} more things, too many to be shown here", None)) if more else tuple(shown)


def _passable(rule: str | None) -> bool:
    """Say whether a rule can be an argument of a program at all: no NUL, whole characters, not too long."""
    try:
        return rule is not None and "\0" not in rule and len(rule.encode()) <= _LONGEST_RULE
    except UnicodeEncodeError:
        return False


def _denial(reported: dict[str, Any], is_folder: Callable[[str], bool]) -> Denial:
    tool = str(reported.get("tool_name") or "an unnamed tool")
    given = reported.get("tool_input")
    fields = given if isinstance(given, dict) else {}
    command, path, url = (fields.get(name) for name in ("command", "file_path", "url"))
    if tool == "Bash" and isinstance(command, str):
        return Denial(f"run the command: {command}", _bash_rule(command))
    path = path if path is not None else fields.get("notebook_path")
    if tool in _PATHS and isinstance(path, str):
        verb = "read" if tool == "Read" else "write"
        # The rule of a folder lets through all that lies in it (measured), and models do take folders for files.
        rule = None if is_folder(path) else _path_rule(_PATHS[tool], path)
        return Denial(f"{verb} the file {path}", rule)
    if tool == "WebFetch" and isinstance(url, str):
        host = _host(url)
        return Denial(f"fetch {url}", f"WebFetch(domain:{host})" if _plain_host(host) else None)
    shown = json.dumps(fields, ensure_ascii=False)
    return Denial(f"use {tool} with {shown[:300]}", None)


def _bash_rule(command: str) -> str | None:
    # Measured on claude 2.1.330: a rule lets through exactly its own text, also with `;`, `&&`, `$(…)`, a loop or a
    # line break in it; without the blanks around it. What is not taken literally: `*` would let more through than was
    # asked, a closing bracket that nothing has opened would end the rule, and `\` before a bracket is dropped.
    text = command.strip()
    literal = text and "*" not in text and not _UNESCAPED.search(text) and _balanced(text)
    return f"Bash({text})" if literal else None


def _balanced(text: str) -> bool:
    depth = 0
    for char in text:
        depth += (char == "(") - (char == ")")
        if depth < 0:
            return False
    return depth == 0


def _path_rule(kind: str, path: str) -> str | None:
    # `//` begins an absolute path in claude's rules; a single `/` would be relative to the settings file.
    literal = path.startswith("/") and not path.endswith("/") and not set("*?[]{}!()\\\n\r") & set(path)
    return f"{kind}(/{path})" if literal else None


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _plain_host(host: str) -> bool:
    return bool(host) and all(char.isalnum() or char in ".-" for char in host)
