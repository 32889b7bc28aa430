"""The lines that claude writes with --output-format=stream-json: same fields, same order, one whole line at a time.

Taken from real streams of version 2.1.330. (A real result line does *not* begin with its type; nor does this one.)
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dropbox_runner.standin.sessions import Session

Line = dict[str, object]

MODEL = VERSION = "stand-in"

_TOOLS = ("Task", "Bash", "Edit", "NotebookEdit", "Read", "Skill", "ToolSearch", "WebFetch", "WebSearch", "Write")

# JSON allows them in the open, claude escapes them: a reader that splits at them would be wrong but never notice.
_ESCAPED = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


class Spent(NamedTuple):
    """What a run, or a whole session, used."""

    turns: int
    cost: float

    def usage(self) -> Line:
        """In the words of the API."""
        return {
            "input_tokens": 100 * self.turns,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 20 * self.turns,
            "service_tier": "standard",
        }

    def by_model(self) -> Line:
        """In claude's own words; empty if no model was asked."""
        tokens: Line = {"inputTokens": 100 * self.turns, "outputTokens": 20 * self.turns}
        cached: Line = {"cacheReadInputTokens": 0, "cacheCreationInputTokens": 0, "webSearchRequests": 0}
        return {MODEL: tokens | cached | {"costUSD": self.cost, "costBasis": "list"}} if self.cost else {}


class Ending:
    """What the result line will say."""

    def __init__(self) -> None:
        self.text = ""
        self.denials: list[Line] = []
        self.api_error: Mapping[str, object] | None = None
        self.overrides: Line = {}

    def verdict(self) -> Line:
        """Give the fields that say how the run ended."""
        said: Line = {
            "stop_reason": "end_turn",
            "terminal_reason": "completed",
            "is_error": False,
            "subtype": "success",
        }
        said |= {"api_error_status": None, "result": self.text}
        if self.api_error is not None:
            said |= {"stop_reason": "stop_sequence", "terminal_reason": "api_error", "is_error": True}
            said["api_error_status"] = self.api_error.get("status")
            said |= {
                f"api_error{name}": self.api_error[key]
                for key, name in (("type", "_type"), ("api_error", ""))
                if key in self.api_error
            }
        subtype = str(self.overrides.get("subtype", ""))
        if subtype.startswith("error_"):
            # There is no text then, and no status: what went wrong stands in errors.
            del said["result"], said["api_error_status"]
            said |= {
                "is_error": True,
                "terminal_reason": _TERMINAL_REASONS.get(subtype),
                "errors": [f"Stand-in: {subtype}"],
            }
        return said | self.overrides


_TERMINAL_REASONS = {"error_max_turns": "max_turns", "error_max_budget_usd": "budget_exhausted"}


