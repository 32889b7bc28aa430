"""Read what a run of claude wrote to its stdout (stream-json), and keep only what decides how it ended.

Facts about the stream (measured on claude 2.1.330): one message is one line and every line ends in a newline; lines
of many megabytes are ordinary (an Edit repeats the whole file); there may be several `init` and several `result`
lines, and the last `result` decides; a killed run leaves no result and perhaps half a line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

_TELLING = (b'"type":"result"', b'"type":"assistant"', b'"subtype":"init"')
"""Only lines that hold one of these are parsed at all.

Inside a JSON string the quotes would be escaped, so a text of the model can never look like one of them. Lines that
hold a file's content (`user`, often megabytes) are skipped without a parse.
"""


@dataclass(frozen=True)
class Ending:
    """What one run said about itself."""

    session_id: str | None = None
    """The session of the last `init` line: claude got as far as having one."""
    turns_seen: int = 0
    """How many messages of the model itself are in the log; more than none means that money was spent."""
    result: dict[str, Any] | None = field(default=None)
    """The last complete result line."""
    last_words: str = ""
    """The last text of the model, for a run that died before its result."""
    lines: int = 0

    @property
    def text(self) -> str:
        """Claude's last message, or what stands in its place (errors) when there is none."""
        if self.result is None:
            return self.last_words
        text = self.result.get("result")
        if isinstance(text, str) and text.strip():
            return text
        errors = self.result.get("errors")
        return "\n".join(str(one) for one in errors) if isinstance(errors, list) else ""

    def number(self, key: str) -> float | None:
        """Return a number of the result line, or None when it has none of that name."""
        value = (self.result or {}).get(key)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def read_stream(lines: Iterable[bytes]) -> Ending:
    """Fold the lines of a log into its ending. Memory: one line at a time."""
    ending = Ending()
    for line in lines:
        ending = _with_line(ending, line)
    return ending


def _with_line(ending: Ending, line: bytes) -> Ending:
    ending = replace(ending, lines=ending.lines + 1)
    if not line.endswith(b"\n") or not any(sign in line for sign in _TELLING):
        # No newline: claude was killed, or the disk filled up, in the middle of this line.
        return ending
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return ending
    if not isinstance(message, dict):
        return ending
    match message.get("type"), message.get("subtype"):
        case "result", _:
            return replace(ending, result=message)
        case "system", "init":
            return replace(ending, session_id=_text(message.get("session_id")) or ending.session_id)
        case "assistant", _ if not message.get("is_api_error_message"):
            words = _words(message)
            return replace(ending, turns_seen=ending.turns_seen + 1, last_words=words or ending.last_words)
        case _:
            return ending


def _words(message: dict[str, Any]) -> str:
    body = message.get("message")
    content = body.get("content") if isinstance(body, dict) else None
    if not isinstance(content, list):
        return ""
    texts = [block.get("text") for block in content if isinstance(block, dict) and block.get("type") == "text"]
    return "\n".join(text for text in texts if isinstance(text, str))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
