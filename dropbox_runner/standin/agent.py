"""From command line to exit code: what `claude -p` does, with a scenario in the model's place."""

from __future__ import annotations

import os
import select
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dropbox_runner.standin import scenario as scenarios
from dropbox_runner.standin.arguments import Refusal, check, parse
from dropbox_runner.standin.player import Player
from dropbox_runner.standin.processes import Signals
from dropbox_runner.standin.protocol import new_uuid, write, write_line
from dropbox_runner.standin.sessions import Store
from dropbox_runner.standin.steps import STEPS

if TYPE_CHECKING:
    from dropbox_runner.standin.arguments import Arguments

_VERSION = "2.1.330 (stand-in, not Claude)"
_SILENT_STDIN_S = 3
_STDIN_AT_MOST = 10_000_000
_NO_PROMPT = "Error: Input must be provided either through stdin or as a prompt argument when using --print"
_BLANK_PROMPT = "Error: Input contained only whitespace. Provide a prompt to continue."
_NO_PROMPT_RESUMED = (
    "Error: No deferred tool marker found in the resumed session. Provide a prompt to continue the conversation."
)


def main(argv: list[str] | None = None) -> int:
    """Be claude for one call; returns the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback for ^C in start-up
    arguments = parse(sys.argv[1:] if argv is None else argv)
    store = None if arguments.state is None else Store(arguments.state)
    if "version" in arguments.flags:
        if store is not None:
            store.log(arguments, kind="version")
        write(1, f"{_VERSION}\n".encode())
        return 0
    if store is None or arguments.scenario is None:
        write(2, b"stand-in: needs --stand-in-scenario=FILE and --stand-in-state=DIR\n")
        return 2
    try:
        scenario = scenarios.load(arguments.scenario, STEPS)
    except scenarios.ScenarioError as error:
        write(2, f"stand-in: {error}\n".encode(errors="replace"))
        return 2
    return _run(arguments, store, scenario)


def _run(arguments: Arguments, store: Store, scenario: scenarios.Scenario) -> int:
    prompt = None
    try:
        check(arguments)
        cwd = _working_directory()
        prompt = _read_prompt(arguments)
        session = store.open(arguments, new_uuid())
    except Refusal as refusal:
        store.log(arguments, kind="refused", prompt=prompt, error=refusal.message)
        if refusal.stdout is not None:
            write_line(1, refusal.stdout)
        write(2, f"{refusal.message}\n".encode(errors="replace"))
        return 1
    # Whoever sees the log line may send signals: from here on they have their meaning.
    signals = Signals()
    session.prompts.append(prompt)
    session.runs += 1
    rule = scenario.rule(session.prompts)
    store.log(arguments, kind="run", prompt=prompt, session_id=session.session_id, run=session.runs, rule=rule.name)
    player = Player(session, store, rule.steps(session.runs), signals)
    return player.play(cwd, arguments.permission_mode)


def _working_directory() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        raise Refusal("The current directory no longer exists. Change to another one and try again.") from None


def _read_prompt(arguments: Arguments) -> str:
    piped = _read_stdin()
    prompt = "\n".join(part for part in (arguments.prompt, piped) if part)
    if prompt.strip():
        return prompt
    if arguments.resume is not None:
        raise Refusal(_NO_PROMPT_RESUMED)
    raise Refusal(_BLANK_PROMPT if prompt else _NO_PROMPT)


def _read_stdin() -> str:
    """Read to the end, but do not wait longer than claude for somebody who never says anything."""
    try:
        if os.isatty(0):
            return ""
        if not select.select([0], [], [], _SILENT_STDIN_S)[0]:
            write(2, b"Warning: no stdin data received in 3s, proceeding without it.\n")
            return ""
        with open(0, "rb", closefd=False) as stdin:
            data = stdin.read(_STDIN_AT_MOST + 1)
    except OSError:  # closed
        return ""
    if len(data) > _STDIN_AT_MOST:
        raise Refusal("Error: piped stdin input exceeds 10MB.")
    return data.decode(errors="replace")
