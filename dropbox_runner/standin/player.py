"""Plays one run, from its first line to its last, however it ends."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from dropbox_runner.standin.processes import Signals, StopSignal
from dropbox_runner.standin.protocol import Spent, Stream
from dropbox_runner.standin.scenario import fill
from dropbox_runner.standin.steps import SHELL_STEPS, STEPS, Turn

if TYPE_CHECKING:
    from dropbox_runner.standin.scenario import Step, Steps
    from dropbox_runner.standin.sessions import Session, Store

_USUAL_COST = 0.0008
_REFUSED_BY_USER = (
    "The user doesn't want to proceed with this tool use. The tool use was rejected (eg. if it was a file edit, the "
    "new_string was NOT written to the file). STOP what you are doing and wait for the user to tell you how to proceed."
)


class Player:
    """One run of a session."""

    def __init__(self, session: Session, store: Store, steps: Steps, signals: Signals) -> None:
        values = {"prompt": session.prompts[-1], "n": str(session.runs), "session": session.session_id}
        values["state"] = str(store.root.absolute())
        self._session = session
        self._store = store
        self._steps = steps
        self._signals = signals
        self._stream = Stream(session.session_id)
        self._turn = Turn(self._stream, signals, values)
        self._over = False

    def play(self, cwd: str, permission_mode: str) -> int:
        """Do it all; returns the exit code."""
        if self._flag("ignore_sigterm"):
            self._signals.ignore(signal.SIGTERM)
        try:
            self._signals.check()
            self._save()  # before the first line: whoever has seen that may count on --resume
            if not self._flag("no_init"):
                self._stream.init(cwd, permission_mode)
            for step in self._steps:
                self._perform(step)
                self._signals.check()
            code = self._finish()
            self._signals.sleep(self._turn.linger)
        except StopSignal as stop:
            return self._stopped(stop.signum)
        else:
            return code

    def _flag(self, name: str) -> bool:
        return any(step.get(name) for step in self._steps)

    def _perform(self, step: Step) -> None:
        [(name, value)] = step.items()
        STEPS[name](self._turn, value if name in SHELL_STEPS else fill(value, self._turn.values))

    def _save(self) -> None:
        if not self._flag("no_session"):
            self._store.save(self._session)

    def _account(self) -> Spent:
        """Add what was spent to the session. (After a SIGKILL it is missing there, as with claude.)"""
        turn = self._turn
        usual = 0.0 if turn.ending.api_error and not turn.reached_model else _USUAL_COST
        spent = Spent(
            turns=self._stream.rounds + 1 if turn.turns is None else turn.turns,
            cost=usual if turn.cost is None else turn.cost,
        )
        self._session.turns += spent.turns
        self._session.total_cost_usd += spent.cost
        self._save()
        return spent

    def _finish(self) -> int:
        spent = self._account()  # before the last line: whoever has seen that may resume at once
        self._over = True
        failed = False
        if not self._flag("no_result"):
            failed = self._stream.result(self._turn.ending, spent, self._session)
        return int(failed) if self._turn.exit_code is None else self._turn.exit_code

    def _stopped(self, signum: int) -> int:
        """End as claude does: ^C makes a result line and exit 0, any other signal neither."""
        interrupted = signum == signal.SIGINT
        if not self._over and interrupted:
            self._interrupted()
        elif not self._over:
            if self._turn.open_tool:
                self._turn.tool_failed("Exit code 137")
            self._account()
        return 0 if interrupted else 128 + signum

    def _interrupted(self) -> None:
        turn = self._turn
        in_tool = bool(turn.open_tool)
        if in_tool:
            turn.tool_failed(_REFUSED_BY_USER)
            self._stream.user("[Request interrupted by user for tool use]")
        turn.ending.overrides = {
            "subtype": "error_during_execution",
            "terminal_reason": "aborted_tools" if in_tool else "aborted_streaming",
            "errors": ["Request was aborted."],
        }
        self._finish()
