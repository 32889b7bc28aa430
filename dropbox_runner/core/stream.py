"""Read what a run of claude wrote to its stdout (stream-json), and keep only what decides how it ended.

Facts about the stream (measured on claude 2.1.330): one message is one line; lines of many megabytes are
ordinary (an Edit repeats the whole file); there may be several `init` and several `result` lines, and the last `result`
decides; a killed run leaves no result and perhaps half a line.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from dropbox_runner.core.recordfields import MOST

_TELLING = re.compile(rb'"type"\s*:\s*"(?:result|assistant|rate_limit_event)"|"subtype"\s*:\s*"init"')
"""Only lines that hold one of these are parsed at all; with blanks, as other writers of JSON put them.

Inside a JSON string the quotes would be escaped, so a text of the model can never look like one of them. Lines that
hold a file's content (`user`, often megabytes) are skipped without a parse.
"""


@dataclass(frozen=True)
class ApiError:
    """The last refusal of the API that claude gave up on."""

    kind: str = ""
    """authentication_failed, billing_error, rate_limit, overloaded, server_error, invalid_request …"""
    status: int | None = None
    """HTTP status; None: no answer came."""
    code: str = ""
    """usage_limit_reached, connection_failed, max_output_tokens …; mostly empty."""


@dataclass(frozen=True)
class Ending:
    """What one run said about itself."""

    session_id: str | None = None
    """The session of the last `init` line: claude got as far as having one."""
    turns_seen: int = 0
    """How many messages of the model itself are in the log; more than none means that money was spent."""
    result: dict[str, Any] | None = field(default=None)
    """The last complete result line."""
    turn_open: bool = False
    """Whether a further turn has begun since that, of which nobody knows how it ended."""
    last_words: str = ""
    """The last text of the model, for a run that died before its result."""
    lines: int = 0
    api_error: ApiError | None = None
    """None: the model's last message was its own."""
    used_up: tuple[tuple[str, float], ...] = ()
    """The windows of the usage limit that are used up, each with the unix time of its reset."""

    @property
    def denials(self) -> tuple[dict[str, Any], ...]:
        """What the model wanted to do and was not allowed to: tool_name and tool_input of each.

        Of another shape than known, it says at least that there was something.
        """
        found = (self.result or {}).get("permission_denials") or []
        return tuple(one if isinstance(one, dict) else {} for one in (found if isinstance(found, list) else [found]))

    @property
    def text(self) -> str:
        """Claude's last message, or what stands in its place (errors) when there is none."""
        if self.result is None:
            return self.last_words
        text = self.result.get("result")
        if isinstance(text, str) and text.strip():
            return text
        errors = self.result.get("errors")
        if isinstance(errors, list) and errors:
            return "\n".join(str(one) for one in errors)
        # Without an error, what it said before is its last word; with one, it would pass for the reason.
        return self.last_words if self.result.get("is_error") is False else ""

    def number(self, key: str) -> float | None:
        """Return a number of the result line; None when it has none of that name, or one that nothing can amount to."""
        number = _number((self.result or {}).get(key))
        return number if number is not None and 0 <= number <= MOST else None


def read_stream(lines: Iterable[bytes]) -> Ending:
    """Fold the lines of a log into its ending. Memory: one line at a time."""
    ending = Ending()
    for line in lines:
        ending = _with_line(ending, line)
    return ending


def has_ended(backwards: Iterable[bytes]) -> bool:
    """Say whether a run has come to its result and begun nothing since, from its lines, the last one first.

    Other messages may follow a result, and perhaps half a line of one.
    """
    for line in backwards:
        seen = read_stream([line])
        if seen.result is not None or seen.turn_open:
            return not seen.turn_open
    return False


def _with_line(ending: Ending, line: bytes) -> Ending:
    ending = replace(ending, lines=ending.lines + 1)
    if not _TELLING.search(line):
        return ending
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        # Cut in the middle: claude was killed, or the disk filled up. (No part of a JSON object is one itself, so what
        # can be read is whole, with or without a newline behind it.)
        return ending
    if not isinstance(message, dict):
        return ending
    match message.get("type"), message.get("subtype"):
        case "result", _:
            return replace(ending, result=message, turn_open=False)
        case "system", "init":
            session_id = _text(message.get("session_id")) or ending.session_id
            return replace(ending, session_id=session_id, turn_open=True)
        case "rate_limit_event", _:
            return _with_windows(ending, message.get("rate_limit_info"))
        case "assistant", _ if message.get("is_api_error_message"):
            params = message.get("api_error_params")
            limits = params.get("rate_limit_info") if isinstance(params, dict) else None
            return _with_windows(replace(ending, api_error=_api_error(message)), limits)
        case "assistant", _:
            words = _words(message) or ending.last_words
            return replace(ending, turns_seen=ending.turns_seen + 1, last_words=words, api_error=None, turn_open=True)
        case _:
            return ending


def _api_error(message: dict[str, Any]) -> ApiError:
    return ApiError(
        kind=_text(message.get("error")) or "",
        status=status_of(message),
        code=_text(message.get("api_error")) or "",
    )


def status_of(message: dict[str, Any]) -> int | None:
    """Return the HTTP status that a line reports; None: no answer came, or it is not said."""
    status = message.get("api_error_status")
    return status if isinstance(status, int) and not isinstance(status, bool) else None


def _with_windows(ending: Ending, info: object) -> Ending:
    """Note which windows a rate_limit_info calls used up; a newer word on a window replaces the older one."""
    if not isinstance(info, dict):
        return ending
    inner = info.get("unifiedWindows")
    windows = dict(inner) if isinstance(inner, dict) else {}
    if "status" in info:
        windows[_text(info.get("rateLimitType")) or "limit"] = info
    known = dict(ending.used_up)
    for name, window in windows.items():
        if not isinstance(window, dict):
            continue
        reset = _number(window.get("resetsAt"))
        known.pop(name, None)
        if reset is not None and _is_used_up(window, info):
            known[name] = reset
    return replace(ending, used_up=tuple(known.items()))


def _is_used_up(window: dict[str, Any], info: dict[str, Any]) -> bool:
    # claude leaves the status of a window out where the API has not said it, or said something new.
    if window.get("status") is None and info.get("status") == "rejected":
        return (_number(window.get("utilization")) or 0) >= 1
    return window.get("status") == "rejected"


def _words(message: dict[str, Any]) -> str:
    body = message.get("message")
    content = body.get("content") if isinstance(body, dict) else None
    if not isinstance(content, list):
        return ""
    texts = [block.get("text") for block in content if isinstance(block, dict) and block.get("type") == "text"]
    return "\n".join(text for text in texts if isinstance(text, str))


def _number(value: object) -> float | None:
    """Return a number that can be calculated with: JSON as Python reads it may hold NaN, and integers of any size."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
