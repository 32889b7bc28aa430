"""A scriptable stand-in for the Anthropic Messages API. Standard library only; listens on 127.0.0.1 only.

    mock_anthropic.py --scenario S.json [--port 0] [--log requests.jsonl] [--port-file P] [--pid-file P] [--full-log]

Prints one line `{"port": N, "pid": N}` on stdout when it listens.

Endpoints: POST /v1/messages (SSE when "stream": true, else JSON), POST /v1/messages/count_tokens, GET /v1/models, any
other GET/HEAD/POST → 200 {}.

    GET  /__mock__/requests     the log so far, as a JSON list
    POST /__mock__/scenario     replace the scenario (JSON body), reset the counters
    POST /__mock__/reset        reset the counters and the kept log

The scenario
------------
{
 "known_models": ["claude-opus-5-5", ...],   # optional: any other model → 404 not_found_error
 "default": {"text": "Hello from mock."},    # optional: the turn if no rule matches
 "aux":     {"text": "aux"},                 # optional: the turn for requests that offer no tools
                                             # (title, summary ... calls of the CLI)
 "rules": [
   {"name": "ask",                # optional, used in the log
    "match": "ASK-ME",            # substring of the conversation's user text ("" matches always)
    "where": "latest",            # "latest" (default): only the newest user prompt;
                                  # "any": any user prompt of the conversation;
                                  # "body": the whole request body, as text
    "index": "counter",           # which turn is next: "counter" (default) = how many requests of
                                  #   this session hit this rule; "global" = of all sessions;
                                  #   "assistant" = number of assistant messages after the
                                  #   matching prompt (retries do not advance it)
    "after": "last",              # when turns run out: "last" repeats the last (default),
                                  #   "loop" starts again, "default" uses the default turn
    "include_aux": false,         # let the rule match requests without tools too
    "turns": [TURN, ...]}
 ]
}
User prompts are the text blocks of role "user" messages that are not tool results and not <system-reminder> blocks
(so a tool loop stays in the rule that started it). The first rule that matches wins.

TURN: an object; the keys may be combined
  text: "..."            a text block; {{tool_result}} = text of the newest tool result,
                         {{prompt}} = newest user prompt, {{n}} = request number, {{session}}
  huge_text: N           a text block of N bytes (with "line": L: newline each L bytes)
  thinking: "..."        a thinking block before the others
  tool_use: {name,input} or a list of them   (input values may hold the same {{...}})
  blocks: [...]          literal content blocks, in order, instead of the above
  stop_reason: "..."     default: "tool_use" if there is a tool_use, else "end_turn"
  usage: {...}           merged into the usage (input_tokens, output_tokens, cache_...)
  model: "..."           model name to answer with
  headers: {...}         extra response headers (e.g. anthropic-ratelimit-unified-*);
                         a value "+3600" becomes now+3600 s (unix time), "iso+3600" ISO-8601
  error: {status, type, message, headers, body}      an HTTP error; body replaces the standard
                         {"type":"error","error":{"type","message"},"request_id"} if given
                         (dict → JSON, str → as it is)
  stream_error: {type, message}   status 200, then an SSE "error" event in mid-stream
  delay: S               wait before the response headers
  delay_after_headers: S wait after the headers, before the first event
  chunk_delay: S         wait between events / text chunks;  chunk: bytes per text delta
  ping: S                while waiting, send SSE ping events every S seconds
  hang: true|"headers"   never answer (true: not even headers; "headers": headers, then silence)
  drop: "connect"        close the connection before any byte
        "reset"          the same with a TCP RST
        "headers"        close after the headers
        "mid"            close in the middle of the first content block
        "before_stop"    close before message_stop
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import socket
import struct
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

Json = dict[str, Any]

_FOREVER = 3600.0
_LONG = 2000
"""Characters of a text that are kept in the log."""


class GoneError(Exception):
    """The connection was closed on purpose."""


# ---------------------------------------------------------------------------------------------- reading requests


def text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(
        one.get("text", "") for one in content or [] if isinstance(one, dict) and one.get("type") == "text"
    )


def user_prompts(messages: list[Json]) -> list[tuple[int, str]]:
    """Return the user's own prompts, each with the index of its message."""
    found = []
    for index, message in enumerate(messages):
        if message.get("role") != "user":
            continue
        content = message.get("content")
        texts = [content] if isinstance(content, str) else [text_of([block]) for block in content or []]
        own = [text for text in texts if text.strip() and not text.lstrip().startswith("<system-reminder>")]
        if own:
            found.append((index, "\n".join(own)))
    return found


