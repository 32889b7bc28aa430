"""What each step of a scenario does. A step is an object with one key; STEPS, at the end, names them all."""

from __future__ import annotations

import base64
import os
import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dropbox_runner.standin.processes import run_tool
from dropbox_runner.standin.protocol import Ending, write
from dropbox_runner.standin.scenario import fill_command

if TYPE_CHECKING:
    from collections.abc import Callable

    from dropbox_runner.standin.processes import Signals
    from dropbox_runner.standin.protocol import Stream

_OUTPUT_AT_MOST = 30_000
_QUESTION_FILE = "DROPBOX_RUNNER_QUESTION_FILE"


class Turn:
    """What the steps work with, and what they leave for the end of the run."""

    def __init__(self, stream: Stream, signals: Signals, values: dict[str, str]) -> None:
        self.stream = stream
        self.signals = signals
        self.values = values
        """For the {{placeholders}}: prompt, n, session, state."""
        self.ending = Ending()
        self.cost: float | None = None
        self.turns: int | None = None
        self.exit_code: int | None = None
        self.linger = 0.0
        self.open_tool = ""
        """The call whose result is still to come."""
        self.reached_model = False

    def use_tool(self, name: str, tool_input: dict[str, object]) -> str:
        """Begin a tool call; whoever does must end it."""
        self.reached_model = True
        self.open_tool = self.stream.use_tool(name, tool_input)
        return self.open_tool

    def tool_environment(self) -> dict[str, str]:
        """All of ours goes on to the tools, as with claude, and the marks by which they know where they are."""
        marks = {"CLAUDECODE": "1", "CLAUDE_CODE_CHILD_SESSION": "1", "CLAUDE_CODE_SESSION_ID": self.values["session"]}
        marks |= {"CLAUDE_PID": str(os.getpid()), "CLAUDE_CODE_ENTRYPOINT": "sdk-cli", "GIT_EDITOR": "true"}
        return {**os.environ, **marks}

    def output_file(self) -> Path:
        """Where a tool's output is gathered."""
        return Path(self.values["state"]) / f".output.{os.getpid()}"

    def tool_done(self, content: str, structured: object) -> None:
        """End a tool call well."""
        self.stream.tool_result(self.open_tool, content, structured)
        self.open_tool = ""

    def tool_failed(self, content: str) -> None:
        """End a tool call badly; the model goes on."""
        self.stream.tool_error(self.open_tool, content)
        self.open_tool = ""


# What the model says and does.


def say(turn: Turn, text: str) -> None:
    """(text) the model says it; what it says last is the result."""
    turn.reached_model = True
    turn.ending.text = text
    turn.stream.say(text)


def bash(turn: Turn, command: str) -> None:
    """(command) really run by /bin/bash, in the working directory and in a session of its own."""
    _run(turn, fill_command(command, turn.values), command[:60])


def ask(turn: Turn, question: dict[str, Any]) -> None:
    """{"text", "options"}: really runs `dropbox-runner ask`, as PATH finds it."""
    options = [f"--option={option}" for option in question.get("options", ())]
    _run(turn, shlex.join(["dropbox-runner", "ask", question["text"], *options]), "Ask the person")


def write_file(turn: Turn, file: dict[str, str]) -> None:
    """{"path", "text"}: the Write tool; the path is relative to the working directory."""
    _write(turn, Path.cwd() / file["path"], file["text"].encode())


def write_question(turn: Turn, text: str) -> None:
    """(text) written as it is to the question file."""
    _write(turn, Path(os.environ.get(_QUESTION_FILE, "")), text.encode())


def write_question_bytes(turn: Turn, encoded: str) -> None:
    """(base64) the same, for what is no text."""
    _write(turn, Path(os.environ.get(_QUESTION_FILE, "")), base64.b64decode(encoded))


def denied(turn: Turn, call: dict[str, Any]) -> None:
    """{"tool", "input", "message"}: a tool call that was not permitted, with its three traces."""
    name, tool_input = call.get("tool", "Bash"), call.get("input", {})
    default = f"Claude requested permissions to use {name}, but you haven't granted it yet."
    tool = turn.use_tool(name, tool_input)
    turn.stream.denied(name, tool, call.get("message", default))
    turn.ending.denials.append({"tool_name": name, "tool_use_id": tool, "tool_input": tool_input})
    turn.open_tool = ""


def spawn(turn: Turn, command: str) -> None:
    """(command) left running in the background, forked twice: only its environment still tells whose it is."""
    quoted = shlex.quote(fill_command(command, turn.values))
    _run(turn, f"(setsid /bin/bash -c {quoted} </dev/null >/dev/null 2>&1 &)", "Leave something running")