class Stream:
    """Claude's stdout for one run."""

    def __init__(self, session_id: str) -> None:
        self.rounds = 0
        """How often a tool was used: after each the model is asked once more."""
        self._session_id = session_id
        self._message_id = _new_id("msg")
        self._began = time.monotonic()

    def emit(self, fields: Mapping[str, object]) -> None:
        """Write one line."""
        write_line(1, fields)

    def init(self, cwd: str, permission_mode: str) -> None:
        """Say who we are: a stand-in."""
        self.emit(
            {"type": "system", "subtype": "init", "cwd": cwd, "session_id": self._session_id, "tools": _TOOLS}
            | {"mcp_servers": [], "model": MODEL, "permissionMode": permission_mode, "slash_commands": []}
            | {"apiKeySource": "none", "claude_code_version": VERSION, "output_style": "default", "agents": []}
            | {"skills": [], "plugins": [], "uuid": new_uuid(), "original_cwd": cwd, "additional_directories": []}
        )

    def say(self, text: str) -> None:
        """Let the model say something."""
        self._assistant({"type": "text", "text": text})

    def use_tool(self, name: str, tool_input: Mapping[str, object]) -> str:
        """Let the model call a tool; returns the call's id."""
        tool_use_id = _new_id("toolu")
        self._assistant({"type": "tool_use", "id": tool_use_id, "name": name, "input": tool_input})
        return tool_use_id

    def tool_result(self, tool_use_id: str, content: str, structured: object) -> None:
        """Tell the model what its tool gave."""
        block: Line = {"tool_use_id": tool_use_id, "type": "tool_result", "content": content, "is_error": False}
        self._tool_result(block, structured, _ACCEPTED)

    def tool_error(self, tool_use_id: str, content: str, *, how: Line | None = None) -> None:
        """Tell the model that its tool failed, or was not run at all."""
        block: Line = {"type": "tool_result", "content": content, "is_error": True, "tool_use_id": tool_use_id}
        self._tool_result(block, f"Error: {content}", how or _ACCEPTED)

    def denied(self, tool_name: str, tool_use_id: str, message: str) -> None:
        """Deny a tool call: two traces here, the third is in the result line."""
        self.emit(
            {"type": "system", "subtype": "permission_denied", "tool_name": tool_name, "tool_use_id": tool_use_id}
            | {"message": message, "uuid": new_uuid(), "session_id": self._session_id}
        )
        self.tool_error(tool_use_id, message, how=_REJECTED)

    def user(self, text: str) -> None:
        """Put words into the user's mouth, as claude does after ^C."""
        self._user([{"type": "text", "text": text}], {})

    def rate_limit(self, info: Line) -> None:
        """Say how much of the subscription is left."""
        event: Line = {"type": "rate_limit_event", "rate_limit_info": info}
        self.emit(event | {"uuid": new_uuid(), "session_id": self._session_id})

    def api_error(self, error: Mapping[str, object]) -> None:
        """Say, in the model's place, that the API did not answer."""
        usage: Line = {"input_tokens": 0, "output_tokens": 0, "service_tier": None}
        message: Line = {"id": new_uuid(), "model": "<synthetic>", "role": "assistant", "stop_reason": "stop_sequence"}
        message |= {"stop_sequence": "", "type": "message", "usage": usage}
        message["content"] = [{"type": "text", "text": error["text"]}]
        line = self._envelope("assistant", message) | {"error": error.get("error", "unknown")}
        line |= {"request_id": _new_id("req"), "is_api_error_message": True, "api_error_status": error.get("status")}
        if "api_error" in error:
            line["api_error"] = error["api_error"]
        if "rate_limit_info" in error:
            line["api_error_params"] = {"rate_limit_info": error["rate_limit_info"]}
        if "type" in error:
            line["api_error_type"] = error["type"]
        self.emit(line)

    def result(self, ending: Ending, run: Spent, session: Session) -> bool:
        """Write the result line; returns whether it speaks of an error."""
        elapsed = round((time.monotonic() - self._began) * 1000)
        total = Spent(session.turns, session.total_cost_usd)
        line: Line = {"duration_api_ms": elapsed, "stop_reason": None, "session_id": self._session_id}
        line |= {"total_cost_usd": total.cost, "usage": run.usage(), "modelUsage": total.by_model()}
        line |= {"permission_denials": ending.denials, "terminal_reason": None, "num_turns": run.turns}
        line |= {
            "type": "result",
            "duration_ms": elapsed,
            "uuid": new_uuid(),
            "queued_turn_count": 0,
            "result_index": 0,
        }
        line |= {"model_usage_since_last_result": run.by_model()} | ending.verdict()
        self.emit(line)
        return bool(line["is_error"])

    def _assistant(self, block: Line) -> None:
        message: Line = {"id": self._message_id, "type": "message", "role": "assistant", "model": MODEL}
        message |= {"content": [block], "stop_reason": None, "stop_sequence": None, "usage": Spent(1, 0).usage()}
        self.emit(self._envelope("assistant", message) | {"request_id": _new_id("req")})

    def _tool_result(self, block: Line, structured: object, how: Line) -> None:
        meta = [{"id": block["tool_use_id"]} | how]
        self._user([block], {"tool_use_result": structured, "tool_result_meta": meta})
        self._message_id = _new_id("msg")
        self.rounds += 1

    def _user(self, content: list[Line], more: Line) -> None:
        self.emit(self._envelope("user", {"role": "user", "content": content}) | more)

    def _envelope(self, kind: str, message: Line) -> Line:
        now = time.time()
        timestamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03}Z"
        line: Line = {"type": kind, "message": message, "parent_tool_use_id": None, "session_id": self._session_id}
        return line | {"uuid": new_uuid(), "timestamp": timestamp}


_ACCEPTED: Line = {"permission_decision": {"decision": "accept", "source": "config", "reason_type": "mode"}}
_REJECTED: Line = {
    "non_execution_kind": "user-rejected",
    "permission_decision": {"decision": "reject", "source": "config"},
}


def unknown_session(session_id: str, message: str) -> Line:
    """Give the only line of a run that was to resume what does not exist."""
    nothing = Spent(0, 0)
    line: Line = {"type": "result", "subtype": "error_during_execution", "duration_ms": 0, "duration_api_ms": 0}
    line |= {"is_error": True, "num_turns": 0, "stop_reason": None, "session_id": session_id, "total_cost_usd": 0}
    line |= {"usage": nothing.usage(), "modelUsage": {}, "permission_denials": [], "uuid": new_uuid()}
    return line | {"errors": [message], "result_index": 0}


def write_line(descriptor: int, fields: Mapping[str, object]) -> None:
    """Write one JSON line."""
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPED)
    write(descriptor, text.encode(errors="replace") + b"\n")


def write(descriptor: int, data: bytes) -> None:
    """Write all of it, at once and unbuffered; if nobody reads any more, go on all the same, as claude does."""
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BrokenPipeError:
            return


def new_uuid() -> str:
    """Make a random UUID. (Importing uuid would take as long as all of the rest.)"""
    text = os.urandom(16).hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[int(text[16], 16) % 4]}{text[17:20]}-{text[20:]}"


def _new_id(prefix: str) -> str:
    return f"{prefix}_{os.urandom(11).hex()}"