def tool_results(messages: list[Json]) -> list[Json]:
    return [
        {"id": block.get("tool_use_id"), "is_error": block.get("is_error"), "text": text_of(block.get("content"))}
        for message in messages
        if message.get("role") == "user" and isinstance(message.get("content"), list)
        for block in message["content"]
        if isinstance(block, dict) and block.get("type") == "tool_result"
    ]


def session_of(headers: Any, body: Json) -> str | None:
    given = headers.get("x-claude-code-session-id")
    if given:
        return str(given)
    user = str((body.get("metadata") or {}).get("user_id") or "")
    with suppress(ValueError):
        fields = json.loads(user)
        if isinstance(fields, dict):
            return fields.get("session_id")
    return user.rsplit("_session_", maxsplit=1)[-1] or None


def header_value(value: object) -> str:
    text = str(value)
    if text.startswith("iso+"):
        return (datetime.now(UTC) + timedelta(seconds=float(text[4:]))).strftime("%Y-%m-%dT%H:%M:%SZ")
    if text.startswith("+") and text[1:].replace(".", "", 1).isdigit():
        return str(int(time.time() + float(text[1:])))
    return text


# ---------------------------------------------------------------------------------------------- choosing a turn


class State:
    """The scenario, how far it has been played, and what has been asked so far."""

    def __init__(self, scenario: Json, log: Path | None, *, full: bool) -> None:
        self.lock = threading.Lock()
        self.scenario = scenario
        self.full = full
        self.kept: list[Json] = []
        self.stop = threading.Event()
        self._log = log.open("a", buffering=1) if log else None
        self._counts: dict[tuple[str, str | None], int] = {}
        self._requests = 0

    def reset(self, scenario: Json | None = None) -> None:
        with self.lock:
            if scenario is not None:
                self.scenario = scenario
            self._counts.clear()
            self.kept.clear()

    def record(self, entry: Json) -> None:
        line = json.dumps(entry, ensure_ascii=False)
        with self.lock:
            self.kept.append(entry)
            if self._log:
                self._log.write(line + "\n")

    def number(self) -> int:
        with self.lock:
            self._requests += 1
            return self._requests

    def choose(self, body: Json, raw: str, session: str | None) -> tuple[str, int, Json]:
        """Return rule name, turn number, turn."""
        scenario = self.scenario
        known = scenario.get("known_models")
        if known and body.get("model") not in known:
            message = f"model: {body.get('model')}"
            return "(unknown model)", 0, {"error": {"status": 404, "type": "not_found_error", "message": message}}
        messages = body.get("messages") or []
        aux = not body.get("tools")
        rules = [rule for rule in scenario.get("rules", []) if not aux or rule.get("include_aux")]
        for rule in rules:
            at = _matches(rule, user_prompts(messages), raw)
            if at is not None:
                return self._turn(rule, messages[at:], session)
        if aux:
            return "(aux)", 0, scenario.get("aux", {"text": "aux"})
        return "(default)", 0, self._default()

    def _turn(self, rule: Json, since: list[Json], session: str | None) -> tuple[str, int, Json]:
        name = rule.get("name") or rule.get("match") or "(any)"
        turns = rule.get("turns") or [{}]
        how = rule.get("index", "counter")
        if how == "assistant":
            number = sum(1 for message in since if message.get("role") == "assistant")
        else:
            key = (name, None if how == "global" else session)
            with self.lock:
                number = self._counts.get(key, 0)
                self._counts[key] = number + 1
        if number < len(turns):
            return name, number, turns[number]
        after = rule.get("after", "last")
        if after == "default":
            return name, number, self._default()
        return name, number, turns[number % len(turns)] if after == "loop" else turns[-1]

    def _default(self) -> Json:
        turn: Json = self.scenario.get("default", {"text": "Hello from mock."})
        return turn


def _matches(rule: Json, prompts: list[tuple[int, str]], raw: str) -> int | None:
    """Return the index of the message that the rule fits, or None."""
    wanted, where = rule.get("match", ""), rule.get("where", "latest")
    if where == "body":
        return 0 if wanted in raw else None
    candidates = prompts[-1:] if where == "latest" else prompts
    return next((index for index, prompt in reversed(candidates) if wanted in prompt), None)


# ---------------------------------------------------------------------------------------------- writing answers


def filled(value: Any, words: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for name, word in words.items():
            value = value.replace("{{" + name + "}}", word)
        return value
    if isinstance(value, dict):
        return {key: filled(one, words) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, words) for one in value]
    return value


