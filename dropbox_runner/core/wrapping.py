"""What may stand between us and claude: a sandbox, or a launcher of the user's. Here is what both have in common."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Final

STARTED: Final = "dropbox-runner: claude starts here"
"""A line on stderr: whatever failed before it was the wrapper's trouble, which is everybody's, and not the task's."""

COMMAND: Final = "command"
COMMAND_LINE: Final = "command_line"
PLACEHOLDERS: Final = ("workdir", "task_dir", "run_id", "task", COMMAND, COMMAND_LINE)
_PLACEHOLDER: Final = re.compile(r"(?<!\$)\{(\w+)\}")
"""`${HOME}` and `{{.ID}}` are none."""


def announced(arguments: Sequence[str], before: str = ":") -> list[str]:
    """Return the command that says on stderr that claude was reached, and becomes it.

    `before` is a shell command to be done first. A shell is there wherever claude is: in a container, on another host.
    """
    return ["/bin/sh", "-c", f'{before}; echo "{STARTED}" >&2; exec "$@"', "sh", *arguments]


def reached(stderr: str) -> tuple[bool, str]:
    """Say whether claude was reached, and return the rest of what was said."""
    lines = stderr.splitlines(keepends=True)
    said = [line for line in lines if line.strip() != STARTED]
    return len(said) < len(lines), "".join(said)


def check_launcher(launcher: Sequence[str]) -> None:
    """ValueError, in words for whoever wrote it, when a launcher cannot be meant."""
    if not launcher:
        return
    if not launcher[0].strip():
        raise ValueError("the first word is the command, and must not be empty")
    names = [name for part in launcher for name in _PLACEHOLDER.findall(part)]
    unknown = next((name for name in names if name not in PLACEHOLDERS), None)
    if unknown is not None:
        known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        raise ValueError(f"there is no placeholder {{{unknown}}}; known are {known}")
    if any(f"{{{COMMAND}}}" in part and part != f"{{{COMMAND}}}" for part in launcher):
        raise ValueError(
            "{command} stands for many words and must be one of its own; inside a text, say {command_line}"
        )
    if names.count(COMMAND) + names.count(COMMAND_LINE) > 1:
        raise ValueError("claude is to be started once: {command} or {command_line}, one time")


def launched(launcher: Sequence[str], values: Mapping[str, str], arguments: Sequence[str]) -> list[str]:
    """Return the launcher's command line, with the values filled in and claude's command at its end or where it says.

    In a part that holds `{command_line}` everything is quoted for a shell: that part is meant to be read by one.
    """
    filled: list[str] = []
    for part in launcher:
        if part == f"{{{COMMAND}}}":
            filled += arguments
        elif f"{{{COMMAND_LINE}}}" in part:
            line = {**{name: shlex.quote(value) for name, value in values.items()}, COMMAND_LINE: shlex.join(arguments)}
            filled.append(_fill(part, line))
        else:
            filled.append(_fill(part, values))
    named = any(f"{{{name}}}" in part for part in launcher for name in (COMMAND, COMMAND_LINE))
    return filled if named else [*filled, *arguments]


def _fill(part: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: values[found[1]], part)