# What the API says.


def rate_limit(turn: Turn, info: dict[str, object]) -> None:
    """{rate_limit_info}: a rate_limit_event line."""
    turn.stream.rate_limit(info)


def api_error(turn: Turn, error: dict[str, object]) -> None:
    """{"status", "error", "type", "api_error", "text", "rate_limit_info"}: the API did not answer; exit 1."""
    told = {"text": f"API Error: {error.get('status') or 'connection failed'}"} | error
    turn.ending.api_error = told
    turn.ending.text = str(told["text"])
    turn.stream.api_error(told)


# How the run will end.


def result(turn: Turn, overrides: dict[str, object]) -> None:
    """{field: value}: what the result line shall say instead; a subtype error_… brings along what goes with it."""
    turn.ending.overrides |= overrides


def exit_code(turn: Turn, code: int) -> None:
    """n: at the end; left out, 1 if the result speaks of an error."""
    turn.exit_code = code


def cost(turn: Turn, dollars: float) -> None:
    """x: of this run; left out, 0.0008, or nothing if the API never answered."""
    turn.cost = dollars


def turns(turn: Turn, number: int) -> None:
    """n: num_turns; left out, one more than tools were used."""
    turn.turns = number


def linger(turn: Turn, seconds: float) -> None:
    """seconds: the process lives on after its result line."""
    turn.linger = seconds


def known_beforehand(_turn: Turn, _value: object) -> None:
    """true: for the whole run, wherever it stands in it; see player.py."""


# What the process does.


def raw(_turn: Turn, text: str) -> None:
    """(text) this very line on stdout."""
    write(1, text.encode(errors="replace") + b"\n")


def raw_bytes(_turn: Turn, encoded: str) -> None:
    """(base64) these very bytes on stdout, no line end added."""
    write(1, base64.b64decode(encoded))


def stderr(_turn: Turn, text: str) -> None:
    """(text) a line on stderr."""
    write(2, text.removesuffix("\n").encode(errors="replace") + b"\n")


def sleep(turn: Turn, seconds: float) -> None:
    """seconds: nothing happens, as when the API is slow; signals cut it short."""
    turn.signals.sleep(seconds)


def wait_for(turn: Turn, path: str) -> None:
    """(path) until it exists."""
    while not Path(path).exists():
        turn.signals.pause(0.01)


def touch(_turn: Turn, path: str) -> None:
    """(path) make an empty file, which is how a test learns that we got here."""
    Path(path).touch()


def kill(_turn: Turn, name: str) -> None:
    """(KILL) send ourselves that signal."""
    os.kill(os.getpid(), signal.Signals[f"SIG{name.removeprefix('SIG')}"])


def _run(turn: Turn, command: str, description: str) -> None:
    turn.use_tool("Bash", {"command": command, "description": description})
    code, output = run_tool(command, turn.tool_environment(), turn.output_file(), turn.signals)
    output = output.removesuffix("\n")[:_OUTPUT_AT_MOST]
    if code:
        # A shell says 128+n of a child that a signal ended; of the shell itself Python says -n.
        turn.tool_failed(f"Exit code {code if code > 0 else 128 - code}\n{output}".rstrip("\n"))
    else:
        structured = {"stdout": output, "stderr": "", "interrupted": False, "isImage": False, "noOutputExpected": False}
        turn.tool_done(output, structured)


def _write(turn: Turn, path: Path, content: bytes) -> None:
    text = content.decode(errors="replace")
    turn.use_tool("Write", {"file_path": str(path), "content": text})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        turn.tool_failed(str(error))
    else:
        structured = {"type": "create", "filePath": str(path), "content": text, "originalFile": None}
        turn.tool_done(f"File created successfully at: {path}", structured)


STEPS: dict[str, Callable[[Turn, Any], None]] = {
    "say": say,
    "bash": bash,
    "ask": ask,
    "write": write_file,
    "write_question": write_question,
    "write_question_bytes": write_question_bytes,
    "denied": denied,
    "spawn": spawn,
    "rate_limit": rate_limit,
    "api_error": api_error,
    "result": result,
    "exit": exit_code,
    "cost": cost,
    "turns": turns,
    "linger": linger,
    "no_session": known_beforehand,
    "no_init": known_beforehand,
    "no_result": known_beforehand,
    "ignore_sigterm": known_beforehand,
    "raw": raw,
    "raw_bytes": raw_bytes,
    "stderr": stderr,
    "sleep": sleep,
    "wait_for": wait_for,
    "touch": touch,
    "kill": kill,
}

SHELL_STEPS = ("bash", "spawn")
"""These put the values in themselves, quoted."""