def blocks_of(turn: Json, words: Mapping[str, str]) -> list[Json]:
    if "blocks" in turn:
        blocks: list[Json] = filled(turn["blocks"], words)
        return blocks
    out: list[Json] = []
    if "thinking" in turn:
        out.append({"type": "thinking", "thinking": turn["thinking"], "signature": "c2ln"})
    if "huge_text" in turn:
        size = int(turn["huge_text"])
        unit = "x" * (int(turn["line"]) - 1) + "\n" if turn.get("line") else "0123456789abcdef"
        out.append({"type": "text", "text": (unit * (size // len(unit) + 1))[:size]})
    if "text" in turn:
        out.append({"type": "text", "text": filled(turn["text"], words)})
    tools = turn.get("tool_use") or []
    out.extend(
        {
            "type": "tool_use",
            "id": tool.get("id") or "toolu_" + uuid.uuid4().hex[:22],
            "name": tool["name"],
            "input": filled(tool.get("input", {}), words),
        }
        for tool in ([tools] if isinstance(tools, dict) else tools)
    )
    return out or [{"type": "text", "text": "Hello from mock."}]


def streamed(block: Json) -> tuple[Json, tuple[str, str] | None, str]:
    """Return how a content block starts, which kind of delta carries it, and what is in the deltas."""
    match block["type"]:
        case "text":
            return {"type": "text", "text": ""}, ("text_delta", "text"), block["text"]
        case "thinking":
            head: Json = {"type": "thinking", "thinking": "", "signature": ""}
            return head, ("thinking_delta", "thinking"), block["thinking"]
        case "tool_use":
            given = block.get("id") or "toolu_" + uuid.uuid4().hex[:22]
            head = {"type": "tool_use", "id": given, "name": block["name"], "input": {}}
            return head, ("input_json_delta", "partial_json"), json.dumps(block.get("input", {}))
        case _:
            return block, None, ""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "mock-anthropic/1"
    state: ClassVar[State]

    def log_message(self, *_: Any) -> None:
        pass

    # -- small answers

    def send_json(
        self, status: int, content: Json | list[Json] | str, headers: Mapping[str, object] | None = None
    ) -> None:
        data = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, header_value(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def simple(self) -> None:
        size = int(self.headers.get("content-length") or 0)
        raw = self.rfile.read(size) if size else b""
        state = self.state
        if self.path == "/__mock__/requests":
            with state.lock:
                kept = list(state.kept)
            self.send_json(200, kept)
            return
        if self.path in ("/__mock__/scenario", "/__mock__/reset"):
            state.reset(json.loads(raw) if self.path.endswith("scenario") else None)
            self.send_json(200, {"ok": True})
            return
        entry = {"n": state.number(), "t": time.time(), "method": self.command, "path": self.path, "kind": "other"}
        body = raw[:_LONG].decode("utf-8", "replace")
        state.record({**entry, "headers": self.safe_headers(), "body": body})
        if not self.path.startswith("/v1/models"):
            self.send_json(200, {})
            return
        known = state.scenario.get("known_models", ["claude-opus-5-5"])
        created = "2026-01-01T00:00:00Z"
        rows = [{"type": "model", "id": one, "display_name": one, "created_at": created} for one in known]
        self.send_json(200, {"data": rows, "has_more": False, "first_id": None, "last_id": None})

    do_HEAD = do_GET = do_PUT = do_DELETE = simple  # noqa: N815 - http.server looks for these names

    def safe_headers(self) -> dict[str, str]:
        secret = ("x-api-key", "authorization", "cookie")
        return {
            name.lower(): "sha256:" + sha256(value.encode()).hexdigest()[:12] if name.lower() in secret else value
            for name, value in self.headers.items()
        }

    # -- messages

    def do_POST(self) -> None:
        path = self.path.split("?")[0]
        if not path.startswith("/v1/messages"):
            self.simple()
            return
        started = time.time()
        data = self.read_body()
        raw = data.decode("utf-8", "replace")
        try:
            body = json.loads(raw or "{}")
        except ValueError:
            error = {"type": "invalid_request_error", "message": "bad JSON"}
            self.send_json(400, {"type": "error", "error": error})
            return
        entry: Json = {"n": self.state.number(), "t": started, "method": "POST", "path": self.path, "bytes": len(data)}
        if path.endswith("/count_tokens"):
            self.state.record({**entry, "kind": "count_tokens"})
            self.send_json(200, {"input_tokens": max(1, len(raw) // 4)})
            return
        self.answer(entry, body, raw)

    def read_body(self) -> bytes:
        size = int(self.headers.get("content-length") or 0)
        if size or "chunked" not in (self.headers.get("transfer-encoding") or ""):
            return self.rfile.read(size)
        data = b""
        while length := int(self.rfile.readline().split(b";")[0].strip() or b"0", 16):
            data += self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def answer(self, entry: Json, body: Json, raw: str) -> None:
        state = self.state
        messages = body.get("messages") or []
        session = session_of(self.headers, body)
        rule, number, turn = state.choose(body, raw, session)
        entry |= self.described(body, messages) | {"session": session, "rule": rule, "turn": number}
        if state.full:
            entry["body"] = body
        entry["outcome"] = "hanging"
        if turn.get("hang"):
            state.record(dict(entry))  # a second record follows when the connection ends
        prompts, results = user_prompts(messages), tool_results(messages)
        words = {
            "prompt": prompts[-1][1] if prompts else "",
            "tool_result": results[-1]["text"] if results else "",
            "n": str(entry["n"]),
            "session": session or "",
        }
        try:
            entry["outcome"] = self.play(turn, body, words)
        except GoneError as gone:
            entry["outcome"] = f"closed: {gone}"
        except (BrokenPipeError, ConnectionResetError) as error:
            entry["outcome"] = f"client went away: {type(error).__name__}"
            self.close_connection = True
        finally:
            entry["wall_s"] = round(time.time() - entry["t"], 3)
            state.record(entry)

    def described(self, body: Json, messages: list[Json]) -> Json:
        system = text_of(body.get("system"))
        prompts = [prompt for _, prompt in user_prompts(messages)]
        shown = ("messages", "system", "tools", "model", "stream", "max_tokens")
        return {
            "kind": "messages",
            "model": body.get("model"),
            "stream": bool(body.get("stream")),
            "max_tokens": body.get("max_tokens"),
            "roles": [message.get("role") for message in messages],
            "prompts": [p if len(p) < _LONG else f"{p[:1000]}...({len(p)} chars)" for p in prompts],
            "tool_results": [{**one, "text": one["text"][:_LONG]} for one in tool_results(messages)[-4:]],
            "tools": [tool.get("name") for tool in body.get("tools") or []],
            "system_bytes": len(system),
            "system_tail": system[-600:],
            "extra": {key: value for key, value in body.items() if key not in shown},
            "headers": self.safe_headers(),
        }

    # -- playing a turn

    def close_now(self, why: str, *, rst: bool = False) -> None:
        with suppress(OSError):
            self.wfile.flush()
        with suppress(OSError):
            if rst:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True
        with suppress(OSError):
            self.connection.close()
        raise GoneError(why)

    def nap(self, seconds: float, ping: float | None = None) -> None:
        """Wait; notice when the client hangs up; send pings if asked."""
        end = time.time() + seconds
        next_ping = time.time() + ping if ping else None
        while (left := end - time.time()) > 0 and not self.state.stop.is_set():
            self.state.stop.wait(min(left, 0.25))
            readable, _, _ = select.select([self.connection], [], [], 0)
            if readable and self.connection.recv(1, socket.MSG_PEEK) == b"":
                self.close_connection = True
                raise GoneError("by the client, while waiting")
            if ping and next_ping and time.time() >= next_ping:
                next_ping += ping
                self.event("ping", {"type": "ping"})

    def play(self, turn: Json, body: Json, words: Mapping[str, str]) -> str:
        drop, hang = turn.get("drop"), turn.get("hang")
        if turn.get("delay"):
            self.nap(float(turn["delay"]))
        if drop in ("connect", "reset"):
            self.close_now(f"drop {drop}", rst=drop == "reset")
        if hang and hang != "headers":
            self.nap(_FOREVER)
            self.close_now("hang")
        request = "req_" + uuid.uuid4().hex[:20]
        headers = {"request-id": request, **(turn.get("headers") or {})}
        if "error" in turn:
            return self.play_error(turn["error"], headers)
        blocks = blocks_of(turn, words)
        uses_tool = any(block["type"] == "tool_use" for block in blocks)
        counted = {"input_tokens": 100, "output_tokens": 20}
        cached = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
        message = {
            "id": "msg_" + uuid.uuid4().hex[:22],
            "type": "message",
            "role": "assistant",
            "model": turn.get("model") or body.get("model"),
            "content": blocks,
            "stop_reason": turn.get("stop_reason") or ("tool_use" if uses_tool else "end_turn"),
            "stop_sequence": None,
            "usage": {**counted, **cached, "service_tier": "standard", **(turn.get("usage") or {})},
        }
        if body.get("stream"):
            return self.play_stream(turn, message, headers)
        if hang:
            self.nap(_FOREVER)
        if drop:
            self.close_now(f"drop {drop}")
        self.send_json(200, message, headers)
        return "ok json"

    def play_error(self, error: Json, headers: Mapping[str, object]) -> str:
        status = int(error.get("status", 500))
        body = error.get("body")
        if body is None:
            said = {"type": error.get("type", "api_error"), "message": error.get("message", "mock error")}
            body = {"type": "error", "error": said, "request_id": headers["request-id"]}
        self.send_json(status, body, {**headers, **(error.get("headers") or {})})
        return f"error {status}"

    def play_stream(self, turn: Json, message: Json, headers: Mapping[str, object]) -> str:
        drop = turn.get("drop")
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("cache-control", "no-cache")
        self.send_header("transfer-encoding", "chunked")
        for name, value in headers.items():
            self.send_header(name, header_value(value))
        self.end_headers()
        self.wfile.flush()
        if drop == "headers":
            self.close_now("drop after headers")
        if turn.get("delay_after_headers"):
            self.nap(float(turn["delay_after_headers"]), turn.get("ping"))
        if turn.get("hang"):
            self.nap(_FOREVER, turn.get("ping"))
            self.close_now("hang after headers")
        begun = {**message, "content": [], "stop_reason": None, "usage": {**message["usage"], "output_tokens": 1}}
        self.event("message_start", {"type": "message_start", "message": begun})
        self.event("ping", {"type": "ping"})
        for index, block in enumerate(message["content"]):
            self.play_block(turn, index, block)
            if "stream_error" in turn:
                error = {"type": "overloaded_error", "message": "Overloaded", **turn["stream_error"]}
                self.event("error", {"type": "error", "error": error, "request_id": headers["request-id"]})
                self.chunk(b"")
                return "stream error"
            self.event("content_block_stop", {"type": "content_block_stop", "index": index})
        end = {"stop_reason": message["stop_reason"], "stop_sequence": None}
        self.event("message_delta", {"type": "message_delta", "delta": end, "usage": message["usage"]})
        if drop == "before_stop":
            self.close_now("drop before message_stop")
        self.event("message_stop", {"type": "message_stop"})
        self.chunk(b"")
        return "ok"

    def play_block(self, turn: Json, index: int, block: Json) -> None:
        pause, size = float(turn.get("chunk_delay") or 0), int(turn.get("chunk") or 65536)
        head, kind, text = streamed(block)
        self.event("content_block_start", {"type": "content_block_start", "index": index, "content_block": head})
        pieces = [text[at : at + size] for at in range(0, len(text), size)] or [""]
        for number, piece in enumerate(pieces):
            if turn.get("drop") == "mid" and number >= len(pieces) // 2:
                self.delta(index, kind, piece[: len(piece) // 2])
                self.close_now("drop in mid-stream")
            self.delta(index, kind, piece)
            if pause:
                self.nap(pause)
        if block["type"] == "thinking":
            self.delta(index, ("signature_delta", "signature"), block.get("signature", "c2ln"))

    def delta(self, index: int, kind: tuple[str, str] | None, piece: str) -> None:
        if kind is not None:
            delta = {"type": kind[0], kind[1]: piece}
            self.event("content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta})

    def chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n" % len(data) + data + b"\r\n")
        self.wfile.flush()

    def event(self, name: str, data: Json) -> None:
        self.chunk(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())


class Server(ThreadingHTTPServer):
    """One thread per connection."""

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def handle_error(self, *_: Any) -> None:
        pass  # a client that went away is part of the game


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--scenario", required=True, help="path to a JSON file, or JSON text")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--port-file", type=Path)
    parser.add_argument("--pid-file", type=Path)
    parser.add_argument("--full-log", action="store_true", help="log whole request bodies")
    given = parser.parse_args()
    text = given.scenario if given.scenario.lstrip().startswith("{") else Path(given.scenario).read_text()
    Handler.state = State(json.loads(text), given.log, full=given.full_log)
    server = Server(("127.0.0.1", given.port), Handler)
    port = server.server_address[1]
    if given.port_file:
        temp = given.port_file.with_name(given.port_file.name + ".tmp")
        temp.write_text(str(port))
        temp.rename(given.port_file)
    if given.pid_file:
        given.pid_file.write_text(str(os.getpid()))

    def bye(*_: Any) -> None:
        Handler.state.stop.set()
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, bye)
    signal.signal(signal.SIGINT, bye)
    print(json.dumps({"port": port, "pid": os.getpid()}), flush=True)  # noqa: T201 - the reader waits for this line
    server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
